//! Reads `[backends.NAME]`: endpoints, load balancing, health checks, circuit breaker, connection pool and TLS.
//!
//! Checks each key by itself. Must not know defaults or what the keys mean together; `plan` does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use toml::de::DeValue;

use super::errors::errors;
use super::file::{Backend, BalanceKind, BreakerKeys, EndpointKeys, HealthKeys, PoolKeys, ProtocolKind, QueueKeys, SendProxy, TlsKeys};
use super::policy_keys::policy;
use super::section::{At, Section};
use super::units;

pub(super) fn backend(s: &mut Section<'_, '_>, name: At<String>) -> Backend {
    Backend {
        name,
        endpoints: endpoints(s),
        max_in_flight: s.number("max_in_flight", 1..=1_000_000),
        adaptive: s.value("adaptive").map(toml::Spanned::span).zip(s.boolean("adaptive")).map(|(span, value)| At { value, span }),
        queue: s.table("queue", queue).unwrap_or_default(),
        balance: s.parsed("balance", balance).map(|at| at.value),
        protocol: s
            .choice("protocol", &[("auto", Some(ProtocolKind::Auto)), ("h1", Some(ProtocolKind::H1)), ("h2", Some(ProtocolKind::H2))]),
        dns_refresh: s.parsed("dns_refresh", units::duration).map(|at| at.value),
        slow_start: s.parsed("slow_start", units::duration_or_off).map(|at| at.value),
        health: s.table("health", health).flatten(),
        breaker: s.table("breaker", breaker),
        host_header: s.string("host_header"),
        send_proxy: send_proxy(s),
        pool: s.table("pool", pool).unwrap_or_default(),
        tls: s.table("tls", tls),
        errors: s.table("errors", errors).unwrap_or_default(),
        policy: policy(s),
    }
}

/// Reads `endpoints`, a list of URLs or of tables with a `url`.
fn endpoints(s: &mut Section<'_, '_>) -> Vec<EndpointKeys> {
    let span = s.span.clone();
    let Some(list) = s.list("endpoints") else {
        s.problems.add(span, "the backend has no `endpoints`", "add: endpoints = [\"http://127.0.0.1:8000\"]");
        return Vec::new();
    };
    if list.is_empty() {
        s.problems.add(span, "`endpoints` is empty", "add: endpoints = [\"http://127.0.0.1:8000\"]");
    }
    let mut found = Vec::new();
    for item in list {
        found.extend(match item.get_ref() {
            DeValue::Table(_) => s.table_in("endpoints", item, endpoint).flatten(),
            _ => s.string_of("endpoints", item).map(|url| EndpointKeys { url, weight: None, drain: false }),
        });
    }
    found
}

fn endpoint(s: &mut Section<'_, '_>) -> Option<EndpointKeys> {
    s.require("url", "{ url = \"http://10.0.0.12:8080\", weight = 2 }");
    let (weight, drain) = (s.number("weight", 1..=1000), s.boolean("drain").unwrap_or(false));
    s.string("url").map(|url| EndpointKeys { url, weight, drain })
}

fn balance(text: &str) -> Result<BalanceKind, String> {
    match text {
        "least-requests" => Ok(BalanceKind::LeastRequests),
        "round-robin" => Ok(BalanceKind::RoundRobin),
        "hash:client-ip" => Ok(BalanceKind::HashClientIp),
        _ => text
            .strip_prefix("hash:header:")
            .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .map(BalanceKind::HashHeader)
            .ok_or_else(|| "expected \"least-requests\", \"round-robin\", \"hash:client-ip\" or \"hash:header:NAME\"".to_owned()),
    }
}

fn send_proxy(s: &mut Section<'_, '_>) -> Option<At<SendProxy>> {
    let choices = [("off", Some(SendProxy::Off)), ("v1", Some(SendProxy::V1)), ("v2", Some(SendProxy::V2))];
    let span = s.value("send_proxy")?.span();
    s.choice("send_proxy", &choices).map(|value| At { value, span })
}

fn queue(s: &mut Section<'_, '_>) -> QueueKeys {
    QueueKeys {
        max: s.number("max", 0..=100_000),
        timeout: s.parsed("timeout", units::duration).map(|at| at.value),
        span: Some(s.span.clone()),
    }
}

