//! The layer on real clients, against real servers on loopback.
//!
//! `cargo test -p tower-retry-after-interop` runs it all, in half a minute once it
//! is built; `--test kube` is one client alone. These tests live in real time: each
//! refusal is kept up for a second, and what the server heard meanwhile is looked
//! up in its log, where it counts when a request arrived, not when it was sent.
//!
//! # What is proven
//!
//! Each client tells the same [story](Story): it is refused, held back while its
//! server hears nothing, probed by one call alone, and clear again. Then its own
//! retry is put on, in every place where it can stand, and the server counts.
//!
//! | client | over | what else |
//! |---|---|---|
//! | hyper-util 0.1, legacy client | HTTP/1, HTTP/2, HTTP/2 over TLS | a stubborn retry: outside of the layer one request is heard, inside of it all of them; a `tower::buffer` outside of the layer outlives every rejection |
//! | reqwest 0.13 | HTTP/1, HTTP/2 | the origin that refused is charged after a redirect; its own retry is in the client, so all tries of one call are heard, and no other call |
//! | tower-reqwest 0.6 | HTTP/1 | the origin that was asked is charged after a redirect |
//! | reqwest-middleware 0.5, reqwest-retry 0.9 | HTTP/1 | behind the retry every attempt is gated, and a rejection ends it; before it, the last attempt alone is seen |
//! | kube 5 | HTTP/1 | its own retry waits for a refusal's `Retry-After`, gives up on a rejection as an error, and understands one as a response |
//! | octocrab 0.54 | HTTP/1 | the primary limit and secondary limits, the last answer of a quota, a 403 about authorisation; its own retry repeats an error at once, and understands a response |
//! | tonic 0.14, client and server | HTTP/2 | pushbacks, `RetryInfo`, a proxy's plain 429; see below |
//!
//! On reqwest and tonic the layer that waits, a
//! [`WaitingLayer`](tower_retry_after::WaitingLayer) in the layer's place, tells a
//! [story of its own](Story::is_waited_out): calls in tasks of their own wait out
//! the refusal, one probe is heard, and then all are answered. Who names a timeout,
//! by reqwest's `Request::timeout_mut` or tonic's `Request::set_timeout`, waits no
//! longer, and [not at all](Story::is_not_waited_for) where that is in vain.
//!
//! # Under fire
//!
//! `--test nginx` starts a real nginx (Debian: `nginx-light`; without it the tests say
//! that they are skipped, and with `CI=true` they fail) and judges by its access log:
//! with the layer nothing arrives within a cooldown, and an episode has one refusal, of
//! one poller and of 64 callers; the bare client's lines stand beside it
//! (`-- --nocapture` prints both counts). `--test hostile_server` is a server in plain
//! bytes that breaks off, stalls, resets and sends nonsense: nothing hangs, nothing
//! cools but by a refusal that could be read, and a probe that dies makes way.
//!
//! # Where the layer goes
//!
//! *hyper-util and reqwest*: around the client.
//!
//! *kube and octocrab*: around the HTTP client, inside of what adds the base URI;
//! outside of it, requests do not say where they go. Both wrap the stack in a
//! `tower::buffer` and hand its errors back boxed;
//! [`RateLimited::find`](tower_retry_after::RateLimited::find) finds the rate limit
//! in `kube::Error` and `octocrab::Error`. Around kube's default stack it has to
//! stand behind a `BufferLayer`, with a key that names the cluster, and
//! `Config::default_retry` off.
//!
//! *tonic*: around the `Channel`, and the client made by `with_origin`: the channel
//! adds the origin inside of the layer, and without it all channels are one
//! upstream, which has no name.
//!
//! # What a tonic caller sees of a rejection
//!
//! | stack | `Status::code` | pushback in its metadata | `RateLimited` in its chain |
//! |---|---|---|---|
//! | the layer alone | `Unknown` | no | yes |
//! | `RejectionResponseLayer` outside of it | `ResourceExhausted` | yes | no: tonic keeps no extensions of a response |
//! | `map_err` to a `tonic::Status` with that source | `ResourceExhausted` | as you like | yes |
//!
//! A status that comes after messages, in trailers, is not seen by the layer.
//!
//! # Examples
//!
//! They need nothing but themselves, and take some fifteen seconds each:
//! `cargo run -p tower-retry-after-interop --example reqwest_client`,
//! `tonic_client`, `github_poll`.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic, reason = "for tests")]
#![allow(clippy::unwrap_used, reason = "for tests")]

pub mod github;
pub mod grpc;
pub mod kubernetes;
#[cfg(unix)]
pub mod nginx;

mod answer;
mod limiter;
mod log;
mod server;
mod stage;
mod story;

pub use answer::Answer;
pub use limiter::{Limiter, Quota};
pub use log::{Heard, Log};
pub use server::Server;
pub use stage::{Stage, say};
pub use story::{Outcome, Story};

/// Runs the program of the cookbook's recipe for gRPC as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cookbook/grpc.md")]
struct Grpc;
