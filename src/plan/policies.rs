//! Merges the policy keys of route, backend and `[defaults]` into a [`Policy`], and holds the default of each key.
//!
//! The most specific layer that sets a key wins; a list replaces the list of a less specific layer. Must not know which routes there are.

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderValue, Method};

use crate::config::diagnose::Problems;
use crate::config::file::{CorsKeys, EditKeys, ErrorKeys, LimitUse, PolicyKeys, RetryKeys};
use crate::config::section::At;
use crate::data_rate::MinRate;
use crate::policy::{Access, AllowedOrigin, Cors, ErrorPolicy, HeaderEdits, Mode, Policy, Retry, RetryOn, Statuses, Timeouts};
use crate::upstream::heads::forwarding::is_odd;

/// The layers that a policy is merged from, most specific first.
pub(super) struct Layers<'f> {
    pub keys: Vec<&'f PolicyKeys>,
    pub errors: Vec<&'f ErrorKeys>,
    pub body_timeout: Option<Duration>,
    pub mode: Mode,
}

/// The largest error body that may be read, in bytes.
const MAX_BODY: u64 = 16 << 20;

impl<'f> Layers<'f> {
    /// Returns the value of a policy key from the most specific layer that sets it.
    fn first<T: Clone>(&self, key: impl Fn(&PolicyKeys) -> &Option<T>) -> Option<T> {
        self.keys.iter().find_map(|keys| key(keys).clone())
    }

    fn timeout(&self, key: impl Fn(&PolicyKeys) -> &Option<At<Option<Duration>>>, default: Option<Duration>) -> Option<Duration> {
        self.first(key).map_or(default, |at| at.value)
    }

    /// Returns the value of a key of `errors` from the most specific layer that sets it.
    pub(super) fn error<T: Clone>(&self, key: impl Fn(&ErrorKeys) -> &Option<T>) -> Option<T> {
        self.errors.iter().find_map(|keys| key(keys).clone())
    }

    /// Returns the limits of the most specific layer that sets any.
    pub(super) fn limits(&self) -> Vec<LimitUse> {
        self.first(|keys| &keys.limits).unwrap_or_default()
    }

    /// Merges the policy, without the keys that only a route has.
    pub(super) fn policy(&self, problems: &mut Problems) -> Policy {
        let seconds = |n| Some(Duration::from_secs(n));
        Policy {
            timeouts: Timeouts {
                connect: self.timeout(|keys| &keys.connect_timeout, seconds(2)),
                response: self.timeout(|keys| &keys.response_timeout, seconds(30)),
                idle: self.timeout(|keys| &keys.idle_timeout, seconds(60)),
                total: self.timeout(|keys| &keys.total_timeout, None),
                request_body: self.body_timeout,
                tunnel: self.timeout(|keys| &keys.websocket_idle_timeout, seconds(300)),
            },
            request_body_limit: self.first(|keys| &keys.request_body_limit).map_or(Some(10 << 20), |at| at.value),
            passes: self.passes(problems),
            keep_fields: self.first(|keys| &keys.keep_fields).unwrap_or_default(),
            dry_run: self.dry_run(problems),
            request_headers: self.first(|keys| &keys.request_headers).map(edits).unwrap_or_default(),
            response_headers: self.first(|keys| &keys.response_headers).map(edits).unwrap_or_default(),
            strip_prefix: None,
            add_prefix: None,
            map_cookies: true,
            cors: None,
            errors: self.errors(problems),
            leak_guard: false,
            rate_limit_headers: self.first(|keys| &keys.rate_limit_headers).unwrap_or(false),
            retry: self.first(|keys| &keys.retry).map(|keys| retry(&keys, problems)),
            buffer_request: self
                .first(|keys| &keys.buffer_request)
                .map_or(Some(BUFFER_REQUEST), |at| buffer_size(&at, "buffer_request", problems)),
            min_rate: self.first(|keys| &keys.min_rate).map_or(MIN_RATE, |at| at.value),
            upgrades: self
                .first(|keys| &keys.upgrades)
                .map_or_else(|| vec!["websocket".into()], |list| list.into_iter().map(|at| at.value).collect()),
            maintenance: None,
            access: self.first(|keys| &keys.access).map(|keys| Access { allow: keys.allow, deny: keys.deny }),
        }
    }

