//! The centre of a nucleus.

use std::cmp::Reverse;

/// A pixel that ranks first within its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Centre {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) heat: u32,
}

impl Centre {
    /// The key that orders centres: heat descending, then row, then column. The highest centre has the smallest rank.
    pub(super) fn rank(&self) -> (Reverse<u32>, usize, usize) {
        (Reverse(self.heat), self.row, self.column)
    }
}
