//! Looks at backends, circuit breakers and certificates now and then, and tells the notifiers what has changed. Requests pay nothing for it.
//!
//! Changes no state. Must not know rules.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::{Instant, MissedTickBehavior};

use crate::notify::event::{Event, Events};
use crate::plan::Plan;
use crate::upstream::choose::backend::Backend;

/// How often backends and breakers are looked at. A backend that was down for less may go unnoticed.
const EVERY: Duration = Duration::from_secs(1);
/// How often the ends of certificates are told, for rules about the time that is left.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(3600);

/// Looks until it is aborted.
pub(super) async fn watch_states(plan: Arc<ArcSwap<Plan>>, events: Events) {
    // A gateway that starts has opened no breaker yet.
    let mut seen = Seen { openings: Some(Openings::new()), ..Seen::default() };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if events.wanted().states.load(Ordering::Relaxed) {
            seen.look(&plan.load_full(), &events);
        } else {
            seen = Seen::default();
        }
    }
}

/// By the names of the backend and the endpoint.
type Openings = HashMap<(Arc<str>, Arc<str>), u64>;

/// What was seen last.
#[derive(Default)]
struct Seen {
    /// Names of backends that are down.
    down: HashSet<Arc<str>>,
    /// How often the breaker of each endpoint had opened; `None` if nobody looked, as what was before is no news.
    openings: Option<Openings>,
    /// When each certificate ends.
    certificates: HashMap<PathBuf, SystemTime>,
    /// The version of the configuration, and when certificates were told last.
    told: Option<(Arc<str>, Instant)>,
}

impl Seen {
    fn look(&mut self, plan: &Plan, events: &Events) {
        self.down.retain(|name| plan.backends.iter().any(|backend| backend.name == *name));
        let mut openings = Openings::new();
        for backend in &plan.backends {
            self.backend(backend, events);
            for endpoint in backend.endpoints() {
                let key = (Arc::clone(&backend.name), Arc::clone(&endpoint.label));
                let now = endpoint.counts.breaker_openings.load(Ordering::Relaxed);
                let before = self.openings.as_ref().map_or(now, |before| before.get(&key).copied().unwrap_or_default());
                if now > before {
                    let (backend, endpoint) = (backend.name.to_string(), endpoint.label.to_string());
                    events.send(Event::BreakerOpened { backend, endpoint, times: now - before });
                }
                openings.insert(key, now);
            }
        }
        self.openings = Some(openings);
        self.certificates(plan, events);
    }

    fn backend(&mut self, backend: &Backend, events: &Events) {
        let endpoints = backend.endpoints();
        let mut serving = endpoints.iter().filter(|endpoint| !endpoint.target.drains).peekable();
        // A name that is not resolved yet, or a backend that is being drained, says nothing.
        if serving.peek().is_none() {
            return;
        }
        let name = backend.name.to_string();
        match (serving.any(|endpoint| endpoint.is_up()), self.down.contains(&backend.name)) {
            (false, false) => {
                self.down.insert(Arc::clone(&backend.name));
                events.send(Event::BackendDown { backend: name });
            }
            (true, true) => {
                self.down.remove(&backend.name);
                events.send(Event::BackendUp { backend: name });
            }
            (true, false) | (false, true) => {}
        }
    }

    /// Tells the ends of certificates: those that changed at once, and all of them now and then or for a new configuration.
    fn certificates(&mut self, plan: &Plan, events: &Events) {
        let is_time = self.told.as_ref().is_none_or(|(version, at)| *version != plan.version || at.elapsed() >= CERTIFICATES_EVERY);
        if is_time {
            self.told = Some((Arc::clone(&plan.version), Instant::now()));
            self.certificates.clear();
        }
        let Some(listener) = &plan.listen.tls else { return };
        for validity in listener.certificates.validity() {
            let before = self.certificates.insert(validity.file.clone(), validity.not_after);
            if before != Some(validity.not_after) {
                events.send(Event::CertificateEnds { file: validity.file.display().to_string(), at: validity.not_after });
            }
        }
    }
}
