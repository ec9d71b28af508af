//! Scans a flow for leaks: its bytes pass through the window of a [`Guard`].
//!
//! Knows nothing of what a leak is.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::{Aborted, Flow};
use crate::redact::Guard;

/// Bytes that are scanned before the task yields to other requests.
const YIELD_AFTER: usize = 64 * 1024;

/// A flow that is scanned by a guard.
pub struct Guarded<F, N> {
    flow: F,
    guard: Guard,
    /// Called once, at the first leak.
    notify: Option<N>,
    /// The frame after the window's rest: trailers, or `None` for the end.
    last: Option<Option<Frame<Bytes>>>,
    /// The part of a frame that has not been scanned.
    unscanned: Bytes,
    /// Bytes scanned since the task last yielded.
    scanned: usize,
}

impl<F: Flow, N: FnOnce() + Send> Guarded<F, N> {
    /// Scans `flow` with `guard`. `notify` is called at the first leak.
    pub const fn new(flow: F, guard: Guard, notify: N) -> Self {
        Self { flow, guard, notify: Some(notify), last: None, unscanned: Bytes::new(), scanned: 0 }
    }

    /// Calls `notify` if the guard has masked something for the first time.
    fn notify_once(&mut self) {
        if self.guard.has_masked()
            && let Some(notify) = self.notify.take()
        {
            notify();
        }
    }

    /// Returns the window's rest and then `last`.
    fn drain(&mut self, last: Option<Frame<Bytes>>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let rest = self.guard.finish();
        self.notify_once();
        if rest.is_empty() {
            self.last = Some(None);
            return Poll::Ready(last.map(Ok));
        }
        self.last = Some(last);
        Poll::Ready(Some(Ok(Frame::data(rest.into()))))
    }
}

impl<F: Flow, N: FnOnce() + Send> Flow for Guarded<F, N> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            if let Some(last) = &mut self.last {
                return Poll::Ready(last.take().map(Ok));
            }
            if self.scanned >= YIELD_AFTER {
                self.scanned = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.unscanned.is_empty() {
                let piece = self.unscanned.split_to(self.unscanned.len().min(YIELD_AFTER));
                self.scanned += piece.len();
                let out = self.guard.push(&piece);
                self.notify_once();
                if !out.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(out.into()))));
                }
                continue;
            }
            match ready!(self.flow.poll_frame(cx)) {
                // The window of an aborted body is discarded; the body is incomplete anyway.
                Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                None => return self.drain(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Err(frame) => return self.drain(Some(frame)),
                    Ok(data) => self.unscanned = data,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.last {
            Some(last) => last.is_none(),
            None => self.flow.is_end_stream() && self.unscanned.is_empty() && self.guard.held() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = (self.unscanned.len() + self.guard.held()) as u64;
        let inner = self.flow.size_hint();
        match inner.exact() {
            Some(exact) => SizeHint::with_exact(exact + held),
            None => SizeHint::default(),
        }
    }
}
