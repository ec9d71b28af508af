//! Reads a body ahead of its client, up to a bound, so that a slow client occupies memory but not an upstream connection.
//!
//! Used for HTTP/2 streams, whose bodies are not polled while their flow-control window is empty. (On HTTP/1 the connection's write buffer
//! has the same effect.) A body that is completely available at once needs no task. Knows nothing of upstreams.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use crate::body::{Aborted, Flow};
use crate::data_rate::{DataRate, MinRate};

/// Bytes that are read ahead, including the overhead of frames. One more frame may exceed it.
const AHEAD: usize = 64 * 1024;
/// Overhead of a frame beside its bytes; a frame may hold a single byte.
const FRAME_OVERHEAD: usize = 128;
/// A complete body up to this size is not watched: it may stay unread for as long as the client's connection lives.
const SMALL: usize = 16 * 1024;

/// The frames that were read ahead.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    /// `bytes` and the overhead of the frames.
    size: usize,
    /// How the flow ended, once it has.
    ended: Option<Result<(), Aborted>>,
    /// Bytes that were taken since the reader last ran.
    taken: u64,
    /// Bytes that the flow has yet to yield, where that is known.
    remaining: Option<u64>,
    client: Option<Waker>,
    reader: Option<Waker>,
}

impl Queue {
    /// Reads frames from the flow until it is pending, over, or the queue is full.
    fn fill(&mut self, flow: &mut dyn Flow, cx: &mut Context<'_>) {
        while self.ended.is_none() && self.size < AHEAD {
            match flow.poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = Some(Ok(())),
                Poll::Ready(Some(Err(aborted))) => self.ended = Some(Err(aborted)),
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    (self.bytes, self.size) = (self.bytes + bytes, self.size + bytes + FRAME_OVERHEAD);
                    self.frames.push_back(frame);
                    if flow.is_end_stream() {
                        self.ended = Some(Ok(()));
                    }
                }
            }
        }
        self.remaining = flow.size_hint().exact();
        if let Some(client) = self.client.take() {
            client.wake();
        }
    }
}

impl Queue {
    /// Discards the queue and ends the flow with [`Aborted`].
    fn abort(&mut self) {
        self.ended = Some(Err(Aborted));
        self.frames.clear();
        (self.bytes, self.size) = (0, 0);
        if let Some(client) = self.client.take() {
            client.wake();
        }
    }
}

/// A flow that is read ahead.
pub struct Ahead {
    queue: Arc<Mutex<Queue>>,
    /// The task that reads the rest of the flow.
    reader: Option<AbortHandle>,
}

impl Ahead {
    /// Reads what is available. A task reads the rest, and aborts the flow if the client takes less than `rate`.
    pub fn new(mut flow: Box<dyn Flow>, rate: MinRate) -> Self {
        let mut queue = Queue::default();
        queue.fill(&mut *flow, &mut Context::from_waker(Waker::noop()));
        // A small body that is complete needs no task.
        let needs_reader = queue.ended.is_none() || (rate.is_some() && queue.size > SMALL);
        let queue = Arc::new(Mutex::new(queue));
        let reader = needs_reader.then(|| {
            let reader = Reader { flow, queue: Arc::clone(&queue), rate: rate.map(DataRate::new), clock: None };
            tokio::spawn(reader).abort_handle()
        });
        Self { queue, reader }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flow for Ahead {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let mut queue = lock(&self.queue);
        let Some(frame) = queue.frames.pop_front() else {
            return match queue.ended {
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(aborted)) => Poll::Ready(Some(Err(aborted))),
                None => {
                    queue.client = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        queue.bytes -= size;
        queue.size -= size + FRAME_OVERHEAD;
        queue.taken += size as u64;
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let queue = lock(&self.queue);
        queue.frames.is_empty() && queue.ended == Some(Ok(()))
    }

    fn size_hint(&self) -> SizeHint {
        let queue = lock(&self.queue);
        queue.remaining.map_or_else(SizeHint::default, |remaining| SizeHint::with_exact(remaining + queue.bytes as u64))
    }
}

/// Reads the flow while the queue has room, and enforces the client's rate.
struct Reader {
    flow: Box<dyn Flow>,
    queue: Arc<Mutex<Queue>>,
    rate: Option<DataRate>,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Future for Reader {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut queue = lock(&this.queue);
        let taken = std::mem::take(&mut queue.taken);
        if let Some(rate) = this.rate.as_mut().filter(|rate| taken > 0 && rate.is_waiting()) {
            rate.moved(taken, Instant::now());
            this.clock = None;
        }
        if queue.ended.is_none() {
            queue.fill(&mut *this.flow, cx);
        }
        let is_over = queue.ended.is_some();
        if is_over && (this.rate.is_none() || queue.frames.is_empty()) {
            return Poll::Ready(());
        }
        queue.reader = Some(cx.waker().clone());
        // The gateway waits for the client if the queue is full or the flow is over.
        if !is_over && queue.size < AHEAD {
            return Poll::Pending;
        }
        let Some(rate) = &mut this.rate else { return Poll::Pending };
        let clock = this.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(rate.waits(Instant::now()))));
        if clock.as_mut().poll(cx).is_ready() {
            queue.abort();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// A reader dropped before the flow is over has panicked; the client must not wait forever.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        if queue.ended.is_none() {
            queue.abort();
        }
    }
}