    /// The statuses that pass: those of `pass`, and all 4xx or 5xx where `client_errors` or `server_errors` says so.
    fn passes(&self, problems: &mut Problems) -> Statuses {
        let (listed, rewrite) = (self.first(|keys| &keys.pass), self.first(|keys| &keys.rewrite_server_errors));
        let is_guarded = self.mode == Mode::Production && !self.first(|keys| &keys.allow_leaks).unwrap_or(false);
        let server_errors = rewrite.filter(|at| !at.value).map(|at| ("server_errors = \"pass\"", at.span));
        let has_5xx = |statuses: &Statuses| (500..600).any(|status| statuses.contains(status));
        let pass = listed.as_ref().filter(|at| has_5xx(&at.value)).map(|at| ("pass", at.span.clone()));
        for (key, span) in [&server_errors, &pass].into_iter().flatten().filter(|_| is_guarded) {
            let title = if *key == "pass" { "`pass` with a 5xx would" } else { "`server_errors = \"pass\"` would" };
            problems.add(
                span.clone(),
                format!("{title} show upstream internals to clients"),
                "if this is intended, add: allow_leaks = true",
            );
        }
        let mut statuses = listed.map(|at| at.value).unwrap_or_default();
        if self.first(|keys| &keys.normalize_client_errors) == Some(false) {
            statuses.insert(400, 499);
        }
        if server_errors.is_some() {
            statuses.insert(500, 599);
        }
        statuses
    }

    /// Whether errors pass for a while. That is no error in production: until now they have passed as well.
    fn dry_run(&self, problems: &mut Problems) -> bool {
        let Some(at) = self.first(|keys| &keys.dry_run).filter(|at| at.value) else { return false };
        if self.mode == Mode::Production {
            let help = "the log says in `dryRun` what clients would be told, and lockgate_dry_run_total counts it; remove the key when that is right";
            problems.warn(at.span, "`dry_run` sends errors of the backend to clients as they are, and no leak is removed", help);
        }
        true
    }

    fn errors(&self, problems: &mut Problems) -> ErrorPolicy {
        let max_body = self.error(|keys| &keys.max_body);
        if let Some(at) = max_body.as_ref().filter(|at| at.value > MAX_BODY) {
            problems.add(at.span.clone(), "`max_body` is at most 16MiB", "error bodies are held in memory while they are read");
        }
        ErrorPolicy {
            format: self.error(|keys| &keys.format).unwrap_or_default(),
            details: self.error(|keys| &keys.details).unwrap_or_default(),
            negotiate: self.error(|keys| &keys.negotiate).unwrap_or(true),
            protocol: self.error(|keys| &keys.protocol).unwrap_or_default(),
            status_map: self.error(|keys| &keys.status_map).unwrap_or_default(),
            database_errors: self.error(|keys| &keys.database_errors).unwrap_or(false),
            // The caller fills these in: only the presenter knows which languages are available.
            languages: Vec::new(),
            max_body: max_body.map_or(256 << 10, |at| at.value.min(MAX_BODY)) as usize,
            upstream_429: self.error(|keys| &keys.upstream_429).unwrap_or_default(),
            retry_after: self.error(|keys| &keys.retry_after).unwrap_or(Duration::from_secs(5)),
            retry_after_max: self.error(|keys| &keys.retry_after_max).unwrap_or(Duration::from_secs(86_400)),
            errors_in_success: self.error(|keys| &keys.errors_in_success).unwrap_or_default(),
            proxy_status: self.error(|keys| &keys.proxy_status).unwrap_or(true),
            edge_safe: self.error(|keys| &keys.edge_safe).unwrap_or(false),
        }
    }
}

/// The default of `buffer_request`: the largest request body that is read before the request takes a permit or a connection, in bytes.
const BUFFER_REQUEST: usize = 64 << 10;
/// The default minimum rate of clients, in bytes per second.
const MIN_RATE: MinRate = NonZeroU32::new(240);

/// The largest request body that may be held in memory, in bytes.
const MAX_BUFFER: u64 = 16 << 20;

fn buffer_size(at: &At<Option<u64>>, key: &str, problems: &mut Problems) -> Option<usize> {
    let bytes = at.value?;
    if bytes > MAX_BUFFER {
        problems.add(at.span.clone(), format!("`{key}` is at most 16MiB"), "these bodies are held in memory");
    }
    Some(bytes.min(MAX_BUFFER) as usize)
}

