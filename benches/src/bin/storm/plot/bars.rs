//! How much was wasted, and how much was had: two bars for each strategy.

use std::error::Error;

use super::{
    Anchor, Canvas, Drawn, FAINT, MARGIN, NAMES, REFUSED, SERVED, WIDTH, below_heading, fill,
    picture, write_heading, write_text,
};
use crate::runs::Played;

/// The height of a strategy's part, with the room to the next.
const PART: i32 = 24;
/// The width of each of the two halves, with the room for its numbers.
const HALF: i32 = (WIDTH as i32 - NAMES - MARGIN) / 2;
/// What a bar's number takes at most.
const NUMBER: i32 = 64;

/// Draws all strategies' bars.
pub(super) fn draw(played: &Played) -> Result<String, Box<dyn Error>> {
    let Played { scenario, runs: rows } = played;
    let top = below_heading(scenario.about) + 24;
    let bottom = top + rows.len() as i32 * PART;
    let height = bottom + MARGIN;
    let most_wasted = rows.iter().map(|row| row.tally.wasted).max().unwrap_or(0) as f64;
    let most_useful = rows.iter().map(|row| row.tally.useful).fold(0.0, f64::max);
    let log = |count: f64| (count + 1.0).log10();
    picture(height as u32, |canvas| {
        write_heading(canvas, scenario.name, scenario.about)?;
        let (left, right) = (NAMES, NAMES + HALF);
        write_text(canvas, "wasted requests (logarithmic)", (left, top - 14), 12, Anchor::Left)?;
        write_text(canvas, "useful answers an hour", (right, top - 14), 12, Anchor::Left)?;
        for (row, y) in rows.iter().zip((top..).step_by(PART as usize)) {
            let middle = y + PART / 2;
            write_text(canvas, row.strategy, (NAMES - 10, middle), 12, Anchor::Right)?;
            let wasted = row.tally.wasted as f64;
            draw_bar(
                canvas,
                (left, middle),
                log(wasted) / log(most_wasted).max(1.0),
                REFUSED,
                wasted,
            )?;
            let useful = row.tally.useful;
            draw_bar(canvas, (right, middle), useful / most_useful.max(1.0), SERVED, useful)?;
        }
        fill(canvas, (left - 1, left), (top, bottom), FAINT)?;
        fill(canvas, (right - 1, right), (top, bottom), FAINT)
    })
}

/// Draws a bar that takes `share` of its half, and its number behind it.
fn draw_bar(
    canvas: &Canvas<'_>,
    (x, middle): (i32, i32),
    share: f64,
    color: plotters::style::RGBColor,
    number: f64,
) -> Drawn {
    let end = x + (share * f64::from(HALF - NUMBER)) as i32;
    if end > x {
        fill(canvas, (x, end), (middle - 7, middle + 7), color)?;
    }
    write_text(canvas, &thousands(number.round() as u64), (end + 5, middle), 12, Anchor::Left)
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}
