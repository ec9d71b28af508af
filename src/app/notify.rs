//! Starts and replaces the notifiers, and sends their requests. Must not know rules or the forms of messages.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{self, HeaderMap};
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::http_client::{HttpClient, USER_AGENT};
use super::journal::gateway_name;
use super::receiver_words;
use super::states::watch_states;
use crate::header::{HeaderList, retry_after_of};
use crate::journal::query::GroupState;
use crate::journal::{Journal, Store};
use crate::notify::deliver::{Answer, Counters, Reply, Request, Sink, send_once};
use crate::notify::dispatch::{Muted, Slot, dispatch};
use crate::notify::event::{Event, Events};
use crate::notify::{Message, Settings};
use crate::plan::{Notify, Plan};
use crate::upstream::connect::resolve::Resolver;

/// How long the shutdown waits for the last messages.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a store may take to say whether a group is muted.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The notifiers that run, on the caller's runtime. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Notifiers {
    /// The way to tell them.
    pub(super) events: Events,
    current: Vec<Arc<Notify>>,
    slots: mpsc::Sender<Vec<Slot<HttpSink>>>,
    stop: watch::Sender<bool>,
    dispatcher: JoinHandle<()>,
    watcher: JoinHandle<()>,
    resolver: Resolver,
}

impl Drop for Notifiers {
    fn drop(&mut self) {
        self.dispatcher.abort();
        self.watcher.abort();
    }
}

impl Notifiers {
    /// Starts the notifiers of a plan. `queue` is the other end of `events`.
    pub(super) fn start(
        (events, queue): (Events, mpsc::Receiver<Event>),
        plan: &Arc<ArcSwap<Plan>>,
        journal: Option<&Journal>,
        resolver: Resolver,
    ) -> Self {
        let (slots, changes) = mpsc::channel(1);
        let stop = watch::Sender::new(false);
        let muted = MutedInJournal(journal.map(|journal| Arc::clone(journal.store())));
        let dispatcher = tokio::spawn(dispatch(queue, changes, muted, stop.subscribe()));
        let watcher = tokio::spawn(watch_states(Arc::clone(plan), events.clone()));
        let mut notifiers = Self { events, current: Vec::new(), slots, stop, dispatcher, watcher, resolver };
        let first = notifiers.next(&plan.load());
        // There is room for one.
        let _ = notifiers.slots.try_send(first);
        notifiers
    }

    /// Replaces the notifiers by those of a plan. One that has not changed goes on as it is.
    pub(super) async fn apply(&mut self, plan: &Plan) {
        let next = self.next(plan);
        // The task takes it soon: it waits for no receiver.
        let _ = self.slots.send(next).await;
    }

    /// Makes the notifiers of a plan the current ones. Returns what is to become of each.
    fn next(&mut self, plan: &Plan) -> Vec<Slot<HttpSink>> {
        let slot = |notify: &Arc<Notify>| match self.current.iter().any(|current| current.is_same(notify)) {
            true => Slot::Keep(notify.settings.name.clone()),
            false => Slot::New {
                settings: Arc::new(complete(&notify.settings)),
                sink: HttpSink { notify: Arc::clone(notify), resolver: self.resolver.clone() },
                counters: counters(notify),
            },
        };
        let slots = plan.notify.iter().map(slot).collect();
        let wants = |wants: fn(&Settings) -> bool| plan.notify.iter().any(|notify| wants(&notify.settings));
        let wanted = self.events.wanted();
        wanted.failures.store(wants(Settings::wants_failures), Ordering::Relaxed);
        wanted.states.store(wants(Settings::wants_states), Ordering::Relaxed);
        self.current.clone_from(&plan.notify);
        slots
    }

    /// Sends what waits once more, within a bounded time.
    pub(super) async fn flush(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(FLUSH_TIMEOUT, &mut self.dispatcher).await.is_err() {
            tracing::warn!("the last notifications could not be sent in time");
        }
    }
}

/// Returns settings with the name of this gateway.
fn complete(settings: &Settings) -> Settings {
    Settings { gateway: gateway_name(), ..settings.clone() }
}

fn counters(notify: &Notify) -> Counters {
    let counters = &notify.counters;
    Counters {
        sent: Arc::clone(&counters.sent),
        failed: Arc::clone(&counters.failed),
        dropped: Arc::clone(&counters.dropped),
        held: Arc::clone(&counters.held),
    }
}

