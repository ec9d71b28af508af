//! The metrics of the listener for TLS: handshakes by how they ended, and the ends of certificates. A handshake that fails writes no log
//! line, so that a flood of them costs no more than a counter.

use std::path::Path;
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::names;
use crate::failure::classify::HandshakeEnd;

type Labels = Vec<(&'static str, String)>;

/// The metrics of the listener for TLS.
#[derive(Debug)]
pub struct TlsMetrics {
    handshakes: Family<Labels, Counter>,
    certificate_ends: Family<Labels, Gauge>,
    read: Gauge,
}

impl Default for TlsMetrics {
    fn default() -> Self {
        let read = Gauge::default();
        read.set(1);
        Self { handshakes: Family::default(), certificate_ends: Family::default(), read }
    }
}

impl TlsMetrics {
    /// Adds the metrics to the registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(names::HANDSHAKES, "TLS handshakes with clients, by how they ended", self.handshakes.clone());
        registry.register(names::CERTIFICATE_END, "When a certificate of the listener ends", self.certificate_ends.clone());
        registry.register(
            names::CERTIFICATES_READ,
            "0 if the certificates could not be read when their files last changed, else 1",
            self.read.clone(),
        );
    }

    /// Counts a handshake.
    pub fn handshake(&self, end: HandshakeEnd) {
        self.handshakes.get_or_create(&vec![("result", end.word().to_owned())]).inc();
    }

    /// Records whether the certificates could be read.
    pub fn read(&self, succeeded: bool) {
        self.read.set(i64::from(succeeded));
    }

    /// Records when a certificate ends. The label is the path in the configuration.
    pub fn certificate_end(&self, file: &Path, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let end = self.certificate_ends.get_or_create_owned(&vec![("file", file.display().to_string())]);
        end.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}
