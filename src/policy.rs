//! What one route wants, fully merged: plain data that the plan fills in and the other rooms read.
//!
//! No defaults live here (the `plan` room has them) and nothing here acts.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::data_rate::MinRate;

/// How much the client learns about failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing inside leaks.
    #[default]
    Production,
    /// Upstream texts, banners and a `debug` object are shown.
    Development,
}

/// The shape of error bodies when the client did not ask for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `{"error": {"code", "message", "details"}, "statusCode", ...}`
    #[default]
    Envelope,
    /// RFC 9457 `application/problem+json`.
    Problem,
    /// One flat JSON object.
    Flat,
    /// The operator's own template.
    Template,
}

/// What the clients of a route speak: the shape of an error when they ask for nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP: the [`Format`].
    #[default]
    Http,
    /// GraphQL over HTTP.
    Graphql,
    /// JSON-RPC 2.0.
    Jsonrpc,
}

/// Clocks of one exchange. `None` means the operator wrote `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS + TCP + TLS.
    pub connect: Option<Duration>,
    /// From the last progress of the request body until the response headers.
    pub response: Option<Duration>,
    /// Between two chunks of the response body.
    pub idle: Option<Duration>,
    /// Wall clock over everything until the last byte of the response head.
    pub total: Option<Duration>,
    /// Between two chunks of the request body.
    pub request_body: Option<Duration>,
}

/// Headers an operator sets or removes, in that order: remove first, then set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces any value of that name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removes every value of that name.
    pub remove: Vec<HeaderName>,
    /// A name of these has other characters than letters, digits and dashes.
    pub has_odd_names: bool,
}

impl HeaderEdits {
    /// Changes nothing.
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// Cross-origin rules of a route (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Exact origins; `["*"]` allows any.
    pub origins: Vec<String>,
    /// `Access-Control-Allow-Credentials`.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods` of a preflight.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers` of a preflight; `None` echoes what was asked.
    pub headers: Option<HeaderValue>,
    /// Seconds a browser may remember a preflight.
    pub max_age: Option<HeaderValue>,
}

/// What `upstream_429` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upstream429 {
    /// 429 stays 429.
    #[default]
    Pass,
    /// 429 becomes 503.
    Unavailable,
}

/// Errors that hide in a 2xx body, by preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuccessPreset {
    /// A GraphQL response with `errors`, also a partial one.
    Graphql,
    /// A SOAP fault.
    Soap,
    /// A JSON-RPC `error` member.
    Jsonrpc,
    /// `success: false`, `ok: false`, `status: "error"` and their kin.
    SuccessFlag,
}

/// When a value in a 2xx body means an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// It is one of these.
    Is(Vec<String>),
    /// It is there and none of these.
    Not(Vec<String>),
    /// It is there, and neither null, false, zero nor empty.
    Exists,
}

/// An error inside a 2xx JSON body, by JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerRule {
    /// The value that tells.
    pub pointer: String,
    /// What it tells.
    pub trigger: Trigger,
    /// Where the machine code stands.
    pub code: Option<String>,
    /// Where the sentence stands.
    pub message: Option<String>,
    /// Status by code; `*` for any other.
    pub status: Vec<(String, u16)>,
}

/// One way in which a 2xx body reports an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuccessRule {
    /// A shape that is known.
    Preset(SuccessPreset),
    /// The operator's own.
    Pointer(PointerRule),
}

/// What an upstream error becomes, by its own code or its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRule {
    /// Which errors of the upstream it is for.
    pub when: When,
    /// The status that is told.
    pub status: Option<u16>,
    /// The code that is told.
    pub code: Option<String>,
}

/// Which errors of an upstream a rule is for. The most exact one counts: a code before a status, a status before a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Its machine code.
    Code(String),
    /// Its status is within this range, both ends included.
    Status(u16, u16),
}

impl When {
    /// The number of statuses, 0 for a code: the smaller, the more exact.
    pub const fn width(&self) -> u16 {
        match self {
            Self::Code(_) => 0,
            Self::Status(from, to) => 1 + (*to - *from),
        }
    }

