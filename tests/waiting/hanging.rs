//! Calls that are out for ever, and tables that change under a line: nobody is
//! left behind.

use super::Outcome::Sent;
use super::*;
use tower_retry_after::{Ladder, State};

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_gives_way_when_its_lease_ends() {
    let peer = Peer::says([never(), ok()]);
    let (client, log) = (patient(&cooling(60), &peer), Log::new());
    let _probe = log.call(&client, 0).await;
    log.call(&client, 1).await;

    rest(secs(100)).await;

    assert_eq!(log.entries(), [(1, 90_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_gives_way_even_if_the_next_is_not_polled() {
    let peer = Peer::says([never(), ok()]);
    let (client, log) = (patient(&cooling(60), &peer), Log::new());
    let _probe = log.call(&client, 0).await;
    let mut asleep = wait(&client);
    log.call(&client, 2).await;
    rest(secs(61)).await;
    assert!(poll_once(asleep.as_mut()).is_pending());

    rest(secs(39)).await;

    assert_eq!(log.entries(), [(2, 91_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_in_a_reopening_upstream_give_way_after_a_probes_lease() {
    let peer = Peer::says([ok(), never(), never(), ok(), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..5 {
        log.call(&client, who).await;
    }

    rest(secs(61)).await;
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening));
    assert_eq!(peer.calls(), 3);
    rest(secs(60)).await;

    let expected = [(0, 60_000, Sent(200)), (3, 90_000, Sent(200)), (4, 90_000, Sent(200))];
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_while_the_upstream_is_clear_give_way_as_well() {
    let peer = Peer::says([never(), ok()]);
    let layer = cooling(3600);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..3 {
        log.call(&client, who).await;
    }
    layer.cooldowns().clear(&upstream(A));

    rest(secs(60)).await;

    assert_eq!(log.entries(), [(1, 30_000, Sent(200)), (2, 30_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_lost_its_place_still_tells_and_gives_no_place_back_twice() {
    let slow = ok().after(secs(40));
    // The probe; two that take forty seconds; then all hang.
    let script = Mutex::new([ok(), slow.clone(), slow].into_iter());
    let peer = Peer::by(move |_| script.lock().unwrap().next().unwrap_or_else(never));
    let layer = cooling(60);
    let rejecting = client(&layer, &peer);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..5 {
        log.call(&client, who).await;
    }

    rest(secs(95)).await;
    assert_eq!(peer.calls(), 5, "two have gone in the places of the slow ones");
    rest(secs(10)).await;
    assert_eq!(log.entries()[1..], [(1, 100_000, Sent(200)), (2, 100_000, Sent(200))]);

    // Each success has made room for one, and two of the four places are taken.
    let _places = [hang(&rejecting, A), hang(&rejecting, A)];
    assert_eq!(at_once(ask(&rejecting, A)), REOPENING);
}

#[tokio::test(start_paused = true)]
async fn places_that_others_hold_are_waited_for() {
    let peer = Peer::says([ok(), never(), never(), ok()]);
    let layer = cooling(60);
    let rejecting = client(&layer, &peer);
    let (client, log) = (patient(&layer, &peer), Log::new());
    pass(secs(60)).await;
    assert_eq!(ask(&rejecting, A).await, Sent(200));
    let (first, _second) = (hang(&rejecting, A), hang(&rejecting, A));
    log.call(&client, 0).await;

    rest(secs(40)).await;
    assert_eq!(log.entries(), []);
    drop(first);
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(0, 100_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn places_that_others_hold_are_waited_for_until_the_table_forgets() {
    let peer = Peer::says([ok(), never(), never(), ok()]);
    let layer = RetryAfterBackoffLayer::builder().forget_after(secs(100)).build();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let rejecting = client(&layer, &peer);
    let (client, log) = (patient(&layer, &peer), Log::new());
    pass(secs(60)).await;
    assert_eq!(ask(&rejecting, A).await, Sent(200));
    let _places = (hang(&rejecting, A), hang(&rejecting, A));
    log.call(&client, 0).await;

    rest(secs(200)).await;

    assert_eq!(log.entries(), [(0, 160_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn what_others_have_shown_the_upstream_to_bear_the_line_may_send_as_well() {
    let peer = Peer::by(|uri| if uri.path() == "/" { ok() } else { never() });
    let layer = cooling(60);
    let rejecting = client(&layer, &peer);
    let client = patient(&layer, &peer);
    pass(secs(60)).await;
    for _ in 0..9 {
        assert_eq!(ask(&rejecting, A).await, Sent(200));
    }
    let hanging = "https://a.example/hangs";
    // Ten places; one more than that makes a line.
    let mut places: Vec<_> = (0..10).map(|_| hang(&rejecting, hanging)).collect();
    let mut line: Vec<_> = (0..20).map(|_| hang(&client, hanging)).collect();
    assert_eq!(peer.calls(), 19);

    places.truncate(2);
    for waiting in &mut line {
        assert!(poll_once(waiting.as_mut()).is_pending());
    }

    assert_eq!(peer.calls(), 27);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_upstream_that_had_to_make_room_waits_no_longer() {
    let peer = Peer::always(ok());
    let layer = RetryAfterBackoffLayer::builder().max_upstreams(1).build();
    layer.cooldowns().cool(&upstream(A), secs(600));
    let (client, log) = (patient(&layer, &peer), Log::new());
    log.call(&client, 0).await;

    rest(secs(1)).await;
    layer.cooldowns().cool(&upstream(B), secs(900));
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(0, 1000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_is_forgotten_lets_the_line_go() {
    let peer = Peer::says([never(), ok()]);
    let layer =
        RetryAfterBackoffLayer::builder().forget_after(secs(10)).probe_lease(secs(1800)).build();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let rejecting = client(&layer, &peer);
    let (client, log) = (patient(&layer, &peer), Log::new());
    pass(secs(60)).await;
    let _probe = hang(&rejecting, A);
    log.call(&client, 0).await;

    rest(secs(100)).await;

    assert_eq!(log.entries(), [(0, 70_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn layers_with_rules_of_their_own_share_a_line() {
    let peer = Peer::says([refused(), ok(), ok()]);
    let slow = RetryAfterBackoffLayer::new();
    let quick = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(secs(5), secs(5)))
        .cooldowns(slow.cooldowns())
        .build();
    slow.cooldowns().cool(&upstream(A), secs(60));
    let log = Log::new();
    log.call(&patient(&quick, &peer), 0).await;
    log.call(&patient(&slow, &peer), 1).await;
    log.call(&patient(&quick, &peer), 2).await;

    rest(secs(100)).await;

    let expected = [(0, 60_000, Sent(429)), (1, 65_000, Sent(200)), (2, 65_000, Sent(200))];
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_starts_the_line_again_at_one() {
    // One, two, four of which the last is refused; then all is well.
    let mut answers = vec![ok(); 6];
    answers.push(refused_for(60));
    let script = Mutex::new(answers.into_iter());
    let peer =
        Peer::by(move |_| script.lock().unwrap().next().unwrap_or_else(ok).after(millis(10)));
    // The table itself would let all go after each probe.
    let layer = RetryAfterBackoffLayer::builder().reopen_width(0).build();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..14 {
        log.call(&client, who).await;
    }

    rest(secs(61)).await;
    assert_eq!(log.entries().len(), 7, "nobody left when the four were answered");
    rest(secs(60)).await;

    let at: Vec<_> = log.entries()[7..14].iter().map(|&(_, at, _)| at).collect();
    assert_eq!(at, [120_040, 120_050, 120_050, 120_060, 120_060, 120_060, 120_060]);
}
