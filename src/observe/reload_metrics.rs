//! The metrics of reloads: how many there were, how the last one ended, and when one last succeeded.

use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::names;

type Labels = Vec<(&'static str, String)>;

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
    reloads: Family<Labels, Counter>,
    successful: Gauge,
    succeeded_at: Gauge,
}

impl Default for ReloadMetrics {
    fn default() -> Self {
        let metrics = Self { reloads: Family::default(), successful: Gauge::default(), succeeded_at: Gauge::default() };
        for result in ReloadResult::ALL {
            drop(metrics.of(result));
        }
        // The start loads the configuration, too.
        metrics.succeeded(SystemTime::now());
        metrics
    }
}

impl ReloadMetrics {
    /// Adds the metrics to the registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            names::CONFIG_RELOADS,
            "Reloads of the configuration, by outcome: applied, unchanged, or rejected",
            self.reloads.clone(),
        );
        registry.register(
            names::CONFIG_SUCCESSFUL,
            "0 if the configuration could not be used when it was loaded last, else 1",
            self.successful.clone(),
        );
        registry.register(names::CONFIG_SUCCEEDED_AT, "When the configuration was last loaded with success", self.succeeded_at.clone());
    }

    fn of(&self, result: ReloadResult) -> Counter {
        self.reloads.get_or_create_owned(&vec![("outcome", result.word().to_owned())])
    }

    /// Records a reload.
    pub fn record(&self, result: ReloadResult, at: SystemTime) {
        self.of(result).inc();
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
