//! Reads `429` and `Retry-After`, and holds calls back until the upstream wants
//! them again.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod classify;
pub mod hint;
pub mod key;
pub mod message;

mod ambient;
mod cooldown;
mod cooldowns;
mod error;
mod future;
mod ladder;
mod layer;
mod moment;
mod permit;
mod refusal;
mod service;
mod sync;
mod upstream;

pub use cooldowns::{CooldownInfo, Cooldowns, CooldownsBuilder, State};
pub use error::{Error, RateLimited, Reason};
pub use future::ResponseFuture;
pub use ladder::Ladder;
pub use layer::{RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder};
pub use refusal::{RefusalError, RefusalErrorFuture, RefusalErrorLayer};
pub use service::RetryAfterBackoff;
pub use upstream::Upstream;
