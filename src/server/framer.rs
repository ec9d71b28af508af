//! The stream of requests on one HTTP/1 connection as a state machine that tells which bytes may be passed to the parser behind it.
//!
//! Heads are passed whole and validated, bodies as far as their framing reaches, and nothing is passed after a refusal. Pure; knows nothing
//! of sockets.

use super::chunks::Chunks;
use super::head::{self, Framing, Limits, Refusal};
use crate::failure::Kind;

#[derive(Debug)]
enum Phase {
    Head,
    Length(u64),
    Chunked(Chunks),
}

/// The result of an inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes from the front of the input may be passed.
    Pass {
        /// Number of bytes, at least 1.
        bytes: usize,
        /// True if these bytes are a whole request head.
        head: bool,
    },
    /// The input is an incomplete head; inspect it again with more bytes.
    NeedMore,
    /// The connection must end once the earlier requests are answered.
    Refuse(Refusal),
}

/// The framing state of one connection.
#[derive(Debug)]
pub(super) struct RequestFramer {
    phase: Phase,
    limits: Limits,
    /// Bytes of an incomplete head that were searched for its end already.
    searched: usize,
}

impl RequestFramer {
    /// Creates the state before the first byte.
    pub(super) const fn new(limits: Limits) -> Self {
        Self { phase: Phase::Head, limits, searched: 0 }
    }

    /// Returns true between two requests: nothing of the next one was passed.
    pub(super) const fn at_head(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    /// Inspects the next bytes. After [`Step::NeedMore`], the next input must start with the same bytes.
    pub(super) fn inspect(&mut self, input: &[u8]) -> Step {
        if input.is_empty() {
            return Step::NeedMore;
        }
        match &mut self.phase {
            Phase::Head => self.head(input),
            Phase::Length(left) => {
                let bytes = (*left).min(input.len() as u64);
                *left -= bytes;
                if *left == 0 {
                    self.phase = Phase::Head;
                }
                Step::Pass { bytes: bytes as usize, head: false }
            }
            Phase::Chunked(chunks) => match chunks.take(input) {
                Ok(bytes) => {
                    if chunks.is_end() {
                        self.phase = Phase::Head;
                    }
                    Step::Pass { bytes, head: false }
                }
                Err(refusal) => Step::Refuse(refusal),
            },
        }
    }

    fn head(&mut self, input: &[u8]) -> Step {
        let Some(end) = self.end_of_head(input) else { return self.incomplete(input) };
        self.searched = 0;
        if end > self.limits.head {
            return Step::Refuse(self.too_large(&input[..end]));
        }
        match head::validate(&input[..end], self.limits) {
            Ok(framing) => {
                self.phase = match framing {
                    Framing::Length(0) => Phase::Head,
                    Framing::Length(length) => Phase::Length(length),
                    Framing::Chunked => Phase::Chunked(Chunks::new()),
                };
                Step::Pass { bytes: end, head: true }
            }
            Err(refusal) => Step::Refuse(refusal),
        }
    }

    /// Returns the end of the empty line that ends the head. A bare LF counts as a line end here, so that a head with bare LFs is seen as a
    /// whole and refused.
    fn end_of_head(&mut self, input: &[u8]) -> Option<usize> {
        let content = input.len() - head::skip_empty_lines(input).len();
        let mut at = self.searched.saturating_sub(3).max(content);
        while let Some(lf) = memchr::memchr(b'\n', &input[at..]) {
            let after = at + lf + 1;
            match &input[after..] {
                [b'\n', ..] => return Some(after + 1),
                [b'\r', b'\n', ..] => return Some(after + 2),
                _ => at = after,
            }
        }
        self.searched = input.len();
        None
    }

    /// Refuses an incomplete head that can no longer become a valid one.
    fn incomplete(&self, input: &[u8]) -> Step {
        let content = head::skip_empty_lines(input);
        // Input that cannot become a request is refused at once, instead of waiting for the end of, say, a TLS hello.
        if content.first().is_some_and(|b| !head::is_token(*b) && !b"\r\n".starts_with(content)) {
            return Step::Refuse(Refusal::bad(if content[0] == 0x16 { "a TLS hello on a plain port" } else { "not an HTTP request" }));
        }
        let line_ended = content.contains(&b'\n');
        let target = content.split(|b| *b == b' ').nth(1).map_or(0, <[u8]>::len);
        if !line_ended && target > self.limits.target {
            return Step::Refuse(Refusal { kind: Kind::UriTooLong, rule: "the target is too long" });
        }
        if input.len() > self.limits.head {
            return Step::Refuse(self.too_large(input));
        }
        Step::NeedMore
    }

    /// Returns the refusal of a head that is too large: 414 if its first line is too long, else 431.
    fn too_large(&self, head: &[u8]) -> Refusal {
        let line = head::skip_empty_lines(head).split(|b| *b == b'\n').next().unwrap_or_default();
        let long_line = line.len() > self.limits.target.min(self.limits.head.saturating_sub(64));
        match long_line {
            true => Refusal { kind: Kind::UriTooLong, rule: "the request line is too long" },
            false => Refusal { kind: Kind::HeadersTooLarge, rule: "the header section is too large" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 1024, target: 512, fields: 10 };

    /// Feeds `input` in pieces of `size` bytes. Returns what was passed, and the refusal if any.
    fn feed(input: &[u8], size: usize) -> (Vec<u8>, Option<Kind>) {
        let mut framer = RequestFramer::new(LIMITS);
        let (mut passed, mut held) = (Vec::new(), Vec::new());
        for piece in input.chunks(size.max(1)) {
            held.extend_from_slice(piece);
            loop {
                match framer.inspect(&held) {
                    Step::Pass { bytes, .. } => passed.extend(held.drain(..bytes)),
                    Step::NeedMore => break,
                    Step::Refuse(refusal) => return (passed, Some(refusal.kind)),
                }
            }
        }
        (passed, None)
    }

    const TWO: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn pipelined_requests_pass_whole() {
        for size in [1, 2, 7, 1000] {
            assert_eq!(feed(TWO, size), (TWO.to_vec(), None), "{size}");
        }
    }

    #[test]
    fn nothing_passes_after_a_refusal() {
        let input = [TWO, b"GET /c HTTP/1.1\nHost: a\n\nGET /d HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        for size in [1, 3, 1000] {
            assert_eq!(feed(&input, size), (TWO.to_vec(), Some(Kind::BadRequest)), "{size}");
        }
    }

    #[test]
    fn an_incomplete_head_is_bounded() {
        assert_eq!(feed(&[b"GET /".to_vec(), vec![b'a'; 600]].concat(), 50).1, Some(Kind::UriTooLong));
        assert_eq!(feed(&[b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 2000]].concat(), 50).1, Some(Kind::HeadersTooLarge));
        assert_eq!(feed(b"\x16\x03\x01\x02\x00", 1).1, Some(Kind::BadRequest));
        assert_eq!(feed(b"SSH-2.0-x\r\n\r\n", 4).1, Some(Kind::BadRequest));
    }

    proptest::proptest! {
        #[test]
        fn splitting_changes_nothing(noise in "[GET /HTP1.\r\n:a0-9]{0,80}", size in 1usize..20) {
            let input = [TWO, noise.as_bytes()].concat();
            proptest::prop_assert_eq!(feed(&input, size), feed(&input, input.len()));
        }

        #[test]
        fn what_passes_is_a_prefix(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), size in 1usize..50) {
            let (passed, _) = feed(&bytes, size);
            proptest::prop_assert!(bytes.starts_with(&passed));
        }
    }
}
