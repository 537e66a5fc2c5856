//! What is known of all upstreams in trouble, as a list and as a table to read.

use std::fmt;
use std::ops::Deref;

use super::info::{CooldownInfo, State};
use crate::error::Rounded;

/// The longest name that is shown whole: a table of such names still fits a
/// terminal of a hundred columns.
const NAME_WIDTH: usize = 48;

/// From this many rows on they are counted beneath: fewer are counted at a glance.
const COUNTED_FROM: usize = 10;

/// What is known of every upstream that is not Clear, the one that is held back
/// longest first; by [`Cooldowns::snapshot`](crate::Cooldowns::snapshot).
///
/// It is a list of [`CooldownInfo`]s. Shown with `{}` it is a table for logs and
/// admin pages, in lines without a line break at the end; `{:.20}` shows twenty
/// upstreams at most. Waits are rounded up to whole seconds, what is longer than
/// 48 characters is cut.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tower_retry_after::{Cooldowns, Upstream};
///
/// let cooldowns = Cooldowns::new();
/// assert_eq!(cooldowns.snapshot().to_string(), "every upstream is clear");
///
/// cooldowns.cool(&Upstream::named("billing"), Duration::from_secs(90));
/// cooldowns.cool(&Upstream::named("search"), Duration::from_secs(5));
/// assert_eq!(
///     cooldowns.snapshot().to_string(),
///     "upstream  state    rung  retry after  status  hint\n\
///      billing   cooling     0          90s       -     -\n\
///      search    cooling     0           5s       -     -",
/// );
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CooldownsSnapshot {
    infos: Vec<CooldownInfo>,
}

impl CooldownsSnapshot {
    pub(super) fn new(infos: Vec<CooldownInfo>) -> Self {
        Self { infos }
    }

    fn count(&self, state: State) -> usize {
        self.infos.iter().filter(|info| info.state() == state).count()
    }
}

impl Deref for CooldownsSnapshot {
    type Target = [CooldownInfo];

    fn deref(&self) -> &Self::Target {
        &self.infos
    }
}

impl IntoIterator for CooldownsSnapshot {
    type Item = CooldownInfo;
    type IntoIter = std::vec::IntoIter<CooldownInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.infos.into_iter()
    }
}

impl<'a> IntoIterator for &'a CooldownsSnapshot {
    type Item = &'a CooldownInfo;
    type IntoIter = std::slice::Iter<'a, CooldownInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.infos.iter()
    }
}

impl fmt::Display for CooldownsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.infos.len();
        if all == 0 {
            return f.write_str("every upstream is clear");
        }
        let shown = f.precision().unwrap_or(all).min(all);
        let rows: Vec<Row> = self.infos.iter().take(shown).map(Row::of).collect();
        let header = ["upstream", "state", "rung", "retry after", "status", "hint"];
        let header = Row { cells: header.map(str::to_owned) };
        let mut widths = header.widths();
        for row in &rows {
            for (width, needed) in widths.iter_mut().zip(row.widths()) {
                *width = needed.max(*width);
            }
        }
        header.write(f, widths)?;
        for row in &rows {
            f.write_str("\n")?;
            row.write(f, widths)?;
        }
        if shown < all || all >= COUNTED_FROM {
            let [cooling, probing, reopening] =
                [State::Cooling, State::Probing, State::Reopening].map(|state| self.count(state));
            write!(f, "\n{all} upstreams: {cooling} cooling, {probing} probing, ")?;
            write!(f, "{reopening} reopening")?;
        }
        match all.saturating_sub(shown) {
            0 => Ok(()),
            hidden => write!(f, "; {hidden} not shown"),
        }
    }
}

/// A line of the table.
struct Row {
    cells: [String; 6],
}

impl Row {
    fn of(info: &CooldownInfo) -> Self {
        let none = || "-".to_owned();
        let retry_after = match info.state() {
            State::Clear | State::Reopening => none(),
            State::Cooling | State::Probing => Rounded(info.retry_after()).to_string(),
        };
        let cells = [
            cut(info.upstream().to_string()),
            info.state().to_string(),
            info.consecutive_failures().to_string(),
            retry_after,
            info.status().map_or_else(none, |status| status.as_str().to_owned()),
            info.hint().map_or_else(none, |hint| Rounded(hint).to_string()),
        ];
        Self { cells }
    }

    fn widths(&self) -> [usize; 6] {
        std::array::from_fn(|column| self.cells.get(column).map_or(0, |cell| cell.chars().count()))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, widths: [usize; 6]) -> fmt::Result {
        let [name, state, rung, retry_after, status, hint] = &self.cells;
        let [name_width, state_width, rung_width, retry_width, status_width, hint_width] = widths;
        write!(f, "{name:<name_width$}  {state:<state_width$}  {rung:>rung_width$}  ")?;
        write!(f, "{retry_after:>retry_width$}  {status:>status_width$}  {hint:>hint_width$}")
    }
}

/// Cuts a name that is too long, and says so by an ellipsis.
fn cut(name: String) -> String {
    match name.char_indices().nth(NAME_WIDTH) {
        None => name,
        Some(_) => name.chars().take(NAME_WIDTH.saturating_sub(1)).chain(['…']).collect(),
    }
}
