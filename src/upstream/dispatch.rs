//! From a ready request to a response head: choose an endpoint, get a connection, exchange. `attempt` makes one exchange;
//! `again` decides what follows a try that did not do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::Service;

use super::again;
use super::attempt::{self, Clocks};
use super::backend::{Backend, Wish};
use super::connect::{Connector, Phase};
use super::endpoint::{Ended, Endpoint, Engaged};
use super::per_client::ClientSlot;
use super::pool::{Checkout, Connection, Pool};
use super::private::{Private, Slot, keep};
use super::replay::Replay;
use super::upload::{Progress, Upload};
use super::wire::Reads;
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::policy::{Retry, Timeouts};

/// What one core needs to reach upstreams.
#[derive(Debug)]
pub struct Upstreams {
    /// Opens connections.
    pub connector: Connector,
    /// This core's lane in every pool.
    pub core: usize,
}

/// A request that is ready to go, but for what depends on the endpoint.
#[derive(Debug)]
pub struct Outgoing {
    /// The request, without `Host`: taken by an exchange, put back when nothing of it was sent.
    pub request: Option<Request<Upload>>,
    /// `Host` as the client sent it.
    pub client_host: Option<HeaderValue>,
    /// Progress of the body.
    pub progress: Option<Arc<Progress>>,
    /// It carries connection authentication.
    pub connection_auth: bool,
    /// Whether it may and can be sent again, and with which body.
    pub replay: Replay,
    /// Hash of its key, where the backend balances by one.
    pub key: Option<u64>,
}

impl Outgoing {
    /// The same request once more, before it goes out. `None` when its body streams.
    pub(super) fn twin(&self) -> Option<Box<Self>> {
        let (Some(request), Replay::Whole(body)) = (&self.request, &self.replay) else { return None };
        let target = request.uri().path_and_query().cloned()?;
        let body = Upload::whole(body.clone()).0;
        let request = Self::origin_form(request.method().clone(), target, request.headers().clone(), body).ok()?;
        Some(Box::new(Self {
            request: Some(request),
            client_host: self.client_host.clone(),
            progress: None,
            connection_auth: self.connection_auth,
            replay: self.replay.clone(),
            key: self.key,
        }))
    }

    /// A request in origin form (RFC 9112 3.2.1).
    ///
    /// # Errors
    /// When the parts make no request.
    pub fn origin_form(method: Method, target: PathAndQuery, headers: HeaderMap, body: Upload) -> Result<Request<Upload>, Failure> {
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(target);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| Failure::because(Kind::BadRequest, error.to_string()))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// A response head with its connection.
#[derive(Debug)]
pub struct Reply {
    /// The head, and the body that still arrives.
    pub response: Response<Incoming>,
    /// When the head came.
    pub at: Instant,
    /// From the begin of this try's exchange until then.
    pub took: Duration,
    /// Gives the connection back when the body was read to its end.
    pub lease: Lease,
}

/// Holds a connection and its endpoint until the response was read.
#[derive(Debug)]
pub struct Lease {
    held: Option<Connection>,
    engaged: Engaged,
    private: Option<Arc<Mutex<Slot>>>,
}

impl Lease {
    /// Whose connection it is.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.engaged.endpoint
    }

    /// The response was read to its end, at `now`: the connection may serve again.
    pub fn finish(mut self, now: Instant) {
        let Some(connection) = self.held.take() else { return };
        match &self.private {
            Some(private) => keep(private, Arc::clone(&self.engaged.endpoint), connection),
            None => Pool::give_back(&self.engaged.endpoint, connection, now),
        }
    }

    /// The client takes what is read of the response: from now on as much is read as there is.
    pub fn hurry(&self) {
        if let Some(connection) = &self.held {
            connection.reads.hurry();
        }
    }

    /// The response broke off.
    pub fn broke(self, kind: Kind) {
        self.engaged.broke(kind);
    }

    /// The head of the request as it was written.
    pub(super) fn head(&self) -> Option<Vec<u8>> {
        self.held.as_ref()?.reads.head()
    }

    /// From now on the connection belongs to one client connection.
    pub fn make_private(&mut self, owner: &Private) {
        self.private = Some(owner.slot());
    }
}

/// Everything a dispatch may use.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// This core's way out.
    pub upstreams: &'a Upstreams,
    /// The route's clocks.
    pub timeouts: &'a Timeouts,
    /// The route's retries.
    pub retry: Option<&'a Retry>,
    /// When the dispatch begins.
    pub begin: Instant,
    /// End of everything.
    pub deadline: Option<Instant>,
    /// Private connections of the client connection.
    pub private: &'a Private,
    /// The client, as one that holds connections.
    pub slot: ClientSlot,
}

