//! What whoever watches hears of waiting calls, and that nobody waits in shadow mode.

use super::Outcome::Sent;
use super::*;
use tower_retry_after::Reason;
use tower_retry_after::observe::{Event, Observer};

/// Writes down what becomes of calls; transitions are told by the table.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Calls {
    fn on(&self, event: &Event<'_>) {
        let told = match event {
            Event::Transition(_) => return,
            Event::Admitted(call) => format!("admitted, {}", call.state()),
            Event::Rejected(limited) => format!("rejected, {:?}", limited.reason()),
            Event::Refused(refused) => format!("refused, {}", refused.status().as_u16()),
            Event::WouldReject(limited) => format!("let pass, {:?}", limited.reason()),
            Event::Shadowed(call) => format!("passed, {:?}", call.outcome()),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(told);
    }
}

/// A layer whose upstream A is cooling for a minute, and whose calls are told.
fn watched(shadow: bool) -> (RetryAfterBackoffLayer, Calls) {
    let calls = Calls::default();
    let builder = RetryAfterBackoffLayer::builder().observer(calls.clone());
    let layer = builder.shadow(shadow).build();
    layer.cooldowns().cool(&upstream(A), secs(60));
    (layer, calls)
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_told_once_and_only_when_it_is_sent() {
    let peer = Peer::always(ok().after(millis(10)));
    let (layer, calls) = watched(false);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..3 {
        log.call(&client, who).await;
    }
    let dropped = wait(&client);

    rest(secs(59)).await;
    drop(dropped);
    assert_eq!(calls.take(), [""; 0], "who waits is neither admitted nor rejected");
    rest(secs(2)).await;

    assert_eq!(log.entries().len(), 3);
    assert_eq!(calls.take(), ["admitted, probing", "admitted, reopening", "admitted, reopening"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_need_not_wait_is_told_once_as_well() {
    let peer = Peer::always(ok());
    let (layer, calls) = watched(false);
    let client = patient(&layer, &peer);
    let waiting = wait(&client);

    assert_eq!(ask(&client, B).await, Sent(200));
    assert_eq!(calls.take(), ["admitted, clear"], "others wait for another");
    drop(waiting);
    assert_eq!(ask(&client, B).await, Sent(200));
    assert_eq!(calls.take(), ["admitted, clear"], "another is cooling");
    layer.cooldowns().clear(&upstream(A));
    assert_eq!(ask(&client, B).await, Sent(200));
    assert_eq!(calls.take(), ["admitted, clear"], "nobody is in trouble");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_told_once_at_once_or_after_the_wait() {
    let peer = Peer::says([refused_for(3600)]);
    let (layer, calls) = watched(false);
    let log = Log::new();

    assert_eq!(ask(&waits(&layer, &peer, secs(59)), A).await, COOLING);
    assert_eq!(calls.take(), ["rejected, Cooling"], "at once");

    for who in 0..3 {
        log.call(&waits(&layer, &peer, secs(600)), who).await;
    }
    rest(secs(61)).await;

    assert_eq!(log.entries().len(), 3);
    let told = ["admitted, probing", "refused, 429", "rejected, Cooling", "rejected, Cooling"];
    assert_eq!(calls.take(), told);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nobody_waits_and_what_would_have_is_counted() {
    let peer = Peer::says([ok(), refused_for(600), fails()]);
    let (layer, calls) = watched(true);
    let client = patient(&layer, &peer);
    let start = now();

    let outcomes = [ask(&client, A).await, ask(&client, A).await, ask(&client, A).await];

    assert_eq!(outcomes, [Sent(200), Sent(429), Outcome::Failed]);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let report = layer.shadowed();
    assert_eq!((report.would_reject(), report.would_reject_for(Reason::Cooling)), (3, 3));
    assert_eq!((report.answered(), report.refused(), report.failed()), (1, 1, 1));
    assert_eq!(report.pending(), 0);
    let info = layer.cooldowns().get(&upstream(A)).unwrap();
    assert_eq!(info.retry_after(), secs(60), "their answers move nothing");
    let told = ["Answered", "Refused", "Failed"];
    let told = told.map(|how| ["let pass, Cooling".to_owned(), format!("passed, {how}")]);
    assert_eq!(calls.take(), told.concat());
    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 0"));
}
