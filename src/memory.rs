//! The process's allocator, and when free memory is returned to the operating system.
//!
//! mimalloc returns freed pages only as part of later allocations, so an idle process would keep the pages of a burst. Therefore every core
//! returns its own when the whole process has little to do. Version 2 of the allocator is used because it needs fewer instructions and less
//! idle memory here than version 3 or the system's allocator; `.cargo/config.toml` belongs to this choice. This is the gateway's only
//! unsafe code: one call without arguments that could be invalid. Knows nothing of requests but their number.
#![allow(unsafe_code, reason = "the allocator's own function has no safe wrapper")]

/// The binary's global allocator.
pub const ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Returns the calling thread's free memory to the operating system. Takes some tens of microseconds, so call it when idle.
pub fn give_back() {
    // SAFETY: may be called at any time from any thread; it touches free memory only
    // (<https://microsoft.github.io/mimalloc/group__extended.html>).
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Requests per tick (half a second) up to which the process counts as quiet.
const QUIET_REQUESTS: u64 = 50;
/// Quiet ticks before memory is returned: two seconds, by which time connections that became idle are parked.
const QUIET_TICKS: u32 = 4;

/// Minimum ticks between two returns within one quiet period: ten seconds.
const MIN_TICKS_BETWEEN: u32 = 20;

/// Detects the end of a burst from the number of requests at regular ticks.
#[derive(Debug, Default)]
pub struct BurstEnd {
    requests: u64,
    returned_at: u64,
    quiet_ticks: u32,
    ticks_since_return: u32,
}

impl BurstEnd {
    /// Takes the total number of requests so far. Returns true if memory should be returned: once after each burst, and every ten seconds
    /// while a few requests still arrive.
    pub const fn tick(&mut self, requests: u64) -> bool {
        self.quiet_ticks = if requests.saturating_sub(self.requests) > QUIET_REQUESTS { 0 } else { self.quiet_ticks.saturating_add(1) };
        self.ticks_since_return = self.ticks_since_return.saturating_add(1);
        self.requests = requests;
        if self.quiet_ticks < QUIET_TICKS
            || self.returned_at == requests
            || (self.ticks_since_return < MIN_TICKS_BETWEEN && self.quiet_ticks > QUIET_TICKS)
        {
            return false;
        }
        (self.ticks_since_return, self.returned_at) = (0, requests);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_after_a_burst() {
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
