//! What follows a try that did not do: another endpoint, the same one on a new connection, a try after a pause, one beside a slow
//! one (hedging), or nothing more.
//!
//! A request that may have been seen is sent again only if the route says so and its budget allows it. Two things are done
//! without being asked, because nothing can happen twice: what was never written goes elsewhere, and what met an idle
//! connection that the upstream had closed goes over a new one (RFC 9110 9.2.2, for idempotent methods).

use std::sync::Arc;
use std::time::Duration;

use http::header;
use http_body::Body as _;
use tokio::time::Instant;

use super::backend::{Backend, Wish};
use super::dispatch::{Fate, Means, Missed, Outgoing, Reply, Try, try_once, within};
use super::endpoint::Endpoint;
use super::replay;
use super::retry;
use crate::context::Trail;
use crate::failure::{Failure, Kind};
use crate::header::retry_after_of;
use crate::policy::Retry;

/// Tries that may be made when none of them sent anything.
const MAX_UNSENT: u32 = 3;
/// How long what is left of an answer that will not be used may take; then its connection is closed.
const DRAIN_FOR: Duration = Duration::from_secs(1);
/// How much of it is read, in bytes.
const DRAIN: usize = 64 * 1024;

/// What happened so far.
#[derive(Debug, Default)]
struct Past {
    tried: Vec<Arc<Endpoint>>,
    /// Tries that sent nothing.
    unsent: u32,
    /// Tries that count against the attempts of the route.
    counted: u32,
    stale: bool,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// Another endpoint, now.
    Elsewhere,
    /// The same endpoint on a new connection, now.
    Afresh(Arc<Endpoint>),
    /// Another if there is one, after a pause.
    After(Duration),
    /// Nothing.
    Enough,
}

/// Goes on after a first try until a reply is good enough or nothing more may be done.
pub(super) async fn follow(
    first: Result<Reply, Missed>,
    backend: &Backend,
    outgoing: &mut Outgoing,
    means: Means<'_>,
    trail: &mut Trail,
) -> Result<Reply, Failure> {
    let (mut past, mut outcome) = (Past::default(), first);
    let mut earlier = None;
    loop {
        let next = past.judge(&outcome, backend, outgoing, means);
        if matches!(next, Next::Enough) || !revive(&outcome, outgoing) {
            // That nobody is left to ask says less than what went wrong before.
            return outcome.map_err(|missed| earlier.filter(|_| missed.fate == Fate::Nowhere).unwrap_or(missed.failure));
        }
        match outcome {
            Ok(reply) => drop(tokio::spawn(drain(reply))),
            Err(missed) => earlier = Some(missed.failure),
        }
        if let Next::After(pause) = next {
            tokio::time::sleep(pause).await;
        }
        let fresh_at = if let Next::Afresh(endpoint) = &next { Some(endpoint) } else { None };
        let which = Try { tried: &past.tried, fresh_at, again: true, ..Try::default() };
        outcome = try_once(backend, outgoing, means, trail, which).await;
    }
}

impl Past {
    fn judge(&mut self, outcome: &Result<Reply, Missed>, backend: &Backend, outgoing: &Outgoing, means: Means<'_>) -> Next {
        match outcome {
            Ok(reply) => {
                self.tried.push(Arc::clone(reply.lease.endpoint()));
                let status = reply.response.status().as_u16();
                let wanted = means.retry.filter(|retry| retry::wants_status(retry, status));
                wanted.map_or(Next::Enough, |retry| {
                    self.once_more(
                        retry,
                        reply.response.headers().get(header::RETRY_AFTER).and_then(retry_after_of),
                        backend,
                        outgoing,
                        means,
                    )
                })
            }
            Err(missed) => self.after(missed, backend, outgoing, means),
        }
    }

    fn after(&mut self, missed: &Missed, backend: &Backend, outgoing: &Outgoing, means: Means<'_>) -> Next {
        let Some(endpoint) = missed.endpoint.as_ref().filter(|_| missed.failure.kind != Kind::TotalTimeout) else {
            return Next::Enough;
        };
        if missed.fate != Fate::Stale && missed.fate != Fate::Unsent {
            self.tried.push(Arc::clone(endpoint));
        }
        let wanted = means.retry.filter(|retry| retry::wants_failure(retry, &missed.failure));
        match missed.fate {
            Fate::Nowhere => Next::Enough,
            Fate::Unsent => {
                self.unsent += 1;
                if self.unsent < MAX_UNSENT { Next::Afresh(Arc::clone(endpoint)) } else { Next::Enough }
            }
            Fate::Unconnected => {
                self.unsent += 1;
                // Nothing was sent: another endpoint may be better off.
                if self.unsent < MAX_UNSENT && self.tried.len() < backend.serving() {
                    return Next::Elsewhere;
                }
                wanted.map_or(Next::Enough, |retry| self.once_more(retry, None, backend, outgoing, means))
            }
            Fate::Stale if !self.stale && outgoing.replay.is_possible() => {
                self.stale = true;
                Next::Afresh(Arc::clone(endpoint))
            }
            Fate::Stale | Fate::Seen => wanted.map_or(Next::Enough, |retry| self.once_more(retry, None, backend, outgoing, means)),
        }
    }

