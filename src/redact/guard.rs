//! The redactor of streams: a window of bounded size moves over the bytes, and leaks are overwritten in place, so that the length stays the
//! same. Knows no HTTP; `relay` applies it to bodies.

use std::borrow::Cow;
use std::sync::Arc;

use super::redactor::Redactor;

/// The number of bytes that are searched together.
const WINDOW: usize = 32 * 1024;
/// The number of bytes that are searched again with the next window, so that a leak across the edge is found.
const OVERLAP: usize = 4 * 1024;

/// The leak guard of one body.
#[derive(Debug)]
pub struct Guard {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
    masked: bool,
    /// Whether complete lines are released at once, because an event must not wait for the next one.
    live: bool,
    /// The encoding of the text, once the first bytes are known.
    encoding: Option<Encoding>,
    /// The finding that continues after the held bytes, if any.
    open: Option<OpenFinding>,
}

/// The width and byte order of the characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encoding {
    /// The number of bytes per code unit.
    width: usize,
    /// The offset of the byte that holds an ASCII character.
    low: usize,
}

/// A finding whose end has not been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenFinding {
    /// A PEM key: it continues over any number of lines, as long as the characters are those of a key.
    Key,
    /// Any other finding: it continues to the end of the line.
    Line,
}

impl OpenFinding {
    fn continues_with(self, byte: u8) -> bool {
        match self {
            Self::Key => byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=\\:,.-".contains(&byte),
            Self::Line => byte != b'\n',
        }
    }
}

impl Encoding {
    const BYTES: Self = Self { width: 1, low: 0 };

    /// Detects the encoding by the byte order mark (RFC 3629 6, Unicode 23.8), or by the positions of the zero bytes in ASCII text.
    fn of(begin: &[u8]) -> Self {
        match begin {
            [0xff, 0xfe, 0, 0, ..] => return Self { width: 4, low: 0 },
            [0, 0, 0xfe, 0xff, ..] => return Self { width: 4, low: 3 },
            [0xff, 0xfe, ..] => return Self { width: 2, low: 0 },
            [0xfe, 0xff, ..] => return Self { width: 2, low: 1 },
            _ => {}
        }
        let sample = &begin[..begin.len().min(512)];
        // For each position within four bytes: whether most bytes there are zero.
        let zero: [bool; 4] = std::array::from_fn(|place| {
            let bytes = sample.iter().skip(place).step_by(4);
            let (all, zeros) = bytes.fold((0, 0), |(all, zeros), byte| (all + 1, zeros + usize::from(*byte == 0)));
            all >= 2 && zeros * 2 > all
        });
        match zero {
            [false, true, true, true] => Self { width: 4, low: 0 },
            [true, true, true, false] => Self { width: 4, low: 3 },
            [false, true, false, true] => Self { width: 2, low: 0 },
            [true, false, true, false] => Self { width: 2, low: 1 },
            _ => Self::BYTES,
        }
    }

    /// Converts the text to ASCII, with a question mark for each other character.
    fn to_ascii(self, text: &[u8]) -> Vec<u8> {
        let letter = |unit: &[u8]| match unit.iter().enumerate().all(|(at, byte)| at == self.low || *byte == 0) {
            true => unit[self.low],
            false => b'?',
        };
        text.chunks_exact(self.width).map(letter).collect()
    }

    /// Overwrites the text with `*`.
    fn fill(self, text: &mut [u8]) {
        for unit in text.chunks_exact_mut(self.width) {
            unit.fill(0);
            unit[self.low] = b'*';
        }
    }
}

