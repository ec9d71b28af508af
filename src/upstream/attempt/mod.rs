//! One attempt: chooses an endpoint, gets a connection, and exchanges the request for a response head.
//!
//! Does not decide what follows a failed attempt; `retry` does.

pub mod clocks;
pub mod exchange;
mod exchange_http2;
pub mod outgoing;
pub mod private;
pub mod response;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header;
use tokio::time::Instant;
use tower::Service;

use self::clocks::Clocks;
use self::exchange::{ExchangeError, exchange};
use self::outgoing::{OutgoingRequest, Replay};
use self::private::{Bond, Owner, Private};
use self::response::{ResponseBody, UpstreamResponse};
use crate::body::InterimResponses;
use crate::context::Trail;
use crate::context::spans::AttemptEnd;
use crate::failure::{Failure, Kind};
use crate::policy::{Retry, Timeouts};
use crate::upstream::choose::backend::{Backend, EndpointQuery};
use crate::upstream::choose::endpoint::{AttemptOutcome, Endpoint, EndpointPermit};
use crate::upstream::connect::connector::{Connector, Dial, Phase};
use crate::upstream::connect::per_client::ClientSlot;
use crate::upstream::connect::pool::{Checkout, Connection, Pool};
use crate::upstream::connect::proxy_header::Addresses;
use crate::upstream::connect::target::Protocol;

/// What one core needs to reach upstreams.
#[derive(Debug)]
pub struct Upstreams {
    /// Opens connections.
    pub connector: Connector,
    /// This core's lane in every pool.
    pub core: usize,
}

/// The parts of a request's context that its dispatch uses.
#[derive(Clone, Copy, Debug)]
pub struct DispatchContext<'a> {
    /// This core's connector.
    pub upstreams: &'a Upstreams,
    /// The route's timeouts.
    pub timeouts: &'a Timeouts,
    /// The route's retry policy.
    pub retry: Option<&'a Retry>,
    /// When the dispatch begins.
    pub begin: Instant,
    /// The deadline of the whole request.
    pub deadline: Option<Instant>,
    /// Private connections of the client connection.
    pub private: &'a Private,
    /// Takes the interim responses, if the client reads them.
    pub interim: Option<&'a InterimResponses>,
    /// The addresses for a PROXY header, if a backend is sent one.
    pub addresses: Option<&'a Addresses>,
    /// The client's slot in the count of connections per client.
    pub slot: ClientSlot,
}

/// An attempt that got no response head.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub(super) failure: Failure,
    pub(super) progress: SendProgress,
    /// The endpoint, once one was chosen.
    pub(super) endpoint: Option<Arc<Endpoint>>,
    /// The failure opened a breaker of the endpoint.
    pub(super) ejected: bool,
}

/// How far a failed attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendProgress {
    /// No endpoint was chosen.
    NotChosen,
    /// The chosen endpoint has no free connection.
    NoRoom,
    /// The chosen endpoint speaks no version of HTTP that the request can go by.
    Unsuitable,
    /// No connection was opened, or a new one closed before anything was written.
    NotConnected,
    /// A reused connection closed before anything was written.
    NotSent,
    /// A reused connection closed after writing, without any response.
    Stale,
    /// The upstream refused the request without processing it.
    Refused,
    /// The upstream wants the request over HTTP/1.1, which the next attempt at it uses.
    WantsHttp1,
    /// The upstream may have processed the request.
    MaybeProcessed,
}

/// How an attempt differs from a first one.
#[derive(Debug, Default)]
pub(super) struct AttemptOptions<'a> {
    /// The permit of an endpoint that was chosen already.
    pub(super) permit: Option<EndpointPermit>,
    /// Endpoints that were tried; others are preferred.
    pub(super) tried: &'a [Arc<Endpoint>],
    /// Use this endpoint, on a new connection.
    pub(super) reconnect_to: Option<&'a Arc<Endpoint>>,
    /// This is not the first attempt.
    pub(super) is_retry: bool,
    /// Use only a healthy endpoint that was not tried.
    pub(super) only_good: bool,
    /// It runs beside another attempt.
    pub(super) hedge: bool,
}

