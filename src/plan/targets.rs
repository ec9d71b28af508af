//! Compiles `[backends.NAME]`: URLs into endpoints, certificate files into TLS settings, and the settings of load balancing, health checks,
//! circuit breaker, connection pool and permits.
//!
//! Must not open connections; `upstream` does.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;

use super::live::LiveState;
use crate::breaker::{self, Rule};
use crate::config::diagnose::Problems;
use crate::config::file::{self, BalanceKind, ProtocolKind, SendProxy};
use crate::config::section::At;
use crate::config::units::Share;
use crate::limit::gate::{Gate, GateSettings};
use crate::route::Pattern;
use crate::upstream::choose::backend::{Backend, HostHeader};
use crate::upstream::choose::balance::{Balance, HashKey};
use crate::upstream::choose::health::Probe;
use crate::upstream::choose::settings::BackendSettings;
use crate::upstream::connect::pool::PoolSettings;
use crate::upstream::connect::proxy_header::ProxyVersion;
use crate::upstream::connect::target::{Protocol, Target as UpstreamTarget};
use crate::upstream::connect::tls::{self, Tls, Trust};

/// A backend, with its permits if its requests in flight are limited.
pub(super) type Target = (Arc<Backend>, Option<Arc<Gate>>);

/// A TLS configuration, and the digest of the files from which it was created.
type ClientTls = (Arc<rustls::ClientConfig>, [u8; 32]);

/// Compiles one backend. Everything that it has in common with the running backend of the same name keeps its state. Returns `None` if a
/// problem was reported that leaves no usable endpoint.
pub(super) fn backend(keys: &file::Backend, cores: usize, live: &LiveState, problems: &mut Problems) -> Option<Target> {
    let urls: Vec<(Uri, &file::EndpointKeys)> =
        keys.endpoints.iter().filter_map(|endpoint| Some((endpoint_url(&endpoint.url, problems)?, endpoint))).collect();
    let secure = urls.iter().any(|(uri, _)| uri.scheme_str() == Some("https"));
    if !secure && keys.tls.is_some() {
        problems.add(
            keys.name.span.clone(),
            format!("the backend `{}` has a `tls` table but no https endpoint", keys.name.value),
            "write https:// in its endpoints, or remove the table",
        );
    }
    let send_proxy = send_proxy(keys, problems);
    let kind = keys.protocol.unwrap_or_default();
    let protocol = if send_proxy.is_some() { Protocol::Http1 } else { protocol(kind, keys, problems) };
    let config = if secure { client_config(keys, protocol, problems)? } else { None };
    let base_path = base_path(&urls, problems);
    let mut targets = Vec::new();
    for (uri, endpoint) in urls {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { continue };
        let tls = match (&config, scheme) {
            (Some((config, made_from)), "https") => {
                let server_name = server_name(keys, authority.host(), &endpoint.url, problems)?;
                let unverified = !verifies(keys);
                Some(Tls { config: Arc::clone(config), made_from: *made_from, unverified, server_name })
            }
            _ => None,
        };
        let weight = endpoint.weight.unwrap_or(1) as u32;
        let target = UpstreamTarget::new(scheme, authority, (tls, protocol), weight, endpoint.drain);
        let target = UpstreamTarget { send_proxy, ..target };
        if targets.iter().any(|other: &Arc<UpstreamTarget>| other.url == target.url) {
            problems.add(endpoint.url.span.clone(), "this endpoint is listed twice", "use `weight` to send more requests to an endpoint");
        }
        targets.push(Arc::new(target));
    }
    if targets.is_empty() {
        return None;
    }
    let host_header = host_header(keys, problems);
    let settings = BackendSettings { base_path, ..settings(keys, cores, problems) };
    let name = keys.name.value.as_str();
    let gate = backend_gate(keys, problems).map(|settings| live.backend_gate(name, settings));
    Some((Arc::new(Backend::new(name.into(), targets, host_header, settings, live.backend(name))), gate))
}

