//! Compiles `[journal]`.

use std::time::Duration;

use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::section::At;

/// The default age of the oldest entry.
const DEFAULT_KEEP: Duration = Duration::from_secs(7 * 86_400);
/// The default size of the journal in memory, in bytes.
const DEFAULT_SIZE: u64 = 16 << 20;
/// The default bound on the body of an upstream, in bytes.
const DEFAULT_BODY: u64 = 64 << 10;
/// The bounds of `max_size`, in bytes: less holds a few entries only, and more does not belong in memory.
const SIZE_BOUNDS: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;

/// The settings of the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The age of the oldest entry.
    pub keep: Duration,
    /// The size of all entries, in bytes.
    pub max_size: usize,
    /// The most of a body of an upstream, in bytes.
    pub body_limit: usize,
    /// Patterns that are masked in addition.
    pub redact: Vec<regex::Regex>,
    /// Names of headers that are masked in addition, in lower case.
    pub redact_headers: Vec<String>,
}

impl Journal {
    /// Returns true if the settings are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let patterns = |journal: &Self| journal.redact.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>();
        (self.keep, self.max_size, self.body_limit) == (other.keep, other.max_size, other.body_limit)
            && patterns(self) == patterns(other)
            && self.redact_headers == other.redact_headers
    }
}

/// Compiles the section. `None` if there is no journal.
pub(super) fn compile(keys: &file::Journal, problems: &mut Problems) -> Option<Journal> {
    if let Some(at) = keys.max_size.as_ref().filter(|at| !SIZE_BOUNDS.contains(&at.value)) {
        problems.add(at.span.clone(), "`journal.max_size` must be from 1MiB to 1GiB", "the journal is kept in memory");
    }
    if let Some(at) = keys.body_limit.as_ref().filter(|at| at.value > 1 << 20) {
        problems.add(at.span.clone(), "`journal.body_limit` must be at most 1MiB", "");
    }
    let size = |at: &Option<At<u64>>, default: u64| at.as_ref().map_or(default, |at| at.value) as usize;
    keys.enabled.unwrap_or(true).then(|| Journal {
        keep: keys.keep.as_ref().map_or(DEFAULT_KEEP, |at| at.value),
        max_size: size(&keys.max_size, DEFAULT_SIZE),
        body_limit: size(&keys.body_limit, DEFAULT_BODY),
        redact: keys.redact.clone(),
        redact_headers: keys.redact_headers.clone(),
    })
}
