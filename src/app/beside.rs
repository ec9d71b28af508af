//! Runs work that takes long beside the threads that serve, on a thread of its own with a lower priority.
//!
//! Knows nothing of the work.

use tokio::sync::oneshot;

/// How much less urgent the work is than serving (nice(2)).
const NICER: i32 = 5;

/// Runs `work` on a new thread. The receiver gets its result, or an error if the thread cannot be started or panics.
pub(super) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // On Linux this changes the calling thread alone. A failure costs nothing but the courtesy.
        let _ = rustix::process::nice(NICER);
        let _ = done.send(work());
    };
    // Without a thread, the sender is dropped, which the receiver notices.
    drop(std::thread::Builder::new().name("beside".into()).spawn(work));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_result_arrives_and_the_caller_keeps_its_priority() {
        let own = rustix::process::nice(0).unwrap();
        assert_eq!(run(|| rustix::process::nice(0).unwrap()).await.unwrap(), (own + NICER).min(19));
        assert_eq!(rustix::process::nice(0).unwrap(), own);
        assert!(run(|| panic!("on purpose")).await.is_err());
    }
}
