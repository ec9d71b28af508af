//! What a service manager such as systemd is told of the state of this process (`sd_notify(3)`), and the watchdog.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is told. Must not know what the states mean for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// What the end takes beyond the times of the configuration: the last error responses, spans, the journal and the log.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
/// The shortest interval between two signs of life: each core turns several times within it.
const MIN_INTERVAL: Duration = Duration::from_millis(300);

/// Tells that the gateway serves requests.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells that a reload begins. [`ready`] tells its end.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        // A manager that waits for the time must not be told of a reload without it.
        Err(error) => tracing::warn!(%error, "the service manager was not told of the reload"),
    }
}

/// Tells that the gateway stops, and asks to let the drain take as long as the configuration says.
pub(super) fn stopping(drain: Duration) {
    let micros = u32::try_from((drain + AFTER_DRAIN).as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told the state of the gateway");
    }
}

/// Counts the turns of a core.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sends signs of life on the current runtime if the service manager waits for them. Each is sent only if every core has turned since the
/// one before, so that a core that hangs is noticed too.
pub(super) fn start_watchdog(pulses: Vec<Pulse>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        let mut tick = tokio::time::interval((limit / 3).max(MIN_INTERVAL));
        tick.tick().await;
        let mut seen: Vec<u64> = pulses.iter().map(Pulse::count).collect();
        loop {
            tick.tick().await;
            if let Some(now) = all_turned(&pulses, &seen) {
                seen = now;
                notify(&[NotifyState::Watchdog]);
            }
        }
    });
}

/// Returns the counts if all differ from those seen before.
fn all_turned(pulses: &[Pulse], seen: &[u64]) -> Option<Vec<u64>> {
    let now: Vec<u64> = pulses.iter().map(Pulse::count).collect();
    now.iter().zip(seen).all(|(now, seen)| now != seen).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_that_hangs_is_no_sign_of_life() {
        let pulses = [Pulse::default(), Pulse::default()];
        let seen = [0, 0];
        assert_eq!(all_turned(&pulses, &seen), None);
        pulses[0].beat();
        assert_eq!(all_turned(&pulses, &seen), None);
        pulses[1].beat();
        assert_eq!(all_turned(&pulses, &seen), Some(vec![1, 1]));
    }
}
