//! Judges an upstream's response by its head: a success passes untouched, an error is read, an invalid head is a failure.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, header};
use tokio::time::Instant;

use super::outcome::{Content, ErrorOutcome, Passed, Watch};
use super::prepared::Prepared;
use super::request::Request;
use super::state::{Client, Gateway};
use super::traced;
use super::{dry_run, grpc, leak_guard, read, redirect_page, upgrade};
use crate::body::Incoming as _;
use crate::context::Dialect;
use crate::context::spans::Spans;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::observe::access_record::Facts;
use crate::plan::{Forward, Route};
use crate::policy::{Mode, Policy};
use crate::relay::BodyClocks;
use crate::upstream::attempt::outgoing::Upgrade;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::connect::target::Target;
use crate::upstream::heads::mapping::Mapping;
use crate::upstream::heads::{own_address, response};

/// Prepares an upstream's response: counts it, cleans its head, maps references in it, and makes its connection private where it
/// authenticated the client.
///
/// # Errors
/// The head is not valid, which is a failure of the upstream.
pub(super) fn prepare(
    gateway: &Gateway,
    received: UpstreamResponse,
    (route, forward): (&Route, &Forward),
    client: &Client,
    (request, facts): (Request<'_>, &mut Facts),
    upgrade: Option<&Upgrade>,
    deadline: Option<Instant>,
) -> Result<Prepared, Failure> {
    let (status, at, took) = (received.status.as_u16(), received.at, received.took);
    facts.received = Some(status);
    facts.upstream_time = Some(at.saturating_duration_since(request.context.arrival));
    facts.upstream_took = took;
    forward.backend_metrics.answered(gateway.core.upstreams.core, status);
    if let Some(gate) = forward.gate.as_ref().filter(|_| status < 500) {
        gate.record(took, at);
    }
    match upgrade {
        Some(upgrade) => upgrade::check(upgrade, &received)?,
        // A 101 that was not asked for is not valid (RFC 9110 15.2.2). 600 and above is no HTTP status.
        None if !(200..600).contains(&status) => return Err(Failure::because(Kind::ResponseMalformed, format!("status {status}"))),
        None => {}
    }
    let UpstreamResponse { status: received_status, mut headers, mut body, .. } = received;
    let (policy, mode) = (&route.policy, shown_mode(&route.policy, gateway.plan.mode));
    let traits = response::prepare(&mut headers, received_status, mode == Mode::Development)?;
    if traits.refers {
        let client_host = request.host_bytes();
        let sent = body.endpoint().map(|endpoint| forward.backend.host_for(endpoint, client_host.is_some()));
        let host = sent.map_or(&b""[..], |own| own.map_or(client_host.unwrap_or_default(), http::HeaderValue::as_bytes));
        let mapping = Mapping {
            // A rewrite cannot be undone.
            prefix: policy.strip_prefix.as_deref().filter(|_| forward.rewrite.is_none()),
            added: policy.add_prefix.as_deref(),
            targets: &forward.backend.targets,
            host,
            client_host: client_host.unwrap_or_default(),
            cookies: policy.map_cookies,
            shows_internals: mode == Mode::Development,
        };
        mapping.apply(&mut headers);
    }
    if traits.may_name && mode == Mode::Production {
        let resolved = body.endpoint().and_then(|endpoint| endpoint.address);
        remove_named(&mut headers, &forward.backend.targets, resolved, request);
    }
    if traits.connection_auth {
        body.make_private(&client.private);
    }
    if traits.grpc_status || matches!(traits.dialect, Some(Dialect::Grpc | Dialect::GrpcWeb | Dialect::GrpcWebText)) {
        grpc::tidy(&mut headers, &route.presenter.redactor, mode);
    }
    Ok(Prepared { status: received_status, headers, body, clocks: clocks(policy, deadline), dialect: traits.dialect })
}

/// Removes headers that name the address of an endpoint.
fn remove_named(headers: &mut HeaderList, targets: &[Arc<Target>], resolved: Option<IpAddr>, request: Request<'_>) {
    let client_host = request.host_bytes().unwrap_or_default();
    let found: Vec<_> = headers
        .iter()
        .filter(|(name, value)| !must_stay(name) && own_address::names_endpoint(value.as_bytes(), targets, resolved, client_host))
        .map(|(name, _)| name.clone())
        .collect();
    headers.remove_all(&found);
}

/// Returns true for headers whose references are mapped one by one, and for those without which a browser or a cache would treat the response
/// less carefully.
fn must_stay(name: &header::HeaderName) -> bool {
    let mapped = [header::LOCATION, header::CONTENT_LOCATION, header::REFRESH, header::LINK, header::SET_COOKIE];
    let careful = [
        header::CONTENT_SECURITY_POLICY,
        header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::VARY,
        header::ETAG,
        header::CONTENT_DISPOSITION,
        header::WWW_AUTHENTICATE,
    ];
    mapped.contains(name) || careful.contains(name)
}

/// How a response is handled that does not just stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// Passes once its first bytes have arrived intact.
    AwaitFirstBytes,
    /// A success that is guarded against leaks.
    GuardLeaks,
    /// A success that may report an error in its body.
    SearchErrors,
    /// A gRPC-Web response, whose body ends with its trailers.
    GrpcWeb,
    /// A redirect, whose body may name the address of the endpoint.
    Redirect,
    /// An error.
    Normalize(Kind),
    /// An error that passes and is recorded as if it did not.
    DryRun(Kind),
}

