//! The metrics of logins at the admin listener. Must not know who logs in.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::Exposition;
use super::names;

/// How an attempt to log in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The token was right.
    Succeeded,
    /// The token was wrong.
    Failed,
    /// There were too many wrong ones before, so this one was not looked at.
    Limited,
}

impl LoginOutcome {
    const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Limited];

    /// Returns the word for labels.
    const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Limited => "limited",
        }
    }
}

/// The attempts, by outcome.
#[derive(Debug, Default)]
pub struct LoginMetrics([AtomicU64; LoginOutcome::ALL.len()]);

impl LoginMetrics {
    /// Counts an attempt.
    pub fn record(&self, outcome: LoginOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let mut logins = out.metric(&names::ADMIN_LOGINS)?;
        for outcome in LoginOutcome::ALL {
            logins.count(&["outcome=\"", outcome.word(), "\""], self.0[outcome as usize].load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}