/// Returns the version of HTTP that the backend is spoken to in.
fn protocol(kind: ProtocolKind, keys: &file::Backend, problems: &mut Problems) -> Protocol {
    match kind {
        ProtocolKind::Auto => Protocol::Auto,
        ProtocolKind::H1 => Protocol::Http1,
        ProtocolKind::H2 => {
            if let Some(at) = &keys.pool.max_idle {
                problems.add(
                    at.span.clone(),
                    "`max_idle` has no effect on HTTP/2 connections",
                    "remove the key: the requests of a core share a connection, which closes after `idle_timeout` without any",
                );
            }
            Protocol::Http2
        }
    }
}

/// Returns the version of the PROXY header that the endpoints are sent, and reports keys that cannot be used with it.
fn send_proxy(keys: &file::Backend, problems: &mut Problems) -> Option<ProxyVersion> {
    let at = keys.send_proxy.as_ref()?;
    let version = match at.value {
        SendProxy::Off => return None,
        SendProxy::V1 => ProxyVersion::V1,
        SendProxy::V2 => ProxyVersion::V2,
    };
    if keys.protocol == Some(ProtocolKind::H2) {
        let help = "its connections are shared by clients, and the header names one; remove one of the keys";
        problems.add(at.span.clone(), "`send_proxy` cannot be used with `protocol = \"h2\"`", help);
    }
    if let Some(at) = &keys.pool.max_idle {
        let help = "remove the key: with `send_proxy`, each client connection keeps at most one connection, for `idle_timeout`";
        problems.add(at.span.clone(), "`max_idle` has no effect with `send_proxy`", help);
    }
    Some(version)
}

/// Returns the settings of `max` permits. By default, up to half as many requests (1 to 1000) wait in the queue, for 100 ms each.
pub(super) fn gate_settings(max: u64, adaptive: bool, queue: &file::QueueKeys) -> GateSettings {
    let max = max as usize;
    let wait = queue.timeout.unwrap_or(Duration::from_millis(100));
    let queue = queue.max.map_or_else(|| (max / 2).clamp(1, 1000), |max| max as usize);
    GateSettings { max, adaptive, queue, wait }
}

fn backend_gate(keys: &file::Backend, problems: &mut Problems) -> Option<GateSettings> {
    let adaptive = keys.adaptive.as_ref().is_some_and(|at| at.value);
    if let (Some(at), None) = (keys.adaptive.as_ref().filter(|_| adaptive), keys.max_in_flight) {
        problems.add(
            at.span.clone(),
            "`adaptive` needs `max_in_flight`",
            "add the upper bound of the adaptive limit, such as max_in_flight = 200",
        );
    }
    if let (Some(span), None) = (&keys.queue.span, keys.max_in_flight) {
        problems.add(span.clone(), "`queue` needs `max_in_flight`", "requests wait in the queue only when this limit is reached");
    }
    keys.max_in_flight.map(|max| gate_settings(max, adaptive, &keys.queue))
}

/// Compiles the settings that all endpoints of a backend share.
fn settings(keys: &file::Backend, cores: usize, problems: &mut Problems) -> BackendSettings {
    let seconds = Duration::from_secs;
    let balance = match keys.balance.clone() {
        None | Some(BalanceKind::LeastRequests) => Balance::LeastRequests,
        Some(BalanceKind::RoundRobin) => Balance::RoundRobin,
        Some(BalanceKind::HashClientIp) => Balance::Hash(HashKey::ClientIp),
        Some(BalanceKind::HashHeader(name)) => Balance::Hash(HashKey::Header(name)),
    };
    BackendSettings {
        balance,
        pool: PoolSettings {
            max_connections: keys.pool.max_connections.unwrap_or(256) as usize,
            max_idle: keys.pool.max_idle.as_ref().map_or(64, |at| at.value) as usize,
            idle_timeout: keys.pool.idle_timeout.unwrap_or(seconds(4)),
        },
        probe: keys.health.as_ref().and_then(|health| probe(health, keys, problems)),
        breaker: keys.breaker.as_ref().map(|breaker| {
            let share = breaker.open_after.unwrap_or(Share { bad: 10, of: 20 });
            let open_for = breaker.open_for.unwrap_or(seconds(10));
            let trials = breaker.trials.unwrap_or(3) as u32;
            breaker::Settings { rule: Rule::Share { bad: share.bad, of: share.of }, open_for, open_at_most: open_for, trials }
        }),
        slow_start: keys.slow_start.map_or(seconds(10), Option::unwrap_or_default),
        panic_below: keys.health.as_ref().map_or(0, |health| health.panic_below.unwrap_or(30)),
        dns_refresh: keys.dns_refresh.unwrap_or(seconds(30)),
        base_path: String::new(),
        cores,
    }
}

