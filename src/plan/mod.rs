//! The [`Plan`]: the configuration compiled into immutable values that the gateway runs.
//!
//! `compile` turns a [`crate::config::file::File`] into a [`Plan`] or returns all problems. A request uses one plan for its whole life.
//! Must not serve requests or do I/O, except to read certificates, language files and error pages.
//!
//! | file | what it compiles |
//! |---|---|
//! | `compile` | the whole file, `[listen]` |
//! | `log` | `[log]` |
//! | `routes` | `[[routes]]` |
//! | `route` | a route as the gateway runs it |
//! | `matching` | what a route matches |
//! | `actions` | what a route does: prefixes, rewrites, redirects, responses |
//! | `access` | who may enter: users and services |
//! | `auth` | how a route finds out who the user is |
//! | `split` | the division of a route's requests among several backends |
//! | `policies` | the defaults and layers of a route's [`Policy`] |
//! | `presenters` | languages, redaction rules and the template of error responses |
//! | `pages` | the operator's pages of error responses |
//! | `targets` | `[backends.NAME]` |
//! | `listen_tls` | `[listen.tls]` |
//! | `telemetry` | `[telemetry]` |
//! | `limits` | `[limits.NAME]` and `[redis]` |
//! | `journal` | `[journal]` |
//! | `notify` | `[[notify]]` |
//! | `live` | the state that a new plan takes over from the running one |
//! | `gauges` | gauges of backends and permits |

mod access;
mod actions;
mod advice;
mod auth;
pub mod compile;
mod gauges;
mod journal;
mod limits;
mod listen_tls;
pub mod live;
mod log;
mod matching;
mod notify;
mod pages;
mod policies;
mod presenters;
mod route;
mod routes;
mod split;
mod targets;
mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;

pub use advice::OWN_LISTENER;
pub use auth::{Auth, AuthMethod, AuthService, BasicAuth};
use gauges::Observed;
pub use journal::{Journal, Place};
pub use log::{KeptOriginal, Log, LogOutput};
pub use matching::{RouteRules, route_rules};
pub use notify::Notify;
pub use route::{Action, AppliedLimit, ErrorPresenter, Forward, PathTemplate, QuotaPolicy, Redirect, Respond, Route};
pub use split::{Chosen, RouteTarget, Split};
pub use telemetry::Telemetry;

use crate::config::diagnose::Problem;
use crate::config::file::OnFailure;
use crate::limit::Limit;
use crate::limit::gate::Gate;
use crate::limit::reserve::Reserve;
use crate::limit::shared::Address;
use crate::observe::metrics::{Metrics, RouteMetrics};
use crate::policy::{Mode, Policy};
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
    pub routes: Table<RouteTarget>,
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
    /// All backends of the configuration.
    pub backends: Vec<Arc<Backend>>,
    /// The services that decide who may enter.
    pub auth_services: Vec<Arc<Backend>>,
    /// A backend is sent a PROXY header, which names the client.
    pub names_clients: bool,
    /// The settings of the log.
    pub log: Log,
    /// The export of traces, if there is a collector.
    pub telemetry: Option<Arc<Telemetry>>,
    /// The settings of the journal, if there is one.
    pub journal: Option<Journal>,
    /// Who is told of failures.
    pub notify: Vec<Arc<Notify>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The metrics of requests without a route.
    pub no_route: Arc<RouteMetrics>,
    observed: Arc<Observed>,
    shown: Arc<ArcSwap<Observed>>,
    /// What the operator should know about the configuration.
    pub warnings: Vec<Problem>,
    /// The keys whose new value is not in use, because it needs a restart.
    pub needs_restart: Vec<&'static str>,
    /// Identifies the configuration and all its files. Empty for a plan that was compiled from a text alone.
    pub version: Arc<str>,
    /// The configuration is loaded again when its files change.
    pub watch: bool,
}

impl Plan {
    /// Makes this plan the active one: from now on, the gauges report its backends and permits.
    pub fn activate(&self) {
        self.shown.store(Arc::clone(&self.observed));
    }

    /// Keeps the journal of the running plan. Returns the key if its new settings need a restart.
    fn keep_journal_of(&mut self, running: &Self) -> Option<&'static str> {
        let wanted = std::mem::replace(&mut self.journal, running.journal.clone());
        let is_same = match (&wanted, &self.journal) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        (!is_same).then_some("journal")
    }

    /// Returns each backend with its permits, if it limits its requests in flight.
    pub fn permits(&self) -> impl Iterator<Item = (&Arc<Backend>, Option<&Arc<Gate>>)> {
        self.observed.backends.iter().map(|(backend, gate)| (backend, gate.as_ref()))
    }

    /// Returns everything that requests are sent to.
    pub fn destinations(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.iter().chain(&self.auth_services)
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
    /// The token of operators for admin pages other than health and metrics.
    pub admin_token: Option<Secret<String>>,
    /// The token of viewers. There is none without the one of operators.
    pub admin_viewer_token: Option<Secret<String>>,
    /// How long a login at the admin listener lasts.
    pub admin_session: Duration,
    /// The maximum size of the header section of a request, in bytes.
    pub max_header_size: usize,
    /// A query with bytes that no URI has is refused.
    pub strict_target: bool,
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
