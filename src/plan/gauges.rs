//! The metrics of backends, permits and memory. Their values are computed when the metrics are read, so that requests pay nothing for them.
//!
//! Takes no lock that a request takes. Must not change any state.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};

use crate::breaker::State;
use crate::limit::gate::Gate;
use crate::limit::reserve::Reserve;
use crate::observe::exposition::describe;
use crate::observe::names::{self, Metric};
use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::counts::{HedgeOutcome, RetryOutcome, RetryReason};
use crate::upstream::choose::endpoint::Endpoint;

/// The state that is reported.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Each backend, with its permits if it limits its requests in flight.
    pub(super) backends: Vec<(Arc<Backend>, Option<Arc<Gate>>)>,
    /// The permits of the whole process, if its requests in flight are limited.
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) buffers: Option<Arc<Reserve>>,
    pub(super) max_connections: usize,
}

impl Observed {
    /// Collects the state of a plan: its backends with their permits, the services that have none, and what the whole process shares.
    pub(super) fn new<'b>(
        backends: impl Iterator<Item = &'b (Arc<Backend>, Option<Arc<Gate>>)>,
        services: &[Arc<Backend>],
        gate: Option<Arc<Gate>>,
        buffers: &Arc<Reserve>,
        max_connections: usize,
    ) -> Self {
        let services = services.iter().map(|service| (Arc::clone(service), None));
        Self { backends: backends.cloned().chain(services).collect(), gate, buffers: Some(Arc::clone(buffers)), max_connections }
    }
}

/// The metrics of the active plan.
#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<ArcSwap<Observed>>);

impl Collector for Gauges {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let observed = self.0.load();
        observed.endpoints(&mut out)?;
        observed.connections(&mut out)?;
        observed.permits(&mut out)?;
        observed.attempts(&mut out)?;
        observed.unverified(&mut out)
    }
}

