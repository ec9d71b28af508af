//! Sends the messages of one notifier, one after the other: again after a pause if its receiver does not take one now.
//!
//! Must not know how a request travels; a [`Sink`] does.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};

use super::content::{self, Content};
use super::message::Message;
use super::settings::Settings;

/// The most messages that wait.
pub const MAX_WAITING: usize = 128;
/// How often a message is sent.
pub const MAX_TRIES: u32 = 8;
/// The first pause before a message is sent again. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that a receiver may ask for.
const MAX_ASKED: Duration = Duration::from_secs(300);

/// A request with one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The media type of the body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// What the receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It took the message.
    Taken(Reply),
    /// It does not take the message, and would not later.
    Refused(Reply),
    /// It does not take the message now, or cannot be reached.
    Unavailable {
        /// When the message may be sent again, if it says so.
        retry_after: Option<Duration>,
        /// Why.
        reply: Reply,
    },
}

/// What is known of an answer. A receiver may repeat anything that it was sent, so that its own words are kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status, or the kind of error, in the words of this program. The log gets nothing else.
    pub cause: String,
    /// The words of the receiver without the secrets of the notifier, in one line, for the operator who sends a test. May be empty.
    pub words: String,
}

impl From<String> for Reply {
    fn from(cause: String) -> Self {
        Self { cause, words: String::new() }
    }
}

/// Takes requests. A clone sends to the same receiver.
pub trait Sink: Clone + Send + Sync + 'static {
    /// Sends one request. Must end within a bounded time.
    fn send(&mut self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// What became of messages.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// The receiver took them.
    pub sent: Arc<AtomicU64>,
    /// The receiver refused them, or could not be reached for too long.
    pub failed: Arc<AtomicU64>,
    /// They were dropped because too many waited.
    pub dropped: Arc<AtomicU64>,
    /// They were told in a summary, because there were too many within a minute.
    pub held: Arc<AtomicU64>,
}

pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// Sends one message once.
pub async fn send_once(settings: &Settings, message: &Message, sink: &mut impl Sink) -> Answer {
    let content = content::content(&settings.form, message);
    sink.send(request(settings, message, &content)).await
}

fn request(settings: &Settings, message: &Message, content: &Content) -> Request {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let headers = content::headers(&settings.form, &message.id, &content.body, now);
    Request { content_type: content.content_type, headers, body: content.body.clone() }
}

/// Where the messages of a notifier go.
#[derive(Clone, Debug)]
pub(super) struct Outlet<S> {
    pub(super) settings: Arc<Settings>,
    pub(super) sink: S,
    pub(super) counters: Counters,
}

/// Sends messages until there are no more. When `stop` becomes true, no message is sent again. A new outlet gets what waits, from the next
/// try on. If the task is aborted, what waits is counted as dropped, together with `lost`, and the log tells how many.
pub(super) async fn deliver<S: Sink>(
    messages: mpsc::Receiver<Message>,
    mut outlets: watch::Receiver<Outlet<S>>,
    stop: watch::Receiver<bool>,
    lost: Arc<AtomicU64>,
) {
    let outlet = outlets.borrow_and_update().clone();
    let mut delivery = Delivery { outlet, messages, outlets, stop, lost, is_sending: false, troubled: false };
    while let Some(message) = delivery.messages.recv().await {
        delivery.is_sending = true;
        delivery.send(&message).await;
        delivery.is_sending = false;
    }
}

struct Delivery<S> {
    outlet: Outlet<S>,
    messages: mpsc::Receiver<Message>,
    outlets: watch::Receiver<Outlet<S>>,
    stop: watch::Receiver<bool>,
    /// The messages that will not come into the queue any more.
    lost: Arc<AtomicU64>,
    /// A message has left the queue, and nobody knows yet what becomes of it.
    is_sending: bool,
    /// The last message was not taken, which the log tells once.
    troubled: bool,
}

impl<S> Drop for Delivery<S> {
    fn drop(&mut self) {
        self.messages.close();
        let waiting = std::iter::from_fn(|| self.messages.try_recv().ok()).count() as u64;
        let dropped = waiting + u64::from(self.is_sending) + self.lost.load(Ordering::Relaxed);
        if dropped > 0 {
            add(&self.outlet.counters.dropped, dropped);
            tracing::warn!(notifier = self.outlet.settings.name, dropped, "notifications that waited were dropped");
        }
    }
}

impl<S: Sink> Delivery<S> {
    async fn send(&mut self, message: &Message) {
        let mut tries = 0;
        loop {
            if self.take_over() {
                tries = 0;
            }
            tries += 1;
            match send_once(&self.outlet.settings, message, &mut self.outlet.sink).await {
                Answer::Taken(_) => return self.taken(),
                Answer::Refused(reply) => return self.lost(&reply.cause),
                Answer::Unavailable { retry_after, reply } => {
                    if tries >= MAX_TRIES || !self.pause(pause(tries, retry_after, fastrand::f64())).await {
                        return self.lost(&reply.cause);
                    }
                }
            }
        }
    }

    /// Takes the newest outlet. Returns true if it is another one.
    fn take_over(&mut self) -> bool {
        let newest = self.outlets.borrow_and_update();
        let has_changed = newest.has_changed();
        if has_changed {
            self.outlet = newest.clone();
        }
        has_changed
    }

