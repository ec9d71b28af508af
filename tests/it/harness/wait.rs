//! Waits with a deadline: a test that waits for another thread in vain fails with the condition that it waited for.

use std::time::{Duration, Instant};

/// The longest wait for anything in a test. Long, so that a busy machine fails no test; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// From one look to the next: the other threads need the processor more.
const PAUSE: Duration = Duration::from_millis(1);

/// Looks again and again until `look` finds a value. Panics with its last word when the deadline has passed.
pub fn until<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) => assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {missing}"),
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until the condition holds. Panics with `what` when the deadline has passed.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(|| if condition() { Ok(()) } else { Err(what.to_owned()) });
}

/// The output of a future. Panics with `what` when the deadline has passed.
pub async fn in_time<F: Future>(what: &str, work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Waits for as long as the gateway's own clocks need: where time itself is tested, nothing else can tell that it has passed.
pub fn let_time_pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
