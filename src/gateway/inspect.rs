//! Judges an upstream's response by its head: a success passes untouched, an error is read, an invalid head is a failure.

use http::Method;
use http_body::Body as _;
use tokio::time::Instant;

use super::outcome::{Content, ErrorOutcome, Passed};
use super::prepared::Prepared;
use super::request::Request;
use super::state::{Client, Gateway};
use super::{grpc, leak_guard, read};
use crate::context::Dialect;
use crate::failure::{Failure, Kind};
use crate::observe::access_record::Facts;
use crate::observe::metrics::Class;
use crate::plan::Route;
use crate::policy::{Mode, Policy};
use crate::relay::BodyClocks;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::heads::mapping::Mapping;
use crate::upstream::heads::response;

/// Opens a reply: counts it, cleans its head and maps what that refers to, keeps a connection that became private.
///
/// # Errors
/// A head that no client may see is a failure of the upstream.
pub(super) fn prepare(
    gateway: &Gateway,
    reply: UpstreamResponse,
    route: &Route,
    client: &Client,
    (request, facts): (Request<'_>, &mut Facts),
    deadline: Option<Instant>,
) -> Result<Prepared, Failure> {
    let UpstreamResponse { response, mut lease, at, took } = reply;
    let (mut parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    facts.received = Some(status);
    facts.upstream_time = Some(at.saturating_duration_since(request.context.arrival));
    route.backend_metrics.count(gateway.upstreams.core, Class::of(status));
    if let Some(gate) = route.gate.as_ref().filter(|_| status < 500) {
        gate.record(took, at);
    }
    // The gateway asks for no upgrade yet, so a 101 is unasked (RFC 9110 15.2.2); 600 and above is no HTTP status.
    if !(200..600).contains(&status) {
        return Err(Failure::because(Kind::ResponseMalformed, format!("status {status}")));
    }
    let (policy, mode) = (&route.policy, gateway.plan.mode);
    let traits = response::prepare(&mut parts.headers, parts.status, mode == Mode::Development)?;
    if traits.refers {
        let client_host = request.host_header();
        let host = route.backend.host_for(lease.endpoint(), client_host.as_ref()).as_bytes();
        let mapping = Mapping {
            prefix: policy.strip_prefix.as_deref(),
            targets: &route.backend.targets,
            host,
            client_host: client_host.as_ref().map_or(b"", http::HeaderValue::as_bytes),
            cookies: policy.map_cookies,
            shows_internals: mode == Mode::Development,
        };
        mapping.apply(&mut parts.headers);
    }
    if traits.connection_auth {
        lease.make_private(&client.private);
    }
    if traits.grpc_status || matches!(traits.dialect, Some(Dialect::Grpc | Dialect::GrpcWeb)) {
        grpc::tidy(&mut parts.headers, &route.presenter.redactor, mode);
    }
    Ok(Prepared { status: parts.status, headers: parts.headers, body, lease, clocks: clocks(policy, deadline), dialect: traits.dialect })
}

/// What is done with a reply that does not just stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// Passes, if it is not broken from its first byte on.
    AwaitFirstBytes,
    /// A success that is watched for leaks.
    GuardLeaks,
    /// A success in which a rule looks for an error.
    SearchErrors,
    /// A gRPC-Web answer, whose trailers may be its body.
    GrpcWeb,
    /// An error.
    Normalize(Kind),
}

/// Judges by the head. `None`: it streams, and cannot be broken before its first byte, as its length is known.
pub(super) fn judge(prepared: &Prepared, route: &Route, request: Request<'_>) -> Option<Handling> {
    let (policy, status) = (&route.policy, prepared.status.as_u16());
    let readable = prepared.status.is_success() && !is_bodiless(status, &request.context.method);
    Some(match Kind::of_upstream_status(status) {
        Some(kind) if !passes(kind, policy) => Handling::Normalize(kind),
        None if readable && policy.leak_guard => Handling::GuardLeaks,
        None if readable && !policy.errors.errors_in_success.is_empty() => Handling::SearchErrors,
        None if prepared.dialect == Some(Dialect::GrpcWeb) => Handling::GrpcWeb,
        _ if prepared.body.is_end_stream() || prepared.body.size_hint().exact().is_some() => return None,
        _ => Handling::AwaitFirstBytes,
    })
}

/// Reads of a reply what its handling needs. What is held counts against the memory for bodies.
pub(super) async fn handle(
    handling: Handling,
    prepared: Prepared,
    route: &Route,
    gateway: &Gateway,
    request: Request<'_>,
) -> Result<Passed, ErrorOutcome> {
    let (mode, buffers) = (gateway.plan.mode, &gateway.plan.buffers);
    match handling {
        Handling::AwaitFirstBytes => prepared.begin().await,
        Handling::GuardLeaks => leak_guard::guard(prepared, route, buffers).await,
        Handling::SearchErrors => read::success(prepared, &route.policy, buffers).await,
        Handling::GrpcWeb => web_trailers(prepared, route, mode).await,
        Handling::Normalize(kind) => {
            let most = route.policy.errors.max_body;
            // Without memory an error is told by its head alone.
            let held = buffers.take(prepared.holds(most));
            Err(read::error(kind, prepared, route, mode, request, if held.is_some() { most } else { 0 }).await)
        }
    }
}

fn clocks(policy: &Policy, deadline: Option<Instant>) -> BodyClocks {
    BodyClocks { idle: policy.timeouts.idle, deadline: deadline.map(|deadline| (deadline, Kind::TotalTimeout)) }
}

const fn passes(kind: Kind, policy: &Policy) -> bool {
    match kind {
        Kind::UpstreamClientError | Kind::UpstreamRateLimited => !policy.normalize_client_errors,
        Kind::UpstreamError | Kind::UpstreamBadGateway | Kind::UpstreamUnavailable | Kind::UpstreamGatewayTimeout => {
            !policy.rewrite_server_errors
        }
        Kind::DnsError
        | Kind::DnsTimeout
        | Kind::Unroutable
        | Kind::Prohibited
        | Kind::ConnectionRefused
        | Kind::ConnectTimeout
        | Kind::TlsProtocol
        | Kind::TlsCertificate
        | Kind::TlsAlert
        | Kind::ConnectionLost
        | Kind::ResponseIncomplete
        | Kind::ResponseMalformed
        | Kind::ResponseCoding
        | Kind::ResponseHeadersTooLarge
        | Kind::ResponseHeaderTooLarge
        | Kind::ResponseTimeout
        | Kind::TotalTimeout
        | Kind::UploadTimeout
        | Kind::Duplicate
        | Kind::Reference
        | Kind::NoEndpoint
        | Kind::Overloaded
        | Kind::ShuttingDown
        | Kind::Maintenance
        | Kind::Denied
        | Kind::RateLimited
        | Kind::RouteNotFound
        | Kind::MethodNotAllowed
        | Kind::BadRequest
        | Kind::PayloadTooLarge
        | Kind::UriTooLong
        | Kind::HeadersTooLarge
        | Kind::RequestTimeout
        | Kind::ExpectationFailed
        | Kind::CodingNotSupported
        | Kind::LoopDetected
        | Kind::ClientClosed
        | Kind::Internal => false,
    }
}

fn is_bodiless(status: u16, method: &Method) -> bool {
    matches!(status, 204 | 205 | 304) || *method == Method::HEAD
}

/// A gRPC-Web answer that begins with its trailers is a failure told in the body.
async fn web_trailers(reply: Prepared, route: &Route, mode: Mode) -> Result<Passed, ErrorOutcome> {
    let mut passed = match reply.body.size_hint().exact() {
        Some(length) if length > MAX_WEB_TRAILERS => reply.stream(),
        _ => reply.begin().await?,
    };
    if let Content::Stream { prefix, body, .. } = &mut passed.content
        && body.is_end_stream()
        && let Some(clean) = grpc::tidy_web(&prefix.data, &route.presenter.redactor, mode)
    {
        passed.headers.insert(http::header::CONTENT_LENGTH, clean.len().into());
        prefix.data = clean.into();
    }
    Ok(passed)
}

/// The longest trailers in a body that are looked at, in bytes.
const MAX_WEB_TRAILERS: u64 = 16 * 1024;
