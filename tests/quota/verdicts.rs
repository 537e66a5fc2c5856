//! Which responses a quota changes, and what wins where it is not alone.

use http::StatusCode;
use tower_retry_after::classify::{self, Head, Verdict};
use tower_retry_after::{Reason, State};

use super::*;

const ANY: Option<Dialect> = Some(Dialect::Any);
const DRAINED: (&str, &str) = ("ratelimit", "\"default\";r=0;t=30");

fn verdict(signals: Option<Dialect>, status: u16, lines: Lines<'_>) -> Verdict {
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), headers(lines));
    classify::standard(&Head::new(status, &headers, SystemTime::UNIX_EPOCH).quota_signals(signals))
}

const fn refusal(seconds: u64) -> Verdict {
    Verdict::RateLimited { hint: Some(secs(seconds)) }
}

const EXHAUSTED: Verdict = Verdict::Exhausted { reset: secs(30) };

#[test]
fn every_success_can_exhaust_a_quota_and_no_neutral_answer_does() {
    for status in 100..1000 {
        let bare = verdict(None, status, &[]);
        let expected = match (status, bare) {
            (403 | 429 | 503 | 529, _) => refusal(30),
            (_, Verdict::Success) => EXHAUSTED,
            (_, other) => other,
        };
        assert_eq!(verdict(ANY, status, &[DRAINED]), expected, "{status}");
        let by_default = if status == 429 { refusal(30) } else { bare };
        assert_eq!(verdict(None, status, &[DRAINED]), by_default, "{status}");
    }
}

#[test]
fn what_is_left_changes_no_verdict() {
    for status in 100..1000 {
        let lines = [("ratelimit", "\"default\";r=1;t=30"), ("x-ratelimit-remaining", "7")];
        for signals in [None, ANY] {
            assert_eq!(verdict(signals, status, &lines), verdict(None, status, &[]), "{status}");
        }
    }
}

#[test]
fn an_exact_wait_wins_wherever_it_stands() {
    for (status, expected) in [
        (200, Verdict::Exhausted { reset: secs(5) }),
        (404, Verdict::Exhausted { reset: secs(5) }),
        (403, refusal(5)),
        (429, refusal(5)),
        (503, refusal(5)),
        (529, refusal(5)),
    ] {
        for name in ["retry-after", "x-ms-retry-after-ms"] {
            let value = if name == "retry-after" { "5" } else { "5000" };
            assert_eq!(verdict(ANY, status, &[DRAINED, (name, value)]), expected, "{status}");
        }
    }
    // On a success whose quota has something left, it is a floor for the next poll alone.
    let some = [("ratelimit", "\"default\";r=1;t=30"), ("retry-after", "5")];
    assert_eq!(verdict(ANY, 200, &some), Verdict::Success);
}

#[test]
fn where_quotas_are_not_heeded_a_wait_beside_a_drained_one_changes_no_success() {
    for status in [200, 304, 404] {
        let lines = [DRAINED, ("retry-after", "5")];
        assert_eq!(verdict(None, status, &lines), Verdict::Success, "{status}");
    }
}

#[test]
fn an_exact_wait_of_zero_counts_as_none() {
    for no_wait in ["0", "soon"] {
        let lines = [DRAINED, ("retry-after", no_wait)];
        assert_eq!(verdict(None, 429, &lines), refusal(30), "{no_wait}");
        assert_eq!(verdict(ANY, 200, &lines), EXHAUSTED, "{no_wait}");
        assert_eq!(verdict(ANY, 403, &lines), refusal(30), "{no_wait}");
    }
    assert_eq!(verdict(None, 429, &[("retry-after", "0")]), refusal(0));
}

#[test]
fn a_quota_whose_reset_has_passed_is_no_wait() {
    let lines = [
        ("date", "Mon, 15 Jun 2026 12:00:00 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1781524800"),
    ];
    assert_eq!(verdict(ANY, 200, &lines), Verdict::Success);
    assert_eq!(verdict(ANY, 403, &lines), Verdict::Success);
    assert_eq!(verdict(ANY, 503, &lines), Verdict::Neutral);
    assert_eq!(verdict(None, 429, &lines), refusal(0));
}

#[test]
fn what_comes_out_of_a_cache_says_what_remained_to_somebody_else() {
    for (age, expected) in
        [("1", Verdict::Success), ("x", Verdict::Success), ("0", EXHAUSTED), ("00", EXHAUSTED)]
    {
        assert_eq!(verdict(ANY, 200, &[DRAINED, ("age", age)]), expected, "{age}");
        assert_eq!(verdict(None, 429, &[DRAINED, ("age", age)]), refusal(30), "{age}");
    }
    let cached = [DRAINED, ("age", "1")];
    for status in [403, 503, 529] {
        assert_eq!(verdict(ANY, status, &cached), verdict(None, status, &[]), "{status}");
        let exact = [DRAINED, ("age", "1"), ("retry-after", "5")];
        assert_eq!(verdict(ANY, status, &exact), refusal(5), "{status}");
    }
}

#[test]
fn a_grpc_answer_is_heeded_like_any_other() {
    let answer = |code| [DRAINED, ("content-type", "application/grpc"), ("grpc-status", code)];
    assert_eq!(verdict(ANY, 200, &answer("5")), EXHAUSTED);
    assert_eq!(verdict(ANY, 200, &answer("13")), Verdict::Neutral);
    assert_eq!(verdict(ANY, 200, &answer("14")), refusal(30));
    assert_eq!(verdict(None, 200, &answer("14")), Verdict::Neutral);
    assert_eq!(verdict(None, 200, &answer("8")), refusal(30));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_falls_back_hears_of_quotas_as_well() {
    let peer = Peer::says([ok().header(DRAINED.0, DRAINED.1)]);
    let layer = RetryAfterBackoffLayer::builder()
        .quota_signals(Dialect::Any)
        .classify(classify::from_fn(|head| match head.status().as_u16() {
            420 => Verdict::RateLimited { hint: None },
            _ => classify::standard(head),
        }))
        .build();

    ask(&client(&layer, &peer), A).await;

    assert_eq!(info(&layer.cooldowns(), A).retry_after(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_quota_climbs_no_rung_and_is_told_as_no_refusal() {
    let peer = Peer::always(ok().header(DRAINED.0, DRAINED.1));
    let layer = RetryAfterBackoffLayer::builder().quota_signals(Dialect::Any).build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());

    for sent in 1..=5 {
        assert_eq!(ask(&client, A).await, Outcome::Sent(200));
        assert_eq!(state(&cooldowns, A), Some(State::Cooling));
        assert_eq!(info(&cooldowns, A).consecutive_failures(), 0);
        assert_eq!(info(&cooldowns, A).retry_after(), secs(30), "the base is not waited for");
        let limited = held(&client, A).await;
        assert_eq!((limited.reason(), limited.status()), (Reason::Cooling, None));
        assert_eq!(peer.calls(), sent);
        pass(secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_remains_to_one_upstream_is_nothing_to_another() {
    let peer = Peer::by(|uri| match uri.host() {
        Some("a.example") => ok().header(DRAINED.0, DRAINED.1),
        _ => ok(),
    });
    let layer = RetryAfterBackoffLayer::builder().quota_signals(Dialect::Any).build();
    let client = client(&layer, &peer);

    ask(&client, A).await;

    assert_eq!(ask(&client, A).await, COOLING);
    assert_eq!(ask(&client, B).await, Outcome::Sent(200));
}
