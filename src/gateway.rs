//! One request from arrival to response. Start reading here.
//!
//! A request flows through stages, and each stage owns its data. `routing` finds the route, `check` rejects requests that no route may get,
//! `admit` applies limits and takes permits, `outgoing` and `upstream` send it, `inspect` judges the response. A stage that fails
//! ends the request with an `ErrorOutcome` and drops its data. `answer` turns every outcome into a response. The record of the
//! request is written when its state is dropped, however it ended.

mod access;
mod admission;
mod admit;
mod answer;
mod authenticate;
mod buffer;
mod build_envelope;
mod check;
mod cors;
mod deadline;
mod destination;
mod dry_run;
mod evidence;
mod finish;
mod forward_auth;
mod grpc;
mod grpc_web;
mod heads;
mod identity;
mod inspect;
mod interim;
mod journaled;
mod leak_guard;
mod limit_key;
mod limits;
mod local;
mod messages;
mod outcome;
mod outgoing;
mod payload;
mod prepared;
pub mod preview;
mod read;
mod redirect_page;
mod request;
mod rescue;
mod response;
mod routing;
mod secure;
mod state;
mod traced;
mod upgrade;
mod upgraded;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{StatusCode, Version};
use tokio::time::Instant;

use self::admission::Admission;
use self::admit::{Waited, Waiting};
use self::outcome::{ErrorOutcome, Passed};
use self::request::{Inbound, Request, RequestState};
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::plan::{Action, Chosen, Route};
use crate::policy::Scheme;
use crate::upstream::attempt::DispatchContext;
use crate::upstream::connect::per_client::ClientSlot;
use crate::upstream::connect::proxy_header::Addresses;
use crate::upstream::dispatch::dispatch;

pub use messages::ClientRequest;
pub use request::Early;
pub use response::ClientResponse;
pub use state::{Client, Core, CurrentGateway, Gateway, Lifecycle, TlsClient};
pub use upgraded::Upgraded;

/// What becomes of a request that is not rejected.
enum Entered<'g> {
    /// It goes on at its route, perhaps after it has waited.
    Admitted(&'g Arc<Route>, Option<Waiting>),
    /// It has its response already.
    Answered(Box<Passed>),
}

impl Gateway {
    /// Serves one request. Never fails: every error becomes a response.
    async fn serve(&self, client: &Client, mut state: Box<RequestState>, inbound: Inbound) -> ClientResponse {
        let is_multiplexed = state.request().version == Version::HTTP_2;
        // The task of an HTTP/1 connection is woken when the listeners close, and registers for the end of the drain from then on. A stream of
        // HTTP/2 has a task of its own that closing does not wake, so it registers from the beginning.
        let asks = || is_multiplexed || self.core.lifecycle.is_closing();
        let mut admission = Admission::default();
        let outcome = {
            let handled = pin!(self.handle(client, &mut state, inbound, &mut admission));
            rescue::until(pin!(self.core.over.notified()), asks, pin!(rescue::catching(handled))).await
        };
        let error = match outcome {
            Some(Ok(Ok(passed))) => return self.pass(passed, admission, state, client),
            Some(Ok(Err(error))) => error,
            Some(Err(rescue::Panicked)) => Kind::Internal.into(),
            None => Failure::because(Kind::ShuttingDown, "drain_timeout elapsed before the answer began").into(),
        };
        let quota = std::mem::take(&mut admission.quota);
        // Frees the permits: an error holds no place while it is written.
        drop(admission);
        self.answer(error, &quota, state)
    }

    /// All stages, in order.
    async fn handle(
        &self,
        client: &Client,
        state: &mut RequestState,
        mut inbound: Inbound,
        admission: &mut Admission,
    ) -> Result<Passed, ErrorOutcome> {
        let scheme = client.scheme_of(&inbound.headers, state.request().seen);
        let entered = match self.enter(client, state, &mut inbound, admission, scheme) {
            Ok(entered) => entered,
            Err(error) => {
                evidence::keep_arrived(self, &mut state.record.facts, inbound.headers);
                return Err(error);
            }
        };
        let (request, facts) = state.parts();
        let (route, waiting) = match entered {
            Entered::Admitted(route, waiting) => (route, waiting),
            Entered::Answered(passed) => return Ok(*passed),
        };
        // Until the request has waited for something, now is its arrival: one reading of the clock less.
        let mut begin = request.context.arrival;
        if let Some(waiting) = waiting {
            // What most requests do not need is on the heap.
            inbound = match Box::pin(admit::wait(self, (client, route), request, inbound, waiting, admission)).await? {
                Waited::Admitted(inbound) => inbound,
                Waited::Answered(passed) => return Ok(*passed),
            };
            begin = Instant::now();
        }
        let forward = match &route.action {
            Action::Forward(forward) => forward,
            Action::Redirect(redirect) => return local::redirect(redirect, request, scheme),
            Action::Respond(respond) => return local::respond(respond, request),
        };
        let addresses = forward.backend.names_clients().then(|| client.addresses(request.context.client)).flatten();
        let context = self.context(client, route, request, (begin, admission.deadline), addresses.as_ref());
        if let Some(form) = grpc_web::form(request) {
            admission.web = Box::pin(grpc_web::is_translated(&forward.backend, context)).await.then_some(form);
        }
        let kept = buffer::keep(self, &forward.backend, &inbound.payload);
        let mut outgoing = outgoing::outgoing(self, client, (route, forward), (request, facts), inbound, admission, scheme)?;
        outgoing.keeps_upload |= kept.is_some();
        facts.dispatched = true;
        let exchanged = dispatch(&forward.backend, &mut outgoing, context, &mut facts.trail).await;
        let upgrade = outgoing.upgrade.take();
        evidence::keep_sent(self, facts, &mut outgoing, exchanged.as_ref().ok());
        // The upstream has what was held of the body.
        drop((outgoing, kept));
        let response = exchanged.inspect_err(|failure| admit::unanswered((route, forward), failure))?;
        deadline::check(admission.deadline, response.at)?;
        let upgrade = upgrade.map(|upgrade| upgrade::accepted(upgrade, request, &response)).transpose()?.flatten();
        let prepared =
            inspect::prepare(self, response, (route, forward), client, (request, facts), upgrade.as_deref(), admission.deadline)?;
        if let Some(upgrade) = upgrade {
            return Ok(upgrade::pass(upgrade, prepared, route)?);
        }
        match inspect::judge(&prepared, route, request) {
            None => Ok(prepared.stream()),
            // On the heap: what few responses need makes no request larger.
            Some(handling) => {
                let spans = facts.trail.spans.as_deref_mut();
                Box::pin(inspect::handle(handling, prepared, route, self, (request, spans))).await
            }
        }
    }

