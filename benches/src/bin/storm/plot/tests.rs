//! The pictures: nothing lost, nothing cut.

use std::time::Duration;

use http::StatusCode;

use super::bars::thousands;
use super::timeline::{Block, Cell, blocks, cells};
use super::*;
use crate::runs::Run;
use crate::strategy::Strategy;
use crate::tally::Tally;
use crate::world::Exchange;

/// A request of a caller that arrived after so many seconds.
fn exchange(at: u64, sender: usize, status: StatusCode) -> Exchange {
    let at = Duration::from_secs(at);
    Exchange { at, upstream: 0, sender, status, lifts_at: at }
}

#[test]
fn a_column_shows_the_worst_that_its_caller_heard_in_it() {
    let heard = [
        exchange(0, 0, StatusCode::OK),
        exchange(0, 1, StatusCode::TOO_MANY_REQUESTS),
        exchange(0, 1, StatusCode::OK),
        exchange(59, 1, StatusCode::SERVICE_UNAVAILABLE),
        exchange(60, 0, StatusCode::TOO_MANY_REQUESTS),
    ];

    let cells = cells(&heard, 2, Duration::from_secs(60));

    assert_eq!(cells[0][0], Cell::Served);
    assert_eq!(cells[1][0], Cell::Refused);
    assert!(
        cells[0][1..].iter().all(|cell| *cell == Cell::Nothing),
        "what came later is not shown"
    );
    assert_eq!(cells[1].iter().filter(|cell| **cell == Cell::Refused).count(), 2);
}

#[test]
fn what_is_alike_beside_and_beneath_is_one_block_and_nothing_is_lost() {
    use Cell::{Nothing, Refused, Served};
    let cells = [
        vec![Served, Served, Nothing, Refused],
        vec![Served, Served, Refused, Refused],
        vec![Served, Nothing, Refused, Refused],
    ];

    let blocks = blocks(&cells);

    let block = |heard, columns, lanes| Block { heard, columns, lanes };
    let expected = [
        block(Served, 0..2, 0..2),
        block(Refused, 3..4, 0..1),
        block(Refused, 2..4, 1..3),
        block(Served, 0..1, 2..3),
    ];
    assert_eq!(blocks, expected);
}

#[test]
fn a_text_that_is_too_long_goes_on_in_the_next_line() {
    let long = "a sentence that is longer than any picture is wide ".repeat(5);

    let lines = wrap(&long, 12);

    assert!(lines.len() > 1);
    let room = f64::from(WIDTH - 2 * MARGIN as u32);
    for line in &lines {
        assert!(line.chars().count() as f64 * 12.0 * GLYPH <= room, "{line}");
    }
    assert_eq!(lines.join(" "), long.trim());
}

#[test]
fn every_strategys_name_has_room() {
    for strategy in crate::strategies::all() {
        let name = strategy.name();
        let wide = name.chars().count() as f64 * 12.0 * GLYPH;
        assert!(wide <= f64::from(NAMES - 10 - MARGIN), "{name}");
    }
}

#[test]
fn thousands_stand_apart() {
    assert_eq!(thousands(0), "0");
    assert_eq!(thousands(999), "999");
    assert_eq!(thousands(1000), "1,000");
    assert_eq!(thousands(12_345_678), "12,345,678");
}

#[test]
fn every_strategy_is_named_and_every_shape_stands_inside_of_the_picture() {
    let mut scenario = crate::scenarios::all().remove(0);
    scenario.about = "a sentence that is longer than any picture is wide, and then goes on and on \
                      for as long as it takes to reach the next line, as some of them do";
    let log: Vec<_> = (0..170).map(|at| exchange(at, at as usize % 64, StatusCode::OK)).collect();
    let strategies = crate::strategies::all();
    let run = |strategy: &dyn Strategy| Run {
        strategy: strategy.name(),
        reach: strategy.reach(),
        is_told: strategy.is_told(),
        is_ours: strategy.is_ours(),
        tally: Tally::new(&log, &[], scenario.length, Some(64)),
        log: log.clone(),
    };
    let runs: Vec<_> = strategies.iter().map(|strategy| run(strategy.as_ref())).collect();
    let played = Played { scenario, runs };

    let pictures = [timeline::draw(&played), bars::draw(&played)];

    for svg in pictures.map(Result::unwrap) {
        let height: i32 = first_attribute(&svg, "height");
        for run in &played.runs {
            assert!(svg.contains(run.strategy), "{} is not named", run.strategy);
        }
        for shape in svg.lines().filter(|line| line.starts_with("<rect")) {
            let (x, y) = (first_attribute(shape, "x"), first_attribute(shape, "y"));
            let right = x + first_attribute(shape, "width");
            let bottom = y + first_attribute(shape, "height");
            assert!(x >= 0 && right <= WIDTH as i32, "{shape}");
            assert!(y >= 0 && bottom <= height, "{shape}");
        }
        for y in svg.lines().filter(|line| line.starts_with("<text")) {
            assert!(first_attribute(y, "y") <= height - 4, "{y}");
        }
    }
}

/// Returns the number of the first attribute of that name.
fn first_attribute(svg: &str, name: &str) -> i32 {
    let (_, rest) = svg.split_once(&format!(" {name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}