fn count<const N: usize>(out: &mut MetricEncoder<'_>, labels: [(&str, &str); N], value: u64) -> fmt::Result {
    out.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn gauge<const N: usize>(out: &mut MetricEncoder<'_>, labels: [(&str, &str); N], value: usize) -> fmt::Result {
    out.encode_family(&labels)?.encode_gauge(&(value as u64))
}

impl Observed {
    /// Calls `each` with every endpoint and its labels.
    fn each_endpoint(&self, mut each: impl FnMut([(&str, &str); 2], &Endpoint) -> fmt::Result) -> fmt::Result {
        for (backend, _) in &self.backends {
            for endpoint in backend.endpoints() {
                each([("backend", &*backend.name), ("endpoint", &*endpoint.label)], &endpoint)?;
            }
        }
        Ok(())
    }

    /// Encodes a gauge with one value per endpoint.
    fn of_endpoint(&self, out: &mut DescriptorEncoder<'_>, metric: &'static Metric, value: impl Fn(&Endpoint) -> usize) -> fmt::Result {
        let mut samples = describe(out, metric)?;
        self.each_endpoint(|labels, endpoint| gauge(&mut samples, labels, value(endpoint)))
    }

    /// Encodes whether endpoints get requests, and why not.
    fn endpoints(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.of_endpoint(out, &names::ENDPOINT_UP, |endpoint| usize::from(endpoint.is_up()))?;
        self.of_endpoint(out, &names::ENDPOINT_HEALTHY, |endpoint| usize::from(endpoint.health.is_healthy()))?;
        self.of_endpoint(out, &names::ENDPOINT_EJECTED, |endpoint| usize::from(!endpoint.ejector.is_closed()))?;
        self.of_endpoint(out, &names::ENDPOINT_IN_FLIGHT, |endpoint| endpoint.load.in_flight())?;
        let mut ejections = describe(out, &names::EJECTIONS)?;
        self.each_endpoint(|labels, endpoint| count(&mut ejections, labels, endpoint.counts.ejections.load(Ordering::Relaxed)))?;
        let mut states = describe(out, &names::BREAKER)?;
        self.each_endpoint(|[backend, name], endpoint| {
            let Some(breaker) = &endpoint.breaker else { return Ok(()) };
            let now = breaker.last_state();
            [(State::Closed, "closed"), (State::Open, "open"), (State::HalfOpen, "half_open")]
                .into_iter()
                .try_for_each(|(state, word)| gauge(&mut states, [backend, name, ("state", word)], usize::from(state == now)))
        })?;
        let mut opened = describe(out, &names::BREAKER_OPENED)?;
        self.each_endpoint(|labels, endpoint| match &endpoint.breaker {
            Some(_) => count(&mut opened, labels, endpoint.counts.breaker_openings.load(Ordering::Relaxed)),
            None => Ok(()),
        })
    }

    /// Encodes the use of connections.
    fn connections(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut open = describe(out, &names::POOL)?;
        self.each_endpoint(|[backend, name], endpoint| {
            let usage = endpoint.pool.usage();
            gauge(&mut open, [backend, name, ("state", "active")], usage.active)?;
            gauge(&mut open, [backend, name, ("state", "idle")], usage.idle)
        })?;
        self.of_endpoint(out, &names::POOL_LIMIT, |endpoint| endpoint.pool.usage().max)?;
        self.of_endpoint(out, &names::POOL_WAITING, |endpoint| endpoint.pool.usage().waiting)?;
        let mut connects = describe(out, &names::CONNECTS)?;
        self.each_endpoint(|[backend, name], Endpoint { counts, .. }| {
            count(&mut connects, [backend, name, ("result", "opened")], counts.opened.load(Ordering::Relaxed))?;
            count(&mut connects, [backend, name, ("result", "failed")], counts.not_opened.load(Ordering::Relaxed))
        })?;
        describe(out, &names::CONNECTIONS_LIMIT)?.encode_gauge(&(self.max_connections as u64))
    }

    /// Encodes a gauge of each backend that limits its requests in flight, and the same of the whole process.
    fn gates(
        &self,
        out: &mut DescriptorEncoder<'_>,
        (of_backend, of_process): (&'static Metric, &'static Metric),
        value: fn(&Gate) -> usize,
    ) -> fmt::Result {
        let mut samples = describe(out, of_backend)?;
        for (backend, gate) in &self.backends {
            gate.as_ref().map_or(Ok(()), |gate| gauge(&mut samples, [("backend", &*backend.name)], value(gate)))?;
        }
        let mut sample = describe(out, of_process)?;
        self.gate.as_ref().map_or(Ok(()), |gate| sample.encode_gauge(&(value(gate) as u64)))
    }

    /// Encodes the permits for requests in flight and the memory for bodies.
    fn permits(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.gates(out, (&names::GATE_LIMIT, &names::ADMISSION_LIMIT), Gate::limit)?;
        self.gates(out, (&names::GATE_IN_FLIGHT, &names::ADMISSION_IN_FLIGHT), Gate::now)?;
        self.gates(out, (&names::GATE_WAITING, &names::ADMISSION_WAITING), Gate::waiting)?;
        let (used, max) = self.buffers.as_ref().map_or((0, 0), |buffers| (buffers.used(), buffers.max()));
        describe(out, &names::BUFFERED)?.encode_gauge(&(used as u64))?;
        describe(out, &names::BUFFERED_LIMIT)?.encode_gauge(&(max as u64))
    }

    /// Encodes retries and hedged attempts.
    fn attempts(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut retries = describe(out, &names::RETRIES)?;
        for (backend, _) in &self.backends {
            for (reason, outcome) in RetryReason::ALL.into_iter().flat_map(|reason| RetryOutcome::ALL.map(|outcome| (reason, outcome))) {
                let labels = [("backend", &*backend.name), ("reason", reason.word()), ("outcome", outcome.word())];
                count(&mut retries, labels, backend.counts.retries(reason, outcome))?;
            }
        }
        let mut exhausted = describe(out, &names::BUDGET_EXHAUSTED)?;
        for (backend, _) in &self.backends {
            count(&mut exhausted, [("backend", &*backend.name)], backend.counts.budget_exhausted())?;
        }
        let mut hedges = describe(out, &names::HEDGES)?;
        for (backend, _) in &self.backends {
            for outcome in HedgeOutcome::ALL {
                count(&mut hedges, [("backend", &*backend.name), ("outcome", outcome.word())], backend.counts.hedges(outcome))?;
            }
        }
        Ok(())
    }

    /// Encodes which backends over TLS are not verified.
    fn unverified(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut unverified = describe(out, &names::UNVERIFIED)?;
        for (backend, _) in &self.backends {
            let mut secured = backend.targets.iter().filter_map(|target| target.tls.as_ref()).peekable();
            if secured.peek().is_some() {
                gauge(&mut unverified, [("backend", &*backend.name)], usize::from(secured.any(|tls| tls.unverified)))?;
            }
        }
        Ok(())
    }
}
