//! Reads `[errors]`, and `errors = {...}` of a backend or a route: how upstream errors are read and how error responses look.
//!
//! Checks each key by itself. Must not know defaults or other sections.

use toml::Spanned;
use toml::de::DeValue;

use super::file::{ErrorKeys, RedactKeys};
use super::section::{At, Section};
use super::units;
use crate::policy::{Details, Format, PointerRule, Protocol, StatusRule, SuccessPreset, SuccessRule, Trigger, Upstream429, When};

/// The 5xx statuses that an upstream error may be mapped to.
const GATEWAY_STATUSES: [u16; 3] = [502, 503, 504];

/// Reads an `errors` table.
pub(super) fn errors(s: &mut Section<'_, '_>) -> ErrorKeys {
    let formats = [
        ("envelope", Some(Format::Envelope)),
        ("problem", Some(Format::Problem)),
        ("flat", Some(Format::Flat)),
        ("template", Some(Format::Template)),
    ];
    let protocols = [("http", Some(Protocol::Http)), ("graphql", Some(Protocol::Graphql)), ("jsonrpc", Some(Protocol::Jsonrpc))];
    let keys = ErrorKeys {
        format: s.choice("format", &formats),
        details: s.choice("details", &[("map", Some(Details::Map)), ("list", Some(Details::List))]),
        negotiate: s.boolean("negotiate"),
        protocol: s.choice("protocol", &protocols),
        template: s.string("template"),
        template_type: s.string("template_type"),
        languages: s.strings("languages", false),
        messages: s.file("messages"),
        page: s.file("page"),
        max_body: s.parsed("max_body", units::size),
        upstream_429: s.choice("upstream_429", &[("pass", Some(Upstream429::Pass)), ("unavailable", Some(Upstream429::Unavailable))]),
        retry_after: s.parsed("retry_after", units::duration).map(|at| at.value),
        retry_after_max: s.parsed("retry_after_max", units::duration).map(|at| at.value),
        status_map: s.table("status_map", status_map),
        database_errors: s.boolean("database_errors"),
        redact: s.table("redact", redact),
        errors_in_success: s.list("errors_in_success").map(|list| success_rules(s, list)),
        proxy_status: s.boolean("proxy_status"),
        edge_safe: s.boolean("edge_safe"),
    };
    if let Some(page) = keys.page.as_ref().filter(|_| keys.negotiate == Some(false)) {
        let help = "with `negotiate = false` every client gets the `format` of the route; remove one of the two keys";
        s.problems.add(page.span.clone(), "`page` has no effect with `negotiate = false`", help);
    }
    let always_problem = keys.format == Some(Format::Problem) && keys.negotiate == Some(false) && keys.protocol.is_none();
    if keys.details.is_some() && always_problem {
        let help = "the problem format lists all errors in `errors`, with their fields and codes";
        s.problems.add(s.span.clone(), "`details` has no effect on the problem format", help);
    }
    keys
}

fn redact(s: &mut Section<'_, '_>) -> RedactKeys {
    RedactKeys { extra: s.strings("extra", false).unwrap_or_default(), allow: s.strings("allow", false).unwrap_or_default() }
}

