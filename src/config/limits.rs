//! Reads `[limits.NAME]`. Must not know which routes use a limit.

use std::num::NonZeroU32;

use http::HeaderName;
use ipnet::IpNet;
use toml::Spanned;

use super::section::{At, Section};
use super::units;

/// The key by which a limit separates its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The address of the client, for IPv6 its /64 prefix.
    ClientIp,
    /// The value of a request header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// The decoded value of a query parameter.
    Query(String),
    /// The route.
    Route,
    /// One count for all requests.
    Global,
}

/// `[limits.NAME]`
#[derive(Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Limit {
    pub name: At<String>,
    pub rates: Vec<At<units::Rate>>,
    pub burst: Option<At<NonZeroU32>>,
    pub key: Vec<KeySource>,
    pub shared: Option<At<()>>,
    pub max_keys: Option<u64>,
    pub max_in_flight: Option<At<u64>>,
    pub exempt: Vec<IpNet>,
    pub deny: Vec<IpNet>,
}

/// Reads `rate`: one rate such as `"100/s"`, or a list of rates.
fn rates(s: &mut Section<'_, '_>) -> Vec<At<units::Rate>> {
    let mut found: Vec<At<units::Rate>> = Vec::new();
    let (list, span) = (s.strings("rate", true), s.named("rate").map(Spanned::span));
    if list.as_ref().is_some_and(Vec::is_empty) {
        s.problems.add(span, "`rate` is empty", "write a rate such as \"100/s\", or remove the key");
    }
    for text in list.unwrap_or_default() {
        match units::rate(&text.value) {
            Ok(rate) if found.iter().any(|other| other.value.window == rate.window) => {
                s.problems.add(text.span, "two rates have the same window", "keep the smaller one");
            }
            Ok(value) => found.push(At { value, span: text.span }),
            Err(complaint) => s.problems.add(text.span, "`rate` is not valid", complaint),
        }
    }
    found
}

pub(super) fn limit(s: &mut Section<'_, '_>, name: At<String>) -> Limit {
    let span = s.span.clone();
    let rates = rates(s);
    let max_in_flight = s.value("max_in_flight").map(Spanned::span).zip(s.number("max_in_flight", 1..=1_000_000));
    if s.named("rate").is_none() && max_in_flight.is_none() && s.named("max_in_flight").is_none() {
        s.problems.add(span, format!("the limit `{}` has no `rate` and no `max_in_flight`", name.value), "add: rate = \"100/s\"");
    }
    let burst = s.value("burst").map(Spanned::span).zip(s.number("burst", 1..=u64::from(u32::MAX)));
    let store = s.value("store").map(Spanned::span).zip(s.choice("store", &[("local", Some(false)), ("shared", Some(true))]));
    Limit {
        name,
        rates,
        burst: burst.and_then(|(span, n)| Some(At { value: NonZeroU32::new(n as u32)?, span })),
        key: key(s),
        shared: store.filter(|(_, shared)| *shared).map(|(span, _)| At { value: (), span }),
        max_keys: s.number("max_keys", 1..=100_000_000),
        max_in_flight: max_in_flight.map(|(span, value)| At { value, span }),
        exempt: exempt(s),
        deny: s.networks("deny").unwrap_or_default(),
    }
}

/// Reads `exempt`, and reports the name that it had before.
fn exempt(s: &mut Section<'_, '_>) -> Vec<IpNet> {
    if let Some(span) = s.value("allow").map(Spanned::span) {
        let help = "write `exempt`: the limit does not apply to these clients. To let only some clients in, a route has `access`";
        s.problems.add(span, "`allow` of a limit is named `exempt`", help);
    }
    s.networks("exempt").unwrap_or_default()
}

/// Reads `key`: what the limit counts by, or a list of what it counts by together.
fn key(s: &mut Section<'_, '_>) -> Vec<KeySource> {
    let Some(list) = s.strings("key", true) else { return vec![KeySource::ClientIp] };
    let span = s.named("key").map(Spanned::span);
    let mut found = Vec::new();
    for item in &list {
        match key_source(&item.value) {
            Ok(source) if found.contains(&source) => s.problems.add(item.span.clone(), "this part of the key is listed twice", "remove it"),
            Ok(KeySource::Global) if list.len() > 1 => {
                s.problems.add(item.span.clone(), "\"global\" has no effect in a list", "remove it: the other parts tell requests apart");
            }
            Ok(source) => found.push(source),
            Err(complaint) => s.problems.add(item.span.clone(), "`key` is not valid", complaint),
        }
    }
    if list.is_empty() {
        s.problems.add(span, "`key` is empty", "remove the key to count by \"client-ip\"");
    }
    if found.is_empty() { vec![KeySource::ClientIp] } else { found }
}

fn key_source(text: &str) -> Result<KeySource, String> {
    let token = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    match (text, text.split_once(':')) {
        ("client-ip", _) => Some(KeySource::ClientIp),
        ("route", _) => Some(KeySource::Route),
        ("global", _) => Some(KeySource::Global),
        (_, Some(("header", name))) => token(name).map(KeySource::Header),
        // A cookie's name is a token too (RFC 6265 4.1.1).
        (_, Some(("cookie", name))) => token(name).map(|_| KeySource::Cookie(name.to_owned())),
        (_, Some(("query", name))) if !name.is_empty() => Some(KeySource::Query(name.to_owned())),
        (_, _) => None,
    }
    .ok_or_else(|| {
        "expected \"client-ip\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"route\", \"global\" or a list of these".to_owned()
    })
}
