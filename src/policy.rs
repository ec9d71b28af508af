//! The merged [`Policy`] of a route: timeouts, body limits, header edits, retries and error handling.
//!
//! Plain data that `plan` fills in and other modules read. Must not hold defaults (`plan` does) or act on requests.

mod access;
mod cors;
mod kept;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

pub use self::access::Access;
pub use self::cors::{AllowedOrigin, Cors};
pub use self::kept::{KeepFields, Statuses};
use crate::data_rate::MinRate;

/// How much error responses reveal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Error responses reveal no internals.
    #[default]
    Production,
    /// Error responses show the texts of the upstream and a `debug` object, and responses keep the upstream's banners.
    Development,
}

/// The format of error bodies if the client does not ask for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `{"error": {"code", "message", "details"}, "statusCode", ...}`
    #[default]
    Envelope,
    /// RFC 9457 `application/problem+json`.
    Problem,
    /// A flat JSON object.
    Flat,
    /// The operator's template.
    Template,
}

/// The form in which an error response shows several errors. The problem format has one form of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Details {
    /// `details.fields`: the messages of each field by its path. `details.errors`: the errors that belong to no field.
    #[default]
    Map,
    /// `details.errors`: all errors, each with its field and its machine code.
    List,
}

/// The protocol of a route's clients: it determines the format of error bodies if the client does not ask for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP, with the [`Format`] of the route.
    #[default]
    Http,
    /// GraphQL over HTTP.
    Graphql,
    /// JSON-RPC 2.0.
    Jsonrpc,
}

/// The timeouts of a request. `None` means `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The time to open a connection: DNS, TCP and TLS.
    pub connect: Option<Duration>,
    /// The time from the last progress of the request body to the response head.
    pub response: Option<Duration>,
    /// The time between two chunks of the response body.
    pub idle: Option<Duration>,
    /// The time from the arrival of the request to the last byte of the response body.
    pub total: Option<Duration>,
    /// The time between two chunks of the request body.
    pub request_body: Option<Duration>,
    /// The time without a byte in either direction of a tunnel.
    pub tunnel: Option<Duration>,
}

/// The headers that an operator removes or sets. Removals are applied first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Headers to set; each replaces all values of its name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Headers to remove, with all their values.
    pub remove: Vec<HeaderName>,
    /// Whether any of these names has characters other than letters, digits and dashes.
    pub has_odd_names: bool,
}

impl HeaderEdits {
    /// Returns true if the edits change nothing.
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// How a 429 of the upstream is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream429 {
    /// The status stays 429.
    #[default]
    Pass,
    /// The status becomes 503.
    Unavailable,
}

/// A well-known format in which 2xx bodies report errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuccessPreset {
    /// A GraphQL response with `errors`, including one with partial data.
    Graphql,
    /// A SOAP fault.
    Soap,
    /// A JSON-RPC `error` member.
    Jsonrpc,
    /// `success: false`, `ok: false`, `status: "error"` and similar flags.
    SuccessFlag,
}

/// The condition under which a value in a 2xx body means an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The value is one of these.
    Is(Vec<String>),
    /// The value exists and is none of these.
    Not(Vec<String>),
    /// The value exists and is neither null, false, zero nor empty.
    Exists,
}

/// Finds an error inside a 2xx JSON body by JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerRule {
    /// The pointer to the value that the trigger tests.
    pub pointer: String,
    /// The condition for an error.
    pub trigger: Trigger,
    /// The pointer to the error code.
    pub code: Option<String>,
    /// The pointer to the error message.
    pub message: Option<String>,
    /// The response status by error code; `*` stands for any other code.
    pub status: Vec<(String, u16)>,
}

/// A rule that finds errors in 2xx bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuccessRule {
    /// A well-known format.
    Preset(SuccessPreset),
    /// A rule of the operator.
    Pointer(PointerRule),
}

/// A rule of `status_map`: the status and code of the error response for some upstream errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRule {
    /// The upstream errors that the rule applies to.
    pub when: When,
    /// The status of the error response.
    pub status: Option<u16>,
    /// The code of the error response.
    pub code: Option<String>,
}

/// The upstream errors that a rule applies to. The most specific rule wins: a code before a status, a status before a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Errors with this code.
    Code(String),
    /// Errors with a status in this range, both ends included.
    Status(u16, u16),
}

impl When {
    /// Returns the number of statuses, 0 for a code. A smaller number is more specific.
    pub const fn width(&self) -> u16 {
        match self {
            Self::Code(_) => 0,
            Self::Status(from, to) => 1 + (*to - *from),
        }
    }

    /// Returns the sort key by which more specific rules come first.
    pub const fn order(&self) -> (u16, u16) {
        match self {
            Self::Code(_) => (0, 0),
            Self::Status(from, _) => (self.width(), *from),
        }
    }

    /// Returns true if the rule applies to errors with this code.
    pub fn is_code(&self, code: &str) -> bool {
        match self {
            Self::Code(own) => own == code,
            Self::Status(..) => false,
        }
    }

