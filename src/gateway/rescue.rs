//! Turns a panic into a 500 with an envelope. Otherwise the connection would end without a response.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The work panicked. The panic hook has logged the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs the work to its end or to a panic. After a panic the work is dropped and never polled again, so its unfinished state is not seen.
/// The caller pins the work: taking it by value would hold it twice.
pub(super) fn catching<F: Future>(mut work: Pin<&mut F>) -> impl Future<Output = Result<F::Output, Panicked>> {
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
}

/// Runs `work`, and returns `None` as soon as `over` is ready. `over` is polled, and so registered for waking, only while `asks` is true.
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
