//! Strict validation of chunked framing (RFC 9112 7.1): hexadecimal sizes, CRLF only, bounded extensions and trailers.
//!
//! Finds where a body ends, and refuses what two parsers could interpret differently. Decoding is left to hyper. Pure.

use super::head::{Refusal, is_token};

/// Maximum bytes of the extensions of one chunk; bounds the overhead of a chunk.
const MAX_LINE: usize = 256;
/// Maximum bytes of the trailer section.
const MAX_TRAILERS: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// The state of a chunked body.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    size: u64,
    digits: u8,
    line: usize,
    trailers: usize,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, line: 0, trailers: 0 }
    }

    /// Returns true if the body has ended.
    pub(super) fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Returns how many bytes of the input belong to this body.
    ///
    /// # Errors
    /// Returns the rule that a byte violates.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && self.state != State::End {
            if self.state == State::Data {
                let step = self.size.min((input.len() - at) as u64);
                self.size -= step;
                at += step as usize;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.byte(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn byte(&mut self, byte: u8) -> Result<(), Refusal> {
        use State::{Data, DataCr, DataLf, End, EndLf, Extension, Size, SizeLf, TrailerLf, TrailerName, TrailerStart, TrailerValue};
        self.state = match (self.state, byte) {
            (Size, b'\r') if self.digits > 0 => SizeLf,
            (Size, b';') if self.digits > 0 => Extension,
            (Size, _) => self.digit(byte)?,
            (Extension, b'\r') => SizeLf,
            (Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line += 1;
                if self.line > MAX_LINE {
                    return Err(Refusal::bad("a chunk extension is too long"));
                }
                Extension
            }
            (SizeLf, b'\n') => {
                (self.digits, self.line) = (0, 0);
                if self.size == 0 { TrailerStart } else { Data }
            }
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size,
            (TrailerStart, b'\r') => EndLf,
            (TrailerStart, _) if is_token(byte) => self.trailer(TrailerName)?,
            (TrailerName, b':') => self.trailer(TrailerValue)?,
            (TrailerName, _) if is_token(byte) => self.trailer(TrailerName)?,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(TrailerValue)?,
            (TrailerLf, b'\n') => TrailerStart,
            (EndLf, b'\n') => End,
            _ => return Err(Refusal::bad("chunked framing is broken")),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<State, Refusal> {
        let digit = (byte as char).to_digit(16).ok_or(Refusal::bad("a chunk size is not hexadecimal"))?;
        self.digits += 1;
        if self.digits > 15 {
            return Err(Refusal::bad("a chunk size is too long"));
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn trailer(&mut self, next: State) -> Result<State, Refusal> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(Refusal::bad("the trailers are too long")) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut chunks = Chunks::new();
        let taken = chunks.take(input)?;
        Ok((taken, chunks.is_end()))
    }

    #[test]
    fn bodies_end_where_they_end() {
        assert_eq!(all(b"5\r\nhello\r\n0\r\n\r\nGET"), Ok((15, true)));
        assert_eq!(all(b"A;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"), Ok((30, true)));
        assert_eq!(all(b"5\r\nhel"), Ok((6, false)));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for input in [
            &b"5\nhello\r\n"[..],
            b"0x5\r\n",
            b"+5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n",
            b"FFFFFFFFFFFFFFFFF\r\n",
            b"5;a\nb\r\n",
            b"0\r\n x: y\r\n\r\n",
        ] {
            assert!(all(input).is_err(), "{:?}", String::from_utf8_lossy(input));
        }
        assert!(all(&[b"1;".to_vec(), vec![b'a'; 300]].concat()).is_err());
    }

    #[test]
    fn trailers_are_bounded_however_they_are_cut_into_lines() {
        let with = |trailers: &str| all(format!("0\r\n{trailers}\r\n").as_bytes());
        let field = |name: usize, value: usize| format!("{}:{}\r\n", "n".repeat(name), "v".repeat(value));
        // The names, the colons and the values count.
        let (fits, over) = (MAX_TRAILERS - 1 - 10, MAX_TRAILERS - 10);
        for (name, value) in [(10, fits), (fits, 10)] {
            assert!(with(&field(name, value)).is_ok_and(|(_, ends)| ends), "{name} and {value} bytes");
        }
        for (name, value) in [(10, over), (over, 10)] {
            assert_eq!(with(&field(name, value)).map_err(|refusal| refusal.rule), Err("the trailers are too long"));
        }
        let lines = MAX_TRAILERS / 11;
        assert!(with(&field(5, 5).repeat(lines)).is_ok_and(|(_, ends)| ends));
        assert_eq!(with(&field(5, 5).repeat(lines + 1)).map_err(|refusal| refusal.rule), Err("the trailers are too long"));
    }

    proptest::proptest! {
        #[test]
        fn splitting_changes_nothing(input in "[0-9a-f\r\n;:x]{0,60}", cut in 0usize..60) {
            let input = input.as_bytes();
            let cut = cut.min(input.len());
            let mut split = Chunks::new();
            let parts = split.take(&input[..cut]).and_then(|a| if split.is_end() { Ok(a) } else { split.take(&input[cut..]).map(|b| a + b) });
            proptest::prop_assert_eq!(parts.is_ok(), all(input).is_ok());
            if let (Ok(a), Ok((b, _))) = (parts, all(input)) {
                proptest::prop_assert_eq!(a, b);
            }
        }
    }
}
