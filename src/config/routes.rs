//! Reads `[[routes]]`: what a route matches and what it does. The policy keys are read by `policy_keys`.
//!
//! Checks each key by itself. Must not know defaults or what the keys mean together; `plan` does.

use http::{HeaderName, HeaderValue, StatusCode};
use toml::Spanned;
use toml::de::DeValue;

use super::access::auth;
use super::actions::{ActionKeys, BackendUse, RedirectKeys, RespondKeys, StickyBy};
use super::errors::errors;
use super::file::Route;
use super::policy_keys::{cors, maintenance, policy};
use super::section::{At, Section};
use crate::policy::{Scheme, Wanted};

/// The keys that say what a route does with a request.
const ACTIONS: [&str; 3] = ["backend", "redirect", "respond"];

/// Keys that only a route with a backend can have.
pub(super) const OF_BACKENDS: [&str; 22] = [
    "strip_prefix",
    "add_prefix",
    "rewrite",
    "sticky",
    "map_cookies",
    "leak_guard",
    "retry",
    "upgrades",
    "websocket_idle_timeout",
    "connect_timeout",
    "response_timeout",
    "idle_timeout",
    "request_headers",
    "buffer_request",
    "client_errors",
    "server_errors",
    "allow_leaks",
    "total_timeout",
    "request_body_limit",
    "pass",
    "keep_fields",
    "dry_run",
];

/// Reads the list of routes.
pub(super) fn routes(root: &mut Section<'_, '_>) -> Vec<Route> {
    let list = root.list("routes").unwrap_or_default();
    list.into_iter().filter_map(|item| root.table_in("routes", item, route)).collect()
}

fn route(s: &mut Section<'_, '_>) -> Route {
    let span = s.span.clone();
    let paths = s.strings("path", true);
    let path_regex = s.strings("path_regex", true);
    if s.named("path").is_none() && s.named("path_regex").is_none() {
        s.problems.add(span.clone(), "the route has no `path`", "add: path = \"/*\" for everything");
    }
    Route {
        action: action(s),
        span,
        name: s.string("name"),
        hosts: s.strings("host", true),
        paths: paths.unwrap_or_default(),
        path_regex: path_regex.unwrap_or_default(),
        methods: s.strings("methods", false),
        headers: s.table("headers", |s| wanted(s, header_name)).unwrap_or_default(),
        query: s.table("query", |s| wanted(s, |name| Ok(name.to_owned()))).unwrap_or_default(),
        scheme: s.choice("scheme", &[("http", Some(Scheme::Http)), ("https", Some(Scheme::Https))]),
        clients: s.networks("client"),
        sticky: s.parsed("sticky", sticky),
        strip_prefix: s.string("strip_prefix"),
        add_prefix: s.string("add_prefix"),
        rewrite: s.string("rewrite"),
        map_cookies: s.boolean("map_cookies"),
        errors: s.table("errors", errors).unwrap_or_default(),
        leak_guard: s.boolean("leak_guard"),
        maintenance: maintenance(s),
        cors: s.table("cors", cors),
        auth: s.table("auth", auth).flatten(),
        policy: policy(s),
    }
}

/// Reads what the route does. `None` if that is missing or not valid, which is reported.
fn action(s: &mut Section<'_, '_>) -> Option<ActionKeys> {
    let present: Vec<&str> = ACTIONS.into_iter().filter(|key| s.named(key).is_some()).collect();
    let (backends, redirect, respond) = (backends(s), s.table("redirect", redirect), s.table("respond", respond));
    match present.as_slice() {
        [] => {
            let help = "add: backend = \"NAME\" of a [backends.NAME], redirect = { to = \"...\" } or respond = { status = 200 }";
            s.problems.add(s.span.clone(), "the route has no `backend`", help);
            return None;
        }
        [_] => {}
        [.., second] => {
            let place = s.named(second).map(Spanned::span);
            let title = format!("a route has one of `{}`", ACTIONS.join("`, `"));
            s.problems.add(place, title, "write a route of its own for each");
            return None;
        }
    }
    if present != ["backend"] {
        for key in OF_BACKENDS {
            if let Some(span) = s.named(key).map(Spanned::span) {
                s.problems.add(span, format!("`{key}` has no effect on a route with `{}`", present[0]), "remove the key");
            }
        }
    }
    let redirect = redirect.flatten().map(ActionKeys::Redirect);
    backends.map(ActionKeys::Backends).or(redirect).or_else(|| respond.flatten().map(ActionKeys::Respond))
}