    /// A try that the route allows, its budget pays and its deadline leaves time for.
    fn once_more(&mut self, retry: &Retry, asked: Option<Duration>, backend: &Backend, outgoing: &Outgoing, means: Means<'_>) -> Next {
        self.counted += 1;
        let unsent = outgoing.request.is_some();
        if self.counted >= retry.attempts || !(unsent || outgoing.replay.is_possible()) {
            return Next::Enough;
        }
        let Some(pause) = retry::backoff(retry.backoff, self.counted, asked, fastrand::f64()) else { return Next::Enough };
        let in_time = means.deadline.is_none_or(|deadline| Instant::now() + pause < deadline);
        if in_time && backend.budget.withdraw() { Next::After(pause) } else { Next::Enough }
    }
}

/// Is this what the route was after, or at least nothing that it would try again for?
pub(super) fn is_good_enough(reply: &Reply, means: Means<'_>) -> bool {
    means.retry.is_none_or(|retry| !retry::wants_status(retry, reply.response.status().as_u16()))
}

/// Puts the request back, where it is gone. False when it cannot be had again.
fn revive(outcome: &Result<Reply, Missed>, outgoing: &mut Outgoing) -> bool {
    if outgoing.request.is_some() {
        return true;
    }
    let head = match outcome {
        Ok(reply) => reply.lease.head(),
        Err(missed) => missed.wrote.as_ref().and_then(super::wire::Reads::head),
    };
    outgoing.request = head.and_then(|head| replay::request(&head, &outgoing.replay));
    // The first try's upload is over: a body that is sent from memory needs no clock of the client's.
    outgoing.progress = None;
    outgoing.request.is_some()
}

/// Reads the rest of an answer that nobody wants, so that its connection may serve again.
async fn drain(reply: Reply) {
    let (mut body, mut left) = (reply.response.into_body(), DRAIN);
    let read = async {
        while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
            left = left.saturating_sub(frame.ok().and_then(|frame| frame.into_data().ok()).map_or(DRAIN, |data| data.len()));
            if left == 0 {
                return false;
            }
        }
        true
    };
    if tokio::time::timeout(DRAIN_FOR, read).await == Ok(true) {
        reply.lease.finish(Instant::now());
    }
}

/// How long a first try may take before a second begins beside it; `None` when none shall.
pub(super) fn hedge_delay(backend: &Backend, outgoing: &Outgoing, private: bool, retry: &Retry) -> Option<Duration> {
    // Two at the same time are no repetition: of a method that changes nothing, nobody can tell (RFC 9110 9.2.1).
    let safe = outgoing.request.as_ref().is_some_and(|request| request.method().is_safe());
    let may = safe && outgoing.replay.is_possible() && !private && backend.serving() > 1;
    retry.hedge.filter(|_| may).and_then(|percentile| backend.latencies.percentile(percentile))
}

/// Two tries at most at the same time: the second, at another endpoint, begins when the first took longer than most do. The first
/// answer wins, and the other try is dropped with its connection.
pub(super) async fn hedged(
    backend: &Backend,
    outgoing: &mut Outgoing,
    means: Means<'_>,
    trail: &mut Trail,
    delay: Duration,
) -> Result<Reply, Failure> {
    let Some(twin) = outgoing.twin() else { return Err(Kind::Internal.into()) };
    let engaged = backend.choose(Wish { now: means.begin, key: outgoing.key, tried: &[], only_good: false })?;
    let taken = [Arc::clone(&engaged.endpoint)];
    let (outcome, used) = {
        let which = Try { engaged: Some(engaged), ..Try::default() };
        let mut first = std::pin::pin!(try_once(backend, outgoing, means, trail, which));
        match within(Some(Instant::now() + delay), first.as_mut()).await {
            Some(outcome) => (outcome, None),
            // Without a retry to spend there is nothing to do but wait.
            None if !backend.budget.withdraw() => (first.await, None),
            None => beside(backend, twin, means, first, &taken).await,
        }
    };
    if let Some((other, seconds)) = used {
        trail.attempts += seconds.attempts;
        if outcome.is_ok() {
            trail.endpoint = seconds.endpoint;
        }
        *outgoing = *other;
    }
    match outcome {
        Ok(reply) if is_good_enough(&reply, means) => Ok(reply),
        other => follow(other, backend, outgoing, means, trail).await,
    }
}

/// The outcome that counts; with the twin's request and trail when its try decided.
type Race = (Result<Reply, Missed>, Option<(Box<Outgoing>, Trail)>);

/// Races a second try against a slow first one.
async fn beside<F>(
    backend: &Backend,
    mut twin: Box<Outgoing>,
    means: Means<'_>,
    mut first: std::pin::Pin<&mut F>,
    taken: &[Arc<Endpoint>],
) -> Race
where
    F: Future<Output = Result<Reply, Missed>>,
{
    let (mut trail, begin) = (Trail::default(), means.begin);
    let second = {
        let which = Try { tried: taken, again: true, only_good: true, ..Try::default() };
        let mut second = std::pin::pin!(try_once(backend, &mut twin, means, &mut trail, which));
        tokio::select! {
            outcome = first.as_mut() => match outcome {
                Ok(reply) => return (Ok(reply), None),
                Err(_) => second.await,
            },
            outcome = second.as_mut() => match outcome {
                Ok(reply) => {
                    // What was not waited for was at least so slow: else the slow would leave no trace.
                    let took = reply.at.saturating_duration_since(begin);
                    backend.latencies.heard(took);
                    taken.iter().for_each(|endpoint| endpoint.load.heard(took, reply.at));
                    Ok(reply)
                }
                Err(_) => return (first.await, None),
            },
        }
    };
    (second, Some((twin, trail)))
}