/// Sends a test to a notifier, once.
pub async fn test(notify: &Arc<Notify>) -> Answer {
    let settings = complete(&notify.settings);
    let message = Message::test(&settings.gateway, settings.pages.as_deref());
    let mut sink = HttpSink { notify: Arc::clone(notify), resolver: Resolver::default() };
    send_once(&settings, &message, &mut sink).await
}

/// Knows the groups that are muted in the journal.
struct MutedInJournal(Option<Arc<dyn Store>>);

impl Muted for MutedInJournal {
    async fn is_muted(&self, group: &str) -> bool {
        let Some(store) = self.0.clone() else { return false };
        let group = group.to_owned();
        let asked = tokio::task::spawn_blocking(move || store.group(&group));
        // A store that cannot be read mutes nothing.
        let found = tokio::time::timeout(ASK_TIMEOUT, asked).await;
        matches!(found, Ok(Ok(Ok(Some(group)))) if group.state == GroupState::Muted)
    }
}

/// A receiver that is reached over HTTP. Each message has a connection of its own, as most come minutes apart.
#[derive(Clone, Debug)]
pub(super) struct HttpSink {
    notify: Arc<Notify>,
    resolver: Resolver,
}

impl HttpSink {
    fn request(&self, request: Request) -> http::Request<Full<bytes::Bytes>> {
        let Notify { target, path, headers, .. } = &*self.notify;
        let mut out = http::Request::new(Full::new(request.body));
        *out.method_mut() = http::Method::POST;
        *out.uri_mut() = path.reveal().clone().into();
        let all = out.headers_mut();
        all.insert(header::HOST, target.authority.clone());
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        all.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        all.insert(header::CONNECTION, HeaderValue::from_static("close"));
        all.extend(request.headers);
        all.extend(headers.iter().map(|(name, value)| (name.clone(), value.reveal().clone())));
        out
    }

    async fn exchange(&self, request: Request) -> Result<Answer, String> {
        let mut client = HttpClient::new(Arc::clone(&self.notify.target), self.resolver.clone(), "receiver");
        let response = client.exchange(self.request(request)).await?;
        let words = receiver_words::words(response.body(), &receiver_words::secrets(&self.notify));
        Ok(answer(response.status(), response.headers(), words))
    }
}

impl Sink for HttpSink {
    fn send(&mut self, request: Request) -> impl Future<Output = Answer> + Send {
        let unavailable = |cause: String| Answer::Unavailable { retry_after: None, reply: cause.into() };
        async move {
            match tokio::time::timeout(self.notify.timeout, self.exchange(request)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(cause)) => unavailable(cause),
                // The connection was dropped with the exchange.
                Err(_) => unavailable("no answer within `timeout`".to_owned()),
            }
        }
    }
}

/// Reads an answer: what is busy or broken may take the message later.
fn answer(status: StatusCode, headers: &HeaderMap, words: String) -> Answer {
    let cause = format!("it answered with {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Answer::Taken(Reply { cause, words }),
        300..=399 => Answer::Refused(format!("{cause}, and redirects are not followed").into()),
        408 | 425 | 429 | 500..=599 => {
            let asked = HeaderList::from(headers);
            let retry_after = asked.get(header::RETRY_AFTER).and_then(retry_after_of);
            Answer::Unavailable { retry_after, reply: Reply { cause, words } }
        }
        _ => Answer::Refused(Reply { cause, words }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_decide_whether_a_message_is_sent_again() {
        let of = |status: u16| answer(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), String::new());
        for status in [200, 201, 204] {
            assert!(matches!(of(status), Answer::Taken(_)), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(of(status), Answer::Unavailable { retry_after: None, .. }), "{status}");
        }
        for status in [301, 302, 307, 308, 400, 401, 403, 404, 410, 413] {
            assert!(matches!(of(status), Answer::Refused(_)), "{status}");
        }
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        let asked = answer(StatusCode::TOO_MANY_REQUESTS, &headers, "slow down".to_owned());
        let reply = Reply { cause: "it answered with 429".to_owned(), words: "slow down".to_owned() };
        assert_eq!(asked, Answer::Unavailable { retry_after: Some(Duration::from_secs(7)), reply });
    }
}
