//! Ways to make a call that are measured side by side: the layer in each of its
//! states, its features in use, and what people use today.
//!
//! One list for the clock, for the count of instructions and for the count of
//! allocations, so that a row of the table is one and the same thing throughout.
//! A case is made when it is measured, and not before: some take memory.

mod caller;
#[cfg(feature = "every")]
mod features;
mod ours;
mod peers;
#[cfg(feature = "every")]
mod reqwest;
mod retry_after;
mod tower_own;

use std::fmt;

pub use self::caller::{Made, Prepared};

/// One way to make a call.
#[derive(Clone, Copy)]
pub struct Case {
    /// The row's name.
    pub name: &'static str,
    /// The case that it is measured over: the same without what is measured.
    pub over: &'static str,
    make: fn() -> Made,
}

impl Case {
    const fn new(name: &'static str, over: &'static str, make: fn() -> Made) -> Self {
        Self { name, over, make }
    }

    /// Makes all that it takes.
    #[must_use]
    pub fn make(&self) -> Made {
        (self.make)()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns the name of this build, as the table has it.
#[must_use]
pub fn build() -> &'static str {
    if cfg!(feature = "every") { "every" } else { "default" }
}

/// Returns the cases of this build, each after what it is measured over.
///
/// With every feature on, those that need one, and the same as without for what a
/// feature costs that is on and not in use.
#[must_use]
pub fn all() -> Vec<Case> {
    #[cfg(feature = "every")]
    let of_features = [features::CASES, reqwest::CASES].concat();
    #[cfg(not(feature = "every"))]
    let of_features = Vec::new();
    if of_features.is_empty() {
        [tower_own::CASES, peers::CASES, retry_after::CASES, ours::CASES].concat()
    } else {
        of_features
    }
}