    /// Waits. Returns false if the message must not be sent again.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            // The sender never ends before the task.
            _ = self.stop.wait_for(|stop| *stop) => false,
            // One that is gone is no change.
            Ok(()) = self.outlets.changed() => {
                // The next try takes it.
                self.outlets.mark_changed();
                true
            }
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn taken(&mut self) {
        add(&self.outlet.counters.sent, 1);
        if std::mem::take(&mut self.troubled) {
            tracing::info!(notifier = self.outlet.settings.name, "notifications arrive again");
        }
    }

    fn lost(&mut self, cause: &str) {
        add(&self.outlet.counters.failed, 1);
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::warn!(notifier = self.outlet.settings.name, cause, "a notification was not taken");
        }
    }
}

/// Returns how long to wait after so many tries: as long as the receiver asks for, else longer each time, with a random part (`chance`, from
/// 0 to 1) so that gateways do not come all at once.
fn pause(tries: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let usual = (FIRST_PAUSE * 2u32.saturating_pow(tries.saturating_sub(1)).min(64)).min(MAX_PAUSE);
    asked.map_or_else(|| usual.mul_f64(0.5 + chance / 2.0), |asked| asked.min(MAX_ASKED))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::super::message::Severity;
    use super::super::settings::{Filter, Form};
    use super::*;
    use crate::text::Secret;

    /// Gives these answers, and keeps each request with its time.
    #[derive(Clone)]
    struct Scripted {
        answers: Arc<Mutex<Vec<Answer>>>,
        asked: Arc<Mutex<Vec<(Instant, Request)>>>,
    }

    impl Sink for Scripted {
        async fn send(&mut self, request: Request) -> Answer {
            self.asked.lock().unwrap().push((Instant::now(), request));
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        }
    }

    fn busy(seconds: Option<u64>) -> Answer {
        Answer::Unavailable { retry_after: seconds.map(Duration::from_secs), reply: "503".to_owned().into() }
    }

    fn taken() -> Answer {
        Answer::Taken(Reply::default())
    }

    /// Sends one message. Returns sent and failed ones, when each try came, in seconds, and the requests.
    async fn delivered(answers: Vec<Answer>) -> ([u64; 2], Vec<u64>, Vec<Request>) {
        let settings = Settings {
            name: "a".into(),
            form: Form::Webhook { template: None, secret: Some(Secret::new("key".into())) },
            rules: Vec::new(),
            filter: Filter::default(),
            window: Duration::from_secs(600),
            per_minute: 20,
            pages: None,
            gateway: "gw".into(),
        };
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        sender.try_send(Message::new("test", Severity::Info, "a", ("gw", SystemTime::now()))).unwrap();
        drop(sender);
        let (_stop, stopped) = watch::channel(false);
        let (asked, begin, counters) = (Arc::<Mutex<Vec<_>>>::default(), Instant::now(), Counters::default());
        let sink = Scripted { answers: Arc::new(Mutex::new(answers)), asked: Arc::clone(&asked) };
        let (_outlet, outlets) = watch::channel(Outlet { settings: Arc::new(settings), sink, counters: counters.clone() });
        deliver(messages, outlets, stopped, Arc::default()).await;
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let at = asked.iter().map(|(at, _)| at.duration_since(begin).as_secs()).collect();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ([count(&counters.sent), count(&counters.failed)], at, asked.into_iter().map(|(_, request)| request).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_decide_what_follows() {
        let of = |answers| async { delivered(answers).await };
        let (counts, at, _) = of(vec![taken()]).await;
        assert_eq!((counts, at), ([1, 0], vec![0]));
        let (counts, at, _) = of(vec![Answer::Refused("400".to_owned().into())]).await;
        assert_eq!((counts, at), ([0, 1], vec![0]));
        let (counts, at, _) = of(vec![busy(Some(7)), taken()]).await;
        assert_eq!((counts, at), ([1, 0], vec![0, 7]));
        let (counts, at, _) = of(vec![busy(Some(86_400)), taken()]).await;
        assert_eq!((counts, at), ([1, 0], vec![0, 300]), "what was asked for is bounded");
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_stays_away_is_asked_a_bounded_number_of_times() {
        let (counts, at, requests) = delivered(vec![busy(None)]).await;
        assert_eq!((counts, at.len()), ([0, 1], MAX_TRIES as usize));
        assert!((60..=190).contains(at.last().unwrap()), "{at:?}");
        let of = |request: &Request, wanted: HeaderName| request.headers.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
        let first = of(&requests[0], content::IDEMPOTENCY_KEY);
        assert!(requests.iter().all(|request| of(request, content::IDEMPOTENCY_KEY) == first && request.body == requests[0].body));
    }

    #[test]
    fn pauses_grow_within_bounds() {
        assert_eq!((pause(1, None, 1.0), pause(3, None, 1.0)), (FIRST_PAUSE, 4 * FIRST_PAUSE));
        assert_eq!((pause(1, None, 0.0), pause(99, None, 1.0)), (FIRST_PAUSE / 2, MAX_PAUSE));
        assert_eq!((pause(9, Some(Duration::ZERO), 0.0), pause(1, Some(2 * MAX_ASKED), 0.0)), (Duration::ZERO, MAX_ASKED));
    }
}
