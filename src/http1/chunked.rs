//! The chunked transfer coding (RFC 9112 7.1): hexadecimal sizes, bounded extensions and trailers. Extensions are dropped.
//!
//! A request must follow the grammar to the byte; a response may have white space behind a chunk size, as some servers pad it. Pure.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::syntax::{is_token, trim};

/// Maximum bytes of the extensions of one chunk; bounds the overhead of a chunk.
const MAX_EXTENSION: usize = 256;
/// Maximum bytes of the trailer section.
const MAX_TRAILERS: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// White space between a size and the end of its line.
    Padding,
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

/// The next part of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `skip` bytes of framing, and then `length` bytes of data. 0 bytes of data mean that more input is needed.
    Data {
        /// Bytes of framing in front of the data.
        skip: usize,
        /// Bytes of data.
        length: usize,
    },
    /// The body ends behind `skip` bytes of framing.
    End {
        /// Bytes of framing.
        skip: usize,
    },
}

/// A violation of the framing.
pub type Broken = &'static str;

/// The decoder of one chunked body.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// White space behind a size is allowed.
    padded: bool,
    /// Bytes of data that are left of the current chunk.
    left: u64,
    digits: u8,
    extension: usize,
    /// The trailer section, as it was sent.
    trailers: Vec<u8>,
}

impl Chunked {
    /// Creates the decoder of a request's body.
    pub const fn strict() -> Self {
        Self::new(false)
    }

    /// Creates the decoder of a response's body.
    pub const fn padded() -> Self {
        Self::new(true)
    }

    const fn new(padded: bool) -> Self {
        Self { state: State::Size, padded, left: 0, digits: 0, extension: 0, trailers: Vec::new() }
    }

