//! Sends batches of spans to the collector, and decides what follows its answer: the next batch, the same one again after a pause, or none.
//!
//! One batch is under way at a time. Meanwhile the queue fills, and drops what does not fit. Must not know how a batch travels; a
//! [`Collector`] does. Rules: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::watch;
use tokio::time::Instant;

use super::queue::{Encoded, Queue};
use super::{span, wire};

/// The longest time that a span waits for others, in seconds.
const LINGER: Duration = Duration::from_secs(1);
/// How often a batch is sent.
const MAX_TRIES: u32 = 5;
/// The first pause before a batch is sent again. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also if the collector asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long the exporter of an earlier configuration may go on, until what is left of its queue is dropped.
const FAREWELL: Duration = Duration::from_secs(30);

/// What the collector answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It took the batch, except this number of spans. `complaint` is what it says of them, or a warning.
    Taken {
        /// Spans that it rejected.
        rejected: u64,
        /// Its words.
        complaint: Option<String>,
    },
    /// It does not take the batch, and would not later.
    Refused(String),
    /// It does not take the batch now, or cannot be reached.
    Unavailable {
        /// When the batch may be sent again, if it says so.
        retry_after: Option<Duration>,
        /// Why.
        cause: String,
    },
}

/// Takes batches.
pub trait Collector: Send {
    /// Sends one batch, an `ExportTraceServiceRequest` compressed with gzip. Must end within a bounded time.
    fn send(&mut self, batch: Bytes) -> impl Future<Output = Answer> + Send;
}

/// The end of an `ExportTraceServiceResponse`: what the collector did not take.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Response {
    /// Set if it did not take everything, or has a warning.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PartialSuccess {
    /// The spans that it rejected.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why, or a warning if it rejected none.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// What all spans have in common: the service, encoded.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    /// A `Resource`.
    resource: Vec<u8>,
    /// An `InstrumentationScope`.
    scope: Vec<u8>,
}

impl Resource {
    /// Encodes these attributes, and the name and version of this program.
    pub fn new<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        for (key, value) in attributes {
            span::key_value(&mut resource, 1, key, |out| wire::bytes(out, 1, value.as_bytes()));
        }
        wire::bytes(&mut scope, 1, env!("CARGO_PKG_NAME").as_bytes());
        wire::bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        Self { resource, scope }
    }

    /// Returns an `ExportTraceServiceRequest` with these spans, compressed.
    fn request(&self, spans: &[u8]) -> Bytes {
        let mut plain = Vec::with_capacity(spans.len() + self.resource.len() + self.scope.len() + 32);
        wire::message(&mut plain, 1, |out| {
            wire::bytes(out, 1, &self.resource);
            wire::message(out, 2, |out| {
                wire::bytes(out, 1, &self.scope);
                out.extend_from_slice(spans);
            });
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let _ = gzip.write_all(&plain);
        gzip.finish().unwrap_or_default().into()
    }
}

/// Sends what is queued until the queue is closed and empty. When `stop` becomes true, nothing is sent a second time any more.
pub async fn export(queue: Arc<Queue>, resource: Resource, collector: impl Collector, stop: watch::Receiver<bool>) {
    let mut exporter = Exporter { queue, resource, collector, stop, troubled: false, leaves: None };
    loop {
        let closed = exporter.next().await;
        if closed {
            exporter.leaves.get_or_insert_with(|| Instant::now() + FAREWELL);
        }
        while let Some(batch) = exporter.queue.take() {
            exporter.send(batch).await;
        }
        if closed {
            return;
        }
    }
}

struct Exporter<C> {
    queue: Arc<Queue>,
    resource: Resource,
    collector: C,
    stop: watch::Receiver<bool>,
    /// The last batch was not taken, which the log tells once.
    troubled: bool,
    /// When it must have ended, once the queue is closed.
    leaves: Option<Instant>,
}

impl<C: Collector> Exporter<C> {
    /// Waits for the next batch. Returns true if it is the last.
    async fn next(&mut self) -> bool {
        if *self.stop.borrow() {
            return true;
        }
        tokio::select! {
            closed = self.queue.wait(LINGER) => closed,
            _ = self.stop.wait_for(|stop| *stop) => true,
        }
    }

    async fn send(&mut self, batch: Encoded) {
        let spans = batch.spans as u64;
        let request = self.resource.request(&batch.bytes);
        drop(batch);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.collector.send(request.clone()).await {
                Answer::Taken { rejected, complaint } => return self.taken(spans, rejected, complaint.as_deref()),
                Answer::Refused(cause) => return self.lost(spans, &cause),
                Answer::Unavailable { retry_after, cause } => {
                    self.complain(&cause);
                    if tries >= MAX_TRIES || !self.pause(tries, retry_after).await {
                        return self.lost(spans, &cause);
                    }
                }
            }
        }
    }

    /// Waits before a batch is sent again. Returns false if it must not be.
    async fn pause(&mut self, tries: u32, asked: Option<Duration>) -> bool {
        if *self.stop.borrow() {
            return false;
        }
        let end = Instant::now() + pause(tries, asked, fastrand::f64());
        if self.leaves.is_some_and(|leaves| end > leaves) {
            self.queue.discard();
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            // It is sent once more at once.
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
        true
    }

    fn taken(&mut self, spans: u64, rejected: u64, complaint: Option<&str>) {
        let rejected = rejected.min(spans);
        self.queue.counters.exported.inc_by(spans - rejected);
        self.queue.counters.failed.inc_by(rejected);
        match complaint {
            Some(complaint) => self.complain(complaint),
            None if std::mem::take(&mut self.troubled) => tracing::info!("the collector takes traces again"),
            None => {}
        }
    }

    fn lost(&mut self, spans: u64, cause: &str) {
        self.queue.counters.failed.inc_by(spans);
        self.complain(cause);
    }

    /// Logs the first of several problems.
    fn complain(&mut self, cause: &str) {
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::warn!(cause, "the collector does not take all traces");
        }
    }
}

