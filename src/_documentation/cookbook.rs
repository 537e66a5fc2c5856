//! Recipes: small programs that run, to copy and to change.
//!
//! Time is virtual in them and the upstreams are scripted, so that each can assert
//! what it shows. A recipe stands here if the features that it needs are on.
//!
//! | for | features |
//! |---|---|
//! | `polling`: one target, asked again and again | `schedule` (a default) |
//! | `crawling`: many hosts, few workers | |
//! | `api_keys`: tenants, routes and their quotas | |
//! | `grpc`: tonic | |
//! | `testing`: tests of your own code | |
//! | `operating`: see it, steer it, restart it | `serde`, `metrics`, `tracing` |
//! | `fleet`: many processes, one cooldown | `redis` |

#[doc = include_str!("../../docs/cookbook/api-keys.md")]
pub mod api_keys {}

#[doc = include_str!("../../docs/cookbook/crawling.md")]
pub mod crawling {}

#[cfg(feature = "redis")]
#[doc = include_str!("../../docs/cookbook/fleet.md")]
pub mod fleet {}

/// Its program is tested with the other clients', in `tests/interop`.
#[cfg(not(doctest))]
#[doc = include_str!("../../docs/cookbook/grpc.md")]
pub mod grpc {}

#[cfg(all(feature = "serde", feature = "metrics", feature = "tracing"))]
#[doc = include_str!("../../docs/cookbook/operating.md")]
pub mod operating {}

#[cfg(feature = "schedule")]
#[doc = include_str!("../../docs/cookbook/polling.md")]
pub mod polling {}

#[doc = include_str!("../../docs/cookbook/testing.md")]
pub mod testing {}
