//! Compiles a configuration file into a [`Plan`]: the entry point, `[listen]`, `[log]` and the routes.
//!
//! Applies defaults, checks every rule that involves more than one key, and reports all problems at once. Must not parse values; `config`
//! does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::gauges::Observed;
use super::limits;
use super::live::LiveState;
use super::policies::{Layers, cors};
use super::presenters::ErrorPresenters;
use super::targets::{self, Target};
use super::{AppliedLimit, KeptOriginal, Listen, Log, Plan, Route};
use crate::config::diagnose::{Problem, Problems};
use crate::config::file::{self, ErrorKeys, File, PolicyKeys};
use crate::config::section::{At, nearest};
use crate::observe::metrics::{Metrics, NO_ROUTE};
use crate::route::{Match, Table};

/// The default address of the data listener.
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);
/// The default address of the admin listener.
pub const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);

/// Reads and compiles the text of a configuration file. `lookup` returns the values of environment variables.
///
/// # Errors
/// Returns all problems, in the order of the file.
pub fn from_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Vec<Problem>> {
    successor(text, lookup, None)
}

/// Compiles a configuration that replaces a running one. Whatever is unchanged keeps its state: endpoints keep their connections, health
/// and circuit breakers, limits their counts, and metrics their values.
///
/// # Errors
/// Returns all problems, in the order of the file; the running plan is not changed.
pub fn successor(text: &str, lookup: &dyn Fn(&str) -> Option<String>, running: Option<&Plan>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    let file = crate::config::read(text, &mut problems, lookup);
    let listen = listen(&file.listen, &mut problems);
    let live = running.map_or_else(|| LiveState::new(listen.workers), LiveState::of);
    let plan = compile(&file, listen, &live, &mut problems);
    if problems.has_errors() { Err(problems.sorted()) } else { Ok(Plan { warnings: problems.sorted(), ..plan }) }
}

/// Compiles everything that is valid; the plan is usable only if no problem was added.
fn compile(file: &File, listen: Listen, live: &LiveState, problems: &mut Problems) -> Plan {
    let metrics = &live.metrics;
    let body_timeout = file.listen.body_timeout.as_ref().map_or(Some(Duration::from_secs(30)), |at| at.value);
    let targets: HashMap<&str, Option<Target>> =
        file.backends.iter().map(|keys| (keys.name.value.as_str(), targets::backend(keys, listen.workers, live, problems))).collect();
    let buffers = live.buffers(file.listen.buffer_memory.as_ref().map_or(256 << 20, |at| at.value) as usize);
    let observed = Observed { backends: targets.values().flatten().cloned().collect(), buffers: Some(Arc::clone(&buffers)) };
    let limits = limits::limits(file, live, problems);
    let store = limits::store(file.redis.as_ref(), metrics, problems);
    let mut presenters = ErrorPresenters::default();
    let layers = Layers { keys: vec![&file.defaults], errors: vec![&file.errors], body_timeout, mode: file.mode };
    let mut fallback = layers.policy(problems);
    let (fallback_presenter, languages) = presenters.compile(&layers, problems);
    fallback.errors.languages = languages;
    let mut builder = Builder { file, problems, targets: &targets, limits: &limits, metrics, body_timeout, presenters };
    let routes = builder.routes();
    Plan {
        mode: file.mode,
        listen,
        trusted: file.listen.trusted_proxies.clone(),
        routes,
        fallback,
        fallback_presenter,
        gate: file.listen.max_in_flight.map(|max| live.process_gate(targets::gate_settings(max, false, &file::QueueKeys::default()))),
        buffers,
        backends: targets.into_values().flatten().map(|(backend, _)| backend).collect(),
        limits: limits.into_values().map(|applied| applied.limit).collect(),
        store,
        log: Log {
            level: file.log.level.unwrap_or_default(),
            format: file.log.format.unwrap_or_default(),
            access: file.log.access.unwrap_or(true),
            original: kept_original(file.log.original_max.as_ref(), problems),
        },
        no_route: metrics.route(NO_ROUTE, NO_ROUTE.into()),
        metrics: Arc::clone(metrics),
        observed: Arc::new(observed),
        shown: Arc::clone(&live.shown),
        warnings: Vec::new(),
    }
}

/// The bounds of `original_max`, in bytes: a shorter excerpt of an error is useless, and a longer one makes log lines too large.
const ORIGINAL_BOUNDS: std::ops::RangeInclusive<u64> = 256..=1 << 20;