    /// Returns true if the body has ended.
    pub fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Returns the next part of `input`, which continues where the last piece ended.
    ///
    /// # Errors
    /// Returns the rule that a byte violates.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Broken> {
        let mut at = 0;
        loop {
            match self.state {
                State::End => return Ok(Piece::End { skip: at }),
                State::Data => {
                    let length = self.left.min((input.len() - at) as u64);
                    self.left -= length;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Piece::Data { skip: at, length: length as usize });
                }
                _ if at == input.len() => return Ok(Piece::Data { skip: at, length: 0 }),
                _ => self.byte(input[at])?,
            }
            at += 1;
        }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Broken> {
        use State::{
            Data, DataCr, DataLf, End, EndLf, Extension, Padding, Size, SizeLf, TrailerLf, TrailerName, TrailerStart, TrailerValue,
        };
        self.state = match (self.state, byte) {
            (Size | Padding, b'\r') if self.digits > 0 => SizeLf,
            (Size | Padding, b';') if self.digits > 0 => Extension,
            (Size | Padding, b' ' | b'\t') if self.digits > 0 && self.padded => self.extended(Padding)?,
            (Size, _) => self.digit(byte)?,
            (Extension, b'\r') => SizeLf,
            (Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extended(Extension)?,
            (SizeLf, b'\n') => {
                (self.digits, self.extension) = (0, 0);
                if self.left == 0 { TrailerStart } else { Data }
            }
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size,
            (TrailerStart, b'\r') => EndLf,
            (TrailerStart, _) if is_token(byte) => self.trailer(byte, TrailerName)?,
            (TrailerName, b':') => self.trailer(byte, TrailerValue)?,
            (TrailerName, _) if is_token(byte) => self.trailer(byte, TrailerName)?,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(byte, TrailerValue)?,
            (TrailerLf, b'\n') => {
                self.trailers.push(b'\n');
                TrailerStart
            }
            (EndLf, b'\n') => End,
            _ => return Err("chunked framing is broken"),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<State, Broken> {
        let digit = (byte as char).to_digit(16).ok_or("a chunk size is not hexadecimal")?;
        self.digits += 1;
        if self.digits > 15 {
            return Err("a chunk size is too long");
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extended(&mut self, next: State) -> Result<State, Broken> {
        self.extension += 1;
        if self.extension > MAX_EXTENSION { Err("a chunk extension is too long") } else { Ok(next) }
    }

    fn trailer(&mut self, byte: u8, next: State) -> Result<State, Broken> {
        if self.trailers.len() >= MAX_TRAILERS {
            return Err("the trailers are too long");
        }
        self.trailers.push(byte);
        Ok(next)
    }

    /// Takes the trailers of a body that has ended, if there are any.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        let section = std::mem::take(&mut self.trailers);
        let mut trailers = HeaderMap::new();
        for line in section.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let colon = memchr::memchr(b':', line)?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            trailers.append(name, HeaderValue::from_bytes(trim(&line[colon + 1..])).ok()?);
        }
        (!trailers.is_empty()).then_some(trailers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a body that arrives in pieces of `size` bytes. Returns its data and the bytes of input that belong to it, if it ends.
    fn decode(mut chunked: Chunked, input: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>, Chunked), Broken> {
        let (mut data, mut taken) = (Vec::new(), 0);
        for piece in input.chunks(size) {
            let mut at = 0;
            loop {
                match chunked.next(&piece[at..])? {
                    Piece::End { skip } => return Ok((data, Some(taken + at + skip), chunked)),
                    Piece::Data { skip, length } => {
                        data.extend_from_slice(&piece[at + skip..at + skip + length]);
                        at += skip + length;
                        if length == 0 {
                            break;
                        }
                    }
                }
            }
            assert_eq!(at, piece.len());
            taken += piece.len();
        }
        let end = chunked.is_end().then_some(taken);
        Ok((data, end, chunked))
    }

    fn all(input: &[u8]) -> Result<(Vec<u8>, Option<usize>), Broken> {
        decode(Chunked::strict(), input, input.len()).map(|(data, end, _)| (data, end))
    }

    #[test]
    fn bodies_end_where_they_end() {
        assert_eq!(all(b"5\r\nhello\r\n0\r\n\r\nGET"), Ok((b"hello".to_vec(), Some(15))));
        assert_eq!(all(b"A;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"), Ok((b"0123456789".to_vec(), Some(30))));
        assert_eq!(all(b"5\r\nhel"), Ok((b"hel".to_vec(), None)));
    }

    #[test]
    fn trailers_are_kept() {
        let (_, _, mut chunked) = decode(Chunked::padded(), b"1\r\na\r\n0\r\ngrpc-status: 0\r\nX-A:  b \r\n\r\n", 3).unwrap();
        let trailers = chunked.take_trailers().unwrap();
        assert_eq!((trailers["grpc-status"].as_bytes(), trailers["x-a"].as_bytes()), (&b"0"[..], &b"b"[..]));
        assert_eq!(chunked.take_trailers(), None);
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
    fn only_a_response_may_pad_its_sizes() {
        let input = b"5  \r\nhello\r\n0 \r\n\r\n";
        assert_eq!(decode(Chunked::padded(), input, 1).unwrap().0, b"hello");
        assert!(all(input).is_err() && decode(Chunked::padded(), b"5 5\r\n", 9).is_err());
    }

    #[test]
    fn trailers_are_bounded_however_they_are_cut_into_lines() {
        let with = |trailers: &str| all(format!("0\r\n{trailers}\r\n").as_bytes());
        let field = |name: usize, value: usize| format!("{}:{}\r\n", "n".repeat(name), "v".repeat(value));
        // The names, the colons and the values count.
        let (fits, over) = (MAX_TRAILERS - 1 - 10, MAX_TRAILERS - 10);
        for (name, value) in [(10, fits), (fits, 10)] {
            assert!(with(&field(name, value)).is_ok_and(|(_, end)| end.is_some()), "{name} and {value} bytes");
        }
        for (name, value) in [(10, over), (over, 10)] {
            assert_eq!(with(&field(name, value)), Err("the trailers are too long"));
        }
        assert!(with(&field(5, 4).repeat(700)).is_ok_and(|(_, end)| end.is_some()));
        assert_eq!(with(&field(5, 4).repeat(900)), Err("the trailers are too long"));
    }

    proptest::proptest! {
        #[test]
        fn splitting_changes_nothing(input in "[0-9a-f\r\n;:x]{1,60}", size in 1usize..60) {
            let whole = decode(Chunked::strict(), input.as_bytes(), input.len()).map(|(data, end, _)| (data, end));
            let split = decode(Chunked::strict(), input.as_bytes(), size).map(|(data, end, _)| (data, end));
            proptest::prop_assert_eq!(whole, split);
        }

        #[test]
        fn what_is_written_in_chunks_is_read_back(pieces in proptest::collection::vec("[ -~]{1,40}", 0..8), size in 1usize..50) {
            let mut input: Vec<u8> = pieces.iter().flat_map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes()).collect();
            input.extend_from_slice(b"0\r\n\r\n");
            let (data, end, _) = decode(Chunked::strict(), &input, size).unwrap();
            proptest::prop_assert_eq!(data, pieces.concat().into_bytes());
            proptest::prop_assert_eq!(end, Some(input.len()));
        }
    }
}
