//! The metrics of the listener for TLS: handshakes by how they ended, and the ends of certificates. A handshake that fails writes no log
//! line, so that a flood of them costs no more than a counter.

use std::fmt::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::exposition::{Exposition, label};
use super::names;
use crate::failure::classify::HandshakeEnd;

/// The metrics of the listener for TLS.
#[derive(Debug, Default)]
pub struct TlsMetrics {
    handshakes: [AtomicU64; HandshakeEnd::ALL.len()],
    /// The label of each certificate and when it ends, in seconds since 1970.
    certificate_ends: Mutex<Vec<(String, u64)>>,
    unreadable: AtomicBool,
}

impl TlsMetrics {
    /// Counts a handshake.
    pub fn handshake(&self, end: HandshakeEnd) {
        self.handshakes[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Records whether the certificates could be read.
    pub fn read(&self, succeeded: bool) {
        self.unreadable.store(!succeeded, Ordering::Relaxed);
    }

    /// Records when the certificates that are in use end. The label is the path in the configuration.
    pub fn certificate_ends<'f>(&self, all: impl Iterator<Item = (&'f Path, SystemTime)>) {
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let all = all.map(|(file, at)| (label("file", &file.display().to_string()), seconds(at))).collect();
        *self.certificate_ends.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        let mut handshakes = out.metric(&names::HANDSHAKES)?;
        for end in HandshakeEnd::ALL {
            handshakes.count(&["result=\"", end.word(), "\""], self.handshakes[end as usize].load(Ordering::Relaxed))?;
        }
        let ends = self.certificate_ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut samples = out.metric(&names::CERTIFICATE_END)?;
        for (label, seconds) in ends {
            samples.count(&[&label], seconds)?;
        }
        out.single(&names::CERTIFICATES_READ, u8::from(!self.unreadable.load(Ordering::Relaxed)))
    }
}