/// Returns how long to wait after so many tries: as long as the collector asks for, else longer each time, with a random part (`chance`, from
/// 0 to 1) so that gateways do not come all at once.
fn pause(tries: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let usual = FIRST_PAUSE * 2u32.saturating_pow(tries.saturating_sub(1)).min(64);
    asked.unwrap_or_else(|| usual.mul_f64(0.5 + chance / 2.0)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::counters::TraceCounters;
    use super::*;

    /// Gives these answers, and keeps the time of each batch.
    struct Scripted {
        answers: Vec<Answer>,
        asked: Arc<Mutex<Vec<Instant>>>,
    }

    impl Collector for Scripted {
        async fn send(&mut self, _: Bytes) -> Answer {
            self.asked.lock().unwrap().push(Instant::now());
            if self.answers.len() > 1 { self.answers.remove(0) } else { self.answers[0].clone() }
        }
    }

    fn busy(seconds: Option<u64>) -> Answer {
        Answer::Unavailable { retry_after: seconds.map(Duration::from_secs), cause: "503".to_owned() }
    }

    fn taken(rejected: u64) -> Answer {
        Answer::Taken { rejected, complaint: None }
    }

    /// Queues one batch of five spans and exports it. Returns exported, failed and dropped spans, and when each try came, in seconds.
    async fn exported(answers: Vec<Answer>) -> ([u64; 3], Vec<u64>) {
        let queue = Arc::new(Queue::new(TraceCounters::default()));
        queue.push(Encoded { bytes: Vec::new(), spans: 5 });
        queue.close();
        let (_stop, stopped) = watch::channel(false);
        let (asked, begin) = (Arc::<Mutex<Vec<Instant>>>::default(), Instant::now());
        export(Arc::clone(&queue), Resource::default(), Scripted { answers, asked: Arc::clone(&asked) }, stopped).await;
        let at = asked.lock().unwrap().iter().map(|at| at.duration_since(begin).as_secs()).collect();
        let TraceCounters { exported, failed, dropped } = &queue.counters;
        ([exported.get(), failed.get(), dropped.get()], at)
    }

    #[tokio::test(start_paused = true)]
    async fn answers_decide_what_follows() {
        assert_eq!(exported(vec![taken(0)]).await, ([5, 0, 0], vec![0]));
        assert_eq!(exported(vec![taken(2)]).await, ([3, 2, 0], vec![0]), "a partial success is not sent again");
        assert_eq!(exported(vec![taken(99)]).await.0, [0, 5, 0], "no more spans than there were");
        assert_eq!(exported(vec![Answer::Refused("400".to_owned())]).await, ([0, 5, 0], vec![0]));
        assert_eq!(exported(vec![busy(Some(7)), taken(0)]).await, ([5, 0, 0], vec![0, 7]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_stays_away_is_asked_a_bounded_number_of_times() {
        let (counts, at) = exported(vec![busy(None)]).await;
        assert_eq!(counts, [0, 5, 0]);
        assert!(at.len() == MAX_TRIES as usize && *at.last().unwrap() <= 15, "{at:?}");
        let (counts, at) = exported(vec![busy(Some(86_400))]).await;
        assert_eq!((counts, at.len()), ([0, 5, 0], 2), "what was asked for is bounded: {at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pauses() {
        let queue = Arc::new(Queue::default());
        queue.push(Encoded { bytes: Vec::new(), spans: 5 });
        let (stop, stopped) = watch::channel(false);
        let asked = Arc::<Mutex<Vec<Instant>>>::default();
        let collector = Scripted { answers: vec![busy(Some(20))], asked: Arc::clone(&asked) };
        let begin = Instant::now();
        let exporter = tokio::spawn(export(Arc::clone(&queue), Resource::default(), collector, stopped));
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.send(true).unwrap();
        exporter.await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        assert_eq!((asked.lock().unwrap().len(), queue.counters.failed.get()), (2, 5));
    }

    #[test]
    fn pauses_grow_within_bounds() {
        assert_eq!((pause(1, None, 1.0), pause(3, None, 1.0)), (FIRST_PAUSE, 4 * FIRST_PAUSE));
        assert_eq!((pause(1, None, 0.0), pause(99, None, 1.0)), (FIRST_PAUSE / 2, MAX_PAUSE));
        assert_eq!((pause(9, Some(Duration::ZERO), 0.0), pause(1, Some(2 * MAX_PAUSE), 0.0)), (Duration::ZERO, MAX_PAUSE));
    }
}
