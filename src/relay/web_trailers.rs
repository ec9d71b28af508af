//! Passes a gRPC-Web body on, and rewrites the trailers at its end (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>): a
//! frame whose highest flag is set, behind any frames of data. In the text form, all of it is base64, in one or several pieces.
//!
//! Only the trailers are held, within a bound. What cannot be read as trailers is replaced, because it may leak. Knows frames, and not what
//! trailers say.

use std::task::{Context, Poll, ready};

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::{Aborted, Flow};

/// The longest trailers that are read, in bytes.
const MAX_TRAILERS: usize = 16 * 1024;
/// The length of a frame's head: flags, and the length of its content.
const HEAD: usize = 5;
/// The flag of trailers.
const TRAILERS: u8 = 0x80;

/// The position of a scanner in the frames.
#[derive(Debug)]
enum State {
    /// Within the head of a frame: its bytes so far.
    Head { length: u32, read: usize },
    /// Within data.
    Data { left: u32 },
    /// Within trailers: the whole frame so far.
    Trailers(Vec<u8>),
    /// Behind the trailers.
    End,
}

impl State {
    const START: Self = Self::Head { length: 0, read: 0 };
}

/// What became of a part of a body.
#[derive(Debug, PartialEq, Eq)]
enum Scanned {
    /// So many of its bytes belong to data.
    Data(usize),
    /// Trailers begin behind so many bytes of data, and end within the part or are too long: their frame, or `None`.
    Trailers(usize, Option<Vec<u8>>),
}

impl State {
    /// Scans the next bytes.
    fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self {
                Self::Head { read: 0, .. } if byte & TRAILERS != 0 => *self = Self::Trailers(Vec::new()),
                Self::Head { length, read } => {
                    *length = if *read == 0 { 0 } else { (*length << 8) | u32::from(byte) };
                    *read += 1;
                    at += 1;
                    if *read == HEAD {
                        *self = if *length == 0 { Self::START } else { Self::Data { left: *length } };
                    }
                }
                Self::Data { left } => {
                    let here = (*left as usize).min(bytes.len() - at);
                    at += here;
                    *left -= here as u32;
                    if *left == 0 {
                        *self = Self::START;
                    }
                }
                Self::Trailers(frame) => {
                    let Some(whole) = take_trailers(frame, &bytes[at..]) else { return Scanned::Data(at) };
                    *self = Self::End;
                    return Scanned::Trailers(at, whole);
                }
                Self::End => break,
            }
        }
        Scanned::Data(at)
    }

    /// Returns true from the beginning of trailers on.
    const fn is_held(&self) -> bool {
        matches!(self, Self::Trailers(_) | Self::End)
    }
}

/// Adds bytes to the frame of trailers. Returns the frame once it is complete, or `Some(None)` if it is too long.
#[allow(clippy::option_option, reason = "complete or not, and then readable or not")]
fn take_trailers(frame: &mut Vec<u8>, bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let room = HEAD + MAX_TRAILERS - frame.len();
    frame.extend_from_slice(&bytes[..bytes.len().min(room)]);
    let head = frame.get(1..HEAD)?;
    let length = head.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    if length > MAX_TRAILERS {
        return Some(None);
    }
    (frame.len() >= HEAD + length).then(|| {
        frame.truncate(HEAD + length);
        Some(std::mem::take(frame))
    })
}

/// Base64 with or without padding at the end of each piece.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// The number of characters that encode three bytes.
const GROUP: usize = 4;

/// The state of the text form.
#[derive(Debug, Default)]
struct Text {
    /// The characters of an incomplete group.
    group: Vec<u8>,
    /// The data in the group in which trailers begin, which are encoded again together with them.
    before: Vec<u8>,
    /// A group could not be decoded, so that no client can read what follows.
    broken: bool,
}

/// Rewrites the trailers in a body that is pushed in parts.
struct Rewriter<C> {
    state: State,
    /// `None` for the binary form.
    text: Option<Text>,
    /// Returns the frame for the frame of trailers, or for trailers that could not be read.
    clean: C,
}

impl<C: Fn(Option<Vec<u8>>) -> Vec<u8>> Rewriter<C> {
    fn new(is_text: bool, clean: C) -> Self {
        Self { state: State::START, text: is_text.then(Text::default), clean }
    }

