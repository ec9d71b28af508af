//! The [`Plan`]: the configuration compiled into immutable values that the gateway runs.
//!
//! `compile` turns a [`crate::config::file::File`] into a [`Plan`] or returns all problems. A request uses one plan for its whole life.
//! Must not serve requests or do I/O, except to read certificates, language files and error pages.
//!
//! | file | what it compiles |
//! |---|---|
//! | `compile` | the whole file: `[listen]`, `[log]`, `[[routes]]` |
//! | `policies` | the defaults and layers of a route's [`Policy`] |
//! | `presenters` | languages, redaction rules and the template of error responses |
//! | `pages` | the operator's pages of error responses |
//! | `targets` | `[backends.NAME]` |
//! | `listen_tls` | `[listen.tls]` |
//! | `limits` | `[limits.NAME]` and `[redis]` |
//! | `live` | the state that a new plan takes over from the running one |
//! | `gauges` | gauges of backends and permits |

pub mod compile;
mod gauges;
mod limits;
mod listen_tls;
pub mod live;
mod pages;
mod policies;
mod presenters;
mod targets;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;

use gauges::Observed;

use crate::config::diagnose::Problem;
use crate::config::file::{KeySource, LogFormat, LogLevel, OnFailure};
use crate::limit::gate::Gate;
use crate::limit::reserve::Reserve;
use crate::limit::shared::Address;
use crate::limit::{Limit, Window};
use crate::message::Messages;
use crate::observe::metrics::{ByClass, Metrics, RouteMetrics};
use crate::policy::{Mode, Policy};
use crate::redact::Redactor;
use crate::render::{Pages, Template};
use crate::route::Table;
use crate::text::Secret;
use crate::tls::Certificates;
use crate::upstream::choose::backend::Backend;

/// The compiled configuration.
#[derive(Debug)]
pub struct Plan {
    /// Production or development.
    pub mode: Mode,
    /// The listeners and their timeouts.
    pub listen: Listen,
    /// The networks whose forwarding headers are trusted.
    pub trusted: Vec<IpNet>,
    /// The routes.
    pub routes: Table<Arc<Route>>,
    /// The policy of error responses that belong to no route.
    pub fallback: Policy,
    /// How these error responses are presented.
    pub fallback_presenter: ErrorPresenter,
    /// All limits.
    pub limits: Vec<Arc<Limit>>,
    /// The store that several gateways share, if one is configured.
    pub store: Option<SharedStore>,
    /// The permits for requests in flight of the whole process, if these are limited.
    pub gate: Option<Arc<Gate>>,
    /// The memory for bodies that are held.
    pub buffers: Arc<Reserve>,
    /// All backends.
    pub backends: Vec<Arc<Backend>>,
    /// The settings of the log.
    pub log: Log,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of requests without a route.
    pub no_route: Arc<RouteMetrics>,
    observed: Arc<Observed>,
    shown: Arc<ArcSwap<Observed>>,
    /// What the operator should know about the configuration.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// Makes this plan the active one: from now on, the gauges report its backends and permits.
    pub fn activate(&self) {
        self.shown.store(Arc::clone(&self.observed));
    }
}

/// The listeners and the timeouts of client connections.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The addresses of the data listener.
    pub http: Vec<SocketAddr>,
    /// The listener for TLS.
    pub tls: Option<ListenTls>,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// The number of worker threads, each with its own runtime.
    pub workers: usize,
    /// The maximum number of client connections over all workers.
    pub max_connections: usize,
    /// The time within which the headers of a request must be complete.
    pub header_timeout: Duration,
    /// The time that a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// The time within which a client must read more of a response.
    pub write_timeout: Duration,
    /// The time of a drain during which the gateway reports that it is not ready but still accepts requests.
    pub drain_delay: Option<Duration>,
    /// The time that requests in flight get after the listeners were closed.
    pub drain_timeout: Duration,
    /// The token for admin pages other than health and metrics.
    pub admin_token: Option<Secret<String>>,
    /// The maximum size of the header section of a request, in bytes.
    pub max_header_size: usize,
    /// Connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
}

