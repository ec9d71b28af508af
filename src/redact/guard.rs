//! The redactor on a stream: a window of bounded size moves over the bytes, and what leaks is overwritten where it stands.

use std::borrow::Cow;
use std::sync::Arc;

use super::redactor::Redactor;

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
    /// How letters are written, once some are there.
    letters: Option<Letters>,
    /// What was found goes on behind what was held when it was found.
    open: Option<Open>,
}

/// How the letters of a text are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Letters {
    /// Bytes of each.
    width: usize,
    /// Which of them says what ASCII letter it is.
    low: usize,
}

/// A finding whose end has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// A key: it lasts as long as its letters do, over any number of lines.
    Key,
    /// Anything else: the rest of the line.
    Line,
}

impl Open {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Key => byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=\\:,.-".contains(&byte),
            Self::Line => byte != b'\n',
        }
    }
}

impl Letters {
    const BYTES: Self = Self { width: 1, low: 0 };

    /// By the mark at the beginning (RFC 3629 6, Unicode 23.8), or by where the zeros of a text of ASCII letters are.
    fn of(begin: &[u8]) -> Self {
        match begin {
            [0xff, 0xfe, 0, 0, ..] => return Self { width: 4, low: 0 },
            [0, 0, 0xfe, 0xff, ..] => return Self { width: 4, low: 3 },
            [0xff, 0xfe, ..] => return Self { width: 2, low: 0 },
            [0xfe, 0xff, ..] => return Self { width: 2, low: 1 },
            _ => {}
        }
        let looked = &begin[..begin.len().min(512)];
        // Of each four bytes: is the one at this place mostly zero?
        let zero: [bool; 4] = std::array::from_fn(|place| {
            let bytes = looked.iter().skip(place).step_by(4);
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

    /// The text as bytes of ASCII; a letter that is not of ASCII is a question mark.
    fn narrowed(self, text: &[u8]) -> Vec<u8> {
        let letter = |unit: &[u8]| match unit.iter().enumerate().all(|(at, byte)| at == self.low || *byte == 0) {
            true => unit[self.low],
            false => b'?',
        };
        text.chunks_exact(self.width).map(letter).collect()
    }

    /// Overwrites letters.
    fn fill(self, text: &mut [u8]) {
        for unit in text.chunks_exact_mut(self.width) {
            unit.fill(0);
            unit[self.low] = b'*';
        }
    }
}

impl Guard {
    /// Begins at the first byte.
    pub const fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), masked: false, live: false, letters: None, open: None }
    }

    /// Begins at the first byte of a flow of events, whose lines pass as they come.
    pub fn live(redactor: Arc<Redactor>) -> Self {
        Self { live: true, ..Self::new(redactor) }
    }

    /// Takes bytes; gives those that are safe to pass, which may be none.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in bytes.chunks(WINDOW) {
            self.take(piece);
            let unended = || self.held.iter().rev().take(OVERLAP).take_while(|byte| **byte != b'\n').count();
            let (keep, full) = match if self.live { unended() } else { OVERLAP } {
                // A line that is too long to be held passes as any text does, or each of its pieces would be looked at again.
                OVERLAP => (OVERLAP, WINDOW + OVERLAP),
                unended => (unended, unended + 1),
            };
            if self.held.len() >= full {
                self.look();
                let width = self.letters.map_or(1, |letters| letters.width);
                let pass = (self.held.len() - keep) / width * width;
                let rest = self.held.split_off(pass);
                out.append(&mut self.held);
                self.held = rest;
            }
        }
        out
    }

    /// Takes a piece; what an open finding holds of it is overwritten at once.
    fn take(&mut self, piece: &[u8]) {
        let before = self.held.len();
        self.held.extend_from_slice(piece);
        let Some(open) = self.open else { return };
        let letters = self.letters.unwrap_or(Letters::BYTES);
        let before = before / letters.width * letters.width;
        let narrow = letters.narrowed(&self.held[before..]);
        let length = narrow.iter().take_while(|byte| open.holds(**byte)).count();
        letters.fill(&mut self.held[before..before + length * letters.width]);
        if length < narrow.len() {
            self.open = None;
        }
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
        let letters = *self.letters.get_or_insert_with(|| Letters::of(&self.held));
        let narrow = if letters == Letters::BYTES { Cow::Borrowed(&*self.held) } else { Cow::Owned(letters.narrowed(&self.held)) };
        let length = narrow.len();
        let spans = self.redactor.leaks_in(&narrow, self.masked);
        if let Some(last) = spans.last().filter(|last| last.end >= length && !last.is_empty()) {
            // What was found is a key, or begins as one: other findings may have been merged before it.
            let is_key = memchr::memmem::rfind(&narrow[last.clone()], b"-----BEGIN ").is_some();
            self.open = Some(if is_key { Open::Key } else { Open::Line });
        }
        for span in spans {
            letters.fill(&mut self.held[span.start * letters.width..span.end * letters.width]);
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
    fn a_finding_that_is_longer_than_the_window_is_overwritten_to_its_end() {
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
    fn wide_letters_hide_nothing() {
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
                let narrow: Vec<u8> = out.iter().copied().filter(|byte| *byte != 0).collect();
                let shown = String::from_utf8_lossy(&narrow);
                assert!(masked && out.len() == body.len() && !shown.contains("acme") && shown.contains("Words"), "{at} {mark}");
            }
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
