//! A flow that is watched for leaks: bytes go through a window before they go on.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::{Aborted, Flow};
use crate::redact::Guard;

/// Bytes that are looked through before other requests get their turn.
const TURN: usize = 64 * 1024;

/// A flow behind a guard.
pub struct Guarded<F, N> {
    flow: F,
    guard: Guard,
    /// Told once, at the first leak.
    notify: Option<N>,
    /// What comes when the window is empty: trailers, or the end.
    last: Option<Option<Frame<Bytes>>>,
    /// Of a frame: what has not been looked through.
    waiting: Bytes,
    /// Bytes that were looked through in this turn.
    looked: usize,
}

impl<F: Flow, N: FnOnce() + Send> Guarded<F, N> {
    /// Begins. `notify` is called at the first leak.
    pub const fn new(flow: F, guard: Guard, notify: N) -> Self {
        Self { flow, guard, notify: Some(notify), last: None, waiting: Bytes::new(), looked: 0 }
    }

    fn note(&mut self) {
        if self.guard.has_masked()
            && let Some(notify) = self.notify.take()
        {
            notify();
        }
    }

    /// The window's rest goes first, then what ended the flow.
    fn drain(&mut self, last: Option<Frame<Bytes>>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let rest = self.guard.finish();
        self.note();
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
            if self.looked >= TURN {
                self.looked = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.waiting.is_empty() {
                let piece = self.waiting.split_to(self.waiting.len().min(TURN));
                self.looked += piece.len();
                let out = self.guard.push(&piece);
                self.note();
                if !out.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(out.into()))));
                }
                continue;
            }
            match ready!(self.flow.poll_frame(cx)) {
                // What is held back of a body that broke stays back: it is not whole anyway.
                Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                None => return self.drain(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Err(frame) => return self.drain(Some(frame)),
                    Ok(data) => self.waiting = data,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.last {
            Some(last) => last.is_none(),
            None => self.flow.is_end_stream() && self.waiting.is_empty() && self.guard.held() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = (self.waiting.len() + self.guard.held()) as u64;
        let inner = self.flow.size_hint();
        match inner.exact() {
            Some(exact) => SizeHint::with_exact(exact + held),
            None => SizeHint::default(),
        }
    }
}