    /// Returns true if the rule applies to errors with this status.
    pub fn is_status(&self, status: u16) -> bool {
        match self {
            Self::Code(_) => false,
            Self::Status(from, to) => (*from..=*to).contains(&status),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => out.write_str(code),
            Self::Status(from, to) if from == to => write!(out, "{from}"),
            Self::Status(from, to) => write!(out, "{from}-{to}"),
        }
    }
}

/// How upstream errors are read and how error responses are presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// The format of error bodies if the client does not ask for another one.
    pub format: Format,
    /// The form in which a response shows several errors.
    pub details: Details,
    /// Whether the client chooses the format by `Accept`.
    pub negotiate: bool,
    /// The protocol of the clients.
    pub protocol: Protocol,
    /// The statuses and codes of particular upstream errors; the first rule that applies wins.
    pub status_map: Vec<StatusRule>,
    /// Whether a constraint violation in an upstream 5xx becomes a client error.
    pub database_errors: bool,
    /// Language tags in order of preference; the first is the fallback. Never empty.
    pub languages: Vec<String>,
    /// The number of bytes of an upstream error body that are read.
    pub max_body: usize,
    /// How a 429 of the upstream is presented.
    pub upstream_429: Upstream429,
    /// `Retry-After` of 429 and 503 if neither the upstream nor the gateway knows a better value.
    pub retry_after: Duration,
    /// The maximum of a `Retry-After` that the upstream sent.
    pub retry_after_max: Duration,
    /// The rules that find errors in 2xx bodies.
    pub errors_in_success: Vec<SuccessRule>,
    /// Whether error responses have `Proxy-Status` (RFC 9209).
    pub proxy_status: bool,
    /// Whether 502 and 504 become 503, for CDNs that replace the bodies of those statuses.
    pub edge_safe: bool,
}

/// A condition under which a request is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be opened.
    Connect,
    /// The connection was lost before a response.
    Lost,
    /// No response arrived within `response_timeout`.
    Timeout,
    /// The upstream responded with this status.
    Status(u16),
}

/// The rules for retrying a request that the upstream may have processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The maximum number of attempts including the first, at least 1.
    pub attempts: u32,
    /// The conditions for a retry.
    pub on: Vec<RetryOn>,
    /// The thousandths of a retry that each request adds to the budget of the backend.
    pub budget: u32,
    /// The upper bound of the first pause; it doubles with each attempt.
    pub backoff: Duration,
    /// The largest request body that is kept for a retry, in bytes.
    pub max_body: usize,
    /// Whether a request that is not idempotent may be retried if it has an `Idempotency-Key`.
    pub idempotency_key: bool,
    /// The percentile of response times, in thousandths, after which a slow first attempt is hedged.
    pub hedge: Option<u32>,
}

/// The time during which a route is under maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Until the configuration changes.
    Now,
    /// Until this time.
    Until(std::time::SystemTime),
}

/// The scheme that a client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Returns the name in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The value that a header or a query parameter must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any value.
    Any,
    /// Exactly this one.
    Exactly(String),
}

impl Wanted {
    /// Returns true if this value is wanted.
    pub fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => value == wanted.as_bytes(),
        }
    }

    /// Returns true if no value is wanted by both.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(one), Self::Exactly(two)) => one != two,
            (Self::Any, _) | (_, Self::Any) => false,
        }
    }
}

/// The merged settings of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The largest request body, in bytes; `None` means no limit.
    pub request_body_limit: Option<u64>,
    /// The statuses of upstream errors that pass unchanged; others are read and rewritten. In production, 5xx pass only with `allow_leaks`.
    pub passes: Statuses,
    /// The further members of a 4xx that its error response keeps.
    pub keep_fields: KeepFields,
    /// Whether all upstream errors pass unchanged, and the log says what the client would have been told.
    pub dry_run: bool,
    /// Edits of the request that goes upstream.
    pub request_headers: HeaderEdits,
    /// Edits of the response that goes to the client.
    pub response_headers: HeaderEdits,
    /// The prefix that is removed from the path of a request and added back to `Location` and cookies of the response.
    pub strip_prefix: Option<String>,
    /// The path that is put before the path of a request, and removed from `Location` and cookies of the response. It begins with a slash and
    /// has none at its end.
    pub add_prefix: Option<String>,
    /// Whether the `Path` of cookies gets the prefix back, and a `Domain` that names the endpoint is removed.
    pub map_cookies: bool,
    /// The cross-origin rules.
    pub cors: Option<Cors>,
    /// How errors are read and presented.
    pub errors: ErrorPolicy,
    /// Whether internals are removed from successful responses.
    pub leak_guard: bool,
    /// Whether successful responses report the remaining quota too.
    pub rate_limit_headers: bool,
    /// The rules for retries; `None` disables them.
    pub retry: Option<Retry>,
    /// The largest request body that is read before the request is sent to the backend, in bytes.
    pub buffer_request: Option<usize>,
    /// The minimum rate at which clients must send and read bodies.
    pub min_rate: MinRate,
    /// The protocols that a request may upgrade its connection to.
    pub upgrades: Vec<String>,
    /// Whether and for how long the route is under maintenance.
    pub maintenance: Option<Maintenance>,
    /// The clients that may use the route; `None` for all.
    pub access: Option<Access>,
}
