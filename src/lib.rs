//! A [Tower](https://docs.rs/tower) layer that reads `429 Too Many Requests` and
//! `Retry-After`, and holds calls back until the upstream wants them again.
//!
//! A client that is refused and carries on at its own pace keeps the upstream's
//! bucket full and locks itself out. [`RetryAfterBackoffLayer`] goes around any
//! HTTP client and does what the client should have done:
//!
//! 1. **Learn.** It reads from each response how long the upstream asks us to
//!    stay away.
//! 2. **Hold back.** Until then it answers every call to that upstream at once
//!    with [`Error::RateLimited`]; nothing goes on the wire. With each further
//!    refusal it stays away longer.
//! 3. **Probe.** When the time is over one call goes out, alone. If it succeeds,
//!    the others follow a few at a time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_retry_after::Error> {
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_retry_after::{Error, Reason, RetryAfterBackoffLayer};
//!
//! // Any client of `http` requests goes here; this one is refused.
//! async fn send(_: http::Request<()>) -> Result<http::Response<()>, std::io::Error> {
//!     Ok(http::Response::builder().status(429).header("retry-after", "120").body(()).unwrap())
//! }
//!
//! let mut client = ServiceBuilder::new()
//!     .layer(RetryAfterBackoffLayer::new())
//!     .service(service_fn(send));
//! let request = || http::Request::get("https://api.example/items").body(()).unwrap();
//!
//! // The refusal itself reaches the caller as it is.
//! let response = client.ready().await?.call(request()).await?;
//! assert_eq!(response.status(), 429);
//!
//! // The next call is not sent.
//! let error = client.ready().await?.call(request()).await.unwrap_err();
//! let limited = error.rate_limited().unwrap();
//! assert_eq!(limited.reason(), Reason::Cooling);
//! assert!(limited.retry_after() > Duration::from_secs(119));
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//!
//! ```text
//! request ─► upstream.rs     which upstream?          (key.rs: or a part of it)
//!         ─► cooldowns.rs    may it leave now?  ─ no ─► error.rs  RateLimited
//!         ─► inner service
//!         ─► classify.rs     what did it say?         (hint.rs reads how long)
//!         ─► cooldown.rs     which state now?         (ladder.rs: how long at least)
//!         ─► schedule.rs     when should a poller come back, and to whom?
//! ```
//!
//! `ladder`, `hint`, `classify` and `cooldown`, the state machine of one upstream,
//! are pure: `now` and chance are arguments; and so are `schedule`'s state, peers and
//! queue. Around them stand `cooldowns`, the shared table; `layer`, `service`, `future`
//! and `permit`, the Tower side; `waiting`, the layer whose calls wait in line instead
//! of being rejected; `refusal` and `rejection`, two small layers that turn a refusal
//! into an error and a rejection into a response; `retry`, a policy for Tower's own
//! layer; and `schedule`'s poller, cycle and set. `observe` tells whoever watches,
//! `message` is how requests and responses are seen, `reqwest_middleware` the way into
//! a stack that is not Tower's, and `ambient` the one file that reads clocks.
//!
//! # Which layer where
//!
//! From the outside in, of which only the layer itself is needed:
//!
//! ```text
//! what understands responses   RetryLayer, tonic, kube, octocrab
//! RejectionResponseLayer       a rejection becomes a response   (or RefusalErrorLayer: a refusal an error)
//! Buffer, limits, timeouts     where you have any
//! RetryAfterBackoffLayer       or, in its place, its `waiting`
//! the client
//! ```
//!
//! # What it promises
//!
//! - Calls to an upstream that is not in trouble pass unchanged, without boxing
//!   or allocating; while nobody is in trouble there is no look-up, no clock and
//!   no lock.
//! - `poll_ready` is the inner service's alone. It never fails with a rate limit,
//!   which would poison a `Buffer` for ever, and never waits for one.
//! - A burst of refusals is one rung. An old success resets nothing. No answer
//!   shortens a cooldown; only [`Cooldowns::clear`] does, and a table that is full.
//! - A call may be dropped at any time; no upstream is ever wedged.
//! - Those who wait come in the order they came, and never as a herd.
//! - Observers are told outside all locks; watching changes nothing.
//! - No response, however odd, makes it panic, wrap or wait without bound.
//!
//! Why all this is so, how other crates compare, what it withstands, and recipes that
//! run: see [`_documentation`].
//!
//! # Testing your own code
//!
//! Deadlines are read from tokio's clock, so a test that pauses it sees hours of
//! waiting pass in no time. (Use a scripted inner service, not a real socket:
//! the paused clock runs ahead while sockets wait.)
//!
//! ```
//! use std::time::Duration;
//! use tower::{Service, ServiceExt, service_fn};
//! use tower_layer::Layer;
//! use tower_retry_after::{Reason, RetryAfterBackoffLayer};
//!
//! # #[allow(clippy::needless_doctest_main)]
//! // In your own tests: #[tokio::test(start_paused = true)]
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() {
//!     // Refuses once, then answers.
//!     let mut answers = [429, 200].into_iter();
//!     let upstream = service_fn(move |_: http::Request<()>| {
//!         let status = answers.next().unwrap_or(200);
//!         let response = http::Response::builder().status(status).body(()).unwrap();
//!         async move { Ok::<_, std::io::Error>(response) }
//!     });
//!     let layer = RetryAfterBackoffLayer::new();
//!     let mut client = layer.layer(upstream);
//!     let request = || http::Request::get("https://api.example/").body(()).unwrap();
//!
//!     let refused = client.ready().await.unwrap().call(request()).await.unwrap();
//!     assert_eq!(refused.status(), 429);
//!
//!     // One minute, the first rung of the default ladder.
//!     tokio::time::advance(Duration::from_secs(59)).await;
//!     let held_back = client.ready().await.unwrap().call(request()).await.unwrap_err();
//!     assert_eq!(held_back.rate_limited().unwrap().reason(), Reason::Cooling);
//!
//!     tokio::time::advance(Duration::from_secs(1)).await;
//!     let probe = client.ready().await.unwrap().call(request()).await.unwrap();
//!     assert_eq!(probe.status(), 200);
//! }
//! ```
//!
//! Two things still read the system's wall clock: a `Retry-After` date on a
//! response without a usable `Date` header, and a classifier that asks for
//! [`classify::Head::received_at`]. Send both headers in such a test.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod classify;
pub mod hint;
pub mod key;
pub mod message;
pub mod observe;
#[cfg(feature = "retry")]
#[cfg_attr(docsrs, doc(cfg(feature = "retry")))]
pub mod retry;
#[cfg(feature = "schedule")]
#[cfg_attr(docsrs, doc(cfg(feature = "schedule")))]
pub mod schedule;

mod ambient;
mod cooldown;
mod cooldowns;
mod error;
#[cfg(feature = "redis")]
mod fleet;
mod future;
mod ladder;
mod layer;
mod moment;
mod permit;
mod refusal;
mod rejection;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod service;
mod sync;
mod upstream;
mod waiting;

pub use cooldowns::{CooldownInfo, Cooldowns, CooldownsBuilder, CooldownsSnapshot, State};
pub use error::{Error, RateLimited, Reason};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use fleet::{Fleet, FleetBuilder, FleetError};
pub use future::ResponseFuture;
pub use ladder::Ladder;
pub use layer::{RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder};
pub use refusal::{RefusalError, RefusalErrorFuture, RefusalErrorLayer};
pub use rejection::{RejectionResponse, RejectionResponseFuture, RejectionResponseLayer};
pub use service::RetryAfterBackoff;
pub use upstream::Upstream;
pub use waiting::{Waiting, WaitingFuture, WaitingLayer};

#[cfg(any(doc, doctest))]
pub mod _documentation;

/// Runs the README's examples as tests, where the features that they need are on.
#[cfg(all(doctest, feature = "schedule", feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;
