//! The first 429 never happens: an upstream that refuses whoever asks for more than its
//! budget, and a client that does not.

use std::sync::Mutex;

use super::*;

const BUDGET: u32 = 5;
const WINDOW: u64 = 60;

/// How the upstream tells when its window ends.
type Tell = fn(Answer, remaining: u32, left: Duration, ends: u64) -> Answer;

/// An upstream with a budget for each window of its own clock, on which it was noon and a
/// part of a second when it was born.
fn upstream_with_budget(tell: Tell, refusals: &'static Mutex<u32>) -> Peer {
    let born = now();
    let used = Mutex::new((0, 0));
    Peer::by(move |_| {
        let clock = secs(NOON) + millis(700) + now().duration_since(born);
        let window = clock.as_secs() / WINDOW;
        let ends = (window + 1) * WINDOW;
        let mut used = used.lock().unwrap();
        if used.0 != window {
            *used = (window, 0);
        }
        used.1 += 1;
        let remaining = BUDGET.saturating_sub(used.1);
        let answer = if used.1 > BUDGET {
            *refusals.lock().unwrap() += 1;
            refused()
        } else {
            ok()
        };
        let date = SystemTime::UNIX_EPOCH + secs(clock.as_secs());
        let answer = answer.header("date", &httpdate::fmt_http_date(date));
        tell(answer, remaining, secs(ends).saturating_sub(clock), ends)
    })
}

/// Asks every second for ten windows; returns how many answers and refusals there were.
async fn ten_windows(signals: bool, tell: Tell) -> (u32, u32) {
    let refusals: &'static Mutex<u32> = Box::leak(Box::default());
    let peer = upstream_with_budget(tell, refusals);
    let builder = RetryAfterBackoffLayer::builder().trust_hints(true);
    let layer = if signals { builder.quota_signals(Dialect::Any).build() } else { builder.build() };
    let client = client(&layer, &peer);
    let mut answers = 0;
    for _ in 0..10 * WINDOW {
        answers += u32::from(ask(&client, A).await == Outcome::Sent(200));
        pass(secs(1)).await;
    }
    let refusals = *refusals.lock().unwrap();
    (answers, refusals)
}

fn whole_seconds(left: Duration) -> String {
    (left + millis(999)).as_secs().to_string()
}

fn as_epoch(answer: Answer, remaining: u32, _: Duration, ends: u64) -> Answer {
    answer
        .header("x-ratelimit-remaining", &remaining.to_string())
        .header("x-ratelimit-reset", &ends.to_string())
}

fn as_delta(answer: Answer, remaining: u32, left: Duration, _: u64) -> Answer {
    answer
        .header("ratelimit-remaining", &remaining.to_string())
        .header("ratelimit-reset", &whole_seconds(left))
}

fn as_list(answer: Answer, remaining: u32, left: Duration, _: u64) -> Answer {
    let value = format!("\"default\";r={remaining};t={}", whole_seconds(left));
    answer.header("ratelimit", &value)
}

fn as_wait(answer: Answer, remaining: u32, left: Duration, _: u64) -> Answer {
    answer
        .header("x-ratelimit-remaining", &format!("{remaining}.0"))
        .header("x-ratelimit-reset-after", &left.as_secs_f64().to_string())
}

fn as_go(answer: Answer, remaining: u32, left: Duration, _: u64) -> Answer {
    answer
        .header("x-ratelimit-remaining-requests", &remaining.to_string())
        .header("x-ratelimit-reset-requests", &format!("{}ms", left.as_millis()))
}

const TELLS: [Tell; 5] = [as_epoch, as_delta, as_list, as_wait, as_go];

#[tokio::test(start_paused = true)]
async fn who_heeds_quotas_never_meets_a_refusal_and_uses_all_of_them() {
    for (form, tell) in TELLS.into_iter().enumerate() {
        let (answers, refusals) = ten_windows(true, tell).await;

        assert_eq!(refusals, 0, "form {form}");
        assert!((10 * BUDGET..=11 * BUDGET).contains(&answers), "form {form}: {answers}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_meets_one_in_every_window() {
    for (form, tell) in TELLS.into_iter().enumerate() {
        let (_, refusals) = ten_windows(false, tell).await;

        assert!(refusals >= 9, "form {form}: {refusals}");
    }
}
