//! Memory has a bound, and healthy upstreams take none of it.

mod support;

use std::time::Duration;

use support::Outcome::Sent;
use support::*;
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State, Upstream};

fn host(number: u32) -> String {
    format!("https://host{number}.example/")
}

fn named(number: u32) -> Upstream {
    Upstream::named(number.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_million_hosts_in_trouble_stay_within_the_bound() {
    let cooldowns = Cooldowns::new();

    for number in 0..1_000_000 {
        cooldowns.cool(&named(number), secs(60));
    }

    assert_eq!(cooldowns.len(), 65_536);
    assert_eq!(cooldowns.snapshot().len(), 65_536);
    assert_eq!(cooldowns.evicted(), 1_000_000 - 65_536);
}

#[tokio::test(start_paused = true)]
async fn tens_of_thousands_of_refusing_hosts_stay_within_the_bound() {
    let peer = Peer::always(refused_for(u64::MAX));
    let layer = RetryAfterBackoffLayer::builder().max_upstreams(1000).build();
    let client = client(&layer, &peer);

    for number in 0..50_000 {
        assert_eq!(ask(&client, &host(number)).await, Sent(429));
    }

    assert_eq!(layer.cooldowns().len(), 1000);
    assert_eq!(peer.calls(), 50_000);
}

#[tokio::test(start_paused = true)]
async fn healthy_upstreams_are_not_tracked() {
    let peer = Peer::by(|uri| status([200, 304, 401, 404, 500, 503][uri.to_string().len() % 6]));
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);

    for number in (0..20_000).step_by(7) {
        ask(&client, &host(number)).await;
    }

    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_longest_out_of_their_cooldown_are_forgotten_first_and_uncounted() {
    let cooldowns = Cooldowns::builder().max_upstreams(4).build();
    for (number, wait) in [(1, 20), (2, 10), (3, 90), (4, 30)] {
        cooldowns.cool(&named(number), secs(wait));
    }
    pass(secs(40)).await;
    let known = |number| cooldowns.get(&named(number)).is_some();

    cooldowns.cool(&named(5), secs(90));
    assert!(!known(2) && known(1) && known(3) && known(4));
    cooldowns.cool(&named(6), secs(90));
    assert!(!known(1) && known(3) && known(4));
    cooldowns.cool(&named(7), secs(90));
    assert!(!known(4) && known(3));

    assert_eq!((cooldowns.len(), cooldowns.evicted()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_cooling_the_one_that_ends_soonest_is_forgotten_and_counted() {
    let cooldowns = Cooldowns::builder().max_upstreams(3).build();
    for (number, wait) in [(1, 50), (2, 40), (3, 60)] {
        cooldowns.cool(&named(number), secs(wait));
    }
    // The first to end has become the last.
    cooldowns.cool(&named(2), secs(100));

    cooldowns.cool(&named(4), secs(10));

    assert!(cooldowns.get(&named(1)).is_none());
    assert_eq!((cooldowns.len(), cooldowns.evicted()), (3, 1));
    let order: Vec<_> = cooldowns.snapshot().iter().map(|info| info.upstream().clone()).collect();
    assert_eq!(order, [named(2), named(3), named(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_table_holds_at_least_one() {
    let cooldowns = Cooldowns::builder().max_upstreams(0).build();

    cooldowns.cool(&named(1), secs(60));

    assert_eq!(cooldowns.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn forgotten_episodes_give_their_memory_back() {
    let cooldowns = Cooldowns::builder().forget_after(secs(100)).build();
    for number in 0..1000 {
        cooldowns.cool(&named(number), secs(60));
    }

    pass(millis(159_999)).await;
    assert_eq!(cooldowns.len(), 1000);
    pass(millis(1)).await;

    assert!(cooldowns.is_empty());
    assert_eq!(cooldowns.evicted(), 0);
}

#[tokio::test(start_paused = true)]
async fn upstreams_that_nobody_calls_any_more_are_forgotten_by_calls_to_others() {
    let long = format!("https://{}.example/", "a".repeat(60));
    for other in [A, &long] {
        let peer = Peer::always(ok());
        let layer = RetryAfterBackoffLayer::builder().forget_after(secs(100)).build();
        layer.cooldowns().cool(&named(1), secs(60));
        let client = client(&layer, &peer);
        // Shows what the table holds, and asks nobody to forget anything.
        let tracked = || format!("{:?}", layer.cooldowns());

        pass(secs(160)).await;
        assert!(tracked().contains("tracked: 1"), "{}", tracked());
        for _ in 0..300 {
            assert_eq!(ask(&client, other).await, Sent(200));
        }

        assert!(tracked().contains("tracked: 0"), "{}", tracked());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_what_is_shown() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::builder().forget_after(secs(100)).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    pass(secs(60)).await;
    ask(&client, A).await;
    let seen = || (layer.cooldowns().len(), layer.cooldowns().snapshot().len());

    assert_eq!(seen(), (1, 1), "reopening");
    // A hundred seconds past the refusal, not past its end.
    pass(secs(40)).await;
    assert_eq!(seen(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_table_without_memory_forgets_each_cooldown_as_it_ends() {
    let peer = Peer::always(refused());
    let layer = RetryAfterBackoffLayer::builder().forget_after(Duration::ZERO).build();
    let client = client(&layer, &peer);
    for _ in 0..3 {
        assert_eq!(ask(&client, A).await, Sent(429));
        assert_eq!(held(&client, A).await.retry_after(), secs(60));
        pass(secs(60)).await;
        assert!(layer.cooldowns().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_whose_upstream_was_forgotten_meanwhile_settle_in_peace() {
    let peer = Peer::says([
        refused(),
        ok().after(secs(1)),
        refused().after(secs(1)),
        fails().after(secs(1)),
    ]);
    let layer = RetryAfterBackoffLayer::builder().max_upstreams(1).build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    for verdict in [None, Some(State::Cooling), None] {
        pass(secs(60)).await;
        cooldowns.cool(&upstream(A), millis(1));
        pass(millis(1)).await;
        let probe = hang(&client, A);
        cooldowns.cool(&upstream(B), secs(60));
        assert_eq!(state(&cooldowns, A), None);

        let _ = probe.await;

        assert_eq!(state(&cooldowns, A), verdict);
        if verdict.is_some() {
            assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn upstreams_that_come_and_go_leave_nothing_behind() {
    let cooldowns = Cooldowns::builder().max_upstreams(8).build();
    for number in 0..10_000 {
        cooldowns.cool(&named(number % 13), secs(60));
        cooldowns.clear(&named(number % 7));
        assert!(cooldowns.len() <= 8);
    }
    for number in 0..13 {
        cooldowns.clear(&named(number));
    }

    assert!(cooldowns.is_empty());
    assert!(cooldowns.snapshot().is_empty());
}
