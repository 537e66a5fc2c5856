//! The table of cooldowns as people read it.
#![allow(clippy::unwrap_used, reason = "for tests")]

mod support;

use support::*;
use tower_retry_after::{
    CooldownInfo, Cooldowns, CooldownsSnapshot, RetryAfterBackoffLayer, Upstream,
};

fn cooling(number: u32) -> Cooldowns {
    let cooldowns = Cooldowns::new();
    for name in 1..=number {
        cooldowns.cool(&Upstream::named(format!("n{name}")), secs(u64::from(name)));
    }
    cooldowns
}

#[tokio::test(start_paused = true)]
async fn each_state_has_its_line() {
    let answers = |uri: &http::Uri| match uri.host() {
        Some("b.example") => refused().header("retry-after-ms", "90500"),
        _ => refused(),
    };
    let layer = RetryAfterBackoffLayer::new();
    let refusing = client(&layer, &Peer::by(answers));
    let well = client(&layer, &Peer::always(ok()));
    let stuck = client(&layer, &Peer::always(never()));
    for uri in [A, "https://c.example:8443/", "https://d.example/"] {
        ask(&refusing, uri).await;
    }
    pass(secs(60)).await;
    ask(&refusing, A).await;
    ask(&refusing, B).await;
    let probe = hang(&stuck, "https://c.example:8443/");
    ask(&well, "https://d.example/").await;

    let table = layer.cooldowns().snapshot().to_string();

    assert_eq!(
        table.lines().collect::<Vec<_>>(),
        [
            "upstream                state      rung  retry after  status  hint",
            "https://a.example       cooling       2         120s     429     -",
            "https://b.example       cooling       1          91s     429   91s",
            "https://c.example:8443  probing       1          30s     429     -",
            "https://d.example       reopening     0            -     429     -",
        ]
    );
    drop(probe);
}

#[test]
fn an_empty_table_says_so_in_a_line() {
    assert_eq!(Cooldowns::new().snapshot().to_string(), "every upstream is clear");
    assert_eq!(format!("{:.0}", Cooldowns::new().snapshot()), "every upstream is clear");
}

#[tokio::test(start_paused = true)]
async fn long_and_odd_names_keep_to_their_column() {
    let cooldowns = Cooldowns::new();
    cooldowns.cool(&Upstream::named("é".repeat(48)), secs(3));
    cooldowns.cool(&Upstream::named("é".repeat(49)), secs(2));
    cooldowns.cool(&Upstream::named("a\nb\u{1b}[31m"), secs(1));

    let table = cooldowns.snapshot().to_string();

    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.chars().count() <= 100 && line.trim_end() == *line));
    let names: Vec<String> = lines.iter().map(|line| line.chars().take(48).collect()).collect();
    let [_, whole, cut, odd] = &names[..] else { unreachable!() };
    assert_eq!(*whole, "é".repeat(48));
    assert_eq!(*cut, format!("{}…", "é".repeat(47)));
    assert_eq!(odd.trim_end(), r"a\nb\u{1b}[31m");
}

#[tokio::test(start_paused = true)]
async fn many_rows_are_counted_and_may_be_cut() {
    let lines = |table: String| table.lines().map(str::to_owned).collect::<Vec<_>>();

    assert_eq!(lines(cooling(9).snapshot().to_string()).len(), 10);

    let counted = lines(cooling(10).snapshot().to_string());
    assert_eq!(counted.len(), 12);
    assert_eq!(counted.last().unwrap(), "10 upstreams: 10 cooling, 0 probing, 0 reopening");

    let cut = lines(format!("{:.2}", cooling(5).snapshot()));
    assert!(cut.get(1).unwrap().starts_with("n5 ") && cut.get(2).unwrap().starts_with("n4 "));
    let last = "5 upstreams: 5 cooling, 0 probing, 0 reopening; 3 not shown";
    assert_eq!((cut.len(), cut.last().unwrap().as_str()), (4, last));

    let whole = lines(format!("{:.20}", cooling(5).snapshot()));
    assert_eq!(whole.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn it_is_a_list_as_well() {
    let snapshot: CooldownsSnapshot = cooling(3).snapshot();

    assert_eq!((snapshot.len(), snapshot.first().unwrap().retry_after()), (3, secs(3)));
    let mut waits = Vec::new();
    for info in &snapshot {
        waits.push(info.retry_after());
    }
    assert_eq!(waits, [secs(3), secs(2), secs(1)]);
    let owned: Vec<CooldownInfo> = snapshot.clone().into_iter().collect();
    assert_eq!(owned.len(), 3);
    assert!(format!("{snapshot:?}").contains("n1"));
}
