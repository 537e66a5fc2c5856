//! Tables, for the terminal and for a README.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    Terminal,
    Markdown,
}

/// Makes a table: the columns of that range hold numbers, and stand to the right.
pub(crate) fn table(
    style: Style,
    header: &[&str],
    rows: Vec<Vec<String>>,
    numbers: std::ops::Range<usize>,
) -> String {
    let mut table = Table::new();
    table.load_style(match style {
        Style::Terminal => UTF8_FULL_CONDENSED,
        Style::Markdown => ASCII_MARKDOWN,
    });
    table.set_header(header.iter().copied()).add_rows(rows);
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Formats a number, or what stands for one that there is not.
pub(crate) fn number(number: Option<f64>, decimals: usize) -> String {
    let Some(number) = number.filter(|number| number.is_finite()) else { return "–".to_owned() };
    let text = format!("{number:.decimals$}");
    // What rounds to nothing has no sign.
    let unsigned = text.trim_start_matches('-');
    let is_nothing = unsigned.chars().all(|digit| matches!(digit, '0' | '.'));
    if is_nothing { unsigned.to_owned() } else { text }
}

/// Formats a whole number, by thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
