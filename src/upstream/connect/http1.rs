//! An HTTP/1 connection to an endpoint as a value: the request that uses it drives it, and nothing else does.
//!
//! Sending and receiving run at the same time, because an upstream may respond before it has read the whole request. What was sent and what
//! came back is known exactly, which decides whether a request may be sent again. An idle connection holds no buffer. Knows nothing of
//! pools, endpoints or timeouts.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use http_body::Frame;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::task::coop;
use tokio::time::Instant;

use super::stream::Stream;
use crate::body::InterimResponses;
use crate::failure::{Failure, Kind, classify};
use crate::header::HeaderList;
use crate::http1::chunked::Piece;
use crate::http1::framing::Framing;
use crate::http1::response::{self, ResponseHead};
use crate::http1::sending::Sending;
use crate::http1::write::{self, Length};
use crate::timer::Timer;
use crate::upstream::upload::Upload;

/// Size of a read, unless the client is known to read a long response.
const READ: usize = 16 * 1024;
/// Size of a read of a long response.
const LARGE_READ: usize = 256 * 1024;
/// Pieces of a body that count as one operation of a task's budget.
const OPERATION: u8 = 16;
/// Maximum bytes of the interim responses to one request.
const MAX_INTERIM: usize = 1024 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
    static HEAD_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a str,
    /// The same with bytes that no URI has, if there are any. HTTP/2 has no such paths, so it sends `target`.
    pub raw_target: Option<&'a [u8]>,
    /// The header lines.
    pub headers: &'a HeaderList,
}

/// An HTTP/1 connection to an endpoint.
#[derive(Debug)]
pub struct Http1Connection {
    stream: Stream,
    sending: Sending,
    /// Written bytes may wait in the stream's buffer.
    unflushed: bool,
    /// Bytes that were read and belong to the response that is being read.
    unread: BytesMut,
    /// Bytes of `unread` that were searched for the end of a head.
    searched: usize,
    /// Bytes of the interim responses to the current request.
    interim: usize,
    /// Something of the current request was written.
    sent: bool,
    /// The first data of the request's body, until something was written.
    first: Option<Bytes>,
    /// Something was received in response to the current request.
    received: bool,
    /// The upstream has stopped reading. It may still respond.
    write_closed: bool,
    /// Reads are bounded, because it is not known yet whether the client reads the response.
    bounded: bool,
    /// The last read filled its buffer, so that more is likely there.
    filled: bool,
    /// Pieces of a body since the last one that was counted as an operation.
    pieces: u8,
    /// Fires when a wait for the upstream has lasted too long. Kept for the next request.
    timer: Option<Timer>,
}

