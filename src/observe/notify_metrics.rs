//! The metrics of notifications: what became of them. Must not know what a notification is.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::{Exposition, label};
use super::named::Named;
use super::names;

/// What became of the notifications of one notifier.
#[derive(Debug)]
pub struct NotifierCounters {
    /// The notifier as a label.
    label: Box<str>,
    /// Notifications that were taken.
    pub sent: Arc<AtomicU64>,
    /// Notifications that were refused, or could not be sent for too long.
    pub failed: Arc<AtomicU64>,
    /// Notifications that were dropped because too many waited.
    pub dropped: Arc<AtomicU64>,
    /// Notifications that were told in a summary.
    pub held: Arc<AtomicU64>,
}

/// What became of all notifications.
#[derive(Debug, Default)]
pub struct NotifyMetrics {
    notifiers: Named<String, NotifierCounters>,
    /// Events that were dropped because the queue was full.
    pub events_dropped: Arc<AtomicU64>,
}

impl NotifyMetrics {
    /// Returns the counters of a notifier; equal names share them.
    pub fn notifier(&self, name: &str) -> Arc<NotifierCounters> {
        let counter = Arc::<AtomicU64>::default;
        let label = label("notifier", name).into();
        self.notifiers.get_or(name.to_owned(), || NotifierCounters {
            label,
            sent: counter(),
            failed: counter(),
            dropped: counter(),
            held: counter(),
        })
    }

    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let mut samples = out.metric(&names::NOTIFICATIONS)?;
        for NotifierCounters { label, sent, failed, dropped, held } in self.notifiers.all().iter().map(|notifier| &**notifier) {
            for (outcome, counter) in [("sent", sent), ("failed", failed), ("dropped", dropped), ("held", held)] {
                samples.count(&[label, ",outcome=\"", outcome, "\""], counter.load(Ordering::Relaxed))?;
            }
        }
        out.single(&names::NOTIFICATION_EVENTS_DROPPED, self.events_dropped.load(Ordering::Relaxed))
    }
}
