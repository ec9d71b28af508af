//! Reads the keys of a policy: what a route, a backend or the whole file may say about requests.

use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::DeValue;

use super::file::{CorsKeys, EditKeys, LimitUse, PolicyKeys, RetryKeys};
use super::section::{At, Section};
use super::units;
use crate::policy::{Maintenance, RetryOn};

/// The keys that defaults, backends and routes share.
pub(super) fn policy(s: &mut Section<'_, '_>) -> PolicyKeys {
    PolicyKeys {
        connect_timeout: s.parsed("connect_timeout", units::clock),
        response_timeout: s.parsed("response_timeout", units::clock),
        idle_timeout: s.parsed("idle_timeout", units::clock),
        total_timeout: s.parsed("total_timeout", units::clock),
        request_body_limit: s.parsed("request_body_limit", units::bound),
        normalize_client_errors: s.choice("client_errors", &[("normalize", Some(true)), ("pass", Some(false))]),
        rewrite_server_errors: server_errors(s),
        allow_leaks: s.boolean("allow_leaks"),
        request_headers: s.table("request_headers", edits),
        response_headers: s.table("response_headers", edits),
        limits: limit_uses(s),
        rate_limit_headers: s.boolean("rate_limit_headers"),
        buffer_request: s.parsed("buffer_request", units::bound),
        min_rate: s.parsed("min_rate", units::min_rate),
        retry: s.table("retry", retry),
    }
}

/// Names of limits, or tables with a `name` and a `cost`.
fn limit_uses(s: &mut Section<'_, '_>) -> Option<Vec<LimitUse>> {
    let list = s.list("limits")?;
    let mut uses = Vec::new();
    for item in list {
        uses.extend(match item.get_ref() {
            DeValue::Table(_) => s
                .table_in("limits", item, |s| {
                    let cost = s.number("cost", 1..=u64::from(u32::MAX)).and_then(|n| NonZeroU32::new(n as u32));
                    s.needs("name", "{ name = \"per_client\", cost = 5 }");
                    s.string("name").map(|name| LimitUse { name, cost: cost.unwrap_or(NonZeroU32::MIN) })
                })
                .flatten(),
            _ => s.text_of("limits", item).map(|name| LimitUse { name, cost: NonZeroU32::MIN }),
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
                "a retry does not know this word",
                "\"connect\", \"lost\", \"timeout\", \"429\" or a status from 500 to 599",
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
        s.any_name();
        let mut set = Vec::new();
        for name in s.names() {
            let Some(header) = header_name(s, &name) else { continue };
            let text = s.named(&name.value).and_then(|value| s.text_of(&name.value, value));
            let Some(text) = text else { continue };
            match HeaderValue::from_str(&text.value) {
                Ok(value) => set.push((header, value)),
                Err(_) => s.problems.add(text.span, "not a header value", "visible characters, spaces and tabs only"),
            }
        }
        set
    });
    let remove = s.strings("remove", false).unwrap_or_default();
    let remove = remove.iter().filter_map(|name| header_name(s, name)).collect();
    EditKeys { set: set.unwrap_or_default(), remove }
}

/// A header an operator may edit: any but those that frame the message.
pub(super) fn header_name(s: &mut Section<'_, '_>, name: &At<String>) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
        s.problems.add(name.span.clone(), "not a header name", "letters, digits and `-`");
        return None;
    };
    const FRAMING: &[&str] =
        &["connection", "content-length", "transfer-encoding", "trailer", "upgrade", "te", "host", "x-request-id", "proxy-status"];
    if FRAMING.contains(&header.as_str()) {
        let title = format!("`{header}` belongs to the gateway and cannot be edited");
        s.problems.add(
            name.span.clone(),
            title,
            if header == "host" { "see `host_header` of the backend" } else { "remove it from the list" },
        );
        return None;
    }
    Some(header)
}

/// `true`, `false` or the time at which it ends.
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
