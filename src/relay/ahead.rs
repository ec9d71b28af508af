//! A flow that is read ahead of its client, up to a bound: a slow client then holds memory, but no connection of an upstream.
//!
//! For streams of HTTP/2, whose bodies are asked for nothing while their window is shut. (On HTTP/1 the connection's own write buffer does
//! the same.) What is there at once needs no task.

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

/// Bytes that are read ahead, with what holds them. One frame more may come.
const AHEAD: usize = 64 * 1024;
/// What a frame takes beside its bytes: one may hold a byte.
const FRAME: usize = 128;
/// Bytes that a client may leave for as long as its connection lives.
const LITTLE: usize = 16 * 1024;

/// What was read and not yet taken.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    /// With what holds them.
    size: usize,
    /// The flow is over, well or not.
    over: Option<Result<(), Aborted>>,
    /// Bytes that were taken since the reader looked.
    taken: u64,
    /// Bytes that the flow has still to give, where that is known.
    rest: Option<u64>,
    client: Option<Waker>,
    reader: Option<Waker>,
}

impl Queue {
    /// Takes from the flow what is there and fits.
    fn fill(&mut self, flow: &mut dyn Flow, cx: &mut Context<'_>) {
        while self.over.is_none() && self.size < AHEAD {
            match flow.poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.over = Some(Ok(())),
                Poll::Ready(Some(Err(aborted))) => self.over = Some(Err(aborted)),
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    (self.bytes, self.size) = (self.bytes + bytes, self.size + bytes + FRAME);
                    self.frames.push_back(frame);
                    if flow.is_end_stream() {
                        self.over = Some(Ok(()));
                    }
                }
            }
        }
        self.rest = flow.size_hint().exact();
        if let Some(client) = self.client.take() {
            client.wake();
        }
    }
}

impl Queue {
    /// Ends the flow as one that is cut.
    fn abort(&mut self) {
        self.over = Some(Err(Aborted));
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
    /// The task that reads on.
    reader: Option<AbortHandle>,
}

impl Ahead {
    /// Reads what is there; the rest is read by a task, which gives up when the client takes less than `rate`.
    pub fn new(mut flow: Box<dyn Flow>, rate: MinRate) -> Self {
        let mut queue = Queue::default();
        queue.fill(&mut *flow, &mut Context::from_waker(Waker::noop()));
        // What is little and all there needs nobody to watch it.
        let needs_reader = queue.over.is_none() || (rate.is_some() && queue.size > LITTLE);
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
            return match queue.over {
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
        queue.size -= size + FRAME;
        queue.taken += size as u64;
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let queue = lock(&self.queue);
        queue.frames.is_empty() && queue.over == Some(Ok(()))
    }

    fn size_hint(&self) -> SizeHint {
        let queue = lock(&self.queue);
        queue.rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest + queue.bytes as u64))
    }
}

/// Reads the flow while there is room.
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
        if queue.over.is_none() {
            queue.fill(&mut *this.flow, cx);
        }
        let is_over = queue.over.is_some();
        if is_over && (this.rate.is_none() || queue.frames.is_empty()) {
            return Poll::Ready(());
        }
        queue.reader = Some(cx.waker().clone());
        // The gateway waits for the client when there is no room, or nothing else to wait for.
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

/// A reader that ends without having said so has panicked: its client must not wait for ever.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        if queue.over.is_none() {
            queue.abort();
        }
    }
}
