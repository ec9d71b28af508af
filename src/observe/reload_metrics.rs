//! The metrics of reloads: how many there were, how the last one ended, and when one last succeeded.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;
use super::names;

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// New requests use the new configuration.
    Applied,
    /// The files were the same as before.
    Unchanged,
    /// The configuration cannot be used.
    Rejected,
}

impl ReloadResult {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// Returns the word for labels, log lines and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

/// The metrics of reloads.
#[derive(Debug)]
pub struct ReloadMetrics {
    reloads: [AtomicU64; ReloadResult::ALL.len()],
    successful: Gauge,
    succeeded_at: Gauge,
}

impl Default for ReloadMetrics {
    fn default() -> Self {
        let metrics = Self { reloads: Default::default(), successful: Gauge::default(), succeeded_at: Gauge::default() };
        // The start loads the configuration, too.
        metrics.succeeded(SystemTime::now());
        metrics
    }
}

impl ReloadMetrics {
    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let mut reloads = out.metric(&names::CONFIG_RELOADS)?;
        for result in ReloadResult::ALL {
            reloads.count(&["outcome=\"", result.word(), "\""], self.reloads[result as usize].load(Ordering::Relaxed))?;
        }
        out.single(&names::CONFIG_SUCCESSFUL, self.successful.get())?;
        out.single(&names::CONFIG_SUCCEEDED_AT, self.succeeded_at.get())
    }

    /// Records a reload.
    pub fn record(&self, result: ReloadResult, at: SystemTime) {
        self.reloads[result as usize].fetch_add(1, Ordering::Relaxed);
        match result {
            ReloadResult::Applied | ReloadResult::Unchanged => self.succeeded(at),
            ReloadResult::Rejected => {
                self.successful.set(0);
            }
        }
    }

    fn succeeded(&self, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.successful.set(1);
        self.succeeded_at.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}
