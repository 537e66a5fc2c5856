//! How upstreams that answer well ask to be left alone.

use super::support::{A, Answer, Peer, get, ok, status};
use super::*;

/// Polls twice, and returns the seconds between.
async fn between(answer: Answer, floor: Option<Duration>) -> u64 {
    let peer = Peer::always(answer);
    let mut builder = Poller::builder(peer.service(), || get(A)).policy(policy());
    if let Some(cap) = floor {
        builder = builder.floor(cap);
    }
    let mut poller = builder.build();
    let began = now();
    let polled = polls(&mut poller, 2).await;
    assert!(polled.iter().all(|polled| polled.state.consecutive_failures == 0));
    assert_eq!(peer.calls(), 2);
    (now() - began).as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_floor_delays_the_next_poll_where_it_is_wanted() {
    let hour = Some(secs(3600));
    for (name, value) in
        [("retry-after", "300"), ("x-poll-interval", "300"), ("cache-control", "max-age=300")]
    {
        assert_eq!(between(ok().header(name, value), None).await, 60, "{name}, not wanted");
        assert_eq!(between(ok().header(name, value), hour).await, 300, "{name}");
        assert_eq!(between(status(304).header(name, value), hour).await, 300, "{name} on a 304");
    }
}

#[tokio::test(start_paused = true)]
async fn a_floor_shortens_nothing_and_is_capped() {
    assert_eq!(between(ok().header("x-poll-interval", "5"), Some(secs(3600))).await, 60);
    assert_eq!(between(ok().header("x-poll-interval", "99999"), Some(secs(500))).await, 500);
}

#[tokio::test(start_paused = true)]
async fn only_a_good_answer_sets_a_floor() {
    let missing = status(404).header("cache-control", "max-age=300");
    assert_eq!(between(missing, Some(secs(3600))).await, 60);
}