/// The listener for TLS.
#[derive(Clone, Debug)]
pub struct ListenTls {
    /// Its address.
    pub address: SocketAddr,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// Requests to the plain listeners are redirected to this one.
    pub redirects: bool,
    /// `Strict-Transport-Security` (RFC 6797) of its responses.
    pub hsts: Option<HeaderValue>,
}

/// The settings of the log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The least severe level of events that are written.
    pub level: LogLevel,
    /// JSON or text.
    pub format: LogFormat,
    /// Whether each request writes a line.
    pub access: bool,
    /// How much of an upstream error is kept.
    pub original: KeptOriginal,
}

/// How much of the body of an upstream error the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOriginal {
    /// 8 KiB of a 5xx, whose details only the log has, and 2 KiB of a 4xx, whose message the client gets.
    Usual,
    /// At most this many bytes of any error.
    AtMost(usize),
    /// Nothing.
    Off,
}

impl KeptOriginal {
    /// Returns the number of bytes that are kept of an error with this status.
    pub const fn of(self, status: u16) -> usize {
        match self {
            Self::Usual if status >= 500 => 8 * 1024,
            Self::Usual => 2 * 1024,
            Self::AtMost(most) => most,
            Self::Off => 0,
        }
    }
}

/// A route: its backend, policy and limits.
#[derive(Debug)]
pub struct Route {
    /// The name and the metrics of the route.
    pub metrics: Arc<RouteMetrics>,
    /// The backend.
    pub backend: Arc<Backend>,
    /// The metrics of the backend.
    pub backend_metrics: ByClass,
    /// The permits of the backend, if its requests in flight are limited.
    pub gate: Option<Arc<Gate>>,
    /// The merged policy.
    pub policy: Policy,
    /// How error responses are presented.
    pub presenter: ErrorPresenter,
    /// The limits, in the order of the configuration.
    pub limits: Vec<AppliedLimit>,
}

/// The compiled parts of a [`crate::policy::ErrorPolicy`], with which error responses are presented.
#[derive(Clone, Debug, Default)]
pub struct ErrorPresenter {
    /// The rules that remove internals.
    pub redactor: Arc<Redactor>,
    /// The messages in all languages.
    pub messages: Arc<Messages>,
    /// The operator's template, if one is configured.
    pub template: Option<Arc<Template>>,
    /// The operator's pages, if any are configured.
    pub pages: Option<Arc<Pages>>,
}

/// The store that counts shared limits.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// The address of the store.
    pub address: Address,
    /// The behavior when the store does not answer.
    pub on_failure: OnFailure,
    /// Counters of decisions, of failures, and of requests that skipped the store because it had failed before.
    pub asked: [Counter; 3],
}

/// A limit as one route applies it.
#[derive(Clone, Debug)]
pub struct AppliedLimit {
    /// The limit; all routes that name it share it.
    pub limit: Arc<Limit>,
    /// The key by which the limit separates its counts.
    pub key: KeySource,
    /// The number of requests that one request of this route counts as.
    pub cost: NonZeroU32,
    /// Counter of rejections.
    pub refused: Counter,
    /// The `RateLimit` headers of each window.
    pub quota_policies: Arc<[Arc<QuotaPolicy>]>,
}

/// A window of a rate limit as its `RateLimit` headers describe it.
#[derive(Debug)]
pub struct QuotaPolicy {
    /// The quoted name of the limit.
    pub label: String,
    /// Name, quota and window: `"name";q=100;w=60`.
    pub policy: String,
}

impl QuotaPolicy {
    /// Describes a window of the limit with this name.
    pub fn of(name: &str, window: &Window) -> Self {
        let label = quoted(name);
        Self { policy: format!("{label};q={};w={}", window.count, window.window.as_secs().max(1)), label }
    }
}

/// Writes a name as a string of RFC 9651 3.3.3: printable ASCII with `\` and `"` escaped, in quotes. Other characters are left out.
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
