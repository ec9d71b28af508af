//! One timer for all the waits of a connection. It is set again only if it must fire earlier, or has fired too early, so that most waits
//! cost next to nothing. Knows nothing of what is waited for.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

/// The timer of a connection's task.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// The timer was polled since it was set, so it wakes the task.
    armed: bool,
}

impl Timer {
    /// Creates a timer that fires at `first`, or later.
    pub fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(first)), armed: false }
    }

    /// Forgets the task that the timer wakes: another task uses it from now on.
    pub const fn change_task(&mut self) {
        self.armed = false;
    }

    /// Returns true once `due` has come. Else the task is woken then, or before.
    pub fn is_due(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        if self.sleep.deadline() > due {
            self.sleep.as_mut().reset(due);
            self.armed = false;
        }
        if self.armed && !self.sleep.is_elapsed() {
            return false;
        }
        // Without a budget the timer would neither fire nor register this task, which the runtime polls again at once. A peer that always
        // has data ready uses up the budget of every poll, so the clock is read.
        self.armed = has_budget_remaining();
        if !self.armed {
            return Instant::now() >= due;
        }
        while let Poll::Ready(()) = self.sleep.as_mut().poll(cx) {
            if Instant::now() >= due {
                return true;
            }
            self.sleep.as_mut().reset(due);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_in_its_own_time() {
        let start = Instant::now();
        let mut timer = Timer::new(start + Duration::from_secs(5));
        // A later wait, then an earlier one, then a later one again.
        for seconds in [7, 8, 20, 21] {
            let due = start + Duration::from_secs(seconds);
            std::future::poll_fn(|cx| if timer.is_due(due, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            assert_eq!(start.elapsed(), Duration::from_secs(seconds));
        }
        let soon = start + Duration::from_secs(22);
        let mut timer = Timer::new(start + Duration::from_secs(60));
        std::future::poll_fn(|cx| if timer.is_due(soon, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert_eq!(start.elapsed(), Duration::from_secs(22));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_uses_up_its_budget_meets_its_time_too() {
        let due = Instant::now() + Duration::from_secs(1);
        let mut timer = Timer::new(due);
        tokio::time::advance(Duration::from_millis(999)).await;
        let mut polled = |cx: &mut Context<'_>| {
            while has_budget_remaining() {
                let _ = std::pin::pin!(tokio::task::coop::consume_budget()).poll(cx);
            }
            timer.is_due(due, cx)
        };
        assert!(!std::future::poll_fn(|cx| Poll::Ready(polled(cx))).await);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(std::future::poll_fn(|cx| Poll::Ready(polled(cx))).await);
    }
}