fn health(s: &mut Section<'_, '_>) -> Option<HealthKeys> {
    let span = s.span.clone();
    let path = s.string("path");
    if path.is_none() && s.named("path").is_none() {
        s.problems.add(span, "[health] has no `path`", "add: path = \"/health\"");
    }
    let keys = HealthKeys {
        path: path.clone().unwrap_or(At::without_place("/".to_owned())),
        host: s.string("host"),
        every: s.parsed("every", units::duration).map(|at| at.value),
        timeout: s.parsed("timeout", units::duration).map(|at| at.value),
        unhealthy_after: s.number("unhealthy_after", 1..=100),
        healthy_after: s.number("healthy_after", 1..=100),
        expect: s.parsed("expect", units::statuses).map(|at| at.value),
        panic_below: s.parsed("panic_below", units::percent).map(|at| at.value),
    };
    path.map(|_| keys)
}

fn breaker(s: &mut Section<'_, '_>) -> BreakerKeys {
    BreakerKeys {
        open_after: s.parsed("open_after", units::share).map(|at| at.value),
        open_for: s.parsed("open_for", units::duration).map(|at| at.value),
        trials: s.number("trials", 1..=100),
    }
}

fn pool(s: &mut Section<'_, '_>) -> PoolKeys {
    PoolKeys {
        max_connections: s.number("max_connections", 1..=100_000),
        max_idle: s
            .value("max_idle")
            .map(toml::Spanned::span)
            .zip(s.number("max_idle", 0..=100_000))
            .map(|(span, value)| At { value, span }),
        idle_timeout: s.parsed("idle_timeout", units::duration).map(|at| at.value),
    }
}

fn tls(s: &mut Section<'_, '_>) -> TlsKeys {
    let mut pins = Vec::new();
    for text in s.strings("pin", true).unwrap_or_default() {
        match pin(&text.value) {
            Some(value) => pins.push(At { value, span: text.span }),
            None => {
                let help = "expected the SHA-256 of a key, such as \"sha256/4a6cPehI7OG6cuDZka5NDZ7FR8a60d3auda+sKfg4Ng=\"; docs/tls.md has the command";
                s.problems.add(text.span, "this is not a pin", help);
            }
        }
    }
    if let Some(list) = s.named("pin").filter(|value| value.get_ref().as_array().is_some_and(|list| list.is_empty())) {
        s.problems.add(list.span(), "`pin` is empty", "list the keys that are accepted, or remove the key");
    }
    TlsKeys {
        ca: s.file("ca"),
        verify: s.value("verify").map(toml::Spanned::span).zip(s.boolean("verify")).map(|(span, value)| At { value, span }),
        pin: pins,
        server_name: s.string("server_name"),
        cert: s.file("cert"),
        key: s.file("key"),
    }
}

/// Reads `sha256/` or, as curl writes it, `sha256//`, and 32 bytes in base64.
fn pin(text: &str) -> Option<[u8; 32]> {
    let digest = text.strip_prefix("sha256/")?;
    // A digest may begin with a slash itself. Only the length tells.
    let digest = if digest.len() == 45 { digest.strip_prefix('/')? } else { digest };
    STANDARD.decode(digest).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_curl_and_others_write_them() {
        let digest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8);
        assert_eq!(pin(&format!("sha256/{digest}")), Some(bytes));
        assert_eq!(pin(&format!("sha256//{digest}")), Some(bytes));
        // A digest that begins with a slash is not cut.
        let slash = [&[0xff], &bytes[1..]].concat();
        assert_eq!(pin(&format!("sha256/{}", STANDARD.encode(&slash))).map(Vec::from), Some(slash.clone()));
        assert_eq!(pin(&format!("sha256//{}", STANDARD.encode(&slash))).map(Vec::from), Some(slash));
        for wrong in ["", digest, "sha256/", "sha1/AAAA", "sha256/AAAA", "sha256///"] {
            assert_eq!(pin(wrong), None, "{wrong}");
        }
        assert_eq!(pin(&format!("sha256/{digest}A")), None);
    }
}
