//! A panic becomes a 500 with an envelope: without this hyper would close the connection with no answer at all.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The work panicked; the panic hook has logged where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs the work to its end or to its panic. After a panic the work is only dropped, never polled again: what it left half
/// done is not looked at. Pinned by the caller: to take the work itself would hold it twice.
pub(super) fn catching<F: Future>(mut work: Pin<&mut F>) -> impl Future<Output = Result<F::Output, Panicked>> {
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
}

/// Runs `work`, and gives `None` as soon as `over` is ready. `over` is polled, and so registered for waking, only while `asks` is true.
pub(super) fn until<F: Future>(
    mut over: Pin<&mut impl Future<Output = ()>>,
    asks: impl Fn() -> bool,
    mut work: Pin<&mut F>,
) -> impl Future<Output = Option<F::Output>> {
    std::future::poll_fn(move |cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asks() && over.as_mut().poll(cx).is_ready() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn panics_are_caught_and_results_pass() {
        assert_eq!(catching(pin!(async { 7 })).await, Ok(7));
        assert_eq!(catching(pin!(async { if true { panic!("a test") } else { 7 } })).await, Err(Panicked));
    }
}