/// A try that got no response head.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) failure: Failure,
    pub(super) fate: Fate,
    /// Where it was made, when it got that far.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    /// What was written, where the request is gone.
    pub(super) wrote: Option<Reads>,
}

/// How far the request of a failed try came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// No endpoint was chosen.
    Nowhere,
    /// No connection was had, or a new one closed before anything was written.
    Unconnected,
    /// An idle connection closed before anything was written.
    Unsent,
    /// An idle connection turned out to be closed: nothing came back.
    Stale,
    /// The upstream may have seen it.
    Seen,
}

/// How one try differs from the first.
#[derive(Debug, Default)]
pub(super) struct Try<'a> {
    /// An endpoint that was chosen already.
    pub(super) engaged: Option<Engaged>,
    /// Endpoints that were tried: others first.
    pub(super) tried: &'a [Arc<Endpoint>],
    /// This endpoint, on a connection that was not idle.
    pub(super) fresh_at: Option<&'a Arc<Endpoint>>,
    /// It is not the first.
    pub(super) again: bool,
    /// An endpoint that was not tried and is well, or none.
    pub(super) only_good: bool,
}

/// Gets a response head.
///
/// # Errors
/// The failure of the last try; `trail` tells where it was made.
pub async fn dispatch(backend: &Backend, outgoing: &mut Outgoing, means: Means<'_>, trail: &mut Trail) -> Result<Reply, Failure> {
    if let Some(retry) = means.retry {
        backend.budget.deposit(retry.budget);
        let private = outgoing.connection_auth || !means.private.is_empty();
        if let Some(delay) = again::hedge_delay(backend, outgoing, private, retry) {
            return Box::pin(again::hedged(backend, outgoing, means, trail, delay)).await;
        }
    }
    let first = try_once(backend, outgoing, means, trail, Try::default()).await;
    match first {
        Ok(reply) if again::is_good_enough(&reply, means) => Ok(reply),
        // On the heap: most requests need one try.
        other => Box::pin(again::follow(other, backend, outgoing, means, trail)).await,
    }
}

/// One try: an endpoint, a connection, an exchange.
pub(super) async fn try_once(
    backend: &Backend,
    outgoing: &mut Outgoing,
    means: Means<'_>,
    trail: &mut Trail,
    which: Try<'_>,
) -> Result<Reply, Missed> {
    // Of a first try the caller knows the time: one reading of the clock less.
    let now = if which.again { Instant::now() } else { means.begin };
    let kept = if which.again { None } else { means.private.take(backend) };
    let mut kept = match kept {
        None => None,
        Some(kept) => Box::pin(still_good(kept, means)).await,
    };
    let private = kept.is_some() || outgoing.connection_auth;
    if private {
        // The connection is part of the request.
        outgoing.replay = Replay::Never;
    }
    let engaged = match (which.engaged, which.fresh_at.or(kept.as_ref().map(|(endpoint, _)| endpoint))) {
        (Some(engaged), _) => Ok(engaged),
        (None, Some(endpoint)) => Endpoint::enter(endpoint, now, false).ok_or_else(|| Kind::NoEndpoint.into()),
        (None, None) => backend.choose(Wish { now, key: outgoing.key, tried: which.tried, only_good: which.only_good }),
    };
    let mut engaged = engaged.map_err(|failure: Failure| Missed { failure, fate: Fate::Nowhere, endpoint: None, wrote: None })?;
    trail.endpoint = Some(Arc::clone(&engaged.endpoint.label));
    trail.attempts += 1;
    let (mut connection, begin) = match kept.take() {
        Some((_, connection)) => (connection, now),
        None => match checkout(&engaged.endpoint, means, which.fresh_at.is_some(), now) {
            Checkout::Ready(connection) => (connection, now),
            // On the heap: most requests find an idle connection.
            other => match Box::pin(connect(&engaged.endpoint, means, other)).await {
                Ok(connection) => (connection, Instant::now()),
                Err(failure) => return Err(unconnected(failure, engaged, now)),
            },
        },
    };
    if let Some(request) = &mut outgoing.request {
        let host = backend.host_for(&engaged.endpoint, outgoing.client_host.as_ref());
        request.headers_mut().insert(header::HOST, host.clone());
    }
    let replays = outgoing.replay.is_possible();
    let clocks = Clocks { timeouts: means.timeouts, deadline: means.deadline, begin, progress: outgoing.progress.as_ref(), replays };
    let exchanged = attempt::exchange(&mut connection, &mut outgoing.request, clocks).await;
    let now = Instant::now();
    let took = now.saturating_duration_since(begin);
    match exchanged {
        Ok(response) => {
            engaged.ended(Ended::Answered(response.status().as_u16()), took, now);
            if means.retry.is_some_and(|retry| retry.hedge.is_some()) && response.status().as_u16() < 500 {
                backend.latencies.heard(took);
            }
            let owner = private.then(|| means.private.slot());
            Ok(Reply { response, at: now, took, lease: Lease { held: Some(connection), engaged, private: owner } })
        }
        Err(missed) => Err(lost(missed, connection, engaged, took, now)),
    }
}

