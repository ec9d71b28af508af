//! What an upstream answered: a success passes untouched, an error is read into a report, nonsense is a failure.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::arrive::Trip;
use super::{Client, Said, Trouble};
use crate::failure::{Failure, Kind};
use crate::observe::metrics::Class;
use crate::plan::Route;
use crate::policy::{Mode, Policy};
use crate::relay::{self, Beyond, BodyClocks, Collected, collect};
use crate::render::negotiate::prefers_html;
use crate::report::{self, Report, decode, success};
use crate::text::Untrusted;
use crate::upstream::dispatch::{Lease, Reply};
use crate::upstream::mapping::Mapping;
use crate::upstream::response_head;

/// The largest page that may pass to a browser as it is, in bytes: what is larger is not read for leaks on a core that serves.
const MAX_PAGE: usize = 256 * 1024;

/// An answer that may go to the client.
pub(super) struct Passage {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// Its body.
pub(super) enum Content {
    /// Streams from the upstream.
    Stream { prefix: Bytes, body: Incoming, lease: Lease, clocks: BodyClocks },
    /// Is there already.
    Ready(Bytes),
}

/// Decides what becomes of a reply.
pub(super) async fn inspect(reply: Reply, route: &Route, mode: Mode, client: &Client, trip: &mut Trip) -> Result<Passage, Trouble> {
    let Reply { response, host, mut lease } = reply;
    let (mut parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    trip.visit.received = Some(status);
    trip.visit.upstream_time = Some(Instant::now().saturating_duration_since(trip.context().arrival));
    route.backend_metrics.count(Class::of(status));
    // The gateway asks for no upgrade yet, so a 101 is unasked (RFC 9110 15.2.2); 600 and above is no HTTP status.
    if !(200..600).contains(&status) {
        return Err(Failure::because(Kind::ResponseMalformed, format!("status {status}")).into());
    }
    let policy = &route.policy;
    let mapping = Mapping { prefix: policy.strip_prefix.as_deref(), endpoints: &route.backend.endpoints, host: host.as_bytes() };
    let traits = response_head::prepare(&mut parts.headers, &mapping, mode == Mode::Development)?;
    if traits.connection_auth {
        lease.make_private(&client.private);
    }
    let clocks = clocks(policy, trip);
    let reply = Opened { status: parts.status, headers: parts.headers, body, lease, clocks };
    match Kind::of_upstream_status(status) {
        None if policy.errors.errors_in_success.is_empty() || !parts.status.is_success() || is_bodiless(status, &trip.context().method) => {
            reply.begin().await
        }
        None => look_into_success(reply, policy).await,
        Some(kind) if passes(kind, policy) => reply.begin().await,
        Some(kind) => Err(read_error(kind, reply, route, mode, trip).await),
    }
}

/// A reply whose head is clean.
struct Opened {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    lease: Lease,
    clocks: BodyClocks,
}

impl Opened {
    /// Streams, unless the body is broken already. A body of known length cannot be: it needs no look.
    async fn begin(mut self) -> Result<Passage, Trouble> {
        if self.body.is_end_stream() || self.body.size_hint().exact().is_some() {
            return Ok(self.stream());
        }
        let prefix = relay::begin(&mut self.body).await?;
        Ok(self.stream_after(prefix))
    }

    fn stream(self) -> Passage {
        self.stream_after(Bytes::new())
    }

    fn stream_after(self, prefix: Bytes) -> Passage {
        Passage {
            status: self.status,
            headers: self.headers,
            content: Content::Stream { prefix, body: self.body, lease: self.lease, clocks: self.clocks },
        }
    }
}

fn clocks(policy: &Policy, trip: &Trip) -> BodyClocks {
    BodyClocks {
        idle: policy.timeouts.idle,
        deadline: policy.timeouts.total.map(|total| (trip.context().arrival + total, Kind::TotalTimeout)),
    }
}

/// Clocks of a body that is read into memory: it must arrive within the response clock, or a drip would hold it for ever.
fn reading_clocks(policy: &Policy, clocks: BodyClocks) -> BodyClocks {
    let by_response = policy.timeouts.response.map(|response| (Instant::now() + response, Kind::ResponseTimeout));
    BodyClocks { idle: clocks.idle, deadline: [clocks.deadline, by_response].into_iter().flatten().min_by_key(|(deadline, _)| *deadline) }
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

/// Reads an error body and what it says.
async fn read_error(kind: Kind, mut reply: Opened, route: &Route, mode: Mode, trip: &Trip) -> Trouble {
    let policy = &route.policy;
    let read = collect(&mut reply.body, policy.errors.max_body, reading_clocks(policy, reply.clocks), Beyond::Drain).await;
    let content_type = header_text(&reply.headers, "content-type");
    let text = decoded(&reply.headers, &read, policy.errors.max_body);
    let page = page_for_browser(kind, &read, text.as_deref(), content_type.as_deref(), route, mode, trip);
    let report = text.as_deref().map(report::read).unwrap_or_default();
    if read.ended {
        reply.lease.finish();
    }
    let status = reply.status.as_u16();
    let body = Untrusted::new(text.unwrap_or_default());
    trouble(kind, Said { status, told: status, headers: reply.headers, report, body, truncated: read.truncated, page }, read.failure)
}

/// Collects a 2xx body on a route that asked for it, and turns an error inside into what it is.
async fn look_into_success(mut reply: Opened, policy: &Policy) -> Result<Passage, Trouble> {
    let declared = reply.body.size_hint().exact();
    let content_type = header_text(&reply.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    let readable = ["json", "xml", "text/plain", "graphql"].iter().any(|word| content_type.contains(word)) || content_type.is_empty();
    let fits = declared.is_none_or(|length| length <= policy.errors.max_body as u64);
    if !readable || !fits {
        return Ok(reply.stream());
    }
    let read = collect(&mut reply.body, policy.errors.max_body, reading_clocks(policy, reply.clocks), Beyond::Keep).await;
    if let Some(failure) = read.failure {
        // A clock keeps its row; anything else broke off within a body that a rule had to read.
        let kind = if failure.kind.row().clock { failure.kind } else { Kind::ResponseIncomplete };
        return Err(Failure { kind, ..failure }.into());
    }
    if read.truncated {
        return Ok(reply.stream_after(read.bytes.into()));
    }
    reply.lease.finish();
    let text = decoded(&reply.headers, &read, policy.errors.max_body).unwrap_or_default();
    let Some(told) = success::status(&text, &policy.errors.errors_in_success) else {
        return Ok(Passage { status: reply.status, headers: reply.headers, content: Content::Ready(read.bytes.into()) });
    };
    let kind = Kind::of_upstream_status(told).unwrap_or(Kind::UpstreamError);
    let report: Report = report::read(&text);
    Err(trouble(
        kind,
        Said {
            status: reply.status.as_u16(),
            told,
            headers: reply.headers,
            report,
            body: Untrusted::new(text),
            truncated: false,
            page: None,
        },
        None,
    ))
}

fn trouble(kind: Kind, said: Said, failure: Option<Failure>) -> Trouble {
    let detail = failure.and_then(|failure| failure.detail);
    Trouble { failure: Failure { detail, ..Failure::new(kind) }, said: Some(Box::new(said)) }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn decoded(headers: &HeaderMap, read: &Collected, max: usize) -> Option<String> {
    let coding = header_text(headers, "content-encoding");
    let bytes = decode::uncode(&read.bytes, coding.as_deref(), max)?;
    Some(decode::text(&bytes, header_text(headers, "content-type").as_deref()))
}

/// A 4xx page that a browser asked for passes, unless it is a framework's or shows internals (contract section 1).
fn page_for_browser(
    kind: Kind,
    read: &Collected,
    text: Option<&str>,
    content_type: Option<&str>,
    route: &Route,
    mode: Mode,
    trip: &Trip,
) -> Option<Bytes> {
    let (policy, redactor) = (&route.policy, &route.voice.redactor);
    let wanted = policy.errors.negotiate && prefers_html(trip.context().wanted.accept.as_ref().and_then(|value| value.to_str().ok()));
    let is_page = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    if kind != Kind::UpstreamClientError || !wanted || !is_page || read.truncated || read.failure.is_some() {
        return None;
    }
    let text = text.filter(|text| text.len() <= MAX_PAGE)?;
    let clean = report::kind_of(text) == report::Kind::Html && !report::is_framework_page(text) && !redactor.document_leaks(text);
    (clean && mode == Mode::Production).then(|| Bytes::copy_from_slice(&read.bytes))
}

/// What a request body left in the record.
pub(super) fn bytes_in(trip: &Trip) -> u64 {
    trip.progress.as_ref().map_or(0, |progress| progress.bytes())
}
