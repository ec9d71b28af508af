//! A panic becomes a 500 with an envelope: without this hyper would close the connection with no answer at all.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The work panicked; the panic hook has logged where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs the work to its end or to its panic.
pub(super) async fn catching<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = std::pin::pin!(work);
    // After a panic the work is only dropped, never polled again: what it left half done is not looked at.
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => std::task::Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_are_caught_and_results_pass() {
        assert_eq!(catching(async { 7 }).await, Ok(7));
        assert_eq!(catching(async { if true { panic!("a test") } else { 7 } }).await, Err(Panicked));
    }
}
