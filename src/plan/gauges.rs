//! The gauges of backends and permits. Their values are computed when the metrics are read, so that requests pay nothing for them.
//!
//! Must not change any state.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::breaker::Breaker;
use crate::limit::gate::Gate;
use crate::limit::reserve::Reserve;
use crate::observe::names;
use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::endpoint::Endpoint;

/// The state that the gauges report.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Each backend, with its permits if it limits its requests in flight.
    pub(super) backends: Vec<(Arc<Backend>, Option<Arc<Gate>>)>,
    pub(super) buffers: Option<Arc<Reserve>>,
}

/// The gauges of the active plan.
#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<ArcSwap<Observed>>);

/// Returns 1 if an endpoint gets requests: it is healthy and neither ejected nor behind an open circuit breaker.
fn is_up(endpoint: &Endpoint) -> u64 {
    let closed = endpoint.ejector.is_closed() && endpoint.breaker.as_ref().is_none_or(Breaker::is_closed);
    u64::from(endpoint.health.is_healthy() && closed)
}

impl Observed {
    /// Encodes a gauge with one value per endpoint.
    fn endpoints(&self, out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: impl Fn(&Endpoint) -> u64) -> fmt::Result {
        let mut gauge = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (backend, _) in &self.backends {
            for endpoint in backend.endpoints() {
                let labels = [("backend", &*backend.name), ("endpoint", &*endpoint.label)];
                gauge.encode_family(&labels)?.encode_gauge(&value(&endpoint))?;
            }
        }
        Ok(())
    }

    /// Encodes a gauge with one value per backend that limits its requests in flight.
    fn gates(&self, out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: impl Fn(&Gate) -> usize) -> fmt::Result {
        let mut gauge = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (backend, gate) in &self.backends {
            if let Some(gate) = gate {
                gauge.encode_family(&[("backend", &*backend.name)])?.encode_gauge(&(value(gate) as u64))?;
            }
        }
        Ok(())
    }
}

impl Collector for Gauges {
    fn encode(&self, out: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.load().encode(out)
    }
}

impl Observed {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        self.endpoints(
            &mut out,
            names::ENDPOINT_UP,
            "Whether the endpoint gets requests: 1 if it does, 0 while it is unhealthy or ejected or its circuit breaker is open",
            is_up,
        )?;
        self.endpoints(&mut out, names::ENDPOINT_IN_FLIGHT, "Number of requests in flight at the endpoint", |endpoint| {
            endpoint.load.in_flight() as u64
        })?;
        self.gates(&mut out, names::GATE_LIMIT, "Maximum number of requests that the backend may have in flight now", Gate::limit)?;
        self.gates(&mut out, names::GATE_IN_FLIGHT, "Number of requests that hold a permit of the backend", Gate::now)?;
        self.gates(&mut out, names::GATE_WAITING, "Number of requests that wait for a permit of the backend", Gate::waiting)?;
        let mut unverified = out.encode_descriptor(
            names::UNVERIFIED,
            "1 if the certificates of the backend are not verified, else 0; of backends over TLS",
            None,
            MetricType::Gauge,
        )?;
        for (backend, _) in &self.backends {
            let mut secured = backend.targets.iter().filter_map(|target| target.tls.as_ref()).peekable();
            if secured.peek().is_some() {
                let any = secured.any(|tls| tls.unverified);
                unverified.encode_family(&[("backend", &*backend.name)])?.encode_gauge(&u64::from(any))?;
            }
        }
        let mut retries =
            out.encode_descriptor(names::RETRIES, "Retries and hedged attempts that the retry budget allowed", None, MetricType::Counter)?;
        for (backend, _) in &self.backends {
            retries.encode_family(&[("backend", &*backend.name)])?.encode_counter::<NoLabelSet, u64, u64>(&backend.budget.spent(), None)?;
        }
        let held = self.buffers.as_ref().map_or(0, |buffers| buffers.used()) as u64;
        out.encode_descriptor(names::BUFFERED, "Bytes of request and response bodies that are held in memory", None, MetricType::Gauge)?
            .encode_gauge(&held)
    }
}