fn retry(keys: &RetryKeys, problems: &mut Problems) -> Retry {
    let usual = || vec![RetryOn::Connect, RetryOn::Lost, RetryOn::Status(502), RetryOn::Status(503), RetryOn::Status(504)];
    let max_body = keys.max_body.as_ref().map(|at| At { value: Some(at.value), span: at.span.clone() });
    Retry {
        attempts: keys.attempts.unwrap_or(2) as u32,
        on: keys.on.clone().unwrap_or_else(usual),
        budget: keys.budget.unwrap_or(20) * 10,
        backoff: keys.backoff.unwrap_or(Duration::from_millis(25)),
        max_body: max_body.map_or(Some(64 << 10), |at| buffer_size(&at, "max_body", problems)).unwrap_or(0),
        idempotency_key: keys.idempotency_key.unwrap_or(false),
        hedge: keys.hedge,
    }
}

fn edits(keys: EditKeys) -> HeaderEdits {
    let has_odd_names = keys.remove.iter().chain(keys.set.iter().map(|(name, _)| name)).any(|name| is_odd(name.as_str()));
    HeaderEdits { set: keys.set, remove: keys.remove, has_odd_names }
}

/// Compiles an origin, and warns of one that no browser sends.
fn allowed_origin(at: &At<String>, problems: &mut Problems) -> Option<AllowedOrigin> {
    let origin = at.value.to_ascii_lowercase();
    if origin == "*" {
        return Some(AllowedOrigin::Any);
    }
    let parts = origin.split_once("://").filter(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !rest.contains('/'));
    let Some((scheme, rest)) = parts else {
        let help = "expected scheme, host and port without a path, such as \"https://app.example.com\" or \"https://*.example.com\"";
        problems.add(at.span.clone(), "invalid origin", help);
        return None;
    };
    let domain = rest.strip_prefix('*').unwrap_or(rest);
    if domain.contains('*') || (domain.len() < rest.len() && !domain.starts_with('.')) {
        let help = "`*` stands for whole labels at the beginning, as in \"https://*.example.com\"";
        problems.add(at.span.clone(), "this origin can match nothing", help);
        return None;
    }
    let usual_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => "\0",
    };
    if let Some(without) = origin.strip_suffix(usual_port) {
        problems.warn(at.span.clone(), "no browser sends this origin", format!("the default port is left out: write \"{without}\""));
    }
    if !origin.is_ascii() {
        problems.warn(at.span.clone(), "no browser sends this origin", "write the name in its ASCII form (xn--...), as browsers do");
    }
    if domain.len() < rest.len() {
        return Some(AllowedOrigin::Subdomains { scheme: format!("{scheme}://"), rest: domain.to_owned() });
    }
    Some(AllowedOrigin::Exact(origin))
}

/// Compiles the cross-origin rules of a route. Without `methods` of its own, a preflight allows the `methods` of the route.
pub(super) fn cors(keys: &CorsKeys, methods: Option<&[Method]>, problems: &mut Problems) -> Option<Cors> {
    if keys.origins.is_empty() {
        problems.add(keys.span.clone(), "`cors` needs `origins`", "add: origins = [\"https://app.example.com\"]");
        return None;
    }
    let any = keys.origins.iter().any(|origin| origin.value == "*");
    if any && keys.credentials {
        problems.add(keys.span.clone(), "`credentials = true` needs named origins", "browsers reject credentials for \"*\"");
    }
    let origins = keys.origins.iter().filter_map(|origin| allowed_origin(origin, problems)).collect();
    let mut joined = |list: &[At<String>]| {
        for item in list.iter().filter(|item| http::HeaderName::from_bytes(item.value.as_bytes()).is_err()) {
            problems.add(item.span.clone(), "invalid method or header name", "expected letters, digits and `-`");
        }
        HeaderValue::from_str(&list.iter().map(|item| item.value.as_str()).collect::<Vec<_>>().join(", ")).ok()
    };
    let own = methods.map(|methods| methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "));
    let default = own.unwrap_or_else(|| "GET, HEAD, POST, PUT, PATCH, DELETE".into());
    let methods = keys.methods.as_deref().and_then(&mut joined).or_else(|| HeaderValue::from_str(&default).ok());
    let headers = keys.headers.as_deref().and_then(&mut joined);
    Some(Cors {
        origins,
        credentials: keys.credentials,
        methods: methods.unwrap_or(HeaderValue::from_static("GET, HEAD, POST")),
        headers,
        max_age: keys.max_age.map(|age| HeaderValue::from(age.as_secs())),
    })
}