    /// Finds the route, and rejects what it does not serve or what its limits do not admit.
    #[inline]
    fn enter<'g>(
        &'g self,
        client: &Client,
        state: &mut RequestState,
        inbound: &mut Inbound,
        admission: &mut Admission,
        scheme: Scheme,
    ) -> Result<Entered<'g>, ErrorOutcome> {
        // The route first: errors below are sent in its format and with its CORS headers.
        let found = self.find(state, &inbound.headers, scheme);
        let request = state.request();
        check::check(self, client, request)?;
        if let Some(redirect) = secure::redirect(self, client, request) {
            return Ok(Entered::Answered(Box::new(redirect)));
        }
        let route = found?;
        if let Some(preflight) = cors::preflight(route, request) {
            return Ok(Entered::Answered(Box::new(preflight)));
        }
        if request.seen.has_upgrade() && route.forward().is_some() {
            inbound.upgrade = upgrade::asked(route, request, inbound)?;
        }
        Ok(Entered::Admitted(route, admit::admit(self, route, request, inbound, admission)?))
    }

    /// What the dispatch of a request uses, from `begin` to `deadline`.
    fn context<'c>(
        &'c self,
        client: &'c Client,
        route: &'c Route,
        request: Request<'_>,
        (begin, deadline): (Instant, Option<Instant>),
        addresses: Option<&'c Addresses>,
    ) -> DispatchContext<'c> {
        DispatchContext {
            upstreams: &self.core.upstreams,
            timeouts: &route.policy.timeouts,
            retry: route.policy.retry.as_ref(),
            begin,
            deadline,
            private: &client.private,
            // HTTP/1.0 has no interim responses (RFC 9110 15.2), and hyper sends none over HTTP/2.
            interim: (request.version == Version::HTTP_11).then_some(&client.interim),
            addresses,
            slot: ClientSlot::of(request.context.client),
        }
    }

    /// The route of a request. A route that does not admit the client or allow the method still decides the format of the error.
    fn find<'g>(&'g self, state: &mut RequestState, headers: &HeaderList, scheme: Scheme) -> Result<&'g Arc<Route>, Failure> {
        let (Chosen { route, cookie }, rejected) = routing::find(&self.plan.routes, state.request(), headers, scheme)?;
        state.cookie = cookie.cloned();
        state.record.facts.route = Some(Arc::clone(&route.metrics));
        traced::routed(&mut state.record.facts, route);
        state.route = Some(Arc::clone(route));
        access::check(route, state.request())?;
        rejected.map_or(Ok(route), Err)
    }
}

/// The service of one client connection. It cannot fail, so no connection ends without a response.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The connection.
    pub client: Arc<Client>,
}

/// A response on its way: the one boxed future of a request.
pub type Answering = Pin<Box<dyn Future<Output = Result<ClientResponse, Infallible>> + Send>>;

impl Entry {
    /// Serves one request. The server calls this: the tower service below, for layers around it, wants an exclusive reference that nothing
    /// here needs.
    pub fn answer(&self, request: ClientRequest) -> Answering {
        let (client, gateway) = (Arc::clone(&self.client), self.client.gateway.get());
        let (state, inbound) = RequestState::arrive(&gateway, &client, request);
        Box::pin(async move { Ok(gateway.serve(&client, state, inbound).await) })
    }

    /// Answers a head that the server does not accept as a request with an error.
    pub fn refuse(&self, early: Early) -> Answering {
        let client = Arc::clone(&self.client);
        Box::pin(async move { Ok(client.gateway.get().answer_early(&client.peer, early)) })
    }

    /// Serves one request with a gateway of the caller, within the caller's own future: this spares a box and a reference count.
    pub fn serve<'g>(&'g self, gateway: &'g Gateway, request: ClientRequest) -> impl Future<Output = ClientResponse> + Send + 'g {
        let client = &*self.client;
        let (state, inbound) = RequestState::arrive(gateway, client, request);
        gateway.serve(client, state, inbound)
    }

    /// Returns the interim responses that wait for the client: the status, and the headers that the client may see.
    pub fn interim_responses(&self) -> Vec<(StatusCode, HeaderList)> {
        let taken = self.client.interim.take().into_iter();
        taken.filter_map(|(status, headers)| interim::cleaned(&self.client.gateway.get(), status, headers)).collect()
    }
}

impl tower::Service<ClientRequest> for Entry {
    type Response = ClientResponse;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ClientRequest) -> Self::Future {
        self.answer(request)
    }
}
