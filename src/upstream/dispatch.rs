//! From a ready request to a response head: pick an endpoint, get a connection, exchange; again on another connection only
//! when nothing was ever sent.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::Service;

use super::attempt::{self, Clocks, Missed};
use super::backend::{Backend, Endpoint};
use super::connect::{Connector, Phase};
use super::pool::{Checkout, Connection, Pool};
use super::upload::{Progress, Upload};
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::policy::Timeouts;

/// Attempts that may be made when none of them sent anything.
const MAX_UNSENT: u32 = 3;

/// What one core needs to reach upstreams.
#[derive(Debug)]
pub struct Upstreams {
    /// Opens connections.
    pub connector: Connector,
    /// This core's lane in every pool.
    pub core: usize,
}

/// Connections that belong to one client connection, because they authenticated it (NTLM, Negotiate). One at a time, and
/// no longer idle than any other: a place in the pool is not held for nothing. Empty for nearly every client.
#[derive(Debug, Default)]
pub struct Private(OnceLock<Arc<Mutex<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    kept: Option<(Arc<Endpoint>, Connection)>,
    /// Counts what was kept, so that a timer knows its own.
    turn: u64,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Private {
    fn take(&self, backend: &Backend) -> Option<(Arc<Endpoint>, Connection)> {
        let mut slot = lock(self.0.get()?);
        let ours = slot.kept.as_ref().is_some_and(|(kept, _)| backend.endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, kept)));
        slot.kept.take_if(|_| ours).filter(|(_, connection)| connection.sender.is_ready())
    }

    /// The slot, from now on.
    fn slot(&self) -> Arc<Mutex<Slot>> {
        Arc::clone(self.0.get_or_init(Arc::default))
    }
}

/// Keeps a connection for its client, for as long as any may be idle.
fn keep(owner: &Arc<Mutex<Slot>>, endpoint: Arc<Endpoint>, mut connection: Connection) {
    connection.reused = true;
    let idle_timeout = endpoint.pool.idle_timeout();
    let mut slot = lock(owner);
    slot.turn += 1;
    slot.kept = Some((endpoint, connection));
    let (owner, turn) = (Arc::downgrade(owner), slot.turn);
    drop(slot);
    tokio::spawn(async move {
        tokio::time::sleep(idle_timeout).await;
        if let Some(owner) = owner.upgrade() {
            let mut slot = lock(&owner);
            if slot.turn == turn {
                slot.kept = None;
            }
        }
    });
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
}

impl Outgoing {
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
    /// Gives the connection back when the body was read to its end.
    pub lease: Lease,
}

/// An attempt begins.
fn begin_attempt(trail: &mut Trail, endpoint: &Endpoint) {
    trail.endpoint = Some(Arc::clone(&endpoint.url));
    trail.attempts += 1;
}

/// Holds a connection until its response was read.
#[derive(Debug)]
pub struct Lease {
    held: Option<Connection>,
    endpoint: Arc<Endpoint>,
    private: Option<Arc<Mutex<Slot>>>,
}

impl Lease {
    /// Whose connection it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The response was read to its end, at `now`: the connection may serve again.
    pub fn finish(mut self, now: Instant) {
        let Some(connection) = self.held.take() else { return };
        match &self.private {
            Some(private) => keep(private, Arc::clone(&self.endpoint), connection),
            None => Pool::give_back(&self.endpoint, connection, now),
        }
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
    /// When the request arrived.
    pub arrival: Instant,
    /// End of everything.
    pub deadline: Option<Instant>,
    /// Private connections of the client connection.
    pub private: &'a Private,
}

/// Gets a response head.
///
/// # Errors
/// The failure of the last attempt; `trail` tells where it was made.
pub async fn dispatch(backend: &Backend, outgoing: &mut Outgoing, means: Means<'_>, trail: &mut Trail) -> Result<Reply, Failure> {
    let turn = backend.next();
    let mut kept = means.private.take(backend);
    let private = kept.is_some() || outgoing.connection_auth;
    for round in 0..MAX_UNSENT {
        // Until something was waited for, arrival is now: one reading of the clock less.
        let (endpoint, mut connection, begin) = match kept.take() {
            Some((endpoint, connection)) => {
                begin_attempt(trail, &endpoint);
                (endpoint, connection, means.arrival)
            }
            None => {
                let endpoint = backend.nth(turn.wrapping_add(round as usize)).ok_or(Kind::NoEndpoint)?;
                begin_attempt(trail, endpoint);
                let connected = match checkout(endpoint, means, round > 0) {
                    Checkout::Ready(connection) => Ok((connection, means.arrival)),
                    // On the heap: most requests find an idle connection.
                    other => Box::pin(connect(endpoint, means, other)).await.map(|connection| (connection, Instant::now())),
                };
                match connected {
                    Ok((connection, begin)) => (Arc::clone(endpoint), connection, begin),
                    // Nothing was sent: another endpoint may be better off.
                    Err(_) if backend.endpoints.len() > round as usize + 1 && round + 1 < MAX_UNSENT => continue,
                    Err(failure) => return Err(failure),
                }
            }
        };
        let begin = if round == 0 { begin } else { Instant::now() };
        if let Some(request) = &mut outgoing.request {
            let host = backend.host_for(&endpoint, outgoing.client_host.as_ref());
            request.headers_mut().insert(header::HOST, host.clone());
        }
        let clocks = Clocks { timeouts: means.timeouts, deadline: means.deadline, begin, progress: outgoing.progress.as_ref() };
        match attempt::exchange(&mut connection, &mut outgoing.request, clocks).await {
            Ok(response) => {
                let owner = private.then(|| means.private.slot());
                return Ok(Reply { response, lease: Lease { held: Some(connection), endpoint, private: owner } });
            }
            Err(Missed::NeverSent) => {}
            Err(Missed::Failed(failure)) => return Err(failure),
        }
    }
    Err(Failure::because(Kind::ConnectionLost, "every connection was closed before the request could be sent"))
}

/// An idle connection, a place for a new one, or neither.
fn checkout(endpoint: &Endpoint, means: Means<'_>, fresh: bool) -> Checkout {
    match fresh {
        true => endpoint.pool.place().map_or(Checkout::Full, Checkout::Open),
        false => endpoint.pool.checkout(means.upstreams.core, means.arrival),
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
        Checkout::Full => match within(due, endpoint.pool.wait(core)).await {
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

async fn within<F: Future>(due: Option<Instant>, work: F) -> Option<F::Output> {
    match due {
        Some(due) => tokio::time::timeout_at(due, work).await.ok(),
        None => Some(work.await),
    }
}