    /// The more exact rules first.
    pub const fn order(&self) -> (u16, u16) {
        match self {
            Self::Code(_) => (0, 0),
            Self::Status(from, _) => (self.width(), *from),
        }
    }

    /// Is it for an error with this status and code?
    pub fn holds(&self, status: u16, code: Option<&str>) -> bool {
        match self {
            Self::Code(own) => code == Some(own.as_str()),
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

/// How errors are read and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// JSON shape when the client asks for nothing else.
    pub format: Format,
    /// Let the client choose by `Accept`.
    pub negotiate: bool,
    /// What the clients speak.
    pub protocol: Protocol,
    /// What particular upstream errors become; the first that matches decides.
    pub status_map: Vec<StatusRule>,
    /// A failed constraint in an upstream's 5xx is the client's error.
    pub database_errors: bool,
    /// Language tags in order of preference; the first is the fallback. Never empty.
    pub languages: Vec<String>,
    /// Bytes of an upstream error body that are read.
    pub max_body: usize,
    /// What an upstream's 429 becomes.
    pub upstream_429: Upstream429,
    /// `Retry-After` of 429 and 503 when nobody said one.
    pub retry_after: Duration,
    /// Upper bound of any `Retry-After`.
    pub retry_after_max: Duration,
    /// Errors reported inside 2xx bodies that count as errors.
    pub errors_in_success: Vec<SuccessRule>,
    /// Send `Proxy-Status` (RFC 9209).
    pub proxy_status: bool,
    /// 502 and 504 become 503, for CDNs that replace those bodies.
    pub edge_safe: bool,
}

/// What a retry may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection was had.
    Connect,
    /// It was lost before an answer.
    Lost,
    /// No answer came within `response_timeout`.
    Timeout,
    /// The upstream answered so.
    Status(u16),
}

/// When a request is sent again that the upstream may have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, at least 1.
    pub attempts: u32,
    /// After what.
    pub on: Vec<RetryOn>,
    /// Thousandths of a retry that each request adds to the backend's budget.
    pub budget: u32,
    /// Bound of the first pause; it doubles with each try.
    pub backoff: Duration,
    /// Request bodies up to this are kept for another try, in bytes.
    pub max_body: usize,
    /// A request that is not idempotent may be repeated when it has an `Idempotency-Key`.
    pub idempotency_key: bool,
    /// A second try begins beside the first when that takes longer than so many thousandths of all answers.
    pub hedge: Option<u32>,
}

/// When a route does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Until the configuration says otherwise.
    Now,
    /// Until then.
    Until(std::time::SystemTime),
}

/// Everything one route wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Clocks.
    pub timeouts: Timeouts,
    /// Largest request body in bytes; `None` is no limit.
    pub request_body_limit: Option<u64>,
    /// Read and rewrite upstream 4xx (else they pass untouched).
    pub normalize_client_errors: bool,
    /// Rewrite upstream 5xx (else they pass; development or `allow_leaks` only).
    pub rewrite_server_errors: bool,
    /// Edits of the request towards the upstream.
    pub request_headers: HeaderEdits,
    /// Edits of the response towards the client.
    pub response_headers: HeaderEdits,
    /// Prefix removed from the path; `Location` and cookies get it back.
    pub strip_prefix: Option<String>,
    /// Whether `Path` of cookies gets the prefix back and a `Domain` that names the endpoint is dropped.
    pub map_cookies: bool,
    /// Cross-origin rules.
    pub cors: Option<Cors>,
    /// Error reading and telling.
    pub errors: ErrorPolicy,
    /// Watch 2xx bodies for traces, and take them out.
    pub leak_guard: bool,
    /// Tell the remaining quota on successes too.
    pub rate_limit_headers: bool,
    /// Sends requests again.
    pub retry: Option<Retry>,
    /// Request bodies up to this are read before the backend is asked, in bytes.
    pub buffer_request: Option<usize>,
    /// The least rate at which clients must send and take bodies.
    pub min_rate: MinRate,
    /// Does not serve.
    pub maintenance: Option<Maintenance>,
}