/// Reads `status_map`, whose keys are codes or statuses of the upstream.
fn status_map(s: &mut Section<'_, '_>) -> Vec<StatusRule> {
    s.allow_any_key();
    let mut rules = Vec::new();
    for name in s.names() {
        let Some(value) = s.named(&name.value) else { continue };
        let key = name.value.clone();
        let rule = s.table_in(&key, value, |s| {
            let (span, when) = (s.span.clone(), name.value);
            let written = s.named("status").is_some() || s.named("code").is_some();
            let condition = when_of(&when);
            if condition.is_none() {
                let help = "expected an error code such as \"E1042\", a status from 400 to 599, \"5xx\" or a range such as \"500-599\"";
                s.problems.add(name.span.clone(), format!("`{when}` is neither an error code nor an error status"), help);
            }
            let status = s.number("status", 400..=599).and_then(|status| u16::try_from(status).ok());
            let code = s.string("code");
            if !written {
                s.problems.add(span, "the rule changes nothing", "write: { status = 409, code = \"ORDER_LOCKED\" }");
            }
            let when = condition.unwrap_or(When::Code(when));
            StatusRule { when, status: status.and_then(|status| valid_status(s, status)), code: code.and_then(|code| valid_code(s, code)) }
        });
        rules.extend(rule);
    }
    // The most specific rule comes first, so the order in the file does not matter. Ranges of one width are sorted by their start, which
    // makes overlapping ranges neighbors.
    rules.sort_by_key(|rule| rule.when.order());
    for pair in rules.windows(2).filter(|pair| overlap(&pair[0].when, &pair[1].when)) {
        let title = format!("`status_map`: `{}` and `{}` overlap and are equally specific", pair[0].when, pair[1].when);
        s.problems.add(s.span.clone(), title, "make one of the ranges narrower");
    }
    rules
}

fn overlap(one: &When, other: &When) -> bool {
    match (one, other) {
        (When::Status(from, to), When::Status(start, end)) => one.width() == other.width() && from <= end && start <= to,
        (When::Code(_), _) | (_, When::Code(_)) => false,
    }
}

/// Returns the condition that a key of `status_map` stands for, or `None` if no error can meet it.
pub(super) fn when_of(key: &str) -> Option<When> {
    let error = |text: &str| text.parse::<u16>().ok().filter(|status| text.len() == 3 && (400..600).contains(status));
    match key {
        "4xx" | "4XX" => return Some(When::Status(400, 499)),
        "5xx" | "5XX" => return Some(When::Status(500, 599)),
        _ => {}
    }
    if let Some(status) = error(key) {
        return Some(When::Status(status, status));
    }
    if let Some((from, to)) = key.split_once('-').and_then(|(from, to)| error(from).zip(error(to))) {
        return (from <= to).then_some(When::Status(from, to));
    }
    // A mistyped status or range (`999`, `9xx`) is a problem: read as an error code, it would never match.
    let is_like_status = key.len() == 3 && (key.bytes().all(|b| b.is_ascii_digit()) || key[1..].eq_ignore_ascii_case("xx"));
    let is_like_range = key
        .split_once('-')
        .is_some_and(|(from, to)| [from, to].iter().all(|end| end.len() == 3 && end.bytes().all(|b| b.is_ascii_digit())));
    let is_code = (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
    (is_code && !is_like_status && !is_like_range).then(|| When::Code(key.to_owned()))
}

/// Returns a status that an upstream error may be mapped to. Of the 5xx, these are the ones that blame the upstream and not the gateway.
fn valid_status(s: &mut Section<'_, '_>, status: u16) -> Option<u16> {
    // 499 is the status in the log of a client that closed the connection; it is never sent.
    let valid = (status < 500 && status != 499) || GATEWAY_STATUSES.contains(&status);
    if !valid {
        let title = format!("an upstream error cannot be mapped to status {status}");
        s.problems.add(s.span.clone(), title, "expected 400 to 498, 502, 503 or 504");
    }
    valid.then_some(status)
}

fn valid_code(s: &mut Section<'_, '_>, code: At<String>) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    let valid = (1..=64).contains(&code.value.len()) && code.value.bytes().all(allowed);
    if !valid {
        s.problems.add(code.span, "invalid error code", "expected 1 to 64 characters of A-Z a-z 0-9 _ . : -");
    }
    valid.then_some(code.value)
}