/// A connection that was kept for its client, once its task has come round; it may have closed, and the wait has the connect clock.
async fn still_good(mut kept: (Arc<Endpoint>, Connection), means: Means<'_>) -> Option<(Arc<Endpoint>, Connection)> {
    let due = [means.timeouts.connect.map(|connect| Instant::now() + connect), means.deadline].into_iter().flatten().min();
    within(due, kept.1.sender.ready()).await?.ok()?;
    Some(kept)
}

/// No connection: the endpoint is to blame only when it did not let us in.
fn unconnected(failure: Failure, mut engaged: Engaged, begin: Instant) -> Missed {
    let now = Instant::now();
    engaged.ended(Ended::Failed(failure.kind), now.saturating_duration_since(begin), now);
    let fate = if failure.kind == Kind::Overloaded { Fate::Nowhere } else { Fate::Unconnected };
    Missed { failure, fate, endpoint: Some(Arc::clone(&engaged.endpoint)), wrote: None }
}

/// The exchange failed. That an idle connection is closed says nothing of an endpoint.
fn lost(missed: attempt::Missed, connection: Connection, mut engaged: Engaged, took: Duration, now: Instant) -> Missed {
    let endpoint = Some(Arc::clone(&engaged.endpoint));
    let wrote = Some(connection.reads.clone());
    let (failure, fate) = match missed {
        attempt::Missed::NeverSent => {
            let failure = Failure::because(Kind::ConnectionLost, "the connection was closed before the request could be sent");
            // A new connection that closes at once is the endpoint's doing, as if it had refused it.
            (failure, if connection.reused { Fate::Unsent } else { Fate::Unconnected })
        }
        // Nothing of an answer came over a connection that had been idle.
        attempt::Missed::Failed(failure) if connection.reused && failure.kind == Kind::ConnectionLost => (failure, Fate::Stale),
        attempt::Missed::Failed(failure) => (failure, Fate::Seen),
    };
    if matches!(fate, Fate::Seen | Fate::Unconnected) {
        engaged.ended(Ended::Failed(failure.kind), took, now);
    }
    Missed { failure, fate, endpoint, wrote }
}

/// An idle connection, a place for a new one, or neither.
fn checkout(endpoint: &Endpoint, means: Means<'_>, fresh: bool, now: Instant) -> Checkout {
    match fresh {
        true => endpoint.pool.place(means.slot).map_or(Checkout::Full, Checkout::Open),
        false => endpoint.pool.checkout(means.upstreams.core, means.slot, now),
    }
}

/// A new connection, or the wait for one; all within the connect clock.
async fn connect(endpoint: &Arc<Endpoint>, means: Means<'_>, first: Checkout) -> Result<Connection, Failure> {
    let (now, core) = (Instant::now(), means.upstreams.core);
    let due = [means.timeouts.connect.map(|connect| now + connect), means.deadline].into_iter().flatten().min();
    let elapsed = |kind: Kind| if means.deadline.is_some_and(|deadline| Some(deadline) == due) { Kind::TotalTimeout } else { kind };
    let place = match first {
        Checkout::Ready(connection) => return Ok(connection),
        Checkout::Open(place) => place,
        Checkout::Full => match within(due, endpoint.pool.wait(core, means.slot)).await {
            Some(Some(Checkout::Ready(connection))) => return Ok(connection),
            Some(Some(Checkout::Open(place))) => place,
            Some(Some(Checkout::Full) | None) => return Err(Failure::because(Kind::Overloaded, "too many requests wait for a connection")),
            None => return Err(Failure::because(elapsed(Kind::Overloaded), "no connection became free within connect_timeout")),
        },
    };
    let phase = Arc::new(Phase::default());
    let mut connector = means.upstreams.connector.clone();
    match within(due, connector.call((Arc::clone(endpoint), Arc::clone(&phase)))).await {
        Some(Ok(opened)) => Ok(Connection::new(opened, core, place)),
        Some(Err(failure)) => Err(failure),
        None => Err(elapsed(phase.elapsed()).into()),
    }
}

pub(super) async fn within<F: Future>(due: Option<Instant>, work: F) -> Option<F::Output> {
    match due {
        Some(due) => tokio::time::timeout_at(due, work).await.ok(),
        None => Some(work.await),
    }
}
