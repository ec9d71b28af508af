//! Background tasks of backends: re-resolve names, update the endpoints, and probe them. No request waits for these tasks.
//!
//! There is one task per backend and one per probed endpoint. The task of an endpoint ends when the endpoint is dropped. Knows nothing of
//! requests.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use tower::Service;

use super::choose::backend::Backend;
use super::choose::endpoint::Endpoint;
use super::choose::health::{Probe, ProbeCounter};
use super::connect::connector::{Connector, Dial, Phase};
use super::connect::http1::{Http1Connection, RequestHead};
use super::connect::http2::{self, Http2Stream, Opening};
use super::connect::resolve::{ResolveError, Resolver};
use super::connect::stream::Stream;
use super::upload::Upload;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;

/// Resolution interval while a name has no address yet.
const UNRESOLVED_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of a resolution. Requests use the last good addresses meanwhile.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of looking for new endpoints where nothing is resolved. A backend of address literals never has any.
const UNNAMED_INTERVAL: Duration = Duration::from_secs(3600);

/// Resolves and probes the endpoints of a backend until the task is aborted. Returns at once if there is nothing to do.
pub async fn watch(backend: Arc<Backend>, resolver: Resolver) {
    let named = backend.targets.iter().any(|target| target.literal().is_none());
    if !named && backend.settings.probe.is_none() {
        return;
    }
    // The addresses known before a reload stay in use until they are resolved again.
    let mut known = backend.addresses();
    let mut failed = vec![None; known.len()];
    let mut probed: HashSet<Arc<str>> = HashSet::new();
    let mut probes = tokio::task::JoinSet::new();
    let mut probe_new = || {
        let Some(probe) = &backend.settings.probe else { return };
        let endpoints = backend.endpoints();
        probed.retain(|label| endpoints.iter().any(|endpoint| endpoint.label == *label));
        for endpoint in endpoints.into_iter().filter(|endpoint| endpoint.address.is_some()) {
            if probed.insert(Arc::clone(&endpoint.label)) {
                probes.spawn(probe_endpoint(Arc::downgrade(&endpoint), probe.clone(), Connector::new(resolver.clone())));
            }
        }
        while probes.try_join_next().is_some() {}
    };
    loop {
        // Before the resolution, so that a slow name does not delay probes.
        probe_new();
        if named && resolve(&backend, &resolver, &mut known, &mut failed).await {
            backend.set_addresses(&known);
            probe_new();
        }
        let incomplete = backend.targets.iter().zip(&known).any(|(target, found)| target.literal().is_none() && found.is_empty());
        tokio::time::sleep(if !named {
            UNNAMED_INTERVAL
        } else if incomplete {
            UNRESOLVED_INTERVAL
        } else {
            backend.settings.dns_refresh
        })
        .await;
    }
}

/// Resolves all names concurrently. A name that cannot be resolved keeps its addresses. Returns true if any changed. `failed` holds the error of
/// each name, so that the log tells each change once.
async fn resolve(backend: &Backend, resolver: &Resolver, known: &mut [Vec<IpAddr>], failed: &mut [Option<ResolveError>]) -> bool {
    let mut lookups = tokio::task::JoinSet::new();
    for (at, target) in backend.targets.iter().enumerate().filter(|(_, target)| target.literal().is_none()) {
        let (resolver, host) = (resolver.clone(), target.host.clone());
        lookups.spawn(async move { (at, tokio::time::timeout(RESOLVE_TIMEOUT, resolver.renew(&host)).await) });
    }
    let mut changed = false;
    while let Some(answer) = lookups.join_next().await {
        let Ok((at, answer)) = answer else { continue };
        let endpoint = &*backend.targets[at].url;
        match answer.unwrap_or_else(|_| Err(ResolveError::late(&backend.targets[at].host))) {
            Ok(found) => {
                if failed[at].take().is_some() {
                    tracing::info!(backend = &*backend.name, endpoint, "the name is resolved again");
                }
                // The order of a DNS answer rotates; the order of the endpoints must not.
                let mut found = found.to_vec();
                found.sort_unstable();
                if known[at] != found {
                    known[at] = found;
                    changed = true;
                }
            }
            Err(error) if failed[at].as_ref() == Some(&error) => {}
            Err(error) => {
                let name = &*backend.name;
                tracing::warn!(backend = name, endpoint, cause = %error, "the name cannot be resolved: addresses known before stay in use");
                failed[at] = Some(error);
            }
        }
    }
    changed
}

