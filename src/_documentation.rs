//! Longer documents: reasons, a comparison, recipes, security, changes.
//!
//! The files of the repository, as they stand there; there is no code in here. Their
//! examples run as tests.
//!
//! | for | read |
//! |---|---|
//! | why it is as it is | [`design`] |
//! | how it stands beside other crates, and when to use those | [`comparison`] |
//! | complete programs to start from | [`cookbook`] |
//! | what it withstands, and how to report what it does not | [`security`] |
//! | what has changed | [`changelog`] |

pub mod cookbook;

#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}

#[doc = include_str!("../DESIGN.md")]
pub mod design {}

#[doc = include_str!("../SECURITY.md")]
pub mod security {}