fn kept_original(at: Option<&At<Option<u64>>>, problems: &mut Problems) -> KeptOriginal {
    match at.map(|at| (at.value, &at.span)) {
        None => KeptOriginal::Usual,
        Some((None, _)) => KeptOriginal::Off,
        Some((Some(most), span)) => {
            if !ORIGINAL_BOUNDS.contains(&most) {
                let title = "`original_max` must be from 256B to 1MiB";
                problems.add(span.clone(), title, "write \"off\" to keep no upstream errors in the log");
            }
            KeptOriginal::AtMost(most as usize)
        }
    }
}

fn listen(keys: &file::Listen, problems: &mut Problems) -> Listen {
    let seconds = Duration::from_secs;
    let duration = |at: &Option<At<Duration>>, default: u64| at.as_ref().map_or(seconds(default), |at| at.value);
    let admin = keys.admin.as_ref().map_or(DEFAULT_ADMIN, |at| at.value);
    if let Some(at) = keys.admin.as_ref().filter(|at| !at.value.ip().is_loopback() && keys.admin_token.is_none()) {
        problems.add(
            at.span.clone(),
            "an admin listener that is not on a loopback address needs `admin_token`",
            "add: admin_token = \"file:/run/secrets/admin\", or listen on 127.0.0.1",
        );
    }
    if keys.http.as_ref().is_some_and(Vec::is_empty) {
        problems.add(None, "`listen.http` is empty", "remove the key to listen on 0.0.0.0:8080");
    }
    if let Some(at) = keys.http.iter().flatten().find(|at| at.value == admin && at.value.port() != 0) {
        problems.add(at.span.clone(), "the data and the admin listener have the same address", "choose another port for `admin`");
    }
    if let Some(at) = keys.max_header_size.as_ref().filter(|at| !(1 << 10..=1 << 20).contains(&at.value)) {
        problems.add(at.span.clone(), "`max_header_size` must be from 1KiB to 1MiB", "");
    }
    let proxy_protocol = keys.proxy_protocol.as_ref().filter(|at| at.value);
    if let Some(at) = proxy_protocol.filter(|_| keys.trusted_proxies.is_empty()) {
        let help = "add: trusted_proxies = [\"10.0.0.0/8\"], the networks that may send a PROXY header";
        problems.add(at.span.clone(), "`proxy_protocol` has no effect without `trusted_proxies`", help);
    }
    let tls = keys.tls.as_ref().and_then(|tls| super::listen_tls::compile(tls, keys, problems));
    Listen {
        tls,
        proxy_protocol: proxy_protocol.is_some(),
        http: keys.http.as_ref().map_or_else(|| vec![DEFAULT_HTTP], |list| list.iter().map(|at| at.value).collect()),
        admin,
        workers: keys.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), |n| n as usize),
        max_connections: keys.max_connections.unwrap_or(20_000) as usize,
        header_timeout: duration(&keys.header_timeout, 10),
        idle_timeout: duration(&keys.idle_timeout, 75),
        write_timeout: duration(&keys.write_timeout, 30),
        drain_delay: keys.drain_delay.as_ref().map_or(Some(seconds(5)), |at| at.value),
        drain_timeout: duration(&keys.drain_timeout, 20),
        admin_token: keys.admin_token.as_ref().map(|at| at.value.clone()),
        max_header_size: keys.max_header_size.as_ref().map_or(32 << 10, |at| at.value.clamp(1 << 10, 1 << 20)) as usize,
    }
}

/// Compiles the routes; holds everything that they refer to.
struct Builder<'a> {
    file: &'a File,
    problems: &'a mut Problems,
    targets: &'a HashMap<&'a str, Option<Target>>,
    limits: &'a HashMap<String, AppliedLimit>,
    metrics: &'a Metrics,
    body_timeout: Option<Duration>,
    presenters: ErrorPresenters,
}

