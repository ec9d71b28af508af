//! The gateway of a case: sends its requests through all stages and collects what comes back.
//!
//! It is the gateway that `run` starts, with the same parser of requests, without sockets. Each case has its own, so that no limit, breaker
//! or health of one case changes another. Must not know what a case expects.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use http_body::{Body as _, Frame, SizeHint};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::case::{Case, Request};
use super::fault::Fault;
use super::script::{Script, Seen};
use crate::body::{Incoming, InterimResponses, RequestBody};
use crate::context::{ClientPreferences, MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET, Peer, WallClock};
use crate::failure::Failure;
use crate::gateway::{Client, ClientRequest, ClientResponse, Core, CurrentGateway, Early, Entry, Lifecycle, TlsClient};
use crate::header::HeaderList;
use crate::http1::request::{Inspected, Limits, RequestParser};
use crate::observe::recorder::{LineSettings, Recorder};
use crate::observe::writer::Sink;
use crate::plan::Plan;
use crate::upstream::attempt::Upstreams;
use crate::upstream::attempt::private::Private;
use crate::upstream::connect::connector::Connector;
use crate::upstream::heads::scan::is_trusted;

/// The time that a case has.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of a response body.
const MAX_BODY: usize = 64 << 20;

/// Bytes of access lines behind which earlier ones are forgotten.
const MAX_LINES: usize = 1 << 20;

/// What came back.
#[derive(Debug)]
pub(in crate::cli) struct Got {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) headers: HeaderList,
    pub(in crate::cli) body: Vec<u8>,
    pub(in crate::cli) trailers: HeaderMap,
    /// The response was cut off.
    pub(in crate::cli) cut: bool,
    /// The access line.
    pub(in crate::cli) log: Value,
    /// What an upstream was asked last.
    pub(in crate::cli) seen: Option<Seen>,
}

/// Runs a case.
///
/// # Errors
/// Returns why nothing came back.
pub(in crate::cli) async fn run(case: &Case, plan: Plan) -> Result<Got, String> {
    check_backends(case, &plan)?;
    let script = Script::new(case.replies.clone(), &plan);
    set_states(case, &plan);
    let lines = Lines::default();
    let sink = Sink::start(lines.clone(), Arc::clone(&plan.metrics.log_dropped)).map_err(|error| error.to_string())?;
    let gateway = gateway(plan, Connector::through(Arc::new(script.clone())), &sink);
    if case.replies.iter().any(|reply| reply.fault == Some(Fault::ShuttingDown)) {
        gateway.core.lifecycle.closing();
    }
    let mut last = None;
    for _ in 0..case.repeat {
        let asked = tokio::time::timeout(PATIENCE, ask(&gateway, &case.request));
        last = Some(asked.await.map_err(|_| format!("there is no response after {} s", PATIENCE.as_secs()))?);
    }
    let Some((response, body)) = last else { return Err("no request was sent".into()) };
    gateway.get().recorder.flush();
    sink.flush(PATIENCE);
    Ok(Got {
        status: response.0.as_u16(),
        headers: response.1,
        body: body.bytes,
        trailers: body.trailers,
        cut: body.cut,
        log: lines.last(),
        seen: script.seen(),
    })
}

/// A reply of a backend that does not exist would never be given.
fn check_backends(case: &Case, plan: &Plan) -> Result<(), String> {
    let known: Vec<&str> = plan.destinations().map(|backend| &*backend.name).collect();
    let unknown = case.replies.iter().filter_map(|reply| reply.backend.as_deref()).find(|name| !known.contains(name));
    unknown.map_or(Ok(()), |name| Err(format!("no backend of the configuration is called {name}; there are: {}", known.join(", "))))
}

/// Makes endpoints unhealthy where that is the fault.
fn set_states(case: &Case, plan: &Plan) {
    for reply in case.replies.iter().filter(|reply| reply.fault == Some(Fault::Unavailable)) {
        let named = plan.destinations().filter(|backend| reply.backend.as_deref().is_none_or(|name| *name == *backend.name));
        for endpoint in named.flat_map(|backend| backend.endpoints()) {
            endpoint.health.set(false, Instant::now());
        }
    }
}

