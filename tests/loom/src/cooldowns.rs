//! The crate's table and cell, over a map that stands for papaya's.

#[path = "../../../src/cooldowns/cell.rs"]
pub(crate) mod cell;
pub(crate) mod map;
#[path = "../../../src/cooldowns/table.rs"]
pub(crate) mod table;
