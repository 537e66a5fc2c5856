//! What each setting of a layer does, and what layers share.

mod support;

use std::time::Duration;

use support::Outcome::Sent;
use support::*;
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::{CooldownInfo, Cooldowns, Ladder, RetryAfterBackoffLayer, State};

#[tokio::test(start_paused = true)]
async fn a_probe_that_learns_nothing_pauses_no_longer_than_the_base() {
    let peer = Peer::says([refused(), status(500)]);
    let ladder = Ladder::new(millis(200), secs(60));
    let layer = RetryAfterBackoffLayer::builder().ladder(ladder).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    pass(millis(200)).await;

    assert_eq!(ask(&client, A).await, Sent(500));

    assert_eq!(held(&client, A).await.retry_after(), millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_reopen_width_of_zero_is_clear_as_soon_as_the_probe_succeeds() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::builder().reopen_width(0).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    pass(secs(60)).await;

    ask(&client, A).await;

    assert_eq!(state(&layer.cooldowns(), A), None);
}

#[tokio::test(start_paused = true)]
async fn an_api_layer_believes_hints_until_they_prove_too_short() {
    let peer = Peer::says([refused_for(1), refused_for(1), refused_for(1), refused_for(7)]);
    let layer = RetryAfterBackoffLayer::for_api();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());

    for wait in [1, 1, 2, 7] {
        assert_eq!(ask(&client, A).await, Sent(429));
        assert_eq!(info(&cooldowns, A).retry_after(), secs(wait));
        pass(secs(wait)).await;
    }
    assert_eq!(ask(&client, A).await, Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_believed_does_not_shorten_the_pause_after_a_probe_that_learned_nothing() {
    let short = refused().header("retry-after-ms", "100");
    let peer = Peer::says([short.after(millis(30_300)), status(500)]);
    let layer = RetryAfterBackoffLayer::for_api();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    cooldowns.cool(&upstream(A), secs(5));
    pass(secs(5)).await;
    let slow_probe = hang(&client, A);
    pass(secs(30)).await;
    assert_eq!(ask(&client, A).await, Sent(500));

    slow_probe.await.unwrap();

    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
    assert_eq!(info(&cooldowns, A).retry_after(), millis(700));
}

#[tokio::test(start_paused = true)]
async fn a_bare_or_zero_hint_leaves_the_wait_to_the_ladder_and_to_a_second_without_one() {
    let off = Ladder::new(secs(60), Duration::ZERO);
    let off = RetryAfterBackoffLayer::builder().ladder(off).build();
    for (layer, wait) in [(RetryAfterBackoffLayer::for_api(), 1), (off, 1)] {
        for answer in [refused(), refused_for(0)] {
            let peer = Peer::says([answer]);
            ask(&client(&layer, &peer), A).await;
            assert_eq!(info(&layer.cooldowns(), A).retry_after(), secs(wait));
            layer.cooldowns().clear(&upstream(A));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_statuses_refuse_only_with_a_wait_of_their_own() {
    for code in [403, 503, 529] {
        let peer = Peer::says([status(code), status(code).header("retry-after", "90")]);
        let layer = RetryAfterBackoffLayer::new();
        let client = client(&layer, &peer);

        assert_eq!(ask(&client, A).await, Sent(code));
        assert_eq!(state(&layer.cooldowns(), A), None);
        assert_eq!(ask(&client, A).await, Sent(code));

        let limited = held(&client, A).await;
        assert_eq!(limited.retry_after(), secs(90));
        assert_eq!(limited.status().map(|status| status.as_u16()), Some(code));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_no_to_the_caller_is_answering() {
    for code in [401, 404, 304] {
        let peer = Peer::says([refused(), status(code)]);
        let layer = RetryAfterBackoffLayer::new();
        let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
        ask(&client, A).await;
        pass(secs(60)).await;

        assert_eq!(ask(&client, A).await, Sent(code));

        assert_eq!(state(&cooldowns, A), Some(State::Reopening));
    }
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_quota_cools_without_a_rung() {
    let peer = Peer::always(ok());
    let layer = RetryAfterBackoffLayer::builder()
        .classify(classify::from_fn(|_| Verdict::Exhausted { reset: secs(40) }))
        .build();
    let client = client(&layer, &peer);

    assert_eq!(ask(&client, A).await, Sent(200));

    let limited = held(&client, A).await;
    assert_eq!((limited.retry_after(), limited.consecutive_failures()), (secs(40), 0));
}

#[tokio::test(start_paused = true)]
async fn an_episode_is_forgotten_some_time_past_its_cooldown_whatever_probes_did() {
    let peer = Peer::says([refused(), refused(), status(500), never(), refused()]);
    let layer = RetryAfterBackoffLayer::builder().forget_after(secs(100)).build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    pass(secs(60)).await;
    ask(&client, A).await;
    pass(secs(120)).await;
    ask(&client, A).await;
    pass(secs(1)).await;
    let _probe = hang(&client, A);
    pass(millis(98_999)).await;
    assert_eq!(state(&cooldowns, A), Some(State::Probing));

    pass(millis(1)).await;
    assert_eq!(state(&cooldowns, A), None);
    assert_eq!(ask(&client, A).await, Sent(429));

    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reopening_upstream_whose_calls_are_never_answered_is_clear_in_the_end() {
    let peer = Peer::says([refused(), ok(), never(), never()]);
    let layer = RetryAfterBackoffLayer::builder().forget_after(secs(100)).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    pass(secs(60)).await;
    ask(&client, A).await;
    let _two = (hang(&client, A), hang(&client, A));

    pass(millis(39_999)).await;
    assert_eq!(ask(&client, A).await, REOPENING);
    pass(millis(1)).await;

    assert_eq!(ask(&client, A).await, Sent(200));
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn jitter_only_ever_adds_and_differs_between_upstreams() {
    let peer = Peer::always(refused());
    let layer = RetryAfterBackoffLayer::builder().jitter(0.5).build();
    let client = client(&layer, &peer);
    for host in 0..200 {
        ask(&client, &format!("https://host{host}.example")).await;
    }

    let waits: Vec<Duration> =
        layer.cooldowns().snapshot().iter().map(CooldownInfo::retry_after).collect();

    assert!(waits.iter().all(|wait| (secs(60)..secs(90)).contains(wait)));
    assert!(waits.first() > waits.last(), "all alike");
    assert!(waits.iter().any(|wait| *wait > secs(75)) && waits.iter().any(|wait| *wait < secs(75)));
}

#[tokio::test(start_paused = true)]
async fn a_hint_counts_up_to_its_ceiling_and_is_shown_as_sent() {
    for (ceiling, wait) in [(secs(100), 100), (secs(50), 60), (Duration::ZERO, 60)] {
        let peer = Peer::says([refused_for(99_999)]);
        let layer = RetryAfterBackoffLayer::builder().max_retry_after(ceiling).build();
        let client = client(&layer, &peer);
        ask(&client, A).await;

        let limited = held(&client, A).await;

        assert_eq!((limited.retry_after(), limited.hint()), (secs(wait), Some(secs(99_999))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_as_long_as_it_is_set() {
    let peer = Peer::says([refused(), never(), never()]);
    let layer = RetryAfterBackoffLayer::builder().probe_lease(secs(3)).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    pass(secs(60)).await;
    let _first = hang(&client, A);

    pass(millis(2999)).await;
    assert_eq!(ask(&client, A).await, PROBING);
    pass(millis(1)).await;

    let _second = hang(&client, A);
}

#[tokio::test(start_paused = true)]
async fn all_services_and_clones_of_a_layer_share_what_one_learns_and_no_other_upstream_cools() {
    let peer = Peer::by(|uri| if uri.host() == Some("a.example") { refused() } else { ok() });
    let layer = RetryAfterBackoffLayer::new();
    let first = client(&layer, &peer);
    let clones = [first.clone(), client(&layer, &peer), client(&layer.clone(), &peer)];

    assert_eq!(ask(&first, A).await, Sent(429));

    for clone in &clones {
        assert_eq!(ask(clone, A).await, COOLING);
        assert_eq!(ask(clone, B).await, Sent(200));
        assert_eq!(ask(clone, "http://a.example/").await, Sent(429), "another origin");
        layer.cooldowns().clear(&upstream("http://a.example/"));
    }
    assert_eq!(ask(&client(&RetryAfterBackoffLayer::new(), &peer), A).await, Sent(429));
}

#[tokio::test(start_paused = true)]
async fn layers_that_join_a_table_share_its_upstreams_and_keep_their_own_rules() {
    let peer = Peer::always(refused());
    let shared = Cooldowns::new();
    let patient = RetryAfterBackoffLayer::builder().cooldowns(shared.clone()).build();
    let quick = Ladder::new(secs(1), secs(5));
    let quick = RetryAfterBackoffLayer::builder().ladder(quick).cooldowns(shared.clone()).build();
    let (patient, quick) = (client(&patient, &peer), client(&quick, &peer));

    assert_eq!(ask(&quick, A).await, Sent(429));
    assert_eq!(ask(&patient, A).await, COOLING);
    assert_eq!(info(&shared, A).retry_after(), secs(1));
    pass(secs(1)).await;
    assert_eq!(ask(&patient, A).await, Sent(429));
    assert_eq!(ask(&quick, A).await, COOLING);

    assert_eq!(info(&shared, A).retry_after(), secs(120), "the second rung of the patient one");
}

#[tokio::test(start_paused = true)]
async fn size_and_forgetting_are_the_tables_own() {
    let peer = Peer::always(refused());
    let shared = Cooldowns::builder().max_upstreams(2).forget_after(secs(10)).build();
    let layer = RetryAfterBackoffLayer::builder()
        .max_upstreams(1000)
        .forget_after(secs(1000))
        .cooldowns(shared.clone())
        .build();
    let client = client(&layer, &peer);

    for host in 0..9 {
        ask(&client, &format!("https://host{host}.example")).await;
    }

    assert_eq!(shared.len(), 2);
    pass(secs(70)).await;
    assert!(shared.is_empty());
}
