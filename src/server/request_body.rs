//! The body of an HTTP/1 request, between the connection that reads it and the gateway that wants it.
//!
//! The connection reads only when the gateway has asked for more, so a body takes memory for one piece. Knows nothing of framing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::Incoming;
use crate::failure::Failure;

/// The connection's end of a body.
#[derive(Debug)]
pub(super) struct BodyFeed(Arc<Mutex<State>>);

/// The gateway's end of a body.
#[derive(Debug)]
pub(super) struct FedBody(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    next: Option<Result<Bytes, Failure>>,
    /// Nothing follows `next`.
    ended: bool,
    /// The gateway waits for the next piece.
    wanted: bool,
    /// The connection has looked for the next piece, and found none.
    client_silent: bool,
    /// Bytes that the gateway has yet to take, if the length was announced.
    remaining: Option<u64>,
    waker: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BodyFeed {
    /// Creates both ends of a body.
    pub(super) fn new(length: Option<u64>) -> (Self, FedBody) {
        let state = State { next: None, ended: false, wanted: false, client_silent: false, remaining: length, waker: None };
        let state = Arc::new(Mutex::new(state));
        (Self(Arc::clone(&state)), FedBody(state))
    }

    /// Returns true if the gateway waits for the next piece.
    pub(super) fn is_wanted(&self) -> bool {
        lock(&self.0).wanted
    }

    /// Records that the client has sent nothing more. Returns false if that was recorded before.
    pub(super) fn set_client_silent(&self) -> bool {
        !std::mem::replace(&mut lock(&self.0).client_silent, true)
    }

    /// Passes on a piece, or a failure, which ends the body. `ended` means that nothing follows. The caller polls the gateway next, so its own
    /// task is not woken: it would run again at once, and the runtime looks for new events only after many such runs.
    pub(super) fn feed(&self, cx: &Context<'_>, piece: Result<Bytes, Failure>, ended: bool) {
        let mut state = lock(&self.0);
        state.ended = ended || piece.is_err();
        let is_empty = piece.as_ref().is_ok_and(Bytes::is_empty);
        state.next = (!is_empty).then_some(piece);
        (state.wanted, state.client_silent) = (false, false);
        if let Some(waker) = state.waker.take().filter(|waker| !waker.will_wake(cx.waker())) {
            waker.wake();
        }
    }
}

impl Incoming for FedBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut state = lock(&self.0);
        if let Some(next) = state.next.take() {
            let bytes = next.as_ref().map_or(0, Bytes::len) as u64;
            state.remaining = state.remaining.map(|remaining| remaining.saturating_sub(bytes));
            return Poll::Ready(Some(next.map(Frame::data)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.wanted = true;
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.ended && state.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn waits_for_peer(&self) -> bool {
        lock(&self.0).client_silent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::failure::Kind;

    fn poll(body: &mut FedBody) -> Poll<Option<Result<Bytes, Kind>>> {
        let frame = body.poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()).map_err(|failure| failure.kind)))
    }

    #[test]
    fn a_piece_is_read_when_it_is_wanted() {
        let (feed, mut body) = BodyFeed::new(Some(3));
        assert!(!feed.is_wanted() && !body.is_end_stream());
        assert_eq!(poll(&mut body), Poll::Pending);
        assert!(feed.is_wanted());
        let cx = Context::from_waker(Waker::noop());
        feed.feed(&cx, Ok(Bytes::from_static(b"abc")), true);
        assert!(!feed.is_wanted() && !body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(poll(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
        assert_eq!(poll(&mut body), Poll::Ready(None));
    }

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_another_task_is_woken() {
        let woken = Arc::new(Woken::default());
        let own = Waker::from(Arc::clone(&woken));
        for (feeder, times) in [(&own, 0), (Waker::noop(), 1)] {
            let (feed, mut body) = BodyFeed::new(None);
            assert!(body.poll_frame(&mut Context::from_waker(&own)).is_pending());
            feed.feed(&Context::from_waker(feeder), Ok(Bytes::from_static(b"abc")), false);
            assert_eq!(woken.0.load(Ordering::Relaxed), times);
        }
    }

    #[test]
    fn a_failure_ends_the_body() {
        let (feed, mut body) = BodyFeed::new(None);
        feed.feed(&Context::from_waker(Waker::noop()), Err(Kind::BadRequest.into()), false);
        assert_eq!(poll(&mut body), Poll::Ready(Some(Err(Kind::BadRequest))));
        assert_eq!(poll(&mut body), Poll::Ready(None));
    }
}
