//! The configuration file as Rust types: every key of this version with its place in the file.
//!
//! `None` means that the key is not set. Must not know defaults or merge sections; `plan` does both.

mod errors;
mod journal;
mod listen_tls;
mod notify;
mod telemetry;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::access::{AccessKeys, AuthKeys};
use super::actions::{ActionKeys, StickyBy};
use super::limits::Limit;
use super::section::At;
use super::units::Share;
use crate::data_rate::MinRate;
use crate::policy::{KeepFields, Maintenance, Mode, RetryOn, Scheme, Statuses, Wanted};
use crate::text::Secret;

pub use errors::{ErrorKeys, RedactKeys};
pub use journal::Journal;
pub use listen_tls::{CertificateKeys, ClientAuth, ListenTls};
pub use notify::{Notify, NotifyKind, NotifyRule, NotifyTemplateType, RateOf};
pub use telemetry::Telemetry;

/// A timeout with its place in the file. The inner `None` is `"off"`.
pub type Timeout = Option<At<Option<Duration>>>;

/// The whole file.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct File {
    pub mode: Mode,
    pub watch: Option<bool>,
    pub listen: Listen,
    pub defaults: PolicyKeys,
    pub backends: Vec<Backend>,
    pub limits: Vec<Limit>,
    pub routes: Vec<Route>,
    pub errors: ErrorKeys,
    pub redis: Option<Redis>,
    pub log: Log,
    pub telemetry: Option<Telemetry>,
    pub journal: Journal,
    pub notify: Vec<Notify>,
}

/// `[listen]`
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Listen {
    pub http: Option<Vec<At<SocketAddr>>>,
    pub admin: Option<At<SocketAddr>>,
    pub trusted_proxies: Vec<IpNet>,
    pub workers: Option<u64>,
    pub max_connections: Option<u64>,
    pub header_timeout: Option<At<Duration>>,
    pub idle_timeout: Option<At<Duration>>,
    pub body_timeout: Timeout,
    pub write_timeout: Option<At<Duration>>,
    pub drain_delay: Timeout,
    pub drain_timeout: Option<At<Duration>>,
    /// The key is there. Its value may not be: that was reported then.
    pub has_admin_token: bool,
    pub admin_token: Option<At<Secret<String>>>,
    pub admin_viewer_token: Option<At<Secret<String>>>,
    pub admin_session: Option<At<Duration>>,
    pub max_header_size: Option<At<u64>>,
    pub strict_target: Option<bool>,
    pub max_in_flight: Option<u64>,
    pub buffer_memory: Option<At<u64>>,
    pub tls: Option<ListenTls>,
    pub proxy_protocol: Option<At<bool>>,
    /// Without a slash at its end.
    pub admin_public_url: Option<At<String>>,
}

/// The keys that `[defaults]`, a backend and a route have in common.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct PolicyKeys {
    pub connect_timeout: Timeout,
    pub response_timeout: Timeout,
    pub idle_timeout: Timeout,
    pub total_timeout: Timeout,
    pub request_body_limit: Option<At<Option<u64>>>,
    pub normalize_client_errors: Option<bool>,
    pub rewrite_server_errors: Option<At<bool>>,
    pub allow_leaks: Option<bool>,
    pub pass: Option<At<Statuses>>,
    pub keep_fields: Option<KeepFields>,
    pub dry_run: Option<At<bool>>,
    pub request_headers: Option<EditKeys>,
    pub response_headers: Option<EditKeys>,
    pub limits: Option<Vec<LimitUse>>,
    pub rate_limit_headers: Option<bool>,
    pub buffer_request: Option<At<Option<u64>>>,
    /// Bytes per second; the inner `None` is `"off"`.
    pub min_rate: Option<At<MinRate>>,
    pub retry: Option<RetryKeys>,
    pub upgrades: Option<Vec<At<String>>>,
    pub websocket_idle_timeout: Timeout,
    pub access: Option<AccessKeys>,
}

/// An entry of `limits`: a name, or a table with a name and a cost.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct LimitUse {
    pub name: At<String>,
    pub cost: NonZeroU32,
}

/// `retry = {...}`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct RetryKeys {
    pub attempts: Option<u64>,
    pub on: Option<Vec<RetryOn>>,
    pub budget: Option<u32>,
    pub backoff: Option<Duration>,
    pub max_body: Option<At<u64>>,
    pub idempotency_key: Option<bool>,
    pub hedge: Option<u32>,
}

/// `{ set = {...}, remove = [...] }`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct EditKeys {
    pub set: Vec<(HeaderName, HeaderValue)>,
    pub remove: Vec<HeaderName>,
}

/// `[backends.NAME]`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Backend {
    pub name: At<String>,
    pub endpoints: Vec<EndpointKeys>,
    pub max_in_flight: Option<u64>,
    pub adaptive: Option<At<bool>>,
    pub queue: QueueKeys,
    pub balance: Option<BalanceKind>,
    pub protocol: Option<ProtocolKind>,
    pub dns_refresh: Option<Duration>,
    pub slow_start: Option<Option<Duration>>,
    pub health: Option<HealthKeys>,
    pub breaker: Option<BreakerKeys>,
    pub host_header: Option<At<String>>,
    pub send_proxy: Option<At<SendProxy>>,
    pub pool: PoolKeys,
    pub tls: Option<TlsKeys>,
    pub errors: ErrorKeys,
    pub policy: PolicyKeys,
}

