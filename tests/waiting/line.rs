//! Who stands in line, and who goes when.

use super::Outcome::Sent;
use super::*;
use tower_retry_after::State;

#[tokio::test(start_paused = true)]
async fn a_call_to_a_clear_upstream_does_not_wait() {
    let peer = Peer::always(ok());
    let client = patient(&cooling(60), &peer);

    assert_eq!(at_once(ask(&client, B)), Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_end_of_the_cooldown_and_is_sent() {
    let peer = Peer::says([refused_for(90)]);
    let client = patient(&RetryAfterBackoffLayer::new(), &peer);
    assert_eq!(ask(&client, A).await, Sent(429), "the refusal is the caller's");
    let start = now();

    assert_eq!(ask(&client, A).await, Sent(200));

    assert_eq!(start.elapsed(), secs(90));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_come_is_the_probe_and_the_others_follow_its_success_in_order() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..7 {
        log.call(&client, who).await;
    }

    rest(secs(60) + millis(5)).await;
    assert_eq!(peer.calls(), 1);
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Probing));
    rest(secs(1)).await;

    let at = [60_010, 60_020, 60_020, 60_030, 60_030, 60_030, 60_030];
    let expected: Vec<_> = (0..).zip(at).map(|(who, at)| (who, at, Sent(200))).collect();
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_first_keeps_the_others_waiting() {
    let peer = Peer::says([refused_for(100), ok(), ok()]);
    let (client, log) = (patient(&cooling(60), &peer), Log::new());
    for who in 0..3 {
        log.call(&client, who).await;
    }

    rest(secs(200)).await;

    let expected = [(0, 60_000, Sent(429)), (1, 160_000, Sent(200)), (2, 160_000, Sent(200))];
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn where_there_was_room_for_the_probe_alone_one_follows_the_next_and_not_two() {
    let refused = || refused_for(60);
    let answers = [ok(), refused(), refused(), ok(), refused()];
    let script = Mutex::new(answers.into_iter());
    let peer =
        Peer::by(move |_| script.lock().unwrap().next().unwrap_or_else(ok).after(millis(10)));
    let (client, log) = (patient(&cooling(60), &peer), Log::new());
    for who in 0..10 {
        log.call(&client, who).await;
    }

    rest(secs(200)).await;

    let first = [(60_010, 200), (60_020, 429), (60_020, 429)];
    let second = [(120_030, 200), (120_040, 429)];
    let well = [(180_050, 200), (180_060, 200), (180_070, 200), (180_070, 200), (180_070, 200)];
    let expected = [&first[..], &second, &well].concat().into_iter();
    let expected: Vec<_> =
        (0..).zip(expected).map(|(who, (at, code))| (who, at, Sent(code))).collect();
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn clearing_by_hand_lets_the_line_go_but_not_as_a_herd() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(3600);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..4 {
        log.call(&client, who).await;
    }

    rest(secs(5)).await;
    layer.cooldowns().clear(&upstream(A));
    rest(secs(1)).await;

    let at = [5010, 5020, 5020, 5030];
    let expected: Vec<_> = (0..).zip(at).map(|(who, at)| (who, at, Sent(200))).collect();
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn one_that_arrives_does_not_overtake_those_who_wait() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let mut first = wait(&client);
    log.call(&client, 1).await;
    // The time has come, and nobody has noticed yet.
    pass(secs(60)).await;

    log.call(&client, 2).await;
    assert_eq!(peer.calls(), 0);
    assert!(poll_once(first.as_mut()).is_pending());
    assert_eq!(peer.calls(), 1);
    assert_eq!(Outcome::of(&first.await), Sent(200));
    rest(secs(1)).await;

    assert_eq!(log.entries(), [(1, 60_020, Sent(200)), (2, 60_020, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn other_upstreams_have_other_lines() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    layer.cooldowns().cool(&upstream(B), secs(30));
    let client = patient(&layer, &peer);
    let _first = wait(&client);
    let start = now();

    assert_eq!(ask(&client, B).await, Sent(200));

    assert_eq!(start.elapsed(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn around_the_rejecting_layer_one_call_a_second_fails_and_none_is_sent() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let client = layer.waiting(secs(3600)).layer(layer.layer(peer.service()));
    let log = Log::new();
    for who in 0..3 {
        log.call(&client, who).await;
    }

    rest(secs(100)).await;

    let failed = [0, 1, 2].map(|who| (who, 60_000 + 1000 * u128::from(who), PROBING));
    assert_eq!((log.entries(), peer.calls()), (failed.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn inside_of_the_rejecting_layer_a_probe_waits_for_its_own_lease_to_end() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let client = layer.layer(patient(&layer, &peer));
    let log = Log::new();
    pass(secs(60)).await;

    log.call(&client, 0).await;
    rest(secs(31)).await;

    assert_eq!(log.entries(), [(0, 90_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn a_line_is_over_when_nobody_waits_and_the_upstream_is_clear_however_busy_it_is() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    log.call(&client, 0).await;
    pass(secs(60)).await;

    // Some calls are out at any time, for two seconds.
    for who in 1..400 {
        log.call(&client, who).await;
        rest(millis(5)).await;
    }

    assert!(peer.calls() > 390);
    let shown = format!("{:?}", layer.cooldowns());
    assert!(shown.contains("lines: 0"), "{shown}");
}