impl Guard {
    /// Creates a guard for a body.
    pub const fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), masked: false, live: false, encoding: None, open: None }
    }

    /// Creates a guard for an event stream, which releases each line as soon as it is complete.
    pub fn live(redactor: Arc<Redactor>) -> Self {
        Self { live: true, ..Self::new(redactor) }
    }

    /// Adds received bytes, and returns the bytes that are safe to send, which may be none.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(WINDOW) {
            self.append(piece);
            let unended = || self.held.iter().rev().take(OVERLAP).take_while(|byte| **byte != b'\n').count();
            let (keep, full) = match if self.live { unended() } else { OVERLAP } {
                // A line of `OVERLAP` bytes or more is treated like other text. Otherwise each of its pieces would be searched again.
                OVERLAP => (OVERLAP, WINDOW + OVERLAP),
                unended => (unended, unended + 1),
            };
            if self.held.len() >= full {
                self.scan();
                let width = self.encoding.map_or(1, |encoding| encoding.width);
                let pass = (self.held.len() - keep) / width * width;
                let rest = self.held.split_off(pass);
                out.append(&mut self.held);
                self.held = rest;
            }
        }
        out
    }

    /// Appends a piece, and overwrites the part of it that belongs to an open finding.
    fn append(&mut self, piece: &[u8]) {
        let before = self.held.len();
        self.held.extend_from_slice(piece);
        let Some(open) = self.open else { return };
        let encoding = self.encoding.unwrap_or(Encoding::BYTES);
        let before = before / encoding.width * encoding.width;
        let ascii = encoding.to_ascii(&self.held[before..]);
        let length = ascii.iter().take_while(|byte| open.continues_with(**byte)).count();
        encoding.fill(&mut self.held[before..before + length * encoding.width]);
        if length < ascii.len() {
            self.open = None;
        }
    }

    /// Ends the body, and returns all bytes that were held back.
    pub fn finish(&mut self) -> Vec<u8> {
        self.scan();
        std::mem::take(&mut self.held)
    }

    /// Returns the number of bytes that are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns true if anything was overwritten.
    pub fn has_masked(&self) -> bool {
        self.masked
    }

    fn scan(&mut self) {
        let encoding = *self.encoding.get_or_insert_with(|| Encoding::of(&self.held));
        let ascii = if encoding == Encoding::BYTES { Cow::Borrowed(&*self.held) } else { Cow::Owned(encoding.to_ascii(&self.held)) };
        let length = ascii.len();
        let spans = self.redactor.leaks_in(&ascii, self.masked);
        if let Some(last) = spans.last().filter(|last| last.end >= length && !last.is_empty()) {
            // The finding is a PEM key if it contains the start of one. Other findings may have been merged before it.
            let is_key = memchr::memmem::rfind(&ascii[last.clone()], b"-----BEGIN ").is_some();
            self.open = Some(if is_key { OpenFinding::Key } else { OpenFinding::Line });
        }
        for span in spans {
            encoding.fill(&mut self.held[span.start * encoding.width..span.end * encoding.width]);
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
    fn a_trace_anywhere_in_a_long_body_is_overwritten_in_place() {
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
    fn a_finding_longer_than_the_window_is_overwritten_to_its_end() {
        let lines: String = (0..900).map(|n| format!("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9U{n:04}\n")).collect();
        let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}-----END RSA PRIVATE KEY-----\n");
        for before in [0, 20_000, 33_000, 36_000] {
            let body = format!("{}{key}# and the rest stays\n{}", "The manual.\n".repeat(before / 12), "More words.\n".repeat(4_000));
            for piece in [1_000, 40_000, body.len()] {
                let (out, masked) = through(body.as_bytes(), piece);
                let text = String::from_utf8_lossy(&out);
                assert!(
                    masked && out.len() == body.len() && !text.contains("MIIE"),
                    "{before} {piece} {masked} {} {:?}",
                    out.len(),
                    text.find("MIIE")
                );
                assert!(text.contains(" and the rest stays") && text.contains("The manual") == (before > 0), "{before} {piece}");
            }
        }
        let mut guard = Guard::live(Arc::default());
        let mut out: Vec<u8> = key.split_inclusive('\n').flat_map(|line| guard.push(format!("data: {line}").as_bytes())).collect();
        out.extend(guard.finish());
        assert!(!String::from_utf8_lossy(&out).contains("MIIE"));
    }

    #[test]
    fn a_finding_across_the_edge_of_the_window_is_overwritten() {
        const PIECE: usize = 8_000;
        let filler = "The quick brown fox reads the manual.\n".repeat(1_100);
        // Where the window moves: all bytes before this point pass before the next are looked at.
        let mut guard = Guard::new(Arc::default());
        let edge = filler.as_bytes().chunks(PIECE).map(|piece| guard.push(piece).len()).find(|passed| *passed > 0).unwrap();
        // A finding, the part of it that the edge cuts, and what of it must not be left.
        for (finding, part, secret) in [
            (
                "\tat com.acme.orders.Orders.find(Orders.java:42)\n\tat com.acme.orders.Page.show(Page.java:7)\n",
                "com.acme.orders.Page.show",
                "com.acme.orders.Orders",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n",
                "BEGIN PRIVATE KEY",
                "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIB",
            ),
        ] {
            let within = finding.find(part).unwrap();
            for cut in [2, 6, part.len() / 2, part.len() - 2] {
                let at = edge - within - cut;
                let body = format!("{}{finding}{}", &filler[..at], &filler[at..]);
                let (out, masked) = through(body.as_bytes(), PIECE);
                assert!(masked && out.len() == body.len(), "{finding} is cut after {cut} bytes of {part}");
                assert!(!String::from_utf8_lossy(&out).contains(secret), "{finding} is cut after {cut} bytes of {part}");
            }
        }
    }

    #[test]
    fn leaks_in_utf16_and_utf32_are_found() {
        let text = format!(
            "{}\tat com.acme.Order.find(Order.java:42)\n\tat com.acme.Order.run(Order.java:7)\n",
            "Words of a report.\n".repeat(5_000)
        );
        for mark in [false, true] {
            let marked = format!("{}{text}", if mark { "\u{feff}" } else { "" });
            let wide: [Vec<u8>; 4] = [
                marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                marked.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
                marked.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
            ];
            for (at, body) in wide.iter().enumerate() {
                let (out, masked) = through(body, 999);
                let ascii: Vec<u8> = out.iter().copied().filter(|byte| *byte != 0).collect();
                let shown = String::from_utf8_lossy(&ascii);
                assert!(masked && out.len() == body.len() && !shown.contains("acme") && shown.contains("Words"), "{at} {mark}");
            }
        }
    }

    #[test]
    fn clean_and_binary_bodies_are_unchanged() {
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