/// Decides by the head how a response is handled. `None` if it streams: its length is known, so it cannot be broken before its first byte.
pub(super) fn judge(prepared: &Prepared, route: &Route, request: Request<'_>) -> Option<Handling> {
    let (policy, status) = (&route.policy, prepared.status.as_u16());
    let readable = prepared.status.is_success() && !is_bodiless(status, &request.context.method);
    Some(match Kind::of_upstream_status(status) {
        Some(kind) if !policy.passes.contains(status) => {
            if policy.dry_run {
                Handling::DryRun(kind)
            } else {
                Handling::Normalize(kind)
            }
        }
        None if matches!(prepared.dialect, Some(Dialect::GrpcWeb | Dialect::GrpcWebText))
            && !is_bodiless(status, &request.context.method) =>
        {
            Handling::GrpcWeb
        }
        None if has_redirect_page(prepared, request) => Handling::Redirect,
        None if readable && policy.leak_guard => Handling::GuardLeaks,
        // The status of a gRPC call is in its trailers, which come after the messages.
        None if readable && !policy.errors.errors_in_success.is_empty() && prepared.dialect != Some(Dialect::Grpc) => {
            Handling::SearchErrors
        }
        _ if prepared.body.is_end_stream() || prepared.body.size_hint().exact().is_some() => return None,
        _ => Handling::AwaitFirstBytes,
    })
}

/// Reads as much of a response as its handling needs. Held bytes count against the memory for bodies.
pub(super) async fn handle(
    handling: Handling,
    prepared: Prepared,
    route: &Route,
    gateway: &Gateway,
    (request, spans): (Request<'_>, Option<&mut Spans>),
) -> Result<Passed, ErrorOutcome> {
    let (mode, buffers) = (gateway.plan.mode, &gateway.plan.buffers);
    let languages = request.languages(&route.policy.errors);
    match handling {
        Handling::AwaitFirstBytes => prepared.begin().await,
        Handling::GuardLeaks => leak_guard::guard(prepared, route, buffers, languages, traced::masked(spans).as_deref()).await,
        Handling::SearchErrors => read::success(prepared, &route.policy, buffers, languages).await,
        Handling::GrpcWeb => web(prepared, shown_mode(&route.policy, mode)).await,
        Handling::DryRun(kind) => dry_run::error(kind, prepared, route, (mode, buffers), request).await,
        Handling::Redirect if shown_mode(&route.policy, mode) == Mode::Development => prepared.begin().await,
        Handling::Redirect => Ok(redirect_page::read(prepared, route, request, buffers).await),
        Handling::Normalize(kind) => {
            let most = route.policy.errors.max_body;
            // Without memory the error is described by its head alone.
            let held = buffers.take(prepared.holds(most));
            Err(read::error(kind, prepared, route, mode, request, if held.is_some() { most } else { 0 }).await)
        }
    }
}

/// Returns true for a redirect with a body.
fn has_redirect_page(prepared: &Prepared, request: Request<'_>) -> bool {
    matches!(prepared.status.as_u16(), 301 | 302 | 303 | 307 | 308)
        && request.context.method != Method::HEAD
        && !prepared.body.is_end_stream()
        && prepared.headers.contains(header::LOCATION)
}

fn clocks(policy: &Policy, deadline: Option<Instant>) -> BodyClocks {
    BodyClocks { idle: policy.timeouts.idle, deadline: deadline.map(|deadline| (deadline, Kind::TotalTimeout)) }
}

/// The mode in which a head is cleaned: with `dry_run` nothing is removed from it.
const fn shown_mode(policy: &Policy, mode: Mode) -> Mode {
    if policy.dry_run { Mode::Development } else { mode }
}

fn is_bodiless(status: u16, method: &Method) -> bool {
    matches!(status, 204 | 205 | 304) || *method == Method::HEAD
}

/// Lets a gRPC-Web response stream, whose trailers are in its body and are cleaned as they pass.
async fn web(response: Prepared, mode: Mode) -> Result<Passed, ErrorOutcome> {
    let mut passed = response.begin().await?;
    if let (Content::Stream { watch, .. }, Mode::Production) = (&mut passed.content, mode) {
        *watch = Watch::WebTrailers;
        // Clean trailers may have another length.
        passed.headers.remove(header::CONTENT_LENGTH);
    }
    Ok(passed)
}
