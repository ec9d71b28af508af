//! What an upstream answered: a success passes untouched, an error goes to `read`, nonsense is a failure.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::arrive::Trip;
use super::{Client, Gateway, Trouble, grpc, guard, read};
use crate::context::Dialect;
use crate::failure::{Failure, Kind};
use crate::observe::metrics::Class;
use crate::plan::Route;
use crate::policy::{Mode, Policy};
use crate::relay::{self, BodyClocks, Prefix};
use crate::upstream::attempt::response::{Lease, UpstreamResponse};
use crate::upstream::heads::mapping::Mapping;
use crate::upstream::heads::response;

/// The most bytes that the buffer of an upstream's connection keeps beside a body that is read into memory (two reads).
const READ_BUFFER: usize = 32 * 1024;

/// An answer that may go to the client.
pub(super) struct Passage {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// Its body.
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one: a box would cost every success an allocation")]
pub(super) enum Content {
    /// Streams from the upstream.
    Stream { prefix: Prefix, body: Incoming, lease: Lease, clocks: BodyClocks, guarded: bool },
    /// Is there already, and holds its share of the memory for bodies.
    Ready(Bytes),
}

/// Opens a reply: counts it, cleans its head and maps what that refers to, keeps a connection that became private.
///
/// # Errors
/// A head that no client may see is a failure of the upstream.
pub(super) fn open(gateway: &Gateway, reply: UpstreamResponse, route: &Route, client: &Client, trip: &mut Trip) -> Result<Opened, Failure> {
    let UpstreamResponse { response, mut lease, at, took } = reply;
    let (mut parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    trip.visit.received = Some(status);
    trip.visit.upstream_time = Some(at.saturating_duration_since(trip.context().arrival));
    route.backend_metrics.count(gateway.upstreams.core, Class::of(status));
    if let Some(gate) = route.gate.as_ref().filter(|_| status < 500) {
        gate.heard(took, at);
    }
    // The gateway asks for no upgrade yet, so a 101 is unasked (RFC 9110 15.2.2); 600 and above is no HTTP status.
    if !(200..600).contains(&status) {
        return Err(Failure::because(Kind::ResponseMalformed, format!("status {status}")));
    }
    let (policy, mode) = (&route.policy, gateway.plan.mode);
    let traits = response::prepare(&mut parts.headers, parts.status, mode == Mode::Development)?;
    if traits.refers {
        let client_host = trip.host_header();
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
        grpc::tidy(&mut parts.headers, &route.voice.redactor, mode);
    }
    Ok(Opened { status: parts.status, headers: parts.headers, body, lease, clocks: clocks(policy, trip), dialect: traits.dialect })
}

/// What is done with a reply that does not just stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// Passes, if it is not broken from its first byte on.
    Begins,
    /// A success that is watched for leaks.
    Watched,
    /// A success in which a rule looks for an error.
    Searched,
    /// A gRPC-Web answer, whose trailers may be its body.
    Web,
    /// An error.
    Failed(Kind),
}

/// Judges by the head. `None`: it streams, and cannot be broken before its first byte, as its length is known.
pub(super) fn judge(opened: &Opened, route: &Route, trip: &Trip) -> Option<Handling> {
    let (policy, status) = (&route.policy, opened.status.as_u16());
    let readable = opened.status.is_success() && !is_bodiless(status, &trip.context().method);
    Some(match Kind::of_upstream_status(status) {
        Some(kind) if !passes(kind, policy) => Handling::Failed(kind),
        None if readable && policy.leak_guard => Handling::Watched,
        None if readable && !policy.errors.errors_in_success.is_empty() => Handling::Searched,
        None if opened.dialect == Some(Dialect::GrpcWeb) => Handling::Web,
        _ if opened.body.is_end_stream() || opened.body.size_hint().exact().is_some() => return None,
        _ => Handling::Begins,
    })
}

/// Reads of a reply what its handling needs. What is held counts against the memory for bodies.
pub(super) async fn handle(handling: Handling, opened: Opened, route: &Route, gateway: &Gateway, trip: &Trip) -> Result<Passage, Trouble> {
    let (mode, buffers) = (gateway.plan.mode, &gateway.plan.buffers);
    match handling {
        Handling::Begins => opened.begin().await,
        Handling::Watched => guard::watch(opened, route, buffers).await,
        Handling::Searched => read::success(opened, &route.policy, buffers).await,
        Handling::Web => web_trailers(opened, route, mode).await,
        Handling::Failed(kind) => {
            let most = route.policy.errors.max_body;
            // Without memory an error is told by its head alone.
            let held = buffers.take(opened.holds(most));
            Err(read::error(kind, opened, route, mode, trip, if held.is_some() { most } else { 0 }).await)
        }
    }
}

/// A reply whose head is clean.
pub(super) struct Opened {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    pub(super) lease: Lease,
    pub(super) clocks: BodyClocks,
    /// The protocol of the body.
    pub(super) dialect: Option<Dialect>,
}

impl Opened {
    /// Bytes that are held when at most `most` of its body are read: those, and the buffer through which they came.
    pub(super) fn holds(&self, most: usize) -> usize {
        let length = self.body.size_hint().exact().map_or(most, |length| most.min(length as usize));
        length + length.min(READ_BUFFER)
    }

