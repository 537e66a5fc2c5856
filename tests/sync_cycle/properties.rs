//! Random answers, cooldowns, clock steps and cancellations: what must hold after
//! each cycle, whatever was said.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::{Instant, sleep_until};
use tower::{Service, ServiceExt};
use tower_retry_after::Cooldowns;
use tower_retry_after::schedule::{Answer, CycleReport, Outcome, PeerBook, SyncState, Tried};

use crate::support::{now, pass, poll_once, secs, upstream};
use crate::world::{Mesh, Reply, Wall, after, book, policy};

const PEERS: [&str; 4] =
    ["https://a.example", "https://b.example", "https://c.example", "https://d.example"];

/// What happens from one cycle to the next.
#[derive(Clone, Debug)]
struct Round {
    replies: Vec<Reply>,
    /// An upstream that is cooled in the layer's table, and for how long.
    cool: Option<(usize, u64)>,
    enable: Option<(usize, bool)>,
    step: Step,
    /// Whether the cycle is run at once, and not when it is due.
    is_early: bool,
    /// A cycle that is polled so many times, a second apart, and dropped.
    dropped_after: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    None,
    Back(u64),
    Ahead(u64),
}

fn replies() -> impl Strategy<Value = Reply> {
    let reply = prop_oneof![
        2 => Just(Reply::Ok),
        1 => Just(Reply::Fork),
        3 => Just(Reply::Down),
        3 => (0_u64..3000).prop_map(Reply::Refused),
        2 => (1_u64..3000).prop_map(Reply::Early),
    ];
    (reply, 0_u64..20).prop_map(|(reply, seconds)| match seconds {
        0..10 => reply,
        _ => after(seconds, reply),
    })
}

fn rounds() -> impl Strategy<Value = Round> {
    let peer = 0..PEERS.len();
    let step = prop_oneof![
        4 => Just(Step::None),
        1 => (0_u64..100_000).prop_map(Step::Back),
        1 => (0_u64..100_000).prop_map(Step::Ahead),
    ];
    (
        prop::collection::vec(replies(), PEERS.len()),
        prop::option::weighted(0.3, (peer.clone(), 1_u64..3000)),
        prop::option::weighted(0.2, (peer, any::<bool>())),
        step,
        prop::bool::weighted(0.3),
        prop::option::weighted(0.2, 0_u8..5),
    )
        .prop_map(|(replies, cool, enable, step, is_early, dropped_after)| Round {
            replies,
            cool,
            enable,
            step,
            is_early,
            dropped_after,
        })
}

/// When a peer may be called again; nothing if it may not sync at all.
fn free(book: &PeerBook, cooldowns: &Cooldowns, wall: &Wall, url: &str) -> Option<Instant> {
    let peer = book.peer(url).filter(|peer| peer.enabled)?;
    let cooling = match peer.cooldown_until {
        Some(until) => until.duration_since(wall.now()).unwrap_or_default(),
        None => Duration::ZERO,
    };
    let held = cooldowns.get(&upstream(url)).map_or_else(now, |info| info.until());
    Some((now() + cooling).max(held))
}

