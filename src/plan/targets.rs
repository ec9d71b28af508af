//! Compiles backends and limits: URLs into endpoints, certificate files into TLS, rates into limiters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;

use super::{AppliedLimit, QuotaPolicy};
use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::section::At;
use crate::limit::inflight::InFlight;
use crate::limit::{RateLimit, Settings};
use crate::observe::metrics::Metrics;
use crate::upstream::backend::{Backend, Endpoint, HostHeader};
use crate::upstream::pool::PoolSettings;
use crate::upstream::tls::{self, Tls};

/// A backend with its gate.
pub(super) type Target = (Arc<Backend>, Option<Arc<InFlight>>);

/// Compiles one backend; `None` when it has no usable endpoint (the problem is told).
pub(super) fn backend(keys: &file::Backend, cores: usize, problems: &mut Problems) -> Option<Target> {
    let pool = PoolSettings {
        max_connections: keys.pool.max_connections.unwrap_or(256) as usize,
        max_idle: keys.pool.max_idle.unwrap_or(64) as usize,
        idle_timeout: keys.pool.idle_timeout.unwrap_or(Duration::from_secs(4)),
    };
    let urls: Vec<(Uri, &At<String>)> = keys.endpoints.iter().filter_map(|url| Some((endpoint_url(url, problems)?, url))).collect();
    let secure = urls.iter().any(|(uri, _)| uri.scheme_str() == Some("https"));
    if !secure && keys.tls.is_some() {
        problems.add(
            keys.name.span.clone(),
            format!("the backend `{}` has a [tls] and no https endpoint", keys.name.value),
            "write https:// in its endpoints, or remove the table",
        );
    }
    let config = if secure { client_config(keys, problems)? } else { None };
    let mut endpoints = Vec::new();
    for (uri, url) in urls {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { continue };
        let tls = match (&config, scheme) {
            (Some(config), "https") => {
                Some(Tls { config: Arc::clone(config), server_name: server_name(keys, authority.host(), url, problems)? })
            }
            _ => None,
        };
        endpoints.push(Arc::new(Endpoint::new(scheme, authority, tls, pool, cores)));
    }
    if endpoints.is_empty() {
        return None;
    }
    let host_header = host_header(keys, problems);
    let gate = keys.max_in_flight.map(|max| Arc::new(InFlight::new(max as usize)));
    Some((Arc::new(Backend { name: keys.name.value.as_str().into(), endpoints, host_header, turn: AtomicUsize::new(0) }), gate))
}

fn host_header(keys: &file::Backend, problems: &mut Problems) -> HostHeader {
    match keys.host_header.as_ref().map(|at| (at.value.as_str(), at)) {
        None | Some(("upstream", _)) => HostHeader::Upstream,
        Some(("client", _)) => HostHeader::Client,
        Some((literal, at)) => match literal.parse::<http::uri::Authority>().ok().and_then(|_| HeaderValue::from_str(literal).ok()) {
            Some(value) => HostHeader::Literal(value),
            None => {
                problems.add(at.span.clone(), "not a host", "\"upstream\", \"client\" or a host such as \"legacy.example.com\"");
                HostHeader::Upstream
            }
        },
    }
}

fn endpoint_url(url: &At<String>, problems: &mut Problems) -> Option<Uri> {
    let complaint = match url.value.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => "an endpoint begins with http:// or https://",
        Ok(uri) if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) => "an endpoint has a host and no user",
        Ok(uri) if uri.path() != "/" || uri.query().is_some() => "an endpoint has no path; use `strip_prefix` of the route",
        Ok(uri) => return Some(uri),
        Err(_) => "expected a URL such as \"http://10.0.0.11:8080\"",
    };
    problems.add(url.span.clone(), "not an endpoint", complaint);
    None
}

/// `Err` as `None`: the problem is told, the backend cannot be made.
#[allow(clippy::option_option, reason = "outer: usable, inner: needed")]
fn client_config(keys: &file::Backend, problems: &mut Problems) -> Option<Option<Arc<rustls::ClientConfig>>> {
    let tls = keys.tls.clone().unwrap_or_default();
    let path = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
    let (ca, cert, key) = (path(&tls.ca), path(&tls.cert), path(&tls.key));
    if let (Some(at), None) | (None, Some(at)) = (&tls.cert, &tls.key) {
        problems.add(at.span.clone(), "`cert` and `key` come together", "write both or none");
        return None;
    }
    let identity = cert.as_deref().zip(key.as_deref()).map(|(cert, key)| (Path::new(cert), Path::new(key)));
    match tls::client_config(ca.as_deref().map(Path::new), identity) {
        Ok(config) => Some(Some(config)),
        Err(complaint) => {
            let place = [&tls.ca, &tls.cert].into_iter().flatten().next().map_or(keys.name.span.clone(), |at| at.span.clone());
            problems.add(place, format!("TLS of the backend `{}` cannot be set up", keys.name.value), complaint);
            None
        }
    }
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
        problems.add(span.clone(), "not a server name", "a DNS name or an address, as in the certificate");
    }
    parsed
}

/// All limits by name.
pub(super) fn limits(keys: &[file::Limit], metrics: &Metrics) -> HashMap<String, AppliedLimit> {
    let made = keys.iter().filter_map(|limit| {
        let rate = limit.rate?;
        let settings = Settings {
            name: limit.name.value.clone(),
            count: rate.count,
            window: rate.window,
            burst: limit.burst.unwrap_or(rate.count).max(NonZeroU32::MIN),
            max_keys: limit.max_keys.unwrap_or(100_000) as usize,
        };
        let (quota_policy, refused) = (Arc::new(QuotaPolicy::of(&settings)), metrics.limit(&limit.name.value));
        let applied = AppliedLimit { limit: Arc::new(RateLimit::new(settings)), key: limit.key.clone(), refused, quota_policy };
        Some((limit.name.value.clone(), applied))
    });
    made.collect()
}
