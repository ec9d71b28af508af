//! The I/O that hyper reads from and writes to: releases only bytes that the gate let through, and keeps hyper's own bare
//! refusals off the wire, so that the connection can answer with the envelope instead.
//!
//! Bytes are read into one scratch buffer per core and copied on: a connection holds memory only for what cannot pass yet.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection_state::{ConnectionState, increment};
use super::framer::{RequestFramer, Step};
use super::head::Refusal;

/// Bytes of one read.
const SCRATCH: usize = 64 * 1024;
/// Bytes of one read at the beginning of a request: what is pipelined behind it is held while it is served.
const HEAD_READ: usize = 8 * 1024;
/// Bytes of later requests that are read while one is served.
const READ_AHEAD: usize = 4 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A client's socket with its gate.
#[derive(Debug)]
pub(super) struct ClientSocket {
    pub(super) stream: TcpStream,
    shared: Arc<ConnectionState>,
    /// `None` for HTTP/2: h2 frames are validated by h2.
    gate: Option<RequestFramer>,
    /// Bytes that were read and may not pass yet, or did not fit.
    held: Vec<u8>,
    /// How many of them may pass.
    credit: usize,
    /// Why no further request passes.
    pub(super) refusal: Option<Refusal>,
    /// The body under way is framed wrongly: reading it fails, and its request is answered 400.
    broken: bool,
    /// The parser left bytes that had passed.
    unread: bool,
    /// The client has taken more than its socket can hold.
    takes: Arc<AtomicBool>,
    /// Bytes written, until that is known, after which it is asked.
    ask_at: u64,
}

/// Bytes that are written between two looks at how much the socket can hold.
const ASK: u64 = 128 * 1024;

impl ClientSocket {
    pub(super) const fn new(stream: TcpStream, shared: Arc<ConnectionState>, gate: RequestFramer, takes: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            shared,
            gate: Some(gate),
            held: Vec::new(),
            credit: 0,
            refusal: None,
            broken: false,
            unread: false,
            takes,
            ask_at: ASK,
        }
    }

    /// Reads until the bytes tell which protocol this is. `Ok(false)` at the end of the stream.
    pub(super) async fn sniff(&mut self, preface: &[u8]) -> io::Result<bool> {
        loop {
            let undecided = self.held.len() < preface.len() && preface.starts_with(&self.held);
            if !undecided {
                return Ok(true);
            }
            self.shared.partial.store(!self.held.is_empty(), Ordering::Relaxed);
            if std::future::poll_fn(|cx| self.poll_fill(cx)).await? == 0 {
                return Ok(!self.held.is_empty());
            }
        }
    }

    /// What was read and has not passed.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Bytes that had passed were not read by the parser: no other may begin on this connection.
    pub(super) fn note_unread(&mut self, any: bool) {
        self.unread |= any;
    }

    /// Between two requests, with nothing of the next one and nothing left of the last.
    pub(super) fn is_at_rest(&self) -> bool {
        let at_head = self.gate.as_ref().is_some_and(RequestFramer::at_head);
        at_head && self.held.is_empty() && self.credit == 0 && !self.unread && !self.shared.has_body()
    }

    /// The begin of a request, and nothing that belongs to an earlier one.
    pub(super) fn holds_a_request(&self) -> bool {
        let at_head = self.gate.as_ref().is_some_and(RequestFramer::at_head);
        at_head && !self.held.is_empty() && self.credit == 0 && !self.unread
    }

    /// No gate from now on.
    pub(super) fn pass_everything(&mut self) {
        self.gate = None;
        self.shared.partial.store(false, Ordering::Relaxed);
    }

    /// A request's body was not read to its end, or more came behind it.
    pub(super) fn has_unread(&self) -> bool {
        self.unread || !self.held.is_empty() || self.gate.as_ref().is_some_and(|gate| !gate.at_head())
    }

    /// What comes next belongs to a later request than the one that is served.
    fn is_ahead(&self) -> bool {
        self.shared.is_busy() && self.gate.as_ref().is_some_and(RequestFramer::at_head)
    }

    /// Bytes of the next read, at most.
    fn read_bound(&self) -> usize {
        match &self.gate {
            Some(gate) if gate.at_head() => {
                if self.shared.is_busy() {
                    READ_AHEAD
                } else {
                    HEAD_READ
                }
            }
            Some(_) | None => SCRATCH,
        }
    }

    /// Reads some bytes into `held`.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let want = self.read_bound();
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(&mut scratch[..want]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.held.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Passes what may pass of `held`; true when something did.
    fn release(&mut self, buf: &mut ReadBufCursor<'_>) -> bool {
        if self.credit == 0 {
            self.credit = match &mut self.gate {
                None => self.held.len(),
                Some(gate) => match gate.inspect(&self.held) {
                    Step::Pass { bytes, head } => {
                        self.note_pass(head);
                        bytes
                    }
                    Step::NeedMore => {
                        self.shared.partial.store(!self.held.is_empty(), Ordering::Relaxed);
                        0
                    }
                    Step::Refuse(refusal) => {
                        self.refuse(refusal);
                        0
                    }
                },
            };
        }
        let pass = self.credit.min(buf.remaining());
        buf.put_slice(&self.held[..pass]);
        self.held.drain(..pass);
        self.credit -= pass;
        if self.held.is_empty() && self.held.capacity() > 0 {
            self.held = Vec::new();
        }
        pass > 0
    }

    fn note_pass(&self, head: bool) {
        if head {
            increment(&self.shared.delivered);
            self.shared.partial.store(false, Ordering::Relaxed);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        if self.gate.as_ref().is_some_and(|gate| !gate.at_head()) {
            self.broken = true;
            return;
        }
        self.refusal = Some(refusal);
        self.shared.refused.store(true, Ordering::Relaxed);
    }

    /// Reads from the socket and passes at once what may pass: the usual case copies bytes only once.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBufCursor<'_>) -> Poll<io::Result<Progress>> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            // A body that is longer than hyper's buffer must not pile up here.
            let most = self.read_bound();
            let want = if self.shared.is_busy() { buf.remaining().clamp(1, most) } else { most };
            let mut read = ReadBuf::new(&mut scratch[..want]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let input = read.filled();
            if input.is_empty() {
                return Poll::Ready(Ok(Progress::End));
            }
            let pass = match &mut self.gate {
                None => input.len(),
                Some(gate) => match gate.inspect(input) {
                    Step::Pass { bytes, head } => {
                        self.note_pass(head);
                        bytes
                    }
                    Step::NeedMore => {
                        self.shared.partial.store(true, Ordering::Relaxed);
                        0
                    }
                    Step::Refuse(refusal) => {
                        self.held.extend_from_slice(input);
                        self.refuse(refusal);
                        return Poll::Ready(Ok(Progress::Held));
                    }
                },
            };
            let fits = pass.min(buf.remaining());
            buf.put_slice(&input[..fits]);
            self.held.extend_from_slice(&input[fits..]);
            self.credit = pass - fits;
            Poll::Ready(Ok(if fits > 0 { Progress::Passed } else { Progress::Held }))
        })
    }

    /// hyper wrote its own bare refusal for a head that passed the gate: swallow it, the envelope comes instead. Every
    /// answer of the gateway's has a request id; hyper's has none. While bytes of an answer may wait to be written nothing is taken for
    /// one, whatever it looks like: it may be part of a body.
    fn is_bare_refusal(&self, bytes: &[u8]) -> bool {
        if self.shared.has_unwritten() {
            return false;
        }
        let unseen = self.shared.delivered.load(Ordering::Relaxed) != self.shared.called.load(Ordering::Relaxed);
        let suspect = unseen && self.gate.is_some() && !self.shared.is_refused() && bytes.starts_with(b"HTTP/1.1 4");
        suspect && bytes.ends_with(b"\r\n\r\n") && !bytes.windows(12).any(|part| part.eq_ignore_ascii_case(b"x-request-id"))
    }

    fn note_write(&mut self, poll: &Poll<io::Result<usize>>) {
        self.shared.blocked.store(poll.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(written) = poll {
            self.shared.wrote(*written.as_ref().unwrap_or(&0));
            if self.shared.bytes() > self.ask_at {
                self.ask_whether_it_takes();
            }
        }
    }

    /// What was written and does not fit into the socket has been taken.
    #[cold]
    fn ask_whether_it_takes(&mut self) {
        let written = self.shared.bytes();
        let holds = socket2::SockRef::from(&self.stream).send_buffer_size().unwrap_or(usize::MAX) as u64;
        let takes = written > holds;
        self.takes.store(takes, Ordering::Relaxed);
        self.ask_at = if takes { u64::MAX } else { written + ASK };
    }
}