    /// Returns what may be sent after the next part.
    fn push(&mut self, mut part: Bytes) -> Bytes {
        if let Some(mut text) = self.text.take() {
            let out = self.push_text(&mut text, &part);
            self.text = Some(text);
            return out;
        }
        match self.state.scan(&part) {
            Scanned::Data(length) => part.split_to(length),
            Scanned::Trailers(length, frame) => [&part[..length], &(self.clean)(frame)].concat().into(),
        }
    }

    /// Decodes characters in groups. Groups of data pass as they are.
    fn push_text(&mut self, text: &mut Text, part: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(part.len() + GROUP);
        for &byte in part {
            if text.broken {
                out.push(byte);
            } else if !byte.is_ascii_whitespace() {
                text.group.push(byte);
                if text.group.len() == GROUP {
                    self.push_group(text, &mut out);
                }
            }
        }
        out.into()
    }

    fn push_group(&mut self, text: &mut Text, out: &mut Vec<u8>) {
        let group = std::mem::take(&mut text.group);
        let Ok(bytes) = BASE64.decode(&group) else {
            // Within trailers, nothing more is sent, and the end replaces them.
            text.broken = !self.state.is_held();
            if text.broken {
                out.extend_from_slice(&group);
            }
            return;
        };
        let was_held = self.state.is_held();
        match self.state.scan(&bytes) {
            Scanned::Data(length) if length == bytes.len() && !self.state.is_held() => out.extend_from_slice(&group),
            Scanned::Data(length) if !was_held => text.before = bytes[..length].to_vec(),
            Scanned::Data(_) => {}
            Scanned::Trailers(length, frame) => {
                let mut whole = std::mem::take(&mut text.before);
                whole.extend_from_slice(&bytes[..length]);
                whole.extend_from_slice(&(self.clean)(frame));
                out.extend_from_slice(BASE64.encode(whole).as_bytes());
            }
        }
    }

    /// Returns true if the end of the body adds nothing.
    fn is_done(&self) -> bool {
        !matches!(self.state, State::Trailers(_)) && self.text.as_ref().is_none_or(|text| text.group.is_empty())
    }

    /// Returns what may be sent at the end of the body.
    fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(mut text) = self.text.take() {
            if !text.group.is_empty() {
                self.push_group(&mut text, &mut out);
            }
            if matches!(self.state, State::Trailers(_)) {
                text.before.extend_from_slice(&(self.clean)(None));
                out.extend_from_slice(BASE64.encode(&text.before).as_bytes());
            }
        } else if matches!(self.state, State::Trailers(_)) {
            out = (self.clean)(None);
        }
        self.state = State::End;
        out.into()
    }
}

/// A gRPC-Web body whose trailers are rewritten.
pub struct WebTrailers<F, C> {
    flow: F,
    rewriter: Rewriter<C>,
    /// The frame behind the rest of the body: HTTP trailers, or `None` for the end.
    last: Option<Option<Frame<Bytes>>>,
}

impl<F: Flow, C: Fn(Option<Vec<u8>>) -> Vec<u8> + Send> WebTrailers<F, C> {
    /// Rewrites the trailers of `flow`, which is base64 if `is_text`. `clean` returns the frame that is sent for the frame of trailers; it
    /// gets `None` if the trailers could not be read.
    pub fn new(flow: F, is_text: bool, clean: C) -> Self {
        Self { flow, rewriter: Rewriter::new(is_text, clean), last: None }
    }
}

