//! Nanoseconds of a call, and how calls scale to a second thread.

use std::hint::black_box;

use http::Request;
use tower::Service;
use tower::limit::ConcurrencyLimit;
use tower_retry_after_benches::pace::{self, BATCH, Maker, Work};
use tower_retry_after_benches::{Bare, ORIGIN, call, others, quiet, rejected, request, uri};

use crate::Gates;

/// How the rejections of one upstream must scale beside the bare service.
const LEAST: f64 = 0.9;

/// So many permits that a call never waits for one.
const PLENTY: usize = 1_000_000;

/// How many times all is made anew and measured, where the gate is missed.
///
/// In one round of ten or so a second thread gains less, and in the next it does
/// not; where the allocator happens to put things may be the reason. A service that
/// writes something shared misses the gate in every round.
const ROUNDS: usize = 3;

pub(crate) fn run(gates: &mut Gates) {
    let names = ["bare", "quiet", "others", "rejected", "ConcurrencyLimit"];
    let (mut paces, mut kept) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let makers = [
            calls(Bare),
            calls(quiet()),
            calls(others()),
            calls(rejected()),
            calls(ConcurrencyLimit::new(Bare, PLENTY)),
        ];
        let Some(measured) = pace::measure(&makers) else {
            println!("\nNOT MEASURED: two threads did not get two cores, try on a quieter machine");
            return;
        };
        paces = measured;
        let [bare, _, _, rejected, _] = paces.as_slice() else { return };
        let beside = rejected.scaling() / bare.scaling();
        if beside >= LEAST {
            break;
        }
        // Kept, so that the next round's do not take the same places.
        kept.push(makers);
        println!("round {round} of {ROUNDS}: rejected gains {beside:.2} of what bare gains");
    }
    let [bare, _, _, rejected, _] = paces.as_slice() else { return };

    println!("\na call                 ns  over bare  2 threads  beside bare  gate");
    for (name, pace) in names.iter().zip(&paces) {
        let (nanos, over) = (pace.nanos(), pace.nanos() - bare.nanos());
        let (scaling, beside) = (pace.scaling(), pace.scaling() / bare.scaling());
        print!("{name:<18} {nanos:>6.1}     {over:>6.1}     {scaling:>6.2}       {beside:>6.2}");
        if std::ptr::eq(pace, rejected) {
            print!("  >= {LEAST} {}", gates.hold(beside >= LEAST));
        }
        println!();
    }
}

/// Makes calls; each thread with its own clone of the service and its own URI.
fn calls<'a, S>(service: S) -> Maker<'a>
where
    S: Service<Request<()>> + Clone + Sync + 'a,
{
    Box::new(move || -> Work<'a> {
        let (mut service, uri) = (service.clone(), uri(ORIGIN));
        Box::new(move || {
            for _ in 0..BATCH {
                black_box(&call(&mut service, request(uri.clone())));
            }
        })
    })
}
