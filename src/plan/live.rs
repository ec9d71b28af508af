//! The live state with which a plan is compiled: metrics, permits, counts of limits, memory for bodies, and endpoints.
//!
//! A plan reuses the state of the running plan wherever the settings are the same, so that a new configuration keeps the counts,
//! connections and health of everything that it does not change. Must not know the configuration file.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Plan;
use super::gauges::{Gauges, Observed};
use crate::limit::concurrency::PerKey;
use crate::limit::gate::{Gate, GateSettings};
use crate::limit::reserve::Reserve;
use crate::limit::{Limit, RateLimit, Settings};
use crate::observe::metrics::Metrics;
use crate::upstream::choose::backend::Backend;

/// The state that a plan is compiled with.
#[derive(Debug)]
pub struct LiveState {
    pub(super) metrics: Arc<Metrics>,
    /// The state that the gauges report.
    pub(super) shown: Arc<ArcSwap<Observed>>,
    running: Option<Running>,
}

/// The state of the running plan.
#[derive(Debug)]
struct Running {
    observed: Arc<Observed>,
    process_gate: Option<Arc<Gate>>,
    limits: HashMap<String, Arc<Limit>>,
}

impl LiveState {
    /// Creates the state of a process that starts, with `cores` worker threads.
    pub fn new(cores: usize) -> Self {
        let shown = Arc::default();
        let mut metrics = Metrics::new(cores);
        metrics.collect(Box::new(Gauges(Arc::clone(&shown))));
        Self { metrics: Arc::new(metrics), shown, running: None }
    }

    /// Returns the state of a running plan.
    pub fn of(plan: &Plan) -> Self {
        let limits = plan.limits.iter().map(|limit| (limit.name.clone(), Arc::clone(limit))).collect();
        let running = Running { observed: Arc::clone(&plan.observed), process_gate: plan.gate.clone(), limits };
        Self { metrics: Arc::clone(&plan.metrics), shown: Arc::clone(&plan.shown), running: Some(running) }
    }

    /// Returns the running backend with this name.
    pub(super) fn backend(&self, name: &str) -> Option<&Backend> {
        let backends = self.running.iter().flat_map(|running| &running.observed.backends);
        backends.map(|(backend, _)| &**backend).find(|backend| *backend.name == *name)
    }

    /// Returns the permits of a backend: those of the running plan if their settings are the same, otherwise new ones.
    pub(super) fn backend_gate(&self, name: &str, settings: GateSettings) -> Arc<Gate> {
        let mut backends = self.running.iter().flat_map(|running| &running.observed.backends);
        let running = backends.find(|(backend, _)| *backend.name == *name).and_then(|(_, gate)| gate.as_ref());
        same_or_new(running, settings)
    }

    /// Returns the permits of the whole process.
    pub(super) fn process_gate(&self, settings: GateSettings) -> Arc<Gate> {
        same_or_new(self.running.as_ref().and_then(|running| running.process_gate.as_ref()), settings)
    }

    /// Returns the memory for bodies that are held.
    pub(super) fn buffers(&self, max: usize) -> Arc<Reserve> {
        let running = self.running.as_ref().and_then(|running| running.observed.buffers.as_ref());
        running.filter(|buffers| buffers.max() == max).map_or_else(|| Arc::new(Reserve::new(max)), Arc::clone)
    }

    fn limit(&self, name: &str) -> Option<&Limit> {
        self.running.as_ref()?.limits.get(name).map(|limit| &**limit)
    }

    /// Returns the counts of a rate limit.
    pub(super) fn rate(&self, settings: Settings) -> Arc<RateLimit> {
        let running = self.limit(&settings.name).and_then(|limit| limit.rate.as_ref());
        running.filter(|rate| *rate.settings() == settings).map_or_else(|| Arc::new(RateLimit::new(settings)), Arc::clone)
    }

    /// Returns the counts of requests in flight of each key of a limit.
    pub(super) fn concurrency(&self, name: &str, max: u32, max_keys: usize) -> Arc<PerKey> {
        let running = self.limit(name).and_then(|limit| limit.concurrency.as_ref());
        running.filter(|counts| counts.is_like(max, max_keys)).map_or_else(|| Arc::new(PerKey::new(max, max_keys)), Arc::clone)
    }
}

fn same_or_new(running: Option<&Arc<Gate>>, settings: GateSettings) -> Arc<Gate> {
    running.filter(|gate| gate.settings() == settings).map_or_else(|| Arc::new(Gate::new(settings)), Arc::clone)
}

#[cfg(test)]
mod tests {
    use crate::config::expand::Surroundings;
    use crate::limit::Key;
    use crate::observe::exposition::Format;
    use crate::plan::compile::{from_text, successor};

    const TEXT: &str = "[listen]\nmax_in_flight = 9\n[limits.a]\nrate = \"3/h\"\nmax_in_flight = 5\n[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n\
                        max_in_flight = 7\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\nlimits = [\"a\"]\n";

    #[test]
    fn what_stays_the_same_keeps_its_state() {
        let first = from_text(TEXT, &|_| None).unwrap();
        first.activate();
        let rate = first.limits[0].rate.clone().unwrap();
        assert_eq!(rate.check(Key::Global, std::num::NonZeroU32::MIN).remaining, 2);
        let held = (first.gate.as_ref().unwrap().try_acquire(), first.observed.backends[0].1.as_ref().unwrap().try_acquire());

        let next = successor(TEXT, &Surroundings::of_text(&|_| None), Some(&first)).unwrap();
        assert_eq!(next.limits[0].rate.as_ref().unwrap().check(Key::Global, std::num::NonZeroU32::MIN).remaining, 1);
        assert_eq!((next.gate.as_ref().unwrap().now(), next.observed.backends[0].1.as_ref().unwrap().now()), (1, 1));
        assert!(std::sync::Arc::ptr_eq(&first.metrics, &next.metrics) && std::sync::Arc::ptr_eq(&first.buffers, &next.buffers));
        drop(held);
        assert_eq!(next.gate.as_ref().unwrap().now(), 0);

        let changed = TEXT.replace("3/h", "4/h").replace("= 7", "= 8").replace("= 9", "= 10").replace("= 5", "= 6");
        let other = successor(&changed, &Surroundings::of_text(&|_| None), Some(&first)).unwrap();
        assert_eq!(other.limits[0].rate.as_ref().unwrap().check(Key::Global, std::num::NonZeroU32::MIN).remaining, 3);
        assert!(!std::sync::Arc::ptr_eq(other.gate.as_ref().unwrap(), first.gate.as_ref().unwrap()));
        let counts = |plan: &crate::plan::Plan| plan.limits[0].concurrency.clone().unwrap();
        assert!(std::sync::Arc::ptr_eq(&counts(&next), &counts(&first)) && !std::sync::Arc::ptr_eq(&counts(&other), &counts(&first)));
    }

    #[test]
    fn the_gauges_show_the_plan_that_is_active() {
        let first = from_text(TEXT, &|_| None).unwrap();
        let shows =
            |plan: &crate::plan::Plan, name: &str| plan.metrics.encode(Format::Plain).contains(&format!("backend=\"{name}\",endpoint"));
        assert!(!shows(&first, "o"));
        first.activate();
        assert!(shows(&first, "o"));
        let next =
            successor(&TEXT.replace("backends.o", "backends.p").replace("\"o\"", "\"p\""), &Surroundings::of_text(&|_| None), Some(&first))
                .unwrap();
        assert!(shows(&first, "o") && !shows(&first, "p"), "a plan that does not run yet is not shown");
        next.activate();
        assert!(shows(&next, "p") && !shows(&next, "o"));
    }
}