fn probe(health: &file::HealthKeys, keys: &file::Backend, problems: &mut Problems) -> Option<Probe> {
    let path = health.path.value.parse::<PathAndQuery>().ok().filter(|_| health.path.value.starts_with('/'));
    if path.is_none() {
        problems.add(health.path.span.clone(), "invalid path", "a path begins with `/`, such as \"/health\"");
    }
    let literal = keys.host_header.as_ref().filter(|at| !matches!(at.value.as_str(), "upstream" | "client"));
    let host = health.host.as_ref().or(literal).and_then(|at| HeaderValue::from_str(&at.value).ok());
    let every = health.every.unwrap_or(Duration::from_secs(5));
    Some(Probe {
        path: path?,
        host,
        every,
        timeout: health.timeout.unwrap_or(Duration::from_secs(1)),
        unhealthy_after: health.unhealthy_after.unwrap_or(3) as u32,
        healthy_after: health.healthy_after.unwrap_or(2) as u32,
        expect: health.expect.clone().unwrap_or_else(|| vec![(200, 399)]),
    })
}

fn host_header(keys: &file::Backend, problems: &mut Problems) -> HostHeader {
    match keys.host_header.as_ref().map(|at| (at.value.as_str(), at)) {
        None => HostHeader::ByScheme,
        Some(("upstream", _)) => HostHeader::Upstream,
        Some(("client", _)) => HostHeader::Client,
        // These are keywords of other proxies and not meant as hosts.
        Some(("preserve" | "pass" | "original" | "passthrough" | "$host" | "$http_host" | "{host}", at)) => {
            problems.add(
                at.span.clone(),
                format!("`{}` is not a host", at.value),
                "write \"client\" to send the host of the client's request",
            );
            HostHeader::Client
        }
        Some(("auto" | "rewrite" | "backend" | "$proxy_host", at)) => {
            problems.add(at.span.clone(), format!("`{}` is not a host", at.value), "write \"upstream\" to send the host of the endpoint");
            HostHeader::Upstream
        }
        Some((literal, at)) => match literal.parse::<Authority>().ok().and_then(|_| HeaderValue::from_str(literal).ok()) {
            Some(value) if !literal.contains('@') => HostHeader::Literal(value),
            Some(_) | None => {
                let help = "expected \"upstream\", \"client\" or a host such as \"legacy.example.com\", without a user";
                problems.add_url(literal, at.span.clone(), "invalid host", help);
                HostHeader::Upstream
            }
        },
    }
}

/// Returns the path that all endpoints have in common; empty for none.
fn base_path(urls: &[(Uri, &file::EndpointKeys)], problems: &mut Problems) -> String {
    let base = |uri: &Uri| uri.path().trim_end_matches('/').to_owned();
    let first = urls.first().map(|(uri, _)| base(uri)).unwrap_or_default();
    if let Some((_, other)) = urls.iter().find(|(uri, _)| base(uri) != first) {
        let help = "write the same path in all of them, or a backend for each path";
        problems.add(other.url.span.clone(), "the endpoints of a backend have different paths", help);
    }
    first
}

fn is_plain_path(path: &str) -> bool {
    Pattern::of_path(path).is_ok_and(|pattern| matches!(pattern, Pattern::Exact(_)))
}

