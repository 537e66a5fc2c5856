//! The bare service, and Tower's own middleware around it.

use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::timeout::Timeout;

use super::Case;
use super::caller::{service, timed};
use crate::{AN_HOUR, Bare};

/// So many permits that a call never waits for one.
const PLENTY: usize = 1_000_000;

pub(super) const CASES: &[Case] = &[
    Case::new("bare", "bare", || service(Bare)),
    Case::new("tower LoadShed", "bare", || service(LoadShed::new(Bare))),
    Case::new("tower Timeout", "bare", || timed(Timeout::new(Bare, AN_HOUR))),
    Case::new("tower ConcurrencyLimit", "bare", || service(ConcurrencyLimit::new(Bare, PLENTY))),
];
