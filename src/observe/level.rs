//! The level of the log, which can change while the gateway runs, for good or for a while.
//!
//! Must not know who asks for a change, or how events are filtered; `admin` asks, and `cli` connects the filter.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use crate::config::file::LogLevel;
use crate::failure::catalog::Severity;

/// A handle to the level of the log, which is cheap to clone.
#[derive(Clone)]
pub struct Level(Arc<State>);

struct State {
    now: AtomicU8,
    /// The level of the configuration.
    configured: AtomicU8,
    /// Applies a new level to the filter of events.
    apply: OnceLock<Box<dyn Fn(LogLevel) + Send + Sync>>,
    /// The end of a level that was set for a while.
    until: Mutex<Option<Until>>,
    /// The number of the next change for a while.
    next: AtomicU64,
}

struct Until {
    at: SystemTime,
    timer: AbortHandle,
    /// Distinguishes this change from later ones, for a timer that ends at the same moment.
    number: u64,
}

fn level_of(number: u8) -> LogLevel {
    LogLevel::ALL.get(usize::from(number)).copied().unwrap_or_default()
}

impl Level {
    /// Creates the handle with the level of the configuration.
    pub fn new(configured: LogLevel) -> Self {
        let of = || AtomicU8::new(configured as u8);
        Self(Arc::new(State { now: of(), configured: of(), apply: OnceLock::new(), until: Mutex::new(None), next: AtomicU64::new(0) }))
    }

    /// Connects the filter of events: `apply` is called with each new level. A second call has no effect.
    pub fn connect(&self, apply: impl Fn(LogLevel) + Send + Sync + 'static) {
        let _ = self.0.apply.set(Box::new(apply));
    }

    /// Returns the level in force.
    pub fn get(&self) -> LogLevel {
        level_of(self.0.now.load(Ordering::Relaxed))
    }

    /// Returns the level of the configuration.
    pub fn configured(&self) -> LogLevel {
        level_of(self.0.configured.load(Ordering::Relaxed))
    }

    /// Returns the time at which the level of the configuration returns, if the one in force was set for a while.
    pub fn until(&self) -> Option<SystemTime> {
        self.lock().as_ref().map(|until| until.at)
    }

    /// Returns the least severe failure that writes an access line even if access lines are off.
    pub(super) fn failures(&self) -> Severity {
        match self.get() {
            LogLevel::Error => Severity::Error,
            LogLevel::Warn => Severity::Warn,
            LogLevel::Info | LogLevel::Debug | LogLevel::Trace => Severity::Info,
        }
    }

    /// Sets the level until the next change.
    pub fn set(&self, level: LogLevel) {
        self.change(&mut self.lock(), level, None);
    }

    /// Sets the level for a while; then the level of the configuration returns. Must be called within a runtime.
    pub fn set_for(&self, level: LogLevel, time: Duration) {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::downgrade(&self.0);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(level) = state.upgrade().map(Self) {
                level.end(number);
            }
        });
        self.change(&mut self.lock(), level, Some(Until { at: SystemTime::now() + time, timer: timer.abort_handle(), number }));
    }

    /// Ends the level that was set for a while, unless another change has ended it.
    fn end(&self, number: u64) {
        let mut waiting = self.lock();
        if waiting.as_ref().is_some_and(|until| until.number == number) {
            self.change(&mut waiting, self.configured(), None);
        }
    }

    /// Takes over the level of a new configuration. If it is that of the old one, a level that was set meanwhile stays.
    pub fn configure(&self, configured: LogLevel) {
        if self.0.configured.swap(configured as u8, Ordering::Relaxed) != configured as u8 {
            self.set(configured);
        }
    }

    /// Changes the level. The lock keeps the filter in the order of the changes.
    fn change(&self, waiting: &mut Option<Until>, level: LogLevel, until: Option<Until>) {
        if let Some(before) = std::mem::replace(waiting, until) {
            before.timer.abort();
        }
        let before = level_of(self.0.now.swap(level as u8, Ordering::Relaxed));
        if before == level {
            return;
        }
        // The event is written at the more verbose of both levels, so that it is seen more often.
        let tell = || tracing::info!(from = before.as_str(), to = level.as_str(), "the level of the log changes");
        if before > level {
            tell();
        }
        self.0.apply.get().into_iter().for_each(|apply| apply(level));
        if before < level {
            tell();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Until>> {
        self.0.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::new(LogLevel::default())
    }
}

impl PartialEq for Level {
    /// Handles are equal if they belong to the same level.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Level({})", self.get().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_level_for_a_while_returns_to_that_of_the_configuration() {
        let level = Level::new(LogLevel::Warn);
        let applied = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&applied);
        level.connect(move |level| seen.lock().unwrap().push(level));
        level.set_for(LogLevel::Debug, Duration::from_secs(60));
        assert_eq!((level.get(), level.configured(), level.until().is_some()), (LogLevel::Debug, LogLevel::Warn, true));
        // A later change ends the earlier timer.
        tokio::time::sleep(Duration::from_secs(59)).await;
        level.set_for(LogLevel::Trace, Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(level.get(), LogLevel::Trace);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((level.get(), level.until()), (LogLevel::Warn, None));
        assert_eq!(*applied.lock().unwrap(), [LogLevel::Debug, LogLevel::Trace, LogLevel::Warn]);
        level.set(LogLevel::Error);
        level.configure(LogLevel::Warn);
        assert_eq!(level.get(), LogLevel::Error, "the configuration says the same as before");
        level.configure(LogLevel::Info);
        assert_eq!((level.get(), level.configured()), (LogLevel::Info, LogLevel::Info));
    }
}
