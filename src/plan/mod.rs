//! What runs: the configuration compiled into immutable values. A request pins one plan for its life.
//!
//! `compile` turns a [`crate::config::file::File`] into a [`Plan`], or into every problem at once. Nothing here acts.

pub mod compile;
mod gauges;
mod limits;
pub mod live;
mod policies;
mod presenters;
mod targets;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;

use gauges::Observed;

use crate::config::file::{KeySource, LogFormat, LogLevel, OnFailure};
use crate::limit::gate::Gate;
use crate::limit::reserve::Reserve;
use crate::limit::shared::Address;
use crate::limit::{Limit, Window};
use crate::message::Messages;
use crate::observe::metrics::{ByClass, Metrics, RouteMetrics};
use crate::policy::{Mode, Policy};
use crate::redact::Redactor;
use crate::render::Template;
use crate::route::Table;
use crate::text::Secret;
use crate::upstream::choose::backend::Backend;

/// The compiled configuration.
#[derive(Debug)]
pub struct Plan {
    /// Production or development.
    pub mode: Mode,
    /// Listeners and their clocks.
    pub listen: Listen,
    /// Networks whose forwarding headers count.
    pub trusted: Vec<IpNet>,
    /// Where requests go.
    pub routes: Table<Arc<Route>>,
    /// Policy of answers that belong to no route.
    pub fallback: Policy,
    /// How they are told.
    pub fallback_presenter: ErrorPresenter,
    /// All limits.
    pub limits: Vec<Arc<Limit>>,
    /// The store that gateways share, where there is one.
    pub store: Option<SharedStore>,
    /// Requests in flight over all, when they are limited.
    pub gate: Option<Arc<Gate>>,
    /// Memory for bodies that are held.
    pub buffers: Arc<Reserve>,
    /// All backends.
    pub backends: Vec<Arc<Backend>>,
    /// What is logged.
    pub log: Log,
    /// Shared counters.
    pub metrics: Arc<Metrics>,
    /// Handles of requests without a route.
    pub no_route: Arc<RouteMetrics>,
    observed: Arc<Observed>,
    shown: Arc<ArcSwap<Observed>>,
}

impl Plan {
    /// Makes the metrics show the backends and permits of this plan, which serves from now on.
    pub fn activate(&self) {
        self.shown.store(Arc::clone(&self.observed));
    }
}

/// Listeners and the clocks of client connections.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Data addresses.
    pub http: Vec<SocketAddr>,
    /// Admin address.
    pub admin: SocketAddr,
    /// Worker threads, each with its own runtime.
    pub workers: usize,
    /// Client connections at the same time, over all workers.
    pub max_connections: usize,
    /// Until the headers of a request are complete.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Until the client takes some of the answer.
    pub write_timeout: Duration,
    /// Not ready, but still serving.
    pub drain_delay: Option<Duration>,
    /// For requests in flight, after the listeners closed.
    pub drain_timeout: Duration,
    /// For admin pages beyond health and metrics.
    pub admin_token: Option<Secret<String>>,
    /// Bytes of one request's header section.
    pub max_header_size: usize,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Least severe level of events.
    pub level: LogLevel,
    /// JSON or text.
    pub format: LogFormat,
    /// One line per request.
    pub access: bool,
    /// How much of an upstream's error is kept.
    pub original: KeptOriginal,
}

/// How much of what an upstream wrote about its error the log keeps, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOriginal {
    /// Much of a 5xx, which only the log tells, and less of a 4xx, whose message the client has.
    Usual,
    /// At most so much of any.
    AtMost(usize),
    /// Nothing.
    Off,
}

impl KeptOriginal {
    /// Bytes that are kept of an error with this status.
    pub const fn of(self, status: u16) -> usize {
        match self {
            Self::Usual if status >= 500 => 8 * 1024,
            Self::Usual => 2 * 1024,
            Self::AtMost(most) => most,
            Self::Off => 0,
        }
    }
}

/// One route: where it leads and what it wants.
#[derive(Debug)]
pub struct Route {
    /// Its name and counters.
    pub metrics: Arc<RouteMetrics>,
    /// Where it leads.
    pub backend: Arc<Backend>,
    /// Counters of the backend.
    pub backend_metrics: ByClass,
    /// Places of the backend, when they are limited.
    pub gate: Option<Arc<Gate>>,
    /// What it wants.
    pub policy: Policy,
    /// How it tells its errors.
    pub presenter: ErrorPresenter,
    /// Its rate limits, in the order written.
    pub limits: Vec<AppliedLimit>,
}

/// How a route tells its errors: the compiled half of its [`crate::policy::ErrorPolicy`].
#[derive(Clone, Debug, Default)]
pub struct ErrorPresenter {
    /// What must not leave.
    pub redactor: Arc<Redactor>,
    /// In whose words.
    pub messages: Arc<Messages>,
    /// The operator's own shape.
    pub template: Option<Arc<Template>>,
}

/// Where shared limits are counted.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// Where it is.
    pub address: Address,
    /// What happens when it does not answer.
    pub on_failure: OnFailure,
    /// Decisions of the store, failures of it, and requests that did not ask because it had failed.
    pub asked: [Counter; 3],
}

/// A limit as one route applies it.
#[derive(Clone, Debug)]
pub struct AppliedLimit {
    /// The limit; shared between routes that name it.
    pub limit: Arc<Limit>,
    /// What it counts by.
    pub key: KeySource,
    /// What one request of this route counts.
    pub cost: NonZeroU32,
    /// Counts refusals.
    pub refused: Counter,
    /// What clients are told of each of its windows.
    pub quota_policies: Arc<[Arc<QuotaPolicy>]>,
}

/// A rate limit in the words of its headers.
#[derive(Debug)]
pub struct QuotaPolicy {
    /// Its name, quoted.
    pub label: String,
    /// Name, quota and window: `"name";q=100;w=60`.
    pub policy: String,
}

impl QuotaPolicy {
    /// In words.
    pub fn of(name: &str, window: &Window) -> Self {
        let label = quoted(name);
        Self { policy: format!("{label};q={};w={}", window.count, window.window.as_secs().max(1)), label }
    }
}

/// A string of RFC 9651 3.3.3: printable ASCII with `\` and `"` escaped, in quotes.
fn quoted(name: &str) -> String {
    let mut quoted = String::from("\"");
    for c in name.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_limits_are_structured_strings() {
        assert_eq!(quoted("a\"b\\c\u{e9}"), "\"a\\\"b\\\\c\"");
    }
}
