//! THE SPINE: one request from arrival to answer. Start reading here.
//!
//! A request walks forward through the rooms; `?` leaves the walk with a `Trouble`. There is one place for every trouble,
//! `answer`, and one record for every visit, however it ends.

mod admit;
mod answer;
mod arrive;
mod buffer;
mod cors;
mod deadline;
mod grpc;
mod guard;
mod heads;
mod inspect;
mod limits;
mod read;
mod rescue;
mod tail;
mod tell;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use arrive::Early;
use arrive::Trip;
use inspect::Passage;

use crate::body::{Body, Hold};
use crate::context::{Peer, WallClock};
use crate::failure::{Failure, Kind};
use crate::limit::shared::Shared;
use crate::observe::recorder::Recorder;
use crate::plan::{Plan, Route};
use crate::report::Report;
use crate::text::Untrusted;
use crate::upstream::attempt::outgoing::OutgoingRequest;
use crate::upstream::attempt::private::Private;
use crate::upstream::attempt::response::UpstreamResponse;
use crate::upstream::attempt::{DispatchContext, Upstreams};
use crate::upstream::connect::per_client::ClientSlot;
use crate::upstream::dispatch::dispatch;

/// One core's gateway: everything a request of this core may use.
#[derive(Debug)]
pub struct Gateway {
    /// What runs.
    pub plan: Arc<Plan>,
    /// The way out.
    pub upstreams: Upstreams,
    /// The way to the store that gateways share.
    pub shared: Option<Shared>,
    /// The way into log and metrics.
    pub recorder: Arc<Recorder>,
    /// `1.1 lockgate-...`: the pseudonym of this process in `Via`, by which a loop is seen.
    pub via: HeaderValue,
    /// How far the shutdown is.
    pub lifecycle: Arc<Lifecycle>,
    /// Wall time; the core's upkeep sets it.
    pub wall: WallClock,
    /// Tells requests under way that the time for them is over: `drain_timeout` has elapsed.
    pub over: Notify,
}

/// How far a shutdown is; shared by all cores and the admin listener.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU8);

impl Lifecycle {
    /// Listeners are open.
    pub fn started(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Not ready any more, but still serving.
    pub fn draining(&self) {
        self.0.store(2, Ordering::Release);
    }

    /// New requests are refused.
    pub fn closing(&self) {
        self.0.store(3, Ordering::Release);
    }

    /// Send requests here?
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    /// Refuse requests?
    pub fn is_closing(&self) -> bool {
        self.0.load(Ordering::Acquire) == 3
    }
}

/// One client connection, as its requests see it.
#[derive(Debug)]
pub struct Client {
    /// The gateway of its core.
    pub gateway: Arc<Gateway>,
    /// The other side.
    pub peer: Peer,
    /// Upstream connections that belong to it.
    pub private: Private,
    /// Over the connection limit: its requests are refused.
    pub surplus: bool,
    /// It has taken more than its socket can hold: what is read for it goes on its way.
    pub takes: Arc<AtomicBool>,
}

/// What leaves the walk: the failure, and what the upstream said where it said something.
#[derive(Debug)]
struct Trouble {
    failure: Failure,
    said: Option<Box<Said>>,
}

/// An upstream's own error.
#[derive(Debug)]
struct Said {
    status: u16,
    /// Status of the report where it is another than that of the response (errors inside 2xx).
    told: u16,
    headers: http::HeaderMap,
    /// The code that an operator's rule gives.
    code: Option<String>,
    report: Report,
    body: Untrusted,
    truncated: bool,
    /// The page may be shown to a browser as it is.
    page: Option<bytes::Bytes>,
}

impl Said {
    /// Did the upstream say that it writes JSON?
    fn is_json(&self) -> bool {
        let content_type = self.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        content_type.to_ascii_lowercase().windows(4).any(|part| part == b"json")
    }
}

impl<F: Into<Failure>> From<F> for Trouble {
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), said: None }
    }
}

impl Gateway {
    /// Serves one request. Never fails: every trouble becomes an answer.
    async fn serve(&self, client: &Client, mut trip: Box<Trip>) -> Response<Body> {
        let is_multiplexed = trip.version == Version::HTTP_2;
        // A waiting HTTP/1 task is woken when the listeners close, and registers for the end of the drain from then on. A stream of HTTP/2 has
        // a task of its own that closing does not wake, so it registers from the beginning.
        let asks = || is_multiplexed || self.lifecycle.is_closing();
        let walked = {
            let walk = pin!(self.walk(client, &mut trip));
            rescue::until(pin!(self.over.notified()), asks, pin!(rescue::catching(walk))).await
        };
        match walked {
            Some(Ok(Ok(passage))) => self.pass(passage, trip, client),
            Some(Ok(Err(trouble))) => self.answer(trouble, trip),
            Some(Err(rescue::Panicked)) => self.answer(Kind::Internal.into(), trip),
            None => self.answer(Failure::because(Kind::ShuttingDown, "drain_timeout elapsed before the answer began").into(), trip),
        }
    }