/// Makes the gateway of one core.
pub(in crate::cli) fn gateway(plan: Plan, connector: Connector, sink: &Sink) -> Arc<CurrentGateway> {
    let plan = Arc::new(plan);
    let lines = LineSettings::default();
    let recorder = Recorder::new(0, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), lines, sink.clone());
    let lifecycle = Arc::new(Lifecycle::default());
    lifecycle.started();
    let core = Core {
        upstreams: Upstreams { connector, core: 0 },
        via: HeaderValue::from_static("1.1 lockgate-test"),
        lifecycle,
        wall: WallClock::default(),
        over: Notify::new(),
        journal: None,
    };
    Arc::new(CurrentGateway::new(Arc::new(core), plan, None, Arc::new(recorder), None))
}

/// Sends a request as a new client, and reads the whole response.
async fn ask(gateway: &Arc<CurrentGateway>, request: &Request) -> ((http::StatusCode, HeaderList), Received) {
    let entry = Entry { client: Arc::new(client(gateway, request)) };
    let plan = Arc::clone(&gateway.get().plan);
    let listen = &plan.listen;
    let limits = Limits {
        head: listen.max_header_size,
        target: MAX_REQUEST_TARGET.min(listen.max_header_size),
        strict_target: listen.strict_target,
        fields: MAX_REQUEST_FIELDS,
    };
    let refused = |failure: Failure| {
        let uri = Uri::try_from(&request.path).ok().filter(|uri| uri.path().starts_with('/'));
        let uri = uri.unwrap_or_else(|| Uri::from_static("/"));
        entry.refuse(Early { failure, method: request.method.clone(), uri, wanted: ClientPreferences::default() })
    };
    let answered = match RequestParser::new(limits).inspect(&head(request)) {
        Inspected::Head(_, head) => {
            let body =
                if request.body.is_empty() { RequestBody::empty() } else { RequestBody::new(Whole(Some(request.body.clone().into()))) };
            let (method, target, version, headers) = (head.method, head.target, head.version, head.headers);
            entry.answer(ClientRequest { method, target, version, headers, body })
        }
        Inspected::Invalid(violation) => refused(violation.into()),
        Inspected::Incomplete => refused(crate::failure::Kind::BadRequest.into()),
    };
    let ClientResponse { status, headers, body, .. } = match answered.await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    ((status, headers), receive(body).await)
}

fn client(gateway: &Arc<CurrentGateway>, request: &Request) -> Client {
    let plan = &gateway.get().plan;
    let address = SocketAddr::new(request.client, 40_000);
    let text = request.client.to_canonical().to_string();
    Client {
        gateway: Arc::clone(gateway),
        closed: Arc::default(),
        peer: Peer {
            address,
            forwarded_for: HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown")),
            trusted: is_trusted(request.client.to_canonical(), &plan.trusted),
        },
        local: plan.names_clients.then(|| plan.listen.http.first().copied()).flatten(),
        interim: InterimResponses::default(),
        private: Private::default(),
        surplus: false,
        tls: request.secure.then(|| Box::new(TlsClient { version: "TLSv1.3", certificate: None })),
        takes: Arc::default(),
    }
}

/// The request as a client of HTTP/1 writes it, without its body.
fn head(request: &Request) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    let has = |wanted: &str| request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !has("host") {
        head.push_str(&format!("Host: {}\r\n", request.host));
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() && !has("content-length") && !has("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A request body that has arrived.
struct Whole(Option<Bytes>);

impl Incoming for Whole {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The body of a response.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    trailers: HeaderMap,
    cut: bool,
}

async fn receive(mut body: crate::body::Body) -> Received {
    let mut received = Received::default();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => received.bytes.extend_from_slice(&data),
            Ok(Err(frame)) => received.trailers = frame.into_trailers().unwrap_or_default(),
            Err(_) => received.cut = true,
        }
        if received.cut || received.bytes.len() > MAX_BODY {
            break;
        }
    }
    received
}

/// The last access lines of a case.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns the last line, or null.
    fn last(&self) -> Value {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        last.and_then(|line| serde_json::from_slice(line).ok()).unwrap_or_default()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() > MAX_LINES && bytes.contains(&b'\n') {
            kept.clear();
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