impl Builder<'_> {
    fn routes(&mut self) -> Table<Arc<Route>> {
        if self.file.routes.is_empty() {
            self.problems.add(None, "there is no route", "add a [[routes]] with `path` and `backend`");
        }
        let mut rules = Vec::new();
        let mut spans = Vec::new();
        let mut names: HashMap<String, ()> = HashMap::new();
        for keys in &self.file.routes {
            self.check_unique_name(keys, &mut names);
            if let Some(rule) = self.route(keys) {
                rules.push(rule);
                spans.push(keys.path.as_ref().map_or(keys.span.clone(), |at| at.span.clone()));
            }
        }
        let (table, ties) = Table::build(rules);
        for tie in ties {
            let title = "this route matches the same requests as an earlier one";
            self.problems.add(
                spans[tie.second].clone(),
                title,
                "give it another host, path or method; the order in the file does not matter",
            );
        }
        table
    }

    fn check_unique_name(&mut self, keys: &file::Route, names: &mut HashMap<String, ()>) {
        if let Some(name) = &keys.name
            && names.insert(name.value.clone(), ()).is_some()
        {
            self.problems.add(name.span.clone(), "this route name is used twice", "logs and metrics identify routes by name");
        }
    }

    fn route(&mut self, keys: &file::Route) -> Option<(Match, Arc<Route>)> {
        let methods = keys.methods.as_ref().map(|list| self.methods(list));
        let rule = Match { host: self.host(keys), path: self.path(keys)?, methods: methods.clone() };
        let backend = keys.backend.as_ref()?;
        let target = self.targets.get(backend.value.as_str());
        if target.is_none() {
            let known: Vec<&str> = self.targets.keys().copied().collect();
            let help = match nearest(&backend.value, &known) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => "add a [backends.NAME] with this name".to_owned(),
            };
            self.problems.add(backend.span.clone(), "there is no backend with this name", help);
        }
        let of_backend = self.file.backends.iter().find(|b| b.name.value == backend.value);
        let policies: Vec<&PolicyKeys> =
            [Some(&keys.policy), of_backend.map(|b| &b.policy), Some(&self.file.defaults)].into_iter().flatten().collect();
        let errors: Vec<&ErrorKeys> =
            [Some(&keys.errors), of_backend.map(|b| &b.errors), Some(&self.file.errors)].into_iter().flatten().collect();
        let layers = Layers { keys: policies, errors, body_timeout: self.body_timeout, mode: self.file.mode };
        let mut policy = layers.policy(self.problems);
        let (presenter, languages) = self.presenters.compile(&layers, self.problems);
        policy.errors.languages = languages;
        policy.leak_guard = keys.leak_guard.unwrap_or(false) && !policy.dry_run;
        policy.maintenance = keys.maintenance;
        policy.map_cookies = keys.map_cookies.unwrap_or(true);
        policy.strip_prefix = keys.strip_prefix.as_ref().and_then(|prefix| self.strip_prefix(prefix, &rule.path));
        policy.cors = keys.cors.as_ref().and_then(|keys| cors(keys, methods.as_deref(), self.problems));
        let limits = self.limits_of(&layers.limits());
        let (backend, gate) = target?.clone()?;
        let name = keys.name.as_ref().map_or_else(|| default_name(&rule), |at| at.value.clone());
        let route = Route {
            metrics: self.metrics.route(&name, Arc::clone(&backend.name)),
            backend_metrics: self.metrics.backend(&backend.name),
            backend,
            gate,
            policy,
            presenter,
            limits,
        };
        Some((rule, Arc::new(route)))
    }

    fn limits_of(&mut self, uses: &[file::LimitUse]) -> Vec<AppliedLimit> {
        let mut found = Vec::new();
        for used in uses {
            let name = &used.name;
            if let Some(limit) = self.limits.get(&name.value) {
                found.push(limits::applied(limit, used, self.problems));
            } else if !self.file.limits.iter().any(|limit| limit.name.value == name.value) {
                let known: Vec<&str> = self.file.limits.iter().map(|limit| limit.name.value.as_str()).collect();
                let help = nearest(&name.value, &known)
                    .map_or_else(|| "add a [limits.NAME] with this name".to_owned(), |known| format!("did you mean \"{known}\"?"));
                self.problems.add(name.span.clone(), "there is no limit with this name", help);
            }
        }
        found
    }

    fn host(&mut self, keys: &file::Route) -> Option<String> {
        let at = keys.host.as_ref()?;
        let host = at.value.to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
        if !(address || name.split('.').all(label)) {
            let help = "expected a host without port, such as \"shop.example.com\" or \"*.example.com\"";
            self.problems.add(at.span.clone(), "invalid host", help);
        }
        Some(host)
    }

    fn path(&mut self, keys: &file::Route) -> Option<String> {
        let at = keys.path.as_ref()?;
        let bare = at.value.strip_suffix("/*").unwrap_or(&at.value);
        let complaint = if !at.value.starts_with('/') {
            "a path begins with `/`"
        } else if bare.contains('*') {
            "`*` is allowed only at the end, as `/*`"
        } else if bare.contains(['?', '#', '%', ';', '\\', ' ']) || bare.contains("//") || bare.split('/').any(|s| matches!(s, "." | ".."))
        {
            "a path has plain segments only: no query, fragment, escape, space, `;`, `\\`, `//` or dot segment"
        } else {
            return Some(at.value.clone());
        };
        self.problems.add(at.span.clone(), "invalid path", complaint);
        None
    }

    fn methods(&mut self, list: &[At<String>]) -> Vec<Method> {
        let mut found = Vec::new();
        for item in list {
            match Method::from_bytes(item.value.as_bytes()) {
                Ok(method)
                    if item.value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
                        && !matches!(item.value.as_str(), "CONNECT" | "TRACE") =>
                {
                    found.push(method);
                }
                _ => self.problems.add(
                    item.span.clone(),
                    "invalid method",
                    "write the method in upper case, such as \"GET\"; CONNECT and TRACE are never forwarded",
                ),
            }
        }
        if list.is_empty() {
            self.problems.add(None, "`methods` is empty", "remove the key to allow all methods");
        }
        found
    }

    fn strip_prefix(&mut self, prefix: &At<String>, path: &str) -> Option<String> {
        let bare = prefix.value.trim_end_matches('/');
        let covered = path.strip_suffix("/*").unwrap_or(path);
        let fits = bare.starts_with('/') && covered.strip_prefix(bare).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !fits {
            self.problems.add(
                prefix.span.clone(),
                "`strip_prefix` must be a prefix of the route's path",
                "the prefix begins with `/` and ends at the end of a path segment",
            );
            return None;
        }
        Some(bare.to_owned())
    }
}

