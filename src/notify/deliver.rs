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

/// What the receiver answered. No text has a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It took the message, with these words.
    Taken(String),
    /// It does not take the message, and would not later.
    Refused(String),
    /// It does not take the message now, or cannot be reached.
    Unavailable {
        /// When the message may be sent again, if it says so.
        retry_after: Option<Duration>,
        /// Why.
        cause: String,
    },
}

/// Takes requests.
pub trait Sink: Send + 'static {
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

/// Sends messages until there are no more. When `stop` becomes true, no message is sent again.
pub(super) async fn deliver(
    settings: Arc<Settings>,
    mut messages: mpsc::Receiver<Message>,
    sink: impl Sink,
    counters: Counters,
    stop: watch::Receiver<bool>,
) {
    let mut delivery = Delivery { settings, sink, counters, stop, troubled: false };
    while let Some(message) = messages.recv().await {
        delivery.send(message).await;
    }
}

struct Delivery<S> {
    settings: Arc<Settings>,
    sink: S,
    counters: Counters,
    stop: watch::Receiver<bool>,
    /// The last message was not taken, which the log tells once.
    troubled: bool,
}

impl<S: Sink> Delivery<S> {
    async fn send(&mut self, message: Message) {
        let content = content::content(&self.settings.form, &message);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.sink.send(request(&self.settings, &message, &content)).await {
                Answer::Taken(_) => return self.taken(),
                Answer::Refused(cause) => return self.lost(&cause),
                Answer::Unavailable { retry_after, cause } => {
                    if tries >= MAX_TRIES || !self.pause(pause(tries, retry_after, fastrand::f64())).await {
                        return self.lost(&cause);
                    }
                }
            }
        }
    }

    /// Waits. Returns false if the message must not be sent again.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            // The sender never ends before the task.
            _ = self.stop.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    fn taken(&mut self) {
        add(&self.counters.sent, 1);
        if std::mem::take(&mut self.troubled) {
            tracing::info!(notifier = self.settings.name, "notifications arrive again");
        }
    }

    fn lost(&mut self, cause: &str) {
        add(&self.counters.failed, 1);
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::warn!(notifier = self.settings.name, cause, "a notification was not taken");
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
    struct Scripted {
        answers: Vec<Answer>,
        asked: Arc<Mutex<Vec<(Instant, Request)>>>,
    }

    impl Sink for Scripted {
        async fn send(&mut self, request: Request) -> Answer {
            self.asked.lock().unwrap().push((Instant::now(), request));
            if self.answers.len() > 1 { self.answers.remove(0) } else { self.answers[0].clone() }
        }
    }

    fn busy(seconds: Option<u64>) -> Answer {
        Answer::Unavailable { retry_after: seconds.map(Duration::from_secs), cause: "503".to_owned() }
    }

    fn taken() -> Answer {
        Answer::Taken(String::new())
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
        deliver(Arc::new(settings), messages, Scripted { answers, asked: Arc::clone(&asked) }, counters.clone(), stopped).await;
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
        let (counts, at, _) = of(vec![Answer::Refused("400".to_owned())]).await;
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
