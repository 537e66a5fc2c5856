//! What a storm looks like: pictures of one scenario, all strategies beneath each
//! other.
//!
//! Drawn by hand of rectangles and text: no chart of `plotters` shows sixty-four
//! callers' answers in a line each.

mod bars;
mod timeline;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::runs::Played;

/// Useful answers; told apart from [`REFUSED`] by any eye (Okabe and Ito's palette).
const SERVED: RGBColor = RGBColor(0, 114, 178);
/// Wasted requests.
const REFUSED: RGBColor = RGBColor(213, 94, 0);
/// Text, and the lines of a scale.
const INK: RGBColor = RGBColor(40, 40, 40);
/// Lines that only guide.
const FAINT: RGBColor = RGBColor(225, 225, 225);

/// The width of each picture: a README shows that much without scaling.
const WIDTH: u32 = 880;
/// Where the names end and the picture begins.
const NAMES: i32 = 212;
/// The margin all around.
const MARGIN: i32 = 14;

/// Each glyph is at most so wide, as a share of the text's size; browsers differ.
const GLYPH: f64 = 0.56;

/// How much of a run a timeline shows.
pub(crate) const SHOWN: Duration = Duration::from_secs(180);

/// Writes the scenario's two pictures into the folder: `NAME-timeline.svg`, the first
/// [`SHOWN`] of the run, and `NAME-bars.svg`.
///
/// # Errors
///
/// Returns what the file system says.
pub(crate) fn write(folder: &Path, played: &Played) -> Drawn {
    std::fs::create_dir_all(folder)?;
    let name = played.scenario.name;
    std::fs::write(folder.join(format!("{name}-timeline.svg")), timeline::draw(played)?)?;
    std::fs::write(folder.join(format!("{name}-bars.svg")), bars::draw(played)?)?;
    Ok(())
}

/// A picture that is being drawn.
type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// What drawing may fail with.
type Drawn = Result<(), Box<dyn Error>>;

/// Draws a picture of that height, on white: it is shown on dark pages, too.
fn picture(height: u32, draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        canvas.fill(&WHITE)?;
        draw(&canvas)?;
        canvas.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
enum Anchor {
    Left,
    Middle,
    Right,
}

/// Draws a line of text whose middle is at the height of `y`.
fn write_text(
    canvas: &Canvas<'_>,
    text: &str,
    (x, y): (i32, i32),
    size: u32,
    anchor: Anchor,
) -> Drawn {
    let across = match anchor {
        Anchor::Left => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::Right => HPos::Right,
    };
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(across, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), (x, y), style))?;
    Ok(())
}

/// Fills a rectangle, of at least one pixel each way.
fn fill(canvas: &Canvas<'_>, x: (i32, i32), y: (i32, i32), color: RGBColor) -> Drawn {
    let corners = [(x.0, y.0), (x.1.max(x.0 + 1), y.1.max(y.0 + 1))];
    canvas.draw(&Rectangle::new(corners, color.filled()))?;
    Ok(())
}

/// Draws title and the scenario's sentence.
fn write_heading(canvas: &Canvas<'_>, title: &str, about: &str) -> Drawn {
    write_text(canvas, title, (MARGIN, 22), 16, Anchor::Left)?;
    for (line, y) in wrap(about, 12).iter().zip((42..).step_by(16)) {
        write_text(canvas, line, (MARGIN, y), 12, Anchor::Left)?;
    }
    Ok(())
}

/// Returns the height at which the heading ends.
fn below_heading(about: &str) -> i32 {
    46 + 16 * wrap(about, 12).len() as i32
}

/// Draws the meaning of the colours at the height of `y`, from the right edge.
fn write_legend(canvas: &Canvas<'_>, y: i32) -> Drawn {
    let right = WIDTH as i32 - MARGIN;
    for (color, meaning, x) in [(REFUSED, "refused", right - 60), (SERVED, "served", right - 140)] {
        fill(canvas, (x - 14, x - 4), (y - 5, y + 5), color)?;
        write_text(canvas, meaning, (x, y), 12, Anchor::Left)?;
    }
    Ok(())
}

/// Breaks a text into lines that the picture holds.
fn wrap(text: &str, size: u32) -> Vec<String> {
    let room = f64::from(WIDTH - 2 * MARGIN as u32) / (f64::from(size) * GLYPH);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if (line.chars().count() + 1 + word.chars().count()) as f64 <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
