//! A case that ran.

use std::time::Duration;

use crate::cli::cases::bench::Got;
use crate::cli::cases::case::Case;
use crate::cli::cases::judge::Difference;

/// A case that ran.
pub(super) struct Ran<'c> {
    pub(super) case: &'c Case,
    /// What came back, or why nothing did.
    pub(super) got: Result<Got, String>,
    pub(super) differences: Vec<Difference>,
    pub(super) took: Duration,
}

impl Ran<'_> {
    pub(super) fn passed(&self) -> bool {
        self.got.is_ok() && self.differences.is_empty()
    }
}
