//! Reads the policy keys, which `[defaults]`, a backend and a route have in common, and `cors` and `maintenance` of a route.
//!
//! Checks each key by itself. Must not know defaults or how the layers are merged; `plan` does.

use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::DeValue;

use super::access::access;
use super::errors::when_of;
use super::file::{CorsKeys, EditKeys, LimitUse, PolicyKeys, RetryKeys};
use super::header_name::header_name;
use super::section::{At, Section};
use super::units;
use crate::policy::{KeepFields, Maintenance, RetryOn, Statuses, When};

/// Reads the keys that `[defaults]`, backends and routes have in common.
pub(super) fn policy(s: &mut Section<'_, '_>) -> PolicyKeys {
    let keys = PolicyKeys {
        connect_timeout: s.parsed("connect_timeout", units::duration_or_off),
        response_timeout: s.parsed("response_timeout", units::duration_or_off),
        idle_timeout: s.parsed("idle_timeout", units::duration_or_off),
        total_timeout: s.parsed("total_timeout", units::duration_or_off),
        request_body_limit: s.parsed("request_body_limit", units::size_or_off),
        normalize_client_errors: s.choice("client_errors", &[("normalize", Some(true)), ("pass", Some(false))]),
        rewrite_server_errors: server_errors(s),
        allow_leaks: s.boolean("allow_leaks"),
        pass: pass(s),
        keep_fields: keep_fields(s),
        dry_run: placed_boolean(s, "dry_run"),
        request_headers: s.table("request_headers", edits),
        response_headers: s.table("response_headers", edits),
        limits: limit_uses(s),
        rate_limit_headers: s.boolean("rate_limit_headers"),
        buffer_request: s.parsed("buffer_request", units::size_or_off),
        min_rate: s.parsed("min_rate", units::min_rate),
        retry: s.table("retry", retry),
        upgrades: upgrades(s),
        websocket_idle_timeout: s.parsed("websocket_idle_timeout", units::duration_or_off),
        access: s.table("access", access).flatten(),
    };
    let passes_all = keys.normalize_client_errors == Some(false)
        || keys.pass.as_ref().is_some_and(|pass| (400..500).all(|status| pass.value.contains(status)));
    if passes_all && keys.keep_fields.as_ref().is_some_and(|keep| *keep != KeepFields::Nothing) {
        let help = "it keeps members of a 4xx that is rewritten; one that passes has all of its members";
        s.problems.add(s.span.clone(), "`keep_fields` has no effect where every 4xx passes", help);
    }
    keys
}

/// Reads `pass`, a list of error statuses, of `"4xx"` and `"5xx"`, and of ranges.
fn pass(s: &mut Section<'_, '_>) -> Option<At<Statuses>> {
    let span = s.value("pass")?.span();
    let mut statuses = Statuses::default();
    for item in s.list("pass")? {
        let text = match item.get_ref() {
            DeValue::Integer(number) => number.as_str(),
            other => other.as_str().unwrap_or_default(),
        };
        match when_of(text) {
            Some(When::Status(from, to)) => statuses.insert(from, to),
            Some(When::Code(_)) | None => {
                let help = "expected a status from 400 to 599 such as 503, \"4xx\", \"5xx\" or a range such as \"500-504\"";
                s.problems.add(item.span(), "`pass` lists statuses of errors", help);
            }
        }
    }
    Some(At { value: statuses, span })
}

/// Reads `keep_fields`: `"all"` or a list of names.
fn keep_fields(s: &mut Section<'_, '_>) -> Option<KeepFields> {
    let value = s.value("keep_fields")?;
    match value.get_ref() {
        DeValue::String(word) if word == "all" => Some(KeepFields::All),
        DeValue::String(_) => {
            s.problems.add(value.span(), "unknown value of `keep_fields`", "expected \"all\" or a list such as [\"balance\", \"items\"]");
            None
        }
        _ => {
            let names = s.strings("keep_fields", false)?;
            for name in names.iter().filter(|name| !(1..=MAX_FIELD).contains(&name.value.len())) {
                s.problems.add(name.span.clone(), "invalid name of a member", format!("a name has 1 to {MAX_FIELD} bytes"));
            }
            let names: Vec<String> = names.into_iter().map(|name| name.value).collect();
            Some(if names.is_empty() { KeepFields::Nothing } else { KeepFields::Named(names) })
        }
    }
}

/// The longest name in `keep_fields`, in bytes: the redactor keeps no longer one.
const MAX_FIELD: usize = 128;

/// Reads `true` or `false` with its place.
fn placed_boolean(s: &mut Section<'_, '_>, key: &'static str) -> Option<At<bool>> {
    let span = s.value(key)?.span();
    s.boolean(key).map(|value| At { value, span })
}