/// Reads `backend`: a name, or a list of tables with a name and a weight.
fn backends(s: &mut Section<'_, '_>) -> Option<Vec<BackendUse>> {
    let value = s.value("backend")?;
    let DeValue::Array(_) = value.get_ref() else {
        return s.string("backend").map(|name| vec![BackendUse { name, weight: 1 }]);
    };
    let mut found = Vec::new();
    for item in s.list("backend")? {
        let read = |s: &mut Section<'_, '_>| {
            s.require("name", "{ name = \"stable\", weight = 90 }");
            s.require("weight", "{ name = \"stable\", weight = 90 }");
            let (name, weight) = (s.string("name"), s.number("weight", 0..=1000));
            name.zip(weight).map(|(name, weight)| BackendUse { name, weight: weight as u32 })
        };
        found.extend(s.table_in("backend", item, read).flatten());
    }
    if found.iter().all(|part: &BackendUse| part.weight == 0) || found.len() > 16 {
        let title = "`backend` needs at least one backend with a weight, and at most 16";
        s.problems.add(
            value.span(),
            title,
            "for example: backend = [{ name = \"stable\", weight = 90 }, { name = \"canary\", weight = 10 }]",
        );
        return None;
    }
    Some(found)
}

fn sticky(text: &str) -> Result<StickyBy, String> {
    let header = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    match text.split_once(':') {
        None if text == "client-ip" => Some(StickyBy::ClientIp),
        Some(("cookie", name)) if header(name).is_some() => Some(StickyBy::Cookie(name.to_owned())),
        Some(("header", name)) => header(name).map(StickyBy::Header),
        None | Some(_) => None,
    }
    .ok_or_else(|| "expected \"cookie:NAME\", \"header:NAME\" or \"client-ip\"".to_owned())
}

/// Reads conditions by name: a value, or `"*"` for any value.
fn wanted<N>(s: &mut Section<'_, '_>, name_of: impl Fn(&str) -> Result<N, &'static str>) -> Vec<(N, Wanted)> {
    s.allow_any_key();
    let mut found = Vec::new();
    for name in s.names() {
        let Some(value) = s.named(&name.value) else { continue };
        match (name_of(&name.value), s.string_of(&name.value, value)) {
            (Ok(key), Some(text)) => found.push((key, if text.value == "*" { Wanted::Any } else { Wanted::Exactly(text.value) })),
            (Err(help), _) => s.problems.add(name.span, "invalid name", help),
            (Ok(_), None) => {}
        }
    }
    found
}

fn header_name(name: &str) -> Result<HeaderName, &'static str> {
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name has letters, digits and dashes, such as \"X-Canary\"")?;
    match parsed {
        http::header::HOST => Err("use `host` of the route"),
        other => Ok(other),
    }
}

fn redirect(s: &mut Section<'_, '_>) -> Option<RedirectKeys> {
    s.require("to", "redirect = { to = \"https://{host}{path}\", status = 308 }");
    let status = s.number("status", 300..=399);
    let span = s.named("status").map(Spanned::span);
    if let Some(status) = status.filter(|status| !matches!(status, 301 | 302 | 303 | 307 | 308)) {
        s.problems.add(span, format!("{status} is not the status of a redirect"), "expected 301, 302, 303, 307 or 308");
        return None;
    }
    let status = StatusCode::from_u16(status.unwrap_or(308) as u16).ok()?;
    s.string("to").map(|to| RedirectKeys { to, status })
}

fn respond(s: &mut Section<'_, '_>) -> Option<RespondKeys> {
    s.require("status", "respond = { status = 200, body = \"ok\" }");
    let status = s.number("status", 200..=599).and_then(|status| StatusCode::from_u16(status as u16).ok());
    let (body, content_type) = (s.string("body"), s.parsed("content_type", content_type));
    let place = s.named("body").map(Spanned::span);
    if body.is_some() && status.is_some_and(|status| matches!(status.as_u16(), 204 | 205 | 304)) {
        s.problems.add(place, "a response with this status has no body", "remove `body`, or use another status");
    }
    if let Some(at) = content_type.as_ref().filter(|_| body.is_none()) {
        s.problems.add(at.span.clone(), "`content_type` has no effect without `body`", "add a body, or remove the key");
    }
    Some(RespondKeys { status: status?, body: body.map(|at: At<String>| at.value), content_type: content_type.map(|at| at.value) })
}

fn content_type(text: &str) -> Result<HeaderValue, String> {
    let is_type = text.split(';').next().is_some_and(|kind| kind.trim().split('/').filter(|part| !part.is_empty()).count() == 2);
    HeaderValue::from_str(text).ok().filter(|_| is_type).ok_or_else(|| "expected a media type such as \"text/plain\"".to_owned())
}
