//! The count of open tunnels.

use prometheus_client::metrics::gauge::Gauge;

/// Counts a tunnel as open until it is dropped.
#[derive(Debug)]
pub struct OpenTunnel(Gauge);

impl OpenTunnel {
    pub(super) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.dec();
    }
}
