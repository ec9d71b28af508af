//! The redactor on a stream: a window of bounded size moves over the bytes, and what leaks is overwritten where it stands.

use std::sync::Arc;

use super::Redactor;

/// Bytes that are looked at together.
const WINDOW: usize = 32 * 1024;
/// Bytes that stay behind for the next look, so that nothing hides across the edge.
const OVERLAP: usize = 4 * 1024;

/// A window over one body.
#[derive(Debug)]
pub struct Guard {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
    masked: bool,
    /// Whole lines pass at once: an event must not wait for the next.
    live: bool,
}

impl Guard {
    /// Begins at the first byte.
    pub const fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), masked: false, live: false }
    }

    /// Begins at the first byte of a flow of events, whose lines pass as they come.
    pub const fn live(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), masked: false, live: true }
    }

    /// Takes bytes; gives those that are safe to pass, which may be none.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(WINDOW) {
            self.held.extend_from_slice(piece);
            let unended = self.held.iter().rev().take(OVERLAP).take_while(|byte| **byte != b'\n').count();
            let (keep, full) = if self.live { (unended, unended + 1) } else { (OVERLAP, WINDOW + OVERLAP) };
            if self.held.len() >= full {
                self.look();
                let rest = self.held.split_off(self.held.len() - keep);
                out.append(&mut self.held);
                self.held = rest;
            }
        }
        out
    }

    /// The end: everything that was held back.
    pub fn finish(&mut self) -> Vec<u8> {
        self.look();
        std::mem::take(&mut self.held)
    }

    /// Bytes held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Was anything overwritten?
    pub fn has_masked(&self) -> bool {
        self.masked
    }

    fn look(&mut self) {
        for span in self.redactor.leaks_in(&self.held, self.masked) {
            self.held[span].fill(b'*');
            self.masked = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(body: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let mut guard = Guard::new(Arc::default());
        let mut out = Vec::new();
        for bytes in body.chunks(piece) {
            out.extend(guard.push(bytes));
        }
        out.extend(guard.finish());
        (out, guard.has_masked())
    }

    #[test]
    fn a_trace_anywhere_in_a_long_body_is_overwritten_and_nothing_moves() {
        let filler = "The quick brown fox reads the manual.\n".repeat(4_000);
        let trace = "\tat com.acme.orders.OrderDao.find(OrderDao.java:42)\n\tat com.acme.orders.Service.run(Service.java:7)\n";
        for at in [0, 32_700, 36_800, 70_000, filler.len()] {
            let body = format!("{}{trace}{}", &filler[..at], &filler[at..]);
            let (out, masked) = through(body.as_bytes(), 1_000);
            assert!(masked && out.len() == body.len(), "{at}");
            assert!(!String::from_utf8_lossy(&out).contains("OrderDao"), "{at}");
            assert!(String::from_utf8_lossy(&out).contains("reads the manual"));
        }
    }

    #[test]
    fn clean_and_binary_bodies_stay_as_they_are() {
        let text = "Paths such as /usr/bin and a NullPointerException are words.\n".repeat(2_000);
        assert_eq!(through(text.as_bytes(), 777), (text.clone().into_bytes(), false));
        let binary: Vec<u8> = (0..200_000u32).map(|n| (n * 7 % 256) as u8).collect();
        assert_eq!(through(&binary, 5_000).0, binary);
    }

    proptest::proptest! {
        #[test]
        fn the_length_never_changes(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300), piece in 1usize..50) {
            proptest::prop_assert_eq!(through(&body, piece).0.len(), body.len());
        }
    }
}