/// Reads `upgrades`, a list of protocols (RFC 9110 7.8).
fn upgrades(s: &mut Section<'_, '_>) -> Option<Vec<At<String>>> {
    let protocols = s.strings("upgrades", false)?;
    for protocol in &protocols {
        let name = protocol.value.split('/').next().unwrap_or_default();
        if HeaderName::from_bytes(protocol.value.replace('/', "").as_bytes()).is_err() || protocol.value.matches('/').count() > 1 {
            s.problems.add(protocol.span.clone(), "invalid protocol", "a protocol is a token, such as \"websocket\"");
        } else if ["h2c", "http", "tls"].iter().any(|http| name.eq_ignore_ascii_case(http)) {
            // Requests within such a tunnel would reach the backend past every rule of the route.
            let help = "remove it: requests in a tunnel would bypass the route. HTTP/2 without TLS works by prior knowledge (RFC 9113 3.3)";
            s.problems.add(protocol.span.clone(), format!("`{}` cannot be upgraded to", protocol.value), help);
        }
    }
    Some(protocols)
}

/// Reads `limits`, a list of names or of tables with a `name` and a `cost`.
fn limit_uses(s: &mut Section<'_, '_>) -> Option<Vec<LimitUse>> {
    let list = s.list("limits")?;
    let mut uses = Vec::new();
    for item in list {
        uses.extend(match item.get_ref() {
            DeValue::Table(_) => s
                .table_in("limits", item, |s| {
                    let cost = s.number("cost", 1..=u64::from(u32::MAX)).and_then(|n| NonZeroU32::new(n as u32));
                    s.require("name", "{ name = \"per_client\", cost = 5 }");
                    s.string("name").map(|name| LimitUse { name, cost: cost.unwrap_or(NonZeroU32::MIN) })
                })
                .flatten(),
            _ => s.string_of("limits", item).map(|name| LimitUse { name, cost: NonZeroU32::MIN }),
        });
    }
    Some(uses)
}

fn retry(s: &mut Section<'_, '_>) -> RetryKeys {
    RetryKeys {
        attempts: s.number("attempts", 1..=10),
        on: s.strings("on", false).map(|words| retry_on(s, words)),
        budget: s.parsed("budget", units::percent).map(|at| at.value),
        backoff: s.parsed("backoff", units::duration).map(|at| at.value),
        max_body: s.parsed("max_body", units::size),
        idempotency_key: s.boolean("idempotency_key"),
        hedge: s.parsed("hedge", units::percentile).map(|at| at.value),
    }
}

fn retry_on(s: &mut Section<'_, '_>, words: Vec<At<String>>) -> Vec<RetryOn> {
    let mut found = Vec::new();
    for word in words {
        match (word.value.as_str(), word.value.parse::<u16>()) {
            ("connect", _) => found.push(RetryOn::Connect),
            ("lost", _) => found.push(RetryOn::Lost),
            ("timeout", _) => found.push(RetryOn::Timeout),
            (_, Ok(status)) if status == 429 || (500..600).contains(&status) => found.push(RetryOn::Status(status)),
            _ => s.problems.add(
                word.span,
                "unknown retry condition",
                "expected \"connect\", \"lost\", \"timeout\", \"429\" or a status from 500 to 599",
            ),
        }
    }
    found
}

fn server_errors(s: &mut Section<'_, '_>) -> Option<At<bool>> {
    let span = s.value("server_errors")?.span();
    let value = s.choice("server_errors", &[("rewrite", Some(true)), ("pass", Some(false))])?;
    Some(At { value, span })
}

fn edits(s: &mut Section<'_, '_>) -> EditKeys {
    let set = s.table("set", |s| {
        s.allow_any_key();
        let mut set = Vec::new();
        for name in s.names() {
            let Some(header) = header_name(s, &name) else { continue };
            let text = s.named(&name.value).and_then(|value| s.string_of(&name.value, value));
            let Some(text) = text else { continue };
            match HeaderValue::from_str(&text.value) {
                Ok(value) => set.push((header, value)),
                Err(_) => s.problems.add(text.span, "invalid header value", "a header value has visible characters, spaces and tabs only"),
            }
        }
        set
    });
    let remove = s.strings("remove", false).unwrap_or_default();
    let remove = remove.iter().filter_map(|name| header_name(s, name)).collect();
    EditKeys { set: set.unwrap_or_default(), remove }
}

/// Reads `maintenance`: `true`, `false` or the time at which it ends.
pub(super) fn maintenance(s: &mut Section<'_, '_>) -> Option<Maintenance> {
    match s.value("maintenance").map(Spanned::get_ref) {
        Some(DeValue::String(_)) => s.parsed("maintenance", units::moment).map(|at| Maintenance::Until(at.value)),
        Some(DeValue::Datetime(time)) => {
            let (parsed, span) = (units::moment(&time.to_string()), s.named("maintenance").map(Spanned::span));
            parsed.map_err(|complaint| s.problems.add(span, "`maintenance` is not valid", complaint)).ok().map(Maintenance::Until)
        }
        _ => s.boolean("maintenance").filter(|on| *on).map(|_| Maintenance::Now),
    }
}

pub(super) fn cors(s: &mut Section<'_, '_>) -> CorsKeys {
    CorsKeys {
        origins: s.strings("origins", true).unwrap_or_default(),
        credentials: s.boolean("credentials").unwrap_or(false),
        methods: s.strings("methods", false),
        headers: s.strings("headers", false),
        max_age: s.parsed("max_age", units::duration).map(|at| at.value),
        span: s.span.clone(),
    }
}