/// Makes one attempt.
pub(super) async fn attempt(
    backend: &Backend,
    outgoing: &mut OutgoingRequest,
    context: DispatchContext<'_>,
    trail: &mut Trail,
    options: AttemptOptions<'_>,
) -> Result<UpstreamResponse, AttemptError> {
    // The caller of a first attempt knows the time, which saves reading the clock.
    let now = if options.is_retry { Instant::now() } else { context.begin };
    let kept = if options.is_retry { None } else { context.private.take(backend, context.addresses) };
    let private = kept.is_some() || outgoing.connection_auth;
    if private {
        // The request is bound to its connection.
        outgoing.replay = Replay::Never;
    }
    let permit = match (options.permit, options.reconnect_to.or(kept.as_ref().map(|(endpoint, _)| endpoint))) {
        (Some(permit), _) => Ok(permit),
        (None, Some(endpoint)) => Endpoint::enter(endpoint, now, false).ok_or_else(|| Kind::NoEndpoint.into()),
        (None, None) => backend.choose(EndpointQuery { now, key: outgoing.key, tried: options.tried, only_good: options.only_good }),
    };
    let mut permit = permit.map_err(not_chosen)?;
    outgoing.belong_to(trail.attempt(&permit.endpoint.label, now, options.hedge));
    // A stream of HTTP/2 cannot become a tunnel.
    let http1_only = outgoing.upgrade.is_some() || permit.endpoint.pool.multiplex().is_some_and(|multiplex| multiplex.wants_http1(now));
    // A connection that names its client is its own, and not the pool's.
    let is_named = permit.endpoint.target.send_proxy.is_some();
    let kept = kept.map(|(_, connection)| connection);
    let kept =
        kept.or_else(|| if is_named && !options.is_retry { context.private.take_named(&permit.endpoint, context.addresses) } else { None });
    let alone = private || http1_only || is_named;
    let (mut connection, begin) = match kept {
        Some(connection) => (connection, Instant::now()),
        None => match checkout(&permit.endpoint, context, options.reconnect_to.is_some(), alone, now) {
            // What passed before is the gateway's own time.
            Checkout::Ready(connection) => (connection, Instant::now()),
            // Boxed, because most requests find an idle connection.
            other => match Box::pin(connect(&permit.endpoint, context, other, (alone, http1_only))).await {
                Ok(connection) => (connection, trail.connected(now)),
                Err(failure) => return Err(not_connected(failure, outgoing.upgrade.is_some(), permit, now, trail)),
            },
        },
    };
    if private {
        connection.http.retire_shared();
    }
    if let Some(host) = backend.host_for(&permit.endpoint, outgoing.has_client_host) {
        outgoing.headers.insert(header::HOST, host);
    }
    let DispatchContext { timeouts, deadline, interim, .. } = context;
    let clocks = Clocks { timeouts, deadline, begin, progress: outgoing.progress.clone(), interim };
    let exchanged = exchange(&mut connection.http, outgoing, clocks).await;
    let (started, now) = (now, Instant::now());
    let took = now.saturating_duration_since(begin);
    match exchanged {
        Ok((head, upload)) => {
            let status = head.status.as_u16();
            let ejected = permit.record(AttemptOutcome::Answered(status), took, now);
            trail.ended(started, now, AttemptEnd::Answered(status), connection.http.is_shared(), ejected);
            if context.retry.is_some_and(|retry| retry.hedge.is_some()) && status < 500 {
                backend.latencies.record(took);
            }
            let owner = (private || is_named).then(|| owner(context, private, is_named));
            let body = ResponseBody::new(connection, (head.framing, head.keep_alive), upload, permit, owner, now);
            Ok(UpstreamResponse { status: head.status, headers: head.headers, body, at: now, took })
        }
        Err(error) => {
            let error = exchange_failed(error, &connection, permit, took, now);
            trail.ended(started, now, AttemptEnd::Failed(error.failure.kind), connection.http.is_shared(), error.ejected);
            Err(error)
        }
    }
}

