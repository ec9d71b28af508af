//! The framing of a body (RFC 9112 6.3): by length, by chunks, or until the connection closes. Pure.

use http::HeaderMap;

use super::chunked::{Broken, Chunked, Piece};

/// The decoder of a body.
#[derive(Debug)]
pub enum Framing {
    /// This many bytes are left.
    Length(u64),
    /// The chunked transfer coding.
    Chunked(Box<Chunked>),
    /// All bytes until the connection closes.
    UntilClose,
}

impl Framing {
    /// The framing of a message without content.
    pub const EMPTY: Self = Self::Length(0);

    /// Returns true if the body has ended.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_end(),
            Self::UntilClose => false,
        }
    }

    /// Returns the number of bytes that are left, if it was announced.
    pub const fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Returns the next part of `input`, which continues where the last piece ended. A piece of no data is the end of the body if
    /// [`is_end`](Self::is_end) returns true, and else asks for more input.
    ///
    /// # Errors
    /// Returns the rule of the framing that a byte violates.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Broken> {
        match self {
            Self::Length(left) => {
                let length = (*left).min(input.len() as u64);
                *left -= length;
                Ok(if length == 0 && *left == 0 { Piece::End { skip: 0 } } else { Piece::Data { skip: 0, length: length as usize } })
            }
            Self::Chunked(chunked) => chunked.next(input),
            Self::UntilClose => Ok(Piece::Data { skip: 0, length: input.len() }),
        }
    }

    /// Appends all data of the body in `input` to `data`. Returns the number of bytes of `input` that belong to the body.
    ///
    /// # Errors
    /// Returns the rule of the framing that a byte violates.
    pub fn decode(&mut self, input: &[u8], data: &mut Vec<u8>) -> Result<usize, Broken> {
        let mut taken = 0;
        while taken < input.len() && !self.is_end() {
            match self.next(&input[taken..])? {
                Piece::End { skip } => return Ok(taken + skip),
                Piece::Data { skip, length } => {
                    data.extend_from_slice(&input[taken + skip..taken + skip + length]);
                    taken += skip + length;
                }
            }
        }
        Ok(taken)
    }

    /// Takes the trailers of a body that has ended.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Self::Chunked(chunked) => chunked.take_trailers(),
            Self::Length(_) | Self::UntilClose => None,
        }
    }
}
