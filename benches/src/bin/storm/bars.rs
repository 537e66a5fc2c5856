//! What the layer is held to.

/// A bar that holds in some scenarios.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bar {
    /// At least 95 % of the useful answers of the one who was told the limit.
    NearOracle,
    /// After each episode the first success comes within a round trip of the limit's
    /// lifting.
    AtOnce,
    /// The fixed pace gets nothing at all, and the layer is served again.
    Recovers,
}