    /// The walk, in order.
    async fn walk(&self, client: &Client, trip: &mut Trip) -> Result<Passage, Trouble> {
        // The route first: what is refused below is told in its format and with its CORS headers.
        let found = self.find(trip);
        arrive::check(self, client, trip)?;
        let route = found?;
        if let Some(preflight) = cors::preflight(route, trip) {
            return Ok(preflight);
        }
        admit::check_open(route, trip)?;
        deadline::set(route, trip)?;
        let first_shared = limits::enter(route, trip)?;
        let body = buffer::wanted(route, trip);
        // Until something was waited for, arrival is now: one reading of the clock less.
        let mut begin = trip.context().arrival;
        if first_shared.is_some() || body.is_some() || !admit::pass(self, route, trip) {
            // What most requests do not need is on the heap.
            Box::pin(self.prepare(route, trip, first_shared, body)).await?;
            begin = Instant::now();
        }
        let mut outgoing = arrive::outgoing(self, client, route, trip)?;
        let asked = self.ask(client, route, &mut outgoing, trip, begin).await;
        // What was held of the body is the upstream's now.
        trip.read = None;
        let reply = asked.inspect_err(|failure| admit::unanswered(route, failure))?;
        deadline::check(trip, reply.at)?;
        let opened = inspect::open(self, reply, route, client, trip)?;
        match inspect::judge(&opened, route, trip) {
            None => Ok(opened.stream()),
            // On the heap: what few answers need makes no request larger.
            Some(handling) => Box::pin(inspect::handle(handling, opened, route, self, trip)).await,
        }
    }

    /// Waits for what a request may have to wait for before the backend is asked: limits that gateways share, its body, its places.
    async fn prepare(&self, route: &Route, trip: &mut Trip, first_shared: Option<usize>, body: Option<usize>) -> Result<(), Failure> {
        if let Some(first) = first_shared {
            limits::ask(self, route, trip, first).await?;
        }
        if let Some(max) = body {
            buffer::fill(max, self, route, trip).await?;
        }
        admit::wait(self, route, trip).await
    }

    /// The route of this request. A route that does not allow the method still tells how the refusal is written.
    fn find(&self, trip: &mut Trip) -> Result<&Arc<Route>, Failure> {
        let (route, refused) = arrive::route(&self.plan.routes, trip)?;
        trip.visit.route = Some(Arc::clone(&route.metrics));
        trip.route = Some(Arc::clone(route));
        refused.map_or(Ok(route), Err)
    }

    /// An upstream's response head.
    fn ask<'a>(
        &'a self,
        client: &'a Client,
        route: &'a Route,
        outgoing: &'a mut OutgoingRequest,
        trip: &'a mut Trip,
        begin: Instant,
    ) -> impl Future<Output = Result<UpstreamResponse, Failure>> + 'a {
        trip.visit.dispatched = true;
        let policy = &route.policy;
        let (deadline, retry) = (trip.deadline, policy.retry.as_ref());
        let context = DispatchContext {
            upstreams: &self.upstreams,
            timeouts: &policy.timeouts,
            retry,
            begin,
            deadline,
            private: &client.private,
            slot: ClientSlot::of(trip.visit.context.client),
        };
        dispatch(&route.backend, outgoing, context, &mut trip.visit.trail)
    }

    /// The name alone of `via`.
    fn pseudonym(&self) -> &str {
        self.via.to_str().unwrap_or_default().strip_prefix("1.1 ").unwrap_or_default()
    }
}

/// The outermost service of one client connection. It cannot fail, so hyper never closes without an answer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The connection, with this core's gateway.
    pub client: Arc<Client>,
}

/// An answer on its way: the one boxed future of a request.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Entry {
    /// Serves one request. The server calls this: the tower service below, for whoever stands layers around it, wants an exclusive
    /// reference that nothing here needs. `hold` is dropped when the request's body is over.
    pub fn answer(&self, request: Request<Incoming>, hold: Hold) -> Answering {
        let client = Arc::clone(&self.client);
        let trip = Trip::begin(&client.gateway, &client.peer, request, hold);
        Box::pin(async move { Ok(client.gateway.serve(&client, trip).await) })
    }
}

impl tower::Service<Request<Incoming>> for Entry {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.answer(request, Hold::nothing())
    }
}