enum Progress {
    Passed,
    Held,
    End,
}

impl hyper::rt::Read for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.broken && this.credit == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "chunked framing is broken")));
            }
            if this.refusal.is_some() && this.credit == 0 {
                // The end, once the earlier requests are answered; the connection asks again then.
                return if this.shared.settled() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            if !this.held.is_empty() {
                if this.release(&mut buf) {
                    return Poll::Ready(Ok(()));
                }
                if this.refusal.is_some() || this.broken {
                    continue;
                }
                // The earlier request first: the parser asks again when it is answered.
                if this.is_ahead() && this.held.len() >= READ_AHEAD {
                    return Poll::Pending;
                }
                // An incomplete head: more must come.
                if ready!(this.poll_fill(cx))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(this.poll_direct(cx, &mut buf))? {
                Progress::Passed | Progress::End => return Poll::Ready(Ok(())),
                Progress::Held => {}
            }
        }
    }
}

impl hyper::rt::Write for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_bare_refusal(bytes) {
            this.refuse(Refusal::bad("refused by the HTTP parser"));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note_write(&written);
        written
    }

    /// hyper flushes when it has written all that it had.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.shared.set_unwritten(false);
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bufs.first().is_some_and(|first| this.is_bare_refusal(first)) {
            this.refuse(Refusal::bad("refused by the HTTP parser"));
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(&written);
        written
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::head::Limits;
    use super::*;

    #[tokio::test]
    async fn little_is_held_of_what_is_pipelined() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::new(ConnectionState::default());
        let gate = RequestFramer::new(Limits { head: 1024, target: 512, fields: 10 });
        let mut guard = ClientSocket::new(stream, shared, gate, Arc::default());
        assert_eq!(guard.read_bound(), HEAD_READ);
        client.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4 * HEAD_READ / 27)).await.unwrap();
        guard.stream.readable().await.unwrap();

        let mut taken = vec![0; SCRATCH];
        let mut buf = hyper::rt::ReadBuf::new(&mut taken);
        std::future::poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut guard), cx, buf.unfilled())).await.unwrap();
        assert!(buf.filled().len() + guard.held.len() <= HEAD_READ, "{} and {}", buf.filled().len(), guard.held.len());
        assert!(guard.is_ahead());
        assert_eq!(guard.read_bound(), READ_AHEAD);
    }
}