impl Http1Connection {
    /// Creates the connection over a stream that was just opened.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            sending: Sending::nothing(),
            unflushed: false,
            unread: BytesMut::new(),
            searched: 0,
            interim: 0,
            sent: false,
            first: None,
            received: false,
            write_closed: false,
            bounded: true,
            filled: false,
            pieces: 0,
            timer: None,
        }
    }

    /// Returns true if something of the current request was written.
    pub const fn has_sent(&self) -> bool {
        self.sent
    }

    /// Returns the data of the body that was taken for a request of which nothing was written.
    pub const fn take_unsent(&mut self) -> Option<Bytes> {
        self.first.take()
    }

    /// Returns true if the whole request was sent.
    pub fn is_sent(&self) -> bool {
        self.sending.is_complete() && !self.unflushed
    }

    /// Lifts the bound on reads, since the client reads the response.
    pub const fn lift_read_bound(&mut self) {
        self.bounded = false;
    }

    /// Returns true if the connection may serve another request: the last one was sent and answered completely, and nothing has arrived
    /// since. Bytes behind a response would be taken for the next one.
    pub fn is_reusable(&mut self) -> bool {
        let clean = self.unread.is_empty() && !self.write_closed && self.is_sent();
        let mut cx = Context::from_waker(Waker::noop());
        if !clean || !self.stream.may_be_readable(&mut cx) {
            return clean;
        }
        // Readable may mean the end, stray bytes, or a record of TLS that carries no data.
        let mut byte = [0];
        Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Gives up the connection for its stream, and the bytes that were read behind the response.
    pub fn into_stream(self) -> (Stream, BytesMut) {
        (self.stream, self.unread)
    }

    /// Returns true once `due` has come. Else the task is woken then, or before.
    pub fn is_due(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        self.timer.get_or_insert_with(|| Timer::new(due)).is_due(due, cx)
    }

    /// Writes the head of a request, with the part of its body that is available. [`poll_send`](Self::poll_send) continues.
    ///
    /// # Errors
    /// Returns the failure of the request's body.
    pub fn start(&mut self, cx: &mut Context<'_>, head: RequestHead<'_>, upload: &mut Upload) -> Result<(), Failure> {
        (self.sent, self.received, self.bounded, self.filled, self.first) = (false, false, true, false, None);
        (self.searched, self.interim) = (0, 0);
        if let Some(timer) = &mut self.timer {
            timer.change_task();
        }
        let length = length_of(head, upload);
        let mut buffer = HEAD_BUFFER.take();
        write::request(&mut buffer, head.method, head.raw_target.unwrap_or(head.target.as_bytes()), head.headers, length);
        self.sending = Sending::message(buffer, length == Length::Chunked);
        let polled = self.poll_send(cx, upload);
        // The buffer is the core's again; a connection that waits for its response holds none.
        if let Some(buffer) = self.sending.take_buffer() {
            HEAD_BUFFER.set(buffer);
        }
        match polled {
            Poll::Ready(Err(failure)) => Err(failure),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Sends the rest of the request. Ready once all of it is sent, or the upstream has stopped reading.
    ///
    /// # Errors
    /// Returns the failure of the request's body.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, upload: &mut Upload) -> Poll<Result<(), Failure>> {
        loop {
            if self.write_closed {
                return Poll::Ready(Ok(()));
            }
            // Available data is sent in one write with what precedes it.
            if self.sending.has_room() && self.first.is_none() {
                match upload.poll_data(cx) {
                    Poll::Ready(Some(Err(failure))) => return Poll::Ready(Err(failure)),
                    Poll::Ready(Some(Ok(data))) => {
                        self.first = (!self.sent).then(|| data.clone());
                        self.sending.add(data, upload.is_end_stream());
                        continue;
                    }
                    Poll::Ready(None) => {
                        self.sending.end(None);
                        continue;
                    }
                    Poll::Pending if self.sending.is_written() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            if self.sending.is_written() {
                return self.poll_flush(cx).map(Ok);
            }
            ready!(self.poll_write(cx));
        }
    }

    /// Writes what is pending. A failure means that the upstream has stopped reading: what it sent is still read, and decides the outcome.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = Pin::new(&mut self.stream);
        let written = match self.sending.parts() {
            (bytes, []) => ready!(stream.poll_write(cx, bytes)),
            _ => ready!(stream.poll_write_vectored(cx, &self.sending.slices())),
        };
        match written {
            Ok(written) if written > 0 => {
                (self.sent, self.first) = (true, None);
                self.sending.advance(written);
                self.unflushed = self.stream.needs_flush();
            }
            Ok(_) | Err(_) => self.write_closed = true,
        }
        Poll::Ready(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.unflushed {
            self.write_closed |= ready!(Pin::new(&mut self.stream).poll_flush(cx)).is_err();
            self.unflushed = false;
        }
        Poll::Ready(())
    }

    /// Receives the response head. Interim responses go to `interim`, or are dropped. A 100 is dropped as well, because it answers an
    /// expectation that the gateway never sends (RFC 9110 15.2).
    ///
    /// # Errors
    /// The connection ended or broke, or the head is not valid.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: Option<&InterimResponses>,
    ) -> Poll<Result<ResponseHead, Failure>> {
        loop {
            let (head, length) = loop {
                if let Some(head) = self.head_in_buffer(method)? {
                    break head;
                }
                if let Some(head) = ready!(self.poll_read_head(cx, method))? {
                    break head;
                }
            };
            match head.status.as_u16() {
                100 => {}
                status @ 102..200 => interim.into_iter().for_each(|interim| interim.push(status, head.headers.clone())),
                _ => return Poll::Ready(Ok(head)),
            }
            self.interim += length;
            if self.interim > MAX_INTERIM {
                return Poll::Ready(Err(Failure::because(Kind::ResponseMalformed, "too many interim responses")));
            }
        }
    }

    /// Parses the head in the bytes that were read already.
    fn head_in_buffer(&mut self, method: &Method) -> Result<Option<(ResponseHead, usize)>, Failure> {
        if self.unread.len() <= self.searched {
            return Ok(None);
        }
        let found = response::inspect(&self.unread, self.searched, method)?;
        self.searched = if found.is_some() { 0 } else { self.unread.len() };
        self.unread.advance(found.as_ref().map_or(0, |(_, length)| *length));
        Ok(found)
    }

    /// Reads, and parses the head at once if it is complete, so that most heads are never copied into a buffer.
    fn poll_read_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<Option<(ResponseHead, usize)>, Failure>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let read = match ready!(self.stream.poll_recv(cx, buffer)) {
                Ok(read) => &buffer[..read],
                Err(error) => return Poll::Ready(Err(classify::upstream_read(&error, self.received))),
            };
            if read.is_empty() {
                return Poll::Ready(Err(closed_before_end_of_head(self.received)));
            }
            self.received = true;
            let found = if self.unread.is_empty() { response::inspect(read, 0, method)? } else { None };
            let rest = found.as_ref().map_or(0, |(_, length)| *length);
            self.unread.extend_from_slice(&read[rest..]);
            if found.is_none() && rest == 0 && self.searched == 0 && self.unread.len() == read.len() {
                self.searched = read.len();
            }
            Poll::Ready(Ok(found))
        })
    }

    /// Receives the next data of the body, or its trailers. `None` at its end.
    ///
    /// # Errors
    /// The connection ended or broke within the body, or its framing is broken.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, framing: &mut Framing) -> Poll<Result<Option<Frame<Bytes>>, Failure>> {
        loop {
            if framing.is_end() {
                return Poll::Ready(Ok(framing.take_trailers().map(Frame::trailers)));
            }
            if !self.unread.is_empty() {
                // A read of many small chunks takes long, and others of this core must run in time.
                self.pieces = (self.pieces + 1) % OPERATION;
                if self.pieces == 0 {
                    ready!(coop::poll_proceed(cx)).made_progress();
                }
                let piece = framing.next(&self.unread).map_err(|rule| Failure::because(Kind::ResponseCoding, rule))?;
                if let Some(data) = self.take(piece) {
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                continue;
            }
            match ready!(self.poll_read_body(cx, framing)) {
                Ok(true) => {}
                Ok(false) if matches!(framing, Framing::UntilClose) => *framing = Framing::EMPTY,
                Ok(false) => return Poll::Ready(Err(Failure::because(Kind::ResponseIncomplete, "the connection closed within the body"))),
                Err(error) => return Poll::Ready(Err(classify::upstream_body(&error))),
            }
        }
    }

    /// Takes a piece out of the bytes that were read. `None` if it has no data.
    fn take(&mut self, piece: Piece) -> Option<Bytes> {
        let (skip, length) = match piece {
            Piece::Data { skip, length } => (skip, length),
            Piece::End { skip } => (skip, 0),
        };
        self.unread.advance(skip);
        match length {
            0 => None,
            // A buffer that is used up is given away as it is.
            _ if length == self.unread.len() => Some(std::mem::take(&mut self.unread).freeze()),
            _ => Some(self.unread.split_to(length).freeze()),
        }
    }

    /// Reads more of a body. Returns false at the end of the stream. Long bodies are read into the buffer that is passed on; short pieces are
    /// copied into one of their size, since a client that reads nothing holds what it was given.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, framing: &Framing) -> Poll<io::Result<bool>> {
        let is_long = framing.remaining().is_none_or(|left| left >= READ as u64) && (self.filled || framing.remaining().is_some());
        if is_long {
            let size = if self.bounded { READ } else { LARGE_READ };
            let mut buffer = BytesMut::with_capacity(size);
            let read = ready!(pin!(self.stream.read_buf(&mut buffer)).poll(cx))?;
            self.filled = read == size;
            // What a client that reads nothing holds is no larger than its data; one that reads frees it soon.
            let is_wasteful = read < if self.bounded { size / 2 } else { size / 16 };
            self.unread = if is_wasteful { BytesMut::from(&buffer[..]) } else { buffer };
            return Poll::Ready(Ok(read > 0));
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            let read = ready!(self.stream.poll_recv(cx, buffer))?;
            self.filled = read == buffer.len();
            self.unread.extend_from_slice(&buffer[..read]);
            Poll::Ready(Ok(read > 0))
        })
    }
}

/// Returns how the length of a request's body is announced.
fn length_of(head: RequestHead<'_>, upload: &Upload) -> Length {
    match upload.size_hint().exact() {
        None => Length::Chunked,
        // RFC 9110 8.6: a request whose method expects content says that there is none.
        Some(0) if matches!(*head.method, Method::POST | Method::PUT | Method::PATCH) => Length::Exact(0),
        Some(0) => Length::AsInHeaders,
        Some(length) => Length::Exact(length),
    }
}

fn closed_before_end_of_head(received: bool) -> Failure {
    match received {
        true => Failure::because(Kind::ResponseIncomplete, "the connection closed within the response head"),
        false => Failure::because(Kind::ConnectionLost, "the connection closed before a response"),
    }
}
