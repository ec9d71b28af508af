//! The spans that wait for the exporter: bounded in number and in bytes. What does not fit is dropped and counted.
//!
//! Must not know what the bytes say.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::counters::TraceCounters;

/// The maximum number of spans that wait.
const MAX_SPANS: usize = 8192;
/// The maximum size of all that waits, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// The spans of a batch, after which it is sent at once. A batch has at most those of one request more.
pub const BATCH_SPANS: usize = 512;
/// The bytes of a batch, after which it is sent at once.
const BATCH_BYTES: usize = 1 << 20;

/// Encoded spans of one request.
#[derive(Debug)]
pub struct Encoded {
    /// The spans as fields of a `ScopeSpans`.
    pub bytes: Vec<u8>,
    /// Their number.
    pub spans: usize,
}

/// The queue between the cores and the exporter.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the exporter: a batch is full, or the queue is closed.
    wake: Notify,
    /// What became of the spans.
    pub counters: TraceCounters,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Encoded>,
    bytes: usize,
    spans: usize,
    closed: bool,
}

impl Waiting {
    const fn is_batch(&self) -> bool {
        self.spans >= BATCH_SPANS || self.bytes >= BATCH_BYTES
    }
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(counters: TraceCounters) -> Self {
        Self { counters, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the spans of a request, or drops them if the queue is full. Never waits for the exporter.
    pub fn push(&self, encoded: Encoded) {
        let mut waiting = self.lock();
        if waiting.spans + encoded.spans > MAX_SPANS || waiting.bytes + encoded.bytes.capacity() > MAX_BYTES {
            drop(waiting);
            self.counters.dropped.inc_by(encoded.spans as u64);
            return;
        }
        let was_batch = waiting.is_batch();
        waiting.spans += encoded.spans;
        waiting.bytes += encoded.bytes.capacity();
        waiting.requests.push_back(encoded);
        // Waking another thread is a system call, so it is done once per batch.
        let wake = waiting.is_batch() && !was_batch;
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Takes a batch: what came first, and about as much as fits. Returns `None` if nothing waits.
    pub fn take(&self) -> Option<Encoded> {
        let mut taken = Vec::new();
        let (mut bytes, mut spans) = (0, 0);
        {
            let mut waiting = self.lock();
            while spans < BATCH_SPANS
                && bytes < BATCH_BYTES
                && let Some(next) = waiting.requests.pop_front()
            {
                waiting.spans -= next.spans;
                waiting.bytes -= next.bytes.capacity();
                bytes += next.bytes.len();
                spans += next.spans;
                taken.push(next);
            }
        }
        // Copied outside of the lock, so that no request waits for it.
        let mut all = Vec::with_capacity(bytes);
        taken.iter().for_each(|encoded| all.extend_from_slice(&encoded.bytes));
        (spans > 0).then_some(Encoded { bytes: all, spans })
    }

    /// Waits until a batch is full or the queue is closed, at most `linger`. Returns true if the queue is closed.
    pub async fn wait(&self, linger: Duration) -> bool {
        let is_due = {
            let waiting = self.lock();
            waiting.closed || waiting.is_batch()
        };
        if !is_due {
            let _ = tokio::time::timeout(linger, self.wake.notified()).await;
        }
        self.is_closed()
    }

    /// Drops everything that waits, and counts it.
    pub fn discard(&self) {
        let mut waiting = self.lock();
        let lost = waiting.spans;
        (waiting.requests, waiting.bytes, waiting.spans) = (VecDeque::new(), 0, 0);
        drop(waiting);
        self.counters.dropped.inc_by(lost as u64);
    }

    /// Closes the queue: what waits is sent, and nothing more comes.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Returns true if the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(spans: usize, bytes: usize) -> Encoded {
        Encoded { bytes: vec![7; bytes], spans }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let queue = Queue::default();
        for _ in 0..MAX_SPANS / 2 + 5 {
            queue.push(one(2, 10));
        }
        assert_eq!((queue.lock().spans, queue.counters.dropped.get()), (MAX_SPANS, 10));
        queue.discard();
        assert_eq!((queue.lock().bytes, queue.counters.dropped.get()), (0, 10 + MAX_SPANS as u64));
        queue.push(one(1, MAX_BYTES + 1));
        assert_eq!(queue.counters.dropped.get(), 11 + MAX_SPANS as u64, "bytes are bounded too");
    }

    #[test]
    fn batches_keep_the_order_and_their_bound() {
        let queue = Queue::default();
        for number in 0..BATCH_SPANS + 3 {
            queue.push(Encoded { bytes: vec![number as u8], spans: 1 });
        }
        let first = queue.take().unwrap();
        assert_eq!((first.spans, first.bytes.len(), first.bytes[1]), (BATCH_SPANS, BATCH_SPANS, 1));
        assert_eq!(queue.take().unwrap().spans, 3);
        assert!(queue.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_exporter_is_woken_by_a_full_batch_and_by_the_end() {
        let queue = Queue::default();
        let linger = Duration::from_secs(1);
        let begin = tokio::time::Instant::now();
        assert!(!queue.wait(linger).await && begin.elapsed() >= linger);
        let begin = tokio::time::Instant::now();
        queue.push(one(BATCH_SPANS, 1));
        assert!(!queue.wait(linger).await && begin.elapsed() < linger);
        queue.take();
        queue.close();
        assert!(queue.wait(linger).await && begin.elapsed() < linger);
    }
}
