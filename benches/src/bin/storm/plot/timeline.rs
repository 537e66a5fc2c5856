//! Who was answered what, and when: a line for each caller, a column for a second or so.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use super::{
    Anchor, Canvas, Drawn, FAINT, MARGIN, NAMES, REFUSED, SERVED, SHOWN, WIDTH, below_heading,
    fill, picture, write_heading, write_legend, write_text,
};
use crate::runs::Played;
use crate::world::Exchange;

/// The width of a column. In a picture of three minutes it is a second and a bit, so that
/// a caller who asks each second leaves no gaps.
const COLUMN: i32 = 4;
/// How many columns the time shown is cut into.
const COLUMNS: usize = ((WIDTH as i32 - NAMES - MARGIN) / COLUMN) as usize;

/// The height of one strategy's part, as near as whole lines come to it.
const PART: usize = 56;
/// Between two parts.
const GAP: i32 = 12;

/// What a caller heard in the time of one column: the worst of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cell {
    Nothing,
    Served,
    Refused,
}

/// Draws the beginning of each run.
pub(super) fn draw(played: &Played) -> Result<String, Box<dyn Error>> {
    let Played { scenario, runs: rows } = played;
    let shown = SHOWN.min(scenario.length);
    let lanes =
        rows.iter().flat_map(|row| &row.log).map(|one| one.sender + 1).max().unwrap_or(1).min(PART);
    let lane = (PART / lanes).clamp(1, 14) as i32;
    let part = lanes as i32 * lane;
    let top = below_heading(scenario.about);
    let bottom = top + rows.len() as i32 * (part + GAP);
    let height = bottom + 12 + MARGIN;
    picture(height as u32, |canvas| {
        let title = format!("{}: the first {}", scenario.name, length(shown));
        write_heading(canvas, &title, scenario.about)?;
        write_legend(canvas, 22)?;
        write_scale(canvas, shown, (top, bottom))?;
        for (row, y) in rows.iter().zip((top..).step_by((part + GAP) as usize)) {
            let middle = y + part / 2;
            write_text(canvas, row.strategy, (NAMES - 10, middle), 12, Anchor::Right)?;
            fill(canvas, (NAMES, WIDTH as i32 - MARGIN), (y + part + 2, y + part + 3), FAINT)?;
            for block in blocks(&cells(&row.log, lanes, shown)) {
                draw_block(canvas, &block, y, lane)?;
            }
        }
        Ok(())
    })
}

/// What each of `lanes` callers heard in each column; callers beyond share the lanes.
pub(super) fn cells(exchanges: &[Exchange], lanes: usize, shown: Duration) -> Vec<Vec<Cell>> {
    let mut cells = vec![vec![Cell::Nothing; COLUMNS]; lanes];
    for one in exchanges.iter().take_while(|one| one.at < shown) {
        let column = (one.at.as_secs_f64() / shown.as_secs_f64() * COLUMNS as f64) as usize;
        let heard = if one.status.is_success() { Cell::Served } else { Cell::Refused };
        let cell = &mut cells[one.sender % lanes][column.min(COLUMNS - 1)];
        *cell = heard.max(*cell);
    }
    cells
}

/// Cells beside and beneath each other that are alike.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) heard: Cell,
    pub(super) columns: Range<usize>,
    pub(super) lanes: Range<usize>,
}

/// Puts together what is alike: a picture of single cells has some megabytes.
pub(super) fn blocks(cells: &[Vec<Cell>]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (lane, cells) in cells.iter().enumerate() {
        let mut start = 0;
        for run in cells.chunk_by(|one, next| one == next) {
            let (heard, columns) = (run[0], start..start + run.len());
            start = columns.end;
            if heard == Cell::Nothing {
                continue;
            }
            let goes_on = |block: &&mut Block| {
                block.lanes.end == lane && block.heard == heard && block.columns == columns
            };
            match blocks.iter_mut().find(goes_on) {
                Some(block) => block.lanes.end += 1,
                None => blocks.push(Block { heard, columns, lanes: lane..lane + 1 }),
            }
        }
    }
    blocks
}

/// Draws a block of a part that begins at the height of `y`.
fn draw_block(canvas: &Canvas<'_>, block: &Block, y: i32, lane: i32) -> Drawn {
    let x = |column: usize| NAMES + column as i32 * COLUMN;
    let y = |number: usize| y + number as i32 * lane;
    let color = if block.heard == Cell::Served { SERVED } else { REFUSED };
    let (columns, lanes) = (&block.columns, &block.lanes);
    fill(canvas, (x(columns.start), x(columns.end)), (y(lanes.start), y(lanes.end)), color)
}

/// Draws the time: a line and a label every so often.
fn write_scale(canvas: &Canvas<'_>, shown: Duration, (top, bottom): (i32, i32)) -> Drawn {
    let step = [1, 5, 10, 30, 60, 300, 600].into_iter().find(|step| shown.as_secs() / step <= 8);
    let step = step.unwrap_or(1800);
    let wide = f64::from(COLUMNS as i32 * COLUMN);
    for at in (0..=shown.as_secs()).step_by(step as usize) {
        let x = NAMES + (at as f64 / shown.as_secs_f64() * wide) as i32;
        fill(canvas, (x, x + 1), (top - 4, bottom), FAINT)?;
        let anchor = if at == shown.as_secs() { Anchor::Right } else { Anchor::Middle };
        write_text(canvas, &length(Duration::from_secs(at)), (x, bottom + 12), 12, anchor)?;
    }
    Ok(())
}

/// A length of time, in the unit that is read best.
fn length(time: Duration) -> String {
    match time.as_secs() {
        0 => "0".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