/// Returns the client connection to which a connection belongs from now on.
fn owner(context: DispatchContext<'_>, authenticated: bool, is_named: bool) -> Box<Owner> {
    let bond = Bond { authenticated, named: context.addresses.copied().filter(|_| is_named) };
    Box::new(Owner { slot: context.private.slot(), bond })
}

fn not_chosen(failure: Failure) -> AttemptError {
    AttemptError { failure, progress: SendProgress::NotChosen, endpoint: None, ejected: false }
}

/// Records that there is no connection. The endpoint is blamed only if it refused one.
fn not_connected(failure: Failure, is_upgrade: bool, mut permit: EndpointPermit, begin: Instant, trail: &mut Trail) -> AttemptError {
    let endpoint = Some(Arc::clone(&permit.endpoint));
    if is_upgrade && matches!(failure.kind, Kind::TlsAlert | Kind::TlsProtocol) {
        // The endpoint speaks HTTP/2 only, which it may: a client that asks for an upgrade must not make it look broken.
        let failure = Failure { kind: Kind::UpgradeNotPermitted, ..failure };
        let now = trail.connected(begin);
        trail.ended(begin, now, AttemptEnd::Failed(failure.kind), false, false);
        return AttemptError { failure, progress: SendProgress::Unsuitable, endpoint, ejected: false };
    }
    let now = trail.connected(begin);
    let ejected = permit.record(AttemptOutcome::Failed(failure.kind), now.saturating_duration_since(begin), now);
    trail.ended(begin, now, AttemptEnd::Failed(failure.kind), false, ejected);
    let progress = if failure.kind == Kind::Overloaded { SendProgress::NoRoom } else { SendProgress::NotConnected };
    AttemptError { failure, progress, endpoint, ejected }
}

/// Records a failed exchange. A reused connection that was closed is not held against the endpoint.
fn exchange_failed(
    error: ExchangeError,
    connection: &Connection,
    mut permit: EndpointPermit,
    took: Duration,
    now: Instant,
) -> AttemptError {
    let (failure, progress) = match error {
        ExchangeError::NeverSent => {
            let failure = Failure::because(Kind::ConnectionLost, "the connection was closed before the request could be sent");
            // A new connection that closes at once counts as refused.
            (failure, if connection.reused { SendProgress::NotSent } else { SendProgress::NotConnected })
        }
        ExchangeError::Refused(failure) => (failure, SendProgress::Refused),
        // Only an endpoint that chose HTTP/2 itself can be spoken to otherwise.
        ExchangeError::WantsHttp1(failure) if permit.endpoint.target.protocol == Protocol::Auto => {
            permit.endpoint.pool.multiplex().iter().for_each(|multiplex| multiplex.speak_http1(now));
            (failure, SendProgress::WantsHttp1)
        }
        ExchangeError::WantsHttp1(failure) => (failure, SendProgress::MaybeProcessed),
        // A reused connection closed without a byte of a response.
        ExchangeError::Lost(failure) if connection.reused => (failure, SendProgress::Stale),
        ExchangeError::Lost(failure) | ExchangeError::Failed(failure) => (failure, SendProgress::MaybeProcessed),
    };
    let is_blamed = match progress {
        SendProgress::MaybeProcessed | SendProgress::NotConnected => true,
        // An endpoint that closes a connection in order (GOAWAY) may be as good as before.
        SendProgress::Refused => !connection.http.is_retired(),
        SendProgress::NotChosen
        | SendProgress::NoRoom
        | SendProgress::Unsuitable
        | SendProgress::WantsHttp1
        | SendProgress::NotSent
        | SendProgress::Stale => false,
    };
    let ejected = is_blamed && permit.record(AttemptOutcome::Failed(failure.kind), took, now);
    AttemptError { failure, progress, endpoint: Some(Arc::clone(&permit.endpoint)), ejected }
}

