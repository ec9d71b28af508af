//! Gauges of backends and permits, computed when the metrics are read: nothing of it is counted per request.

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

/// What the gauges show.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Each backend with its permits, where these are limited.
    pub(super) backends: Vec<(Arc<Backend>, Option<Arc<Gate>>)>,
    pub(super) buffers: Option<Arc<Reserve>>,
}

/// Gauges of the plan that is active.
#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<ArcSwap<Observed>>);

/// May it get requests, as far as anybody knows?
fn is_up(endpoint: &Endpoint) -> u64 {
    let closed = endpoint.ejector.is_closed() && endpoint.breaker.as_ref().is_none_or(Breaker::is_closed);
    u64::from(endpoint.health.is_healthy() && closed)
}

impl Observed {
    /// One line per endpoint.
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

    /// One line per backend that has a gate.
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
        self.endpoints(&mut out, names::ENDPOINT_UP, "1 while an endpoint gets its share of the requests", is_up)?;
        self.endpoints(&mut out, names::ENDPOINT_IN_FLIGHT, "Requests in flight at an endpoint", |endpoint| {
            endpoint.load.in_flight() as u64
        })?;
        self.gates(&mut out, names::GATE_LIMIT, "Requests that a backend may have in flight now", Gate::limit)?;
        self.gates(&mut out, names::GATE_IN_FLIGHT, "Requests that hold a place of a backend", Gate::now)?;
        self.gates(&mut out, names::GATE_WAITING, "Requests that wait for a place of a backend", Gate::waiting)?;
        let mut retries =
            out.encode_descriptor(names::RETRIES, "Tries beyond the first that the budget paid for", None, MetricType::Counter)?;
        for (backend, _) in &self.backends {
            retries.encode_family(&[("backend", &*backend.name)])?.encode_counter::<NoLabelSet, u64, u64>(&backend.budget.spent(), None)?;
        }
        let held = self.buffers.as_ref().map_or(0, |buffers| buffers.used()) as u64;
        out.encode_descriptor(names::BUFFERED, "Bytes of bodies that are held", None, MetricType::Gauge)?.encode_gauge(&held)
    }
}