    /// Reads what is there already, so that a body that is broken from its first byte on is an error and no abort.
    pub(super) async fn begin(mut self) -> Result<Passage, Trouble> {
        let prefix = relay::begin(&mut self.body).await?;
        Ok(self.stream_after(prefix))
    }

    pub(super) fn stream(self) -> Passage {
        self.stream_after(Prefix::default())
    }

    pub(super) fn stream_after(self, prefix: Prefix) -> Passage {
        Passage {
            status: self.status,
            headers: self.headers,
            content: Content::Stream { prefix, body: self.body, lease: self.lease, clocks: self.clocks, guarded: false },
        }
    }
}

fn clocks(policy: &Policy, trip: &Trip) -> BodyClocks {
    BodyClocks { idle: policy.timeouts.idle, deadline: trip.deadline.map(|deadline| (deadline, Kind::TotalTimeout)) }
}

const fn passes(kind: Kind, policy: &Policy) -> bool {
    match kind {
        Kind::UpstreamClientError | Kind::UpstreamRateLimited => !policy.normalize_client_errors,
        Kind::UpstreamError | Kind::UpstreamBadGateway | Kind::UpstreamUnavailable | Kind::UpstreamGatewayTimeout => {
            !policy.rewrite_server_errors
        }
        _ => false,
    }
}

fn is_bodiless(status: u16, method: &Method) -> bool {
    matches!(status, 204 | 205 | 304) || *method == Method::HEAD
}

/// A gRPC-Web answer that begins with its trailers is a failure told in the body.
async fn web_trailers(reply: Opened, route: &Route, mode: Mode) -> Result<Passage, Trouble> {
    let mut passage = match reply.body.size_hint().exact() {
        Some(length) if length > MAX_WEB_TRAILERS => reply.stream(),
        _ => reply.begin().await?,
    };
    if let Content::Stream { prefix, body, .. } = &mut passage.content
        && body.is_end_stream()
        && let Some(clean) = grpc::tidy_web(&prefix.data, &route.voice.redactor, mode)
    {
        passage.headers.insert(http::header::CONTENT_LENGTH, clean.len().into());
        prefix.data = clean.into();
    }
    Ok(passage)
}

/// The longest trailers in a body that are looked at, in bytes.
const MAX_WEB_TRAILERS: u64 = 16 * 1024;

/// What a request body left in the record.
pub(super) fn bytes_in(trip: &Trip) -> u64 {
    trip.progress.as_ref().map_or(0, |progress| progress.bytes())
}