/// Opens a connection to an endpoint that may speak HTTP/2, so that its version is known before a request is made. The next endpoint is tried
/// if it cannot be reached.
pub async fn learn_version(backend: &Backend, context: DispatchContext<'_>) {
    for endpoint in backend.endpoints().into_iter().filter(|endpoint| endpoint.pool.multiplex().is_some()) {
        let first = checkout(&endpoint, context, false, false, Instant::now());
        if let Ok(connection) = connect(&endpoint, context, first, (false, false)).await {
            return Pool::give_back(&endpoint.pool, connection, Instant::now());
        }
    }
}

/// Returns an idle connection, a permit for a new one, or neither.
/// A request that must be `alone` does not share its connection with others.
fn checkout(endpoint: &Endpoint, context: DispatchContext<'_>, reconnect: bool, alone: bool, now: Instant) -> Checkout {
    let (pool, core) = (&endpoint.pool, context.upstreams.core);
    match (reconnect, alone) {
        (true, _) => pool.try_acquire(context.slot).map_or(Checkout::Full, Checkout::Open),
        (false, true) => pool.checkout_alone(core, context.slot, now),
        (false, false) => pool.checkout(core, context.slot, now),
    }
}

/// Opens a connection or waits for a returned one, within the connect timeout.
async fn connect(
    endpoint: &Endpoint,
    context: DispatchContext<'_>,
    first: Checkout,
    (alone, http1_only): (bool, bool),
) -> Result<Box<Connection>, Failure> {
    let (now, core) = (Instant::now(), context.upstreams.core);
    let due = [context.timeouts.connect.map(|connect| now + connect), context.deadline].into_iter().flatten().min();
    let elapsed = |kind: Kind| if context.deadline.is_some_and(|deadline| Some(deadline) == due) { Kind::TotalTimeout } else { kind };
    let permit = match first {
        Checkout::Ready(connection) => return Ok(connection),
        Checkout::Open(permit) => permit,
        Checkout::Full => match within(due, endpoint.pool.wait(core, context.slot, alone)).await {
            Some(Some(Checkout::Ready(connection))) if alone && connection.http.is_shared() => {
                return Err(Failure::because(Kind::Overloaded, "no connection became free that no other request uses"));
            }
            Some(Some(Checkout::Ready(connection))) => return Ok(connection),
            Some(Some(Checkout::Open(permit))) => permit,
            Some(Some(Checkout::Full) | None) => {
                return Err(Failure::because(Kind::Overloaded, "too many requests wait for a connection"));
            }
            None if endpoint.pool.is_opening(core) => {
                return Err(Failure::because(elapsed(Kind::ConnectTimeout), "the connection that it would share was not opened in time"));
            }
            None => return Err(Failure::because(elapsed(Kind::Overloaded), "no connection became free within connect_timeout")),
        },
    };
    let phase = Arc::new(Phase::default());
    let dial = Dial {
        target: Arc::clone(&endpoint.target),
        address: endpoint.address,
        phase: Arc::clone(&phase),
        http1_only,
        proxy_header: endpoint.target.proxy_header(context.addresses.copied()),
    };
    let mut connector = context.upstreams.connector.clone();
    let opened = async {
        let stream = connector.call(dial).await?;
        if http1_only {
            return Ok(Connection::new(stream, core, permit));
        }
        let http2 = endpoint.target.speaks_http2(&stream);
        endpoint.pool.connected(stream, http2, core, permit).await
    };
    let opened = within(due, opened).await.unwrap_or_else(|| Err(elapsed(phase.elapsed()).into()));
    let count = if opened.is_ok() { &endpoint.counts.opened } else { &endpoint.counts.not_opened };
    count.fetch_add(1, Ordering::Relaxed);
    opened
}

/// Returns the output of `work`, or `None` if `due` comes first.
pub(super) async fn within<F: Future>(due: Option<Instant>, work: F) -> Option<F::Output> {
    match due {
        Some(due) => tokio::time::timeout_at(due, work).await.ok(),
        None => Some(work.await),
    }
}
