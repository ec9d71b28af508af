//! Reads `[[notify]]`: who is told of failures, and when. Must not know how a message looks or travels.

use std::time::Duration;

use super::file::{Notify, NotifyKind, NotifyRule, NotifyTemplateType, RateOf};
use super::section::{At, Section};
use super::units;
use super::values::{placed, secret, secret_headers};

/// Headers that the gateway writes itself.
const OWN: [&str; 10] = [
    "host",
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "user-agent",
    "idempotency-key",
    "lockgate-timestamp",
    "lockgate-signature",
];

/// Reads all tables.
pub(super) fn notify(root: &mut Section<'_, '_>) -> Vec<Notify> {
    let list = root.list("notify").unwrap_or_default();
    list.into_iter().filter_map(|item| root.table_in("notify", item, one).flatten()).collect()
}

/// Reads one table. `None` if it has no usable kind or URL, which is reported.
fn one(s: &mut Section<'_, '_>) -> Option<Notify> {
    let span = s.span.clone();
    s.require("kind", "kind = \"slack\"");
    s.require("url", "url = \"file:/run/secrets/slack\"");
    let kinds = NotifyKind::ALL.map(|kind| (kind.word(), Some(kind)));
    let types = [("application/json", Some(NotifyTemplateType::Json)), ("text/plain", Some(NotifyTemplateType::Plain))];
    let (name, kind) = (s.string("name"), s.choice("kind", &kinds));
    // The path of a webhook opens it, whatever it looks like.
    let url = secret(s, "url", |_| true);
    let when = s.strings("when", true);
    if when.as_ref().is_some_and(Vec::is_empty) {
        s.problems.add(span.clone(), "a notifier without a rule never speaks", "add: when = [\"new-group\"], or remove `when`");
    }
    let when = when.map(|list| list.into_iter().filter_map(|text| rule(s, text)).collect());
    let codes = s.strings("codes", true).map(|list| list.into_iter().map(|at| at.value).collect());
    let template_type = s.choice("template_type", &types);
    let headers = s.table("headers", |s| secret_headers(s, &OWN));
    // What may be missing comes last, so that all keys are read before.
    Some(Notify {
        span,
        name,
        when,
        routes: s.strings("routes", true),
        backends: s.strings("backends", true),
        codes: placed(s, "codes", codes),
        window: s.parsed("window", units::duration),
        per_minute: s.number("max_per_minute", 1..=600),
        timeout: s.parsed("timeout", units::duration),
        ca: s.file("ca"),
        secret: secret(s, "secret", |_| true),
        template: s.text("template"),
        template_type: placed(s, "template_type", template_type),
        headers: placed(s, "headers", headers),
        kind: kind?,
        url: url?,
    })
}

fn rule(s: &mut Section<'_, '_>, At { value, span }: At<String>) -> Option<At<NotifyRule>> {
    match rule_of(&value) {
        Ok(value) => Some(At { value, span }),
        Err(complaint) => {
            s.problems.add(span, "this is not a known rule of `when`", complaint);
            None
        }
    }
}

/// Reads a rule.
fn rule_of(text: &str) -> Result<NotifyRule, String> {
    const WORDS: [(&str, NotifyRule); 6] = [
        ("new-group", NotifyRule::NewGroup),
        ("regression", NotifyRule::Regression),
        ("backend-down", NotifyRule::BackendDown),
        ("backend-up", NotifyRule::BackendUp),
        ("breaker-open", NotifyRule::BreakerOpen),
        ("reload-failed", NotifyRule::ReloadFailed),
    ];
    let text = text.trim();
    if let Some((_, rule)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*rule);
    }
    let rate = |of, text: &str| units::rate(text.trim()).map(|rate| NotifyRule::Rate(of, rate));
    if let Some(text) = text.strip_prefix('>') {
        return rate(RateOf::Group, text);
    }
    if let Some(text) = text.strip_prefix("route").and_then(|rest| rest.trim_start().strip_prefix('>')) {
        return rate(RateOf::Route, text);
    }
    if let Some(text) = text.strip_prefix("certificate").and_then(|rest| rest.trim_start().strip_prefix('<')) {
        return within(text.trim()).map(NotifyRule::Certificate);
    }
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    let listed = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let listed = format!("{listed}, \"> 10/m\" (failures of a group), \"route > 100/m\", \"certificate < 14d\"");
    Err(match super::words::nearest(text, &words) {
        Some(word) => format!("did you mean \"{word}\"? available: {listed}"),
        None => format!("available: {listed}"),
    })
}

fn within(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|complaint| format!("{complaint}, such as \"certificate < 14d\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rate = |text| units::rate(text).unwrap();
        for (text, rule) in [
            ("new-group", NotifyRule::NewGroup),
            ("> 10/m", NotifyRule::Rate(RateOf::Group, rate("10/m"))),
            (">10/m", NotifyRule::Rate(RateOf::Group, rate("10/m"))),
            ("route > 100/h", NotifyRule::Rate(RateOf::Route, rate("100/h"))),
            ("certificate < 14d", NotifyRule::Certificate(Duration::from_secs(14 * 86_400))),
            ("reload-failed", NotifyRule::ReloadFailed),
        ] {
            assert_eq!(rule_of(text).unwrap(), rule, "{text}");
        }
        for (text, complaint) in [
            ("new-grup", "did you mean \"new-group\""),
            ("> ten", "expected a rate"),
            ("route", "available"),
            ("certificate < 14", "such as \"certificate < 14d\""),
            ("every", "available"),
        ] {
            assert!(rule_of(text).unwrap_err().contains(complaint), "{text}: {:?}", rule_of(text));
        }
    }
}