fn success_rules<'t>(s: &mut Section<'t, '_>, list: Vec<&'t Spanned<DeValue<'t>>>) -> Vec<SuccessRule> {
    let known = [
        ("graphql", SuccessPreset::Graphql),
        ("soap", SuccessPreset::Soap),
        ("jsonrpc", SuccessPreset::Jsonrpc),
        ("success-flag", SuccessPreset::SuccessFlag),
    ];
    let mut found = Vec::new();
    for item in list {
        match item.get_ref().as_str().and_then(|word| known.iter().find(|(name, _)| *name == word)) {
            Some((_, preset)) => found.push(SuccessRule::Preset(*preset)),
            None if item.get_ref().is_table() => found.extend(pointer_rule(s, item).map(SuccessRule::Pointer)),
            None => s.problems.add(
                item.span(),
                "unknown preset",
                "available: \"graphql\", \"soap\", \"jsonrpc\", \"success-flag\", or a rule: { pointer = \"/resultCode\", not = \"OK\" }",
            ),
        }
    }
    found
}

fn pointer_rule<'t>(s: &mut Section<'t, '_>, item: &'t Spanned<DeValue<'t>>) -> Option<PointerRule> {
    s.table_in("errors_in_success", item, |s| {
        let span = s.span.clone();
        let pointer = pointer(s, "pointer");
        if pointer.is_none() && s.named("pointer").is_none() {
            s.problems.add(span.clone(), "the rule has no `pointer`", "add: pointer = \"/resultCode\"");
        }
        let values = |list: Option<Vec<At<String>>>| list.map(|list| list.into_iter().map(|word| word.value).collect::<Vec<_>>());
        let trigger = match (values(s.strings("is", true)), values(s.strings("not", true))) {
            (Some(_), Some(_)) => {
                s.problems.add(span, "`is` and `not` exclude each other", "remove one of them");
                Trigger::Exists
            }
            (Some(values), None) => Trigger::Is(values),
            (None, Some(values)) => Trigger::Not(values),
            (None, None) => Trigger::Exists,
        };
        let (code, message) = (self::pointer(s, "code"), self::pointer(s, "message"));
        let status = s.table("status", statuses).unwrap_or_default();
        let stars =
            |pointer: &Option<String>| pointer.iter().flat_map(|pointer| pointer.split('/')).filter(|segment| *segment == "*").count();
        if stars(&code).max(stars(&message)) > stars(&pointer) {
            let help = "each `*` in `code` and `message` stands for the segment that the same `*` in `pointer` matched";
            s.problems.add(s.span.clone(), "`code` or `message` has more `*` than `pointer`", help);
        }
        Some(PointerRule { pointer: pointer?, trigger, code, message, status })
    })
    .flatten()
}

/// Reads a JSON pointer (RFC 6901 3).
fn pointer(s: &mut Section<'_, '_>, key: &'static str) -> Option<String> {
    let at = s.string(key)?;
    let escapes = at.value.match_indices('~').all(|(at_tilde, _)| matches!(at.value.as_bytes().get(at_tilde + 1), Some(b'0' | b'1')));
    let valid = at.value.starts_with('/') && at.value.len() <= 256 && escapes;
    if !valid {
        let help = "a JSON pointer begins with `/`, such as \"/header/resultCode\" (RFC 6901)";
        s.problems.add(at.span, format!("`{key}` is not a JSON pointer"), help);
    }
    valid.then_some(at.value)
}

/// Reads statuses by error code; `*` stands for any other code.
fn statuses(s: &mut Section<'_, '_>) -> Vec<(String, u16)> {
    s.allow_any_key();
    let mut found = Vec::new();
    for name in s.names() {
        let Some(value) = s.named(&name.value) else { continue };
        let number = value.get_ref().as_integer().and_then(|number| u16::from_str_radix(number.as_str(), number.radix()).ok());
        match number.filter(|status| (400..499).contains(status) || GATEWAY_STATUSES.contains(status)) {
            Some(status) => found.push((name.value, status)),
            None => s.problems.add(value.span(), "invalid error status", "expected 400 to 498, 502, 503 or 504"),
        }
    }
    found
}