impl<F: Flow, C: Fn(Option<Vec<u8>>) -> Vec<u8> + Send> Flow for WebTrailers<F, C> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            if let Some(last) = &mut self.last {
                return Poll::Ready(last.take().map(Ok));
            }
            let frame = match ready!(self.flow.poll_frame(cx)) {
                Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                None => None,
                Some(Ok(frame)) => Some(frame),
            };
            let out = match frame.map(Frame::into_data) {
                Some(Ok(data)) => self.rewriter.push(data),
                Some(Err(trailers)) => {
                    self.last = Some(Some(trailers));
                    self.rewriter.finish()
                }
                None => {
                    self.last = Some(None);
                    self.rewriter.finish()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.last, Some(None)) || (self.flow.is_end_stream() && self.rewriter.is_done())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn frame(flags: u8, content: &str) -> Vec<u8> {
        [&[flags], (content.len() as u32).to_be_bytes().as_slice(), content.as_bytes()].concat()
    }

    /// The body after the rewriter, sent in parts of this length. Trailers become upper case.
    fn rewritten(body: &[u8], is_text: bool, part: usize) -> Vec<u8> {
        let clean = |read: Option<Vec<u8>>| read.map_or(b"unread".to_vec(), |frame| frame.to_ascii_uppercase());
        let mut rewriter = Rewriter::new(is_text, clean);
        let mut out: Vec<u8> = body.chunks(part).flat_map(|part| rewriter.push(Bytes::copy_from_slice(part))).collect();
        out.extend_from_slice(&rewriter.finish());
        out
    }

    #[test]
    fn trailers_behind_data_are_rewritten_wherever_the_parts_end() {
        let body = [frame(0, "some data"), frame(0, ""), frame(1, "more"), frame(TRAILERS, "grpc-status:0")].concat();
        let want = [frame(0, "some data"), frame(0, ""), frame(1, "more"), frame(TRAILERS, "GRPC-STATUS:0")].concat();
        for part in 1..=body.len() {
            assert_eq!(rewritten(&body, false, part), want, "{part}");
        }
        // Nothing follows trailers.
        assert_eq!(rewritten(&[body, frame(0, "late")].concat(), false, 7), want);
    }

    #[test]
    fn text_may_consist_of_several_pieces() {
        let (data, trailers) = (frame(0, "some data"), frame(TRAILERS, "grpc-status:0"));
        let whole = [data.clone(), trailers.clone()].concat();
        let decode = |out: &[u8]| -> Vec<u8> {
            let groups = out.chunks(GROUP).flat_map(|group| BASE64.decode(group).unwrap());
            groups.collect()
        };
        let want = [data.clone(), frame(TRAILERS, "GRPC-STATUS:0")].concat();
        for pieces in
            [vec![whole.as_slice()], vec![data.as_slice(), trailers.as_slice()], whole.chunks(4).collect(), whole.chunks(1).collect()]
        {
            let body: String = pieces.iter().map(|piece| STANDARD.encode(piece)).collect();
            for part in [1, 3, 5, body.len()] {
                let out = rewritten(body.as_bytes(), true, part);
                assert_eq!(decode(&out), want, "{body} {part}");
            }
        }
        let one = STANDARD.encode(&data);
        assert_eq!(rewritten(one.as_bytes(), true, 3), one.as_bytes());
        let unpadded = BASE64.encode(&whole).trim_end_matches('=').to_owned();
        assert_eq!(decode(&rewritten(unpadded.as_bytes(), true, 9)), want);
    }

    #[test]
    fn trailers_that_cannot_be_read_are_replaced() {
        let long = frame(TRAILERS, &"x".repeat(MAX_TRAILERS + 1));
        assert_eq!(rewritten(&[frame(0, "a"), long].concat(), false, 1_000), [frame(0, "a"), b"unread".to_vec()].concat());
        let cut = &frame(TRAILERS, "grpc-status:13")[..9];
        assert_eq!(rewritten(cut, false, 2), b"unread");
        let text = STANDARD.encode(cut);
        assert_eq!(rewritten(text.as_bytes(), true, 2), STANDARD.encode("unread").into_bytes());
        assert_eq!(rewritten(format!("{}!!!!", &text[..8]).as_bytes(), true, 2), STANDARD.encode("unread").into_bytes());
        // Not base64: no client can read it.
        assert_eq!(rewritten(b"<html>!", true, 2), b"<html>!");
        assert_eq!(rewritten(b"", true, 2), b"");
    }

    proptest::proptest! {
        #[test]
        fn any_parts_give_the_same(bytes in proptest::collection::vec(0u8..130, 0..60), part in 1usize..9, is_text: bool) {
            proptest::prop_assert_eq!(rewritten(&bytes, is_text, part), rewritten(&bytes, is_text, 60));
        }
    }
}