/// Says what must hold after a cycle; `line` is who was eligible, in order.
fn check(
    report: &CycleReport,
    before: &SyncState,
    line: &[String],
    first_return: Option<Instant>,
    called: &[String],
) {
    let is_sent = |tried: &&Tried| !matches!(tried.answer(), Answer::NotSent { .. });
    let tried: Vec<&str> = report.tried().iter().map(Tried::peer_url).collect();
    assert_eq!(tried, line[..tried.len()], "not in order");
    // Called were all of them, but for those that were passed over.
    let called_or_held = report
        .tried()
        .iter()
        .filter(|tried| called.iter().any(|url| url == tried.peer_url()) || !is_sent(tried));
    assert_eq!(called_or_held.count(), tried.len());
    assert!(called.is_sorted_by_key(|url| line.iter().position(|other| other == url)));

    let (state, ladder) = (report.state(), policy().ladder);
    let wait = report.due() - now();
    let until_first = first_return.map_or(Duration::ZERO, |first| first - now());
    let failed = before.consecutive_failures + 1;
    match report.tried().iter().rfind(is_sent).map(Tried::answer) {
        Some(Answer::Synced { .. }) => {
            assert_eq!((state.last_outcome, state.consecutive_failures), (Outcome::Ok, 0));
            assert_eq!(wait, policy().interval);
        }
        Some(Answer::Forked { .. }) => {
            assert_eq!((state.last_outcome, state.consecutive_failures), (Outcome::Fork, failed));
            assert_eq!(wait, ladder.delay(failed));
        }
        Some(_) => {
            assert_eq!(tried, line, "somebody was not asked");
            assert_eq!((state.last_outcome, state.consecutive_failures), (Outcome::Error, failed));
            assert_eq!(wait, ladder.delay(failed).max(until_first));
        }
        None if first_return.is_some() => {
            assert_eq!(state.last_outcome, before.last_outcome);
            assert_eq!(state.consecutive_failures, before.consecutive_failures);
            assert_eq!(wait, until_first.max(Duration::from_millis(1)), "{report:?}");
        }
        None => {
            assert_eq!((state.last_outcome, state.consecutive_failures), (Outcome::Solo, 0));
            assert_eq!(wait, policy().interval);
        }
    }
}

async fn play(rounds: Vec<Round>) {
    let (mesh, wall, cooldowns) = (Mesh::default(), Wall::new(), Cooldowns::new());
    let peers = book(&PEERS);
    let mut cycle = mesh.builder(&wall, &[]).book(peers).cooldowns(cooldowns.clone()).build();
    for round in rounds {
        if !round.is_early {
            sleep_until(cycle.due()).await;
        }
        match round.step {
            Step::None => {}
            Step::Back(seconds) => wall.back(secs(seconds)),
            Step::Ahead(seconds) => wall.ahead(secs(seconds)),
        }
        if let Some((peer, seconds)) = round.cool {
            cooldowns.cool(&upstream(PEERS[peer]), secs(seconds));
        }
        if let Some((peer, enabled)) = round.enable {
            cycle.set_enabled(PEERS[peer], enabled).unwrap();
        }
        mesh.forget();
        for (url, reply) in PEERS.iter().zip(round.replies) {
            mesh.says(url, [reply]);
        }
        let before = cycle.state();
        assert_ne!(before.last_outcome, Outcome::Running);
        let book = cycle.book();
        let eligible = book.eligible(wall.now()).into_iter();
        let line: Vec<String> = eligible.map(|peer| peer.peer_url.clone()).collect();
        let due = cycle.due();

        let Ok(ready) = cycle.ready().await;
        let mut call = Box::pin(ready.call(()));
        if let Some(polls) = round.dropped_after {
            let mut has_ended = false;
            for _ in 0..polls {
                has_ended = has_ended || poll_once(call.as_mut()).is_ready();
                pass(secs(1)).await;
            }
            drop(call);
            if !has_ended {
                let state = cycle.state();
                assert_eq!(state.last_outcome, before.last_outcome);
                assert_eq!(state.last_error, before.last_error);
                assert_eq!(state.consecutive_failures, before.consecutive_failures);
                // Nothing is due earlier than it was, nor later than now where it was.
                assert!(cycle.due() == due || (due < now() && cycle.due() <= now()));
            }
            mesh.called();
            continue;
        }
        let Ok(report) = call.await;

        let book = cycle.book();
        let first_return = PEERS.iter().filter_map(|url| free(&book, &cooldowns, &wall, url)).min();
        check(&report, &before, &line, first_return, &mesh.called());
        assert_eq!(cycle.due(), report.due());
        assert_eq!(cycle.state(), *report.state());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/sync_cycle.txt",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_the_peers_say_one_cycle_is_one_rung_and_never_too_early(
        rounds in prop::collection::vec(rounds(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(rounds));
    }
}
