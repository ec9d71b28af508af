//! The process's allocator, and the moment when free memory goes back to the system.
//!
//! mimalloc gives freed pages back only while somebody allocates: after a burst an idle process would keep them. So when the
//! whole process has little to do, every core gives back what is its own. Version 2 of the allocator, as it needs fewer
//! instructions and less idle memory here than version 3 or the system's; `.cargo/config.toml` belongs to this choice. The only
//! unsafe code of the gateway: one call that takes no pointer. It knows nothing of requests but their number.
#![allow(unsafe_code, reason = "the allocator's own function has no safe wrapper")]

/// What the binary allocates with.
pub const ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives the free memory of the calling thread back to the system. Costs some tens of microseconds: for idle moments.
pub fn give_back() {
    // SAFETY: may be called at any time from any thread; it touches free memory only
    // (<https://microsoft.github.io/mimalloc/group__extended.html>).
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Requests in one tick (half a second) that are no work worth keeping memory for.
const FEW: u64 = 50;
/// Ticks of little work before memory goes back: two seconds, by when connections that became idle are parked.
const QUIET: u32 = 4;

/// Ticks between two times that memory goes back, at least: ten seconds.
const PAUSE: u32 = 20;

/// Tells, from the count of requests at regular ticks, when the work has ebbed away.
#[derive(Debug, Default)]
pub struct BurstEnd {
    requests: u64,
    given_back_at: u64,
    quiet: u32,
    since: u32,
}

impl BurstEnd {
    /// Takes the count of all requests so far; true when memory should go back: once after each time of work.
    pub const fn tick(&mut self, requests: u64) -> bool {
        self.quiet = if requests.saturating_sub(self.requests) > FEW { 0 } else { self.quiet.saturating_add(1) };
        self.since = self.since.saturating_add(1);
        self.requests = requests;
        if self.quiet < QUIET || self.given_back_at == requests || (self.since < PAUSE && self.quiet > QUIET) {
            return false;
        }
        (self.since, self.given_back_at) = (0, requests);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_once_when_the_work_has_ebbed_away() {
        let mut burst_end = BurstEnd::default();
        assert!((0..20).all(|_| !burst_end.tick(0)), "nothing was done yet");
        assert!((1..20).all(|busy| !burst_end.tick(busy * 1000)));
        let calls = (0..60).filter(|few| burst_end.tick(19_000 + few)).count();
        assert_eq!(calls, 3, "soon after the work, and then now and then");
        assert_eq!((0..60).filter(|_| burst_end.tick(19_059)).count(), 1, "and nothing once nothing happens");
    }

    #[test]
    fn may_be_called_at_any_time() {
        give_back();
        std::thread::spawn(give_back).join().unwrap();
    }
}