/// An entry of `endpoints`: a URL, or a table with a `url`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct EndpointKeys {
    pub url: At<String>,
    pub weight: Option<u64>,
    pub drain: bool,
}

/// `balance`
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the values are explained in config/full.toml")]
pub enum BalanceKind {
    LeastRequests,
    RoundRobin,
    HashClientIp,
    HashHeader(HeaderName),
}

/// `protocol` of a backend
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the values are explained in config/full.toml")]
pub enum ProtocolKind {
    #[default]
    Auto,
    H1,
    H2,
}

/// `send_proxy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the values are explained in config/full.toml")]
pub enum SendProxy {
    Off,
    V1,
    V2,
}

/// `queue = {...}`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct QueueKeys {
    pub max: Option<u64>,
    pub timeout: Option<Duration>,
    pub span: Option<std::ops::Range<usize>>,
}

/// `[backends.NAME.health]`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct HealthKeys {
    pub path: At<String>,
    pub host: Option<At<String>>,
    pub every: Option<Duration>,
    pub timeout: Option<Duration>,
    pub unhealthy_after: Option<u64>,
    pub healthy_after: Option<u64>,
    pub expect: Option<Vec<(u16, u16)>>,
    pub panic_below: Option<u32>,
}

/// `[backends.NAME.breaker]`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct BreakerKeys {
    pub open_after: Option<Share>,
    pub open_for: Option<Duration>,
    pub trials: Option<u64>,
}

/// `pool = {...}`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct PoolKeys {
    pub max_connections: Option<u64>,
    pub max_idle: Option<At<u64>>,
    pub idle_timeout: Option<Duration>,
}

/// `[backends.NAME.tls]`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct TlsKeys {
    pub ca: Option<At<String>>,
    pub verify: Option<At<bool>>,
    /// SHA-256 digests of keys.
    pub pin: Vec<At<[u8; 32]>>,
    pub server_name: Option<At<String>>,
    pub cert: Option<At<String>>,
    pub key: Option<At<String>>,
}

/// `[redis]`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Redis {
    pub url: At<Secret<String>>,
    pub cluster: bool,
    pub timeout: Option<Duration>,
    pub on_failure: OnFailure,
}

/// `redis.on_failure`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the values are explained in config/full.toml")]
pub enum OnFailure {
    #[default]
    Local,
    Allow,
    Deny,
}

/// `[[routes]]`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Route {
    pub span: std::ops::Range<usize>,
    pub name: Option<At<String>>,
    pub hosts: Option<Vec<At<String>>>,
    pub paths: Vec<At<String>>,
    pub path_regex: Vec<At<String>>,
    pub methods: Option<Vec<At<String>>>,
    pub headers: Vec<(HeaderName, Wanted)>,
    pub query: Vec<(String, Wanted)>,
    pub scheme: Option<Scheme>,
    pub clients: Option<Vec<IpNet>>,
    /// `None` after a reported problem.
    pub action: Option<ActionKeys>,
    pub sticky: Option<At<StickyBy>>,
    pub strip_prefix: Option<At<String>>,
    pub add_prefix: Option<At<String>>,
    pub rewrite: Option<At<String>>,
    pub map_cookies: Option<bool>,
    pub errors: ErrorKeys,
    pub leak_guard: Option<bool>,
    pub maintenance: Option<Maintenance>,
    pub cors: Option<CorsKeys>,
    pub auth: Option<AuthKeys>,
    pub policy: PolicyKeys,
}

/// `cors = {...}`
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct CorsKeys {
    pub origins: Vec<At<String>>,
    pub credentials: bool,
    pub methods: Option<Vec<At<String>>>,
    pub headers: Option<Vec<At<String>>>,
    pub max_age: Option<Duration>,
    pub span: std::ops::Range<usize>,
}

/// `[log]`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Log {
    pub level: Option<LogLevel>,
    pub format: Option<At<LogFormat>>,
    pub template: Option<At<String>>,
    pub exclude: Option<At<Vec<At<String>>>>,
    pub access: Option<bool>,
    /// From 0 to 1.
    pub sample: Option<At<f64>>,
    pub slow: Option<At<Duration>>,
    pub file: Option<At<String>>,
    pub max_size: Option<At<u64>>,
    pub keep: Option<At<u64>>,
    pub original_max: Option<At<Option<u64>>>,
}

/// `log.level`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the values are the levels of `tracing`")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// All levels, in their order.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Returns the word for the level.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Returns the level with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// `log.format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Human-readable text.
    Pretty,
    /// The combined format of Apache.
    Combined,
    /// The text of `template`.
    Template,
    /// `pretty` on a terminal, otherwise `json`.
    #[default]
    Auto,
}
