//! Compiles what a route matches: hosts, paths, methods and further conditions. Must not know what the route does.

use http::Method;

use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::section::At;
use crate::route::{Conditions, Match, Pattern};
use crate::upstream::heads::forwarding::is_forwarding_header;

/// What a route matches, before it is multiplied into one rule per host and path.
pub(super) struct Matches {
    pub(super) hosts: Vec<Option<String>>,
    /// With their places in the file.
    pub(super) patterns: Vec<At<Pattern>>,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) conditions: Conditions,
}

/// What a route matches, for explanations.
#[derive(Debug)]
pub struct RouteRules {
    /// The name of the route.
    pub name: String,
    /// One rule per host and path.
    pub rules: Vec<Match>,
}

/// Returns what each route of a file matches, in the order of the file. Problems are not reported: compiling the file does that.
pub fn route_rules(file: &file::File) -> Vec<RouteRules> {
    let rules = |keys: &file::Route| {
        let matches = Matches::compile(keys, &mut Problems::default());
        let name = keys.name.as_ref().map_or_else(|| matches.name(), |at| at.value.clone());
        RouteRules { name, rules: matches.rules().map(|(rule, _)| rule).collect() }
    };
    file.routes.iter().map(rules).collect()
}

impl Matches {
    /// Compiles the keys of a route. The patterns are empty after a problem was reported.
    pub(super) fn compile(keys: &file::Route, problems: &mut Problems) -> Self {
        let mut conditions = Conditions {
            headers: keys.headers.clone(),
            query: keys.query.clone(),
            clients: keys.clients.clone().unwrap_or_default(),
            scheme: keys.scheme,
        };
        conditions.headers.sort_by(|one, two| one.0.as_str().cmp(two.0.as_str()));
        conditions.query.sort_by(|one, two| one.0.cmp(&two.0));
        for (name, _) in &keys.headers {
            refuse_forgeable(name, keys.span.clone(), "headers", problems);
        }
        if keys.clients.as_ref().is_some_and(Vec::is_empty) {
            problems.add(keys.span.clone(), "`client` is empty", "remove the key for all clients");
        }
        Self {
            hosts: hosts(keys, problems),
            patterns: patterns(keys, problems),
            methods: keys.methods.as_ref().map(|list| methods(list, problems)),
            conditions,
        }
    }

    /// Returns one rule per host and path, with the place of its path.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Match, std::ops::Range<usize>)> + '_ {
        let pairs = self.hosts.iter().flat_map(|host| self.patterns.iter().map(move |pattern| (host, pattern)));
        pairs.map(|(host, pattern)| {
            let rule = Match {
                host: host.clone(),
                path: pattern.value.clone(),
                methods: self.methods.clone(),
                conditions: self.conditions.clone(),
            };
            (rule, pattern.span.clone())
        })
    }

    /// Returns a name for the route: the requests that it matches.
    pub(super) fn name(&self) -> String {
        let methods = self.methods.iter().flatten().map(Method::as_str).collect::<Vec<_>>().join(",");
        let space = if methods.is_empty() { "" } else { " " };
        let host = self.hosts.first().and_then(Option::as_deref).unwrap_or_default();
        let path = self.patterns.first().map(|pattern| pattern.value.to_string()).unwrap_or_default();
        let more = if self.conditions.is_empty() { String::new() } else { self.told() };
        format!("{methods}{space}{host}{path}{more}")
    }

    /// The conditions as text.
    fn told(&self) -> String {
        let Conditions { headers, query, clients, scheme } = &self.conditions;
        let headers = headers.iter().map(|(name, _)| name.to_string());
        let query = query.iter().map(|(name, _)| format!("?{name}"));
        let clients = clients.iter().map(ToString::to_string);
        let scheme = scheme.iter().map(|scheme| scheme.as_str().to_owned());
        format!(" [{}]", headers.chain(query).chain(clients).chain(scheme).collect::<Vec<_>>().join(" "))
    }
}

/// Refuses a header that any client can send and that the gateway replaces before a backend sees it.
pub(super) fn refuse_forgeable(name: &http::HeaderName, span: std::ops::Range<usize>, key: &str, problems: &mut Problems) {
    if is_forwarding_header(name.as_str()) {
        let title = format!("`{key}` cannot use `{name}`: any client can send it");
        problems.add(span, title, "for the address of clients use `client` or \"client-ip\", for the scheme use `scheme`");
    }
}

fn hosts(keys: &file::Route, problems: &mut Problems) -> Vec<Option<String>> {
    let Some(list) = &keys.hosts else { return vec![None] };
    if list.is_empty() {
        problems.add(keys.span.clone(), "`host` is empty", "remove the key for all hosts");
    }
    list.iter().map(|at| Some(host(at, problems))).collect()
}

fn host(at: &At<String>, problems: &mut Problems) -> String {
    let host = at.value.to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    if !(address || name.split('.').all(label)) {
        let help = "expected a host without port, such as \"shop.example.com\" or \"*.example.com\"";
        problems.add(at.span.clone(), "invalid host", help);
    }
    host
}

fn patterns(keys: &file::Route, problems: &mut Problems) -> Vec<At<Pattern>> {
    let mut found = Vec::new();
    for at in &keys.paths {
        match Pattern::of_path(&at.value) {
            Ok(value) => found.push(At { value, span: at.span.clone() }),
            Err(complaint) => problems.add(at.span.clone(), "invalid path", complaint),
        }
    }
    for at in &keys.path_regex {
        match Pattern::of_expression(&at.value) {
            Ok(value) => found.push(At { value, span: at.span.clone() }),
            Err(complaint) => problems.add(at.span.clone(), "invalid regular expression", complaint),
        }
    }
    found
}

fn methods(list: &[At<String>], problems: &mut Problems) -> Vec<Method> {
    let mut found = Vec::new();
    for item in list {
        match Method::from_bytes(item.value.as_bytes()) {
            Ok(method)
                if item.value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
                    && !matches!(item.value.as_str(), "CONNECT" | "TRACE") =>
            {
                found.push(method);
            }
            _ => problems.add(
                item.span.clone(),
                "invalid method",
                "write the method in upper case, such as \"GET\"; CONNECT and TRACE are never forwarded",
            ),
        }
    }
    if list.is_empty() {
        problems.add(None, "`methods` is empty", "remove the key to allow all methods");
    }
    found
}