fn endpoint_url(url: &At<String>, problems: &mut Problems) -> Option<Uri> {
    let complaint = match url.value.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => "an endpoint begins with http:// or https://",
        Ok(uri) if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) => "an endpoint must have a host and no user",
        Ok(uri) if uri.query().is_some() => "an endpoint must have no query",
        Ok(uri) if uri.path() != "/" && !is_plain_path(uri.path()) => "the path of an endpoint has plain segments only",
        Ok(uri) => return Some(uri),
        Err(_) => "expected a URL such as \"http://10.0.0.11:8080\"",
    };
    problems.add_url(&url.value, url.span.clone(), "invalid endpoint", complaint);
    None
}

/// Compiles the TLS configuration. Returns `None` if it is invalid, after reporting the problem.
#[allow(clippy::option_option, reason = "outer: usable, inner: needed")]
fn client_config(keys: &file::Backend, protocol: Protocol, problems: &mut Problems) -> Option<Option<ClientTls>> {
    let tls = keys.tls.clone().unwrap_or_default();
    let path = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
    let (ca, cert, key) = (path(&tls.ca), path(&tls.cert), path(&tls.key));
    if let (Some(at), None) | (None, Some(at)) = (&tls.cert, &tls.key) {
        problems.add(at.span.clone(), "`cert` and `key` need each other", "set both or none");
        return None;
    }
    check_trust(&keys.name.value, &tls, problems);
    let identity = cert.as_deref().zip(key.as_deref()).map(|(cert, key)| (Path::new(cert), Path::new(key)));
    let protocols: &[&[u8]] = match protocol {
        Protocol::Auto => &[b"h2", b"http/1.1"],
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
    };
    let pins: Vec<_> = tls.pin.iter().map(|at| at.value).collect();
    let trust = Trust { ca: ca.as_deref().map(Path::new), pins: &pins, verify: verifies(keys) };
    match tls::client_config(trust, identity, protocols) {
        Ok(config) => Some(Some(config)),
        Err(complaint) => {
            let place = [&tls.ca, &tls.cert].into_iter().flatten().next().map_or(keys.name.span.clone(), |at| at.span.clone());
            problems.add(place, format!("cannot set up TLS for the backend `{}`", keys.name.value), complaint);
            None
        }
    }
}

/// Returns true if the certificates of a backend are verified.
fn verifies(keys: &file::Backend) -> bool {
    keys.tls.as_ref().and_then(|tls| tls.verify.as_ref()).is_none_or(|at| at.value)
}

/// Warns of a backend whose certificates are not verified, and reports keys that have no effect then.
fn check_trust(name: &str, tls: &file::TlsKeys, problems: &mut Problems) {
    let Some(verify) = tls.verify.as_ref().filter(|at| !at.value) else { return };
    let useless = [("ca", tls.ca.as_ref().map(|at| &at.span)), ("pin", tls.pin.first().map(|at| &at.span))];
    for (key, span) in useless.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        let help = "remove it, or remove `verify`";
        problems.add(span.clone(), format!("`{key}` has no effect with `verify = false`"), help);
    }
    problems.warn(
        verify.span.clone(),
        format!("the certificates of the backend `{name}` are not verified: whoever is on the way can read and change its traffic"),
        "set `ca` to the certificate of the endpoint or its authority, or `pin` to its key",
    );
}

fn server_name(keys: &file::Backend, host: &str, url: &At<String>, problems: &mut Problems) -> Option<ServerName<'static>> {
    let (name, span) = match keys.tls.as_ref().and_then(|tls| tls.server_name.as_ref()) {
        Some(at) => (at.value.as_str(), &at.span),
        None => (host.trim_matches(['[', ']']), &url.span),
    };
    let parsed = match name.parse::<IpAddr>() {
        Ok(address) => Some(ServerName::from(address)),
        Err(_) => ServerName::try_from(name.to_owned()).ok(),
    };
    if parsed.is_none() {
        problems.add(span.clone(), "invalid server name", "expected a DNS name or an address, as in the certificate");
    }
    parsed
}