/// Probes an endpoint until it is dropped.
async fn probe_endpoint(endpoint: Weak<Endpoint>, probe: Probe, connector: Connector) {
    let mut counter = ProbeCounter::of(endpoint.upgrade().is_none_or(|endpoint| endpoint.health.is_healthy()));
    loop {
        let Some(target) = endpoint.upgrade() else { return };
        let sent = tokio::time::timeout(probe.timeout, send_probe(&target, &probe, connector.clone())).await;
        let bad = judge(sent, &probe);
        if let Some(healthy) = counter.record(bad.is_none(), &probe) {
            target.health.set(healthy, Instant::now());
            let (backend, endpoint) = (&*target.backend, &*target.label);
            match bad {
                None => tracing::info!(backend, endpoint, "healthy: the endpoint gets requests"),
                Some(cause) => tracing::warn!(backend, endpoint, cause, "unhealthy: the endpoint gets no requests"),
            }
        }
        drop(target);
        // A jitter of a tenth keeps several gateways from probing in step.
        tokio::time::sleep(probe.every.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
    }
}

/// Returns what is wrong with the outcome of a probe; `None` for a successful one.
fn judge(sent: Result<Result<StatusCode, Failure>, tokio::time::error::Elapsed>, probe: &Probe) -> Option<String> {
    match sent {
        Ok(Ok(status)) if probe.expects(status.as_u16()) => None,
        Ok(Ok(status)) => Some(format!("GET {} was answered with {}", probe.path, status.as_u16())),
        Ok(Err(failure)) => {
            let cause = failure.kind.row().cause;
            Some(failure.detail.map_or_else(|| cause.to_owned(), |detail| format!("{cause}: {detail}")))
        }
        Err(_) => Some(format!("GET {} was not answered within {} ms", probe.path, probe.timeout.as_millis())),
    }
}

/// Sends one probe, on a connection of its own, so that it also tests whether the endpoint accepts connections.
async fn send_probe(endpoint: &Arc<Endpoint>, probe: &Probe, mut connector: Connector) -> Result<StatusCode, Failure> {
    let dial = Dial {
        target: Arc::clone(&endpoint.target),
        address: endpoint.address,
        phase: Arc::new(Phase::default()),
        http1_only: false,
        proxy_header: endpoint.target.proxy_header(None),
    };
    let stream = connector.call(dial).await?;
    let host = probe.host.clone().unwrap_or_else(|| endpoint.target.authority.clone());
    let mut headers = HeaderList::new();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("lockgate-probe"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let head = RequestHead { method: &Method::GET, target: probe.path.as_str(), raw_target: None, headers: &headers };
    match endpoint.target.speaks_http2(&stream) {
        true => probe_http2(stream, head, probe).await,
        false => probe_http1(stream, head).await,
    }
}

async fn probe_http1(stream: Stream, head: RequestHead<'_>) -> Result<StatusCode, Failure> {
    let (mut connection, mut upload, mut started) = (Http1Connection::new(stream), Upload::empty(), false);
    let answered = std::future::poll_fn(|cx| {
        if !std::mem::replace(&mut started, true) {
            connection.start(cx, head, &mut upload)?;
        } else if !connection.is_sent() {
            // A failed write shows as a failed read.
            let _ = connection.poll_send(cx, &mut upload);
        }
        connection.poll_head(cx, head.method, None)
    });
    answered.await.map(|response| response.status)
}

async fn probe_http2(stream: Stream, head: RequestHead<'_>, probe: &Probe) -> Result<StatusCode, Failure> {
    let opening = Opening { idle_timeout: probe.timeout, on_change: Arc::new(|| {}), permit: Box::new(()) };
    let connection = http2::open(stream, opening).await?;
    let Some(mut stream) = Http2Stream::on(&connection) else { return Err(Kind::ConnectionLost.into()) };
    let mut started = false;
    let answered = std::future::poll_fn(|cx| {
        if !std::mem::replace(&mut started, true) {
            stream.start(cx, head, &mut Upload::empty(), false)?;
        }
        stream.poll_head(cx, head.method, None)
    });
    answered.await.map(|response| response.status).map_err(|error| error.failure)
}