/// Returns the name of a route without `name`: the requests that it matches, which are unique.
fn default_name(rule: &Match) -> String {
    let methods = rule.methods.iter().flatten().map(Method::as_str).collect::<Vec<_>>().join(",");
    let space = if methods.is_empty() { "" } else { " " };
    format!("{methods}{space}{}{}", rule.host.as_deref().unwrap_or_default(), rule.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> String {
        let found = from_text(text, &|_| None).err().unwrap_or_default();
        found.into_iter().map(|p| format!("{} | {}\n", p.title, p.help)).collect()
    }

    const GOOD: &str = "[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"a\"\n";

    #[test]
    fn six_lines_are_enough() {
        assert_eq!(problems_of(GOOD), "");
    }

    #[test]
    fn all_problems_are_reported_in_one_run() {
        let all = problems_of(
            r#"
[listen]
admin = "0.0.0.0:9090"
[defaults]
server_errors = "pass"
[backends.orders]
endpoints = ["ftp://x", "http://u:p@h", "http://h/path"]
[limits.good]
rate = "1/s"
[[routes]]
path = "orders"
backend = "orders"
[[routes]]
path = "/a/*"
backend = "order"
limits = ["god"]
strip_prefix = "/b"
methods = ["get"]
cors = { origins = ["*"], credentials = true }
[[routes]]
path = "/a/*"
backend = "orders"
errors = { languages = ["xx"] }
"#,
        );
        for part in [
            "needs `admin_token`",
            "would show upstream internals",
            "begins with http://",
            "no user",
            "must have no path; use",
            "a path begins with `/`",
            "did you mean \"orders\"",
            "did you mean \"good\"",
            "must be a prefix",
            "invalid method",
            "needs named origins",
            "this language is not available",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
    }

    #[test]
    fn ties_are_errors_whatever_their_order() {
        let all = problems_of(&format!("{GOOD}[[routes]]\npath = \"/*\"\nbackend = \"a\"\n"));
        assert!(all.contains("matches the same requests"), "{all}");
    }

    #[test]
    fn a_missing_name_has_a_suggestion() {
        assert!(problems_of(&GOOD.replace("backend = \"a\"", "backend = \"b\"")).contains("no backend with this name"));
    }

    proptest::proptest! {
        #[test]
        fn check_never_panics(text in "\\PC{0,60}", noise in "[a-z\\[\\]=\"\\.{}/* \n]{0,60}") {
            let _ = from_text(&format!("{GOOD}{noise}"), &|_| None);
            let _ = from_text(&text, &|_| None);
        }
    }
}
