//! The I/O that hyper reads from and writes to. It passes only bytes that the framer has validated, and withholds the bare error responses
//! that hyper writes itself, so that the connection can send the gateway's error response instead.
//!
//! Bytes are read into one scratch buffer per core and copied from there, so a connection holds memory only for bytes that cannot be passed
//! yet. Knows nothing of responses.

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

/// Size of the largest read.
const SCRATCH: usize = 64 * 1024;
/// Size of a read at the start of a request; small, because pipelined requests in it are held while the first one is served.
const HEAD_READ: usize = 8 * 1024;
/// Bytes of later requests that are read while a request is served.
const READ_AHEAD: usize = 4 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A client's socket with its request framer.
#[derive(Debug)]
pub(super) struct ClientSocket {
    pub(super) stream: TcpStream,
    shared: Arc<ConnectionState>,
    /// `None` for HTTP/2, whose frames h2 validates.
    framer: Option<RequestFramer>,
    /// Bytes that were read but cannot be passed yet, or did not fit into hyper's buffer.
    held: Vec<u8>,
    /// Number of held bytes that may be passed.
    releasable: usize,
    /// Why no further request is passed.
    pub(super) refusal: Option<Refusal>,
    /// The framing of the current body is invalid: reading it fails, and its request is answered with 400.
    broken: bool,
    /// hyper's parser left bytes unread that were passed to it.
    unread: bool,
    /// Set once the client has read more than its socket's send buffer can hold.
    client_reads: Arc<AtomicBool>,
    /// Number of written bytes at which that is checked next.
    check_at: u64,
}

/// Bytes that are written between two such checks.
const CHECK_INTERVAL: u64 = 128 * 1024;

impl ClientSocket {
    pub(super) const fn new(stream: TcpStream, shared: Arc<ConnectionState>, framer: RequestFramer, client_reads: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            shared,
            framer: Some(framer),
            held: Vec::new(),
            releasable: 0,
            refusal: None,
            broken: false,
            unread: false,
            client_reads,
            check_at: CHECK_INTERVAL,
        }
    }

    /// Reads until the bytes tell whether they start with `preface`. Returns `Ok(false)` if the stream ended without any.
    pub(super) async fn sniff(&mut self, preface: &[u8]) -> io::Result<bool> {
        loop {
            let undecided = self.held.len() < preface.len() && preface.starts_with(&self.held);
            if !undecided {
                return Ok(true);
            }
            self.shared.partial.store(!self.held.is_empty(), Ordering::Relaxed);
            if std::future::poll_fn(|cx| self.poll_read_held(cx)).await? == 0 {
                return Ok(!self.held.is_empty());
            }
        }
    }

    /// Returns the bytes that were read and not passed.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Records whether hyper's parser left bytes unread. If so, no other parser may take over this connection.
    pub(super) fn set_unread(&mut self, any: bool) {
        self.unread |= any;
    }

    /// Returns true between two requests, if nothing of the next one was read and nothing of the last one remains.
    pub(super) fn is_idle(&self) -> bool {
        let at_head = self.framer.as_ref().is_some_and(RequestFramer::at_head);
        at_head && self.held.is_empty() && self.releasable == 0 && !self.unread && !self.shared.has_body()
    }

    /// Returns true if the start of a request is held, and nothing of an earlier one.
    pub(super) fn holds_request_start(&self) -> bool {
        let at_head = self.framer.as_ref().is_some_and(RequestFramer::at_head);
        at_head && !self.held.is_empty() && self.releasable == 0 && !self.unread
    }

    /// Stops validating, for HTTP/2.
    pub(super) fn stop_validating(&mut self) {
        self.framer = None;
        self.shared.partial.store(false, Ordering::Relaxed);
    }

    /// Returns true if a request's body was not read to its end, or more bytes followed it.
    pub(super) fn has_unread(&self) -> bool {
        self.unread || !self.held.is_empty() || self.framer.as_ref().is_some_and(|framer| !framer.at_head())
    }

    /// Returns true if the next bytes belong to a later request than the one being served.
    fn is_read_ahead(&self) -> bool {
        self.shared.is_busy() && self.framer.as_ref().is_some_and(RequestFramer::at_head)
    }

    /// Returns the maximum size of the next read.
    fn read_bound(&self) -> usize {
        match &self.framer {
            Some(framer) if framer.at_head() => {
                if self.shared.is_busy() {
                    READ_AHEAD
                } else {
                    HEAD_READ
                }
            }
            Some(_) | None => SCRATCH,
        }
    }

    /// Reads from the socket into `held`.
    fn poll_read_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let want = self.read_bound();
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(&mut scratch[..want]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.held.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Passes as much of `held` as is valid and fits. Returns true if anything was passed.
    fn release(&mut self, buf: &mut ReadBufCursor<'_>) -> bool {
        if self.releasable == 0 {
            self.releasable = match &mut self.framer {
                None => self.held.len(),
                Some(framer) => match framer.inspect(&self.held) {
                    Step::Pass { bytes, head } => {
                        self.record_release(head);
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
        let pass = self.releasable.min(buf.remaining());
        buf.put_slice(&self.held[..pass]);
        self.held.drain(..pass);
        self.releasable -= pass;
        if self.held.is_empty() && self.held.capacity() > 0 {
            self.held = Vec::new();
        }
        pass > 0
    }

    fn record_release(&self, head: bool) {
        if head {
            increment(&self.shared.delivered);
            self.shared.partial.store(false, Ordering::Relaxed);
        }
    }

    /// Records an invalid request, or an invalid body of a request that was passed.
    fn refuse(&mut self, refusal: Refusal) {
        if self.framer.as_ref().is_some_and(|framer| !framer.at_head()) {
            self.broken = true;
            return;
        }
        self.refusal = Some(refusal);
        self.shared.refused.store(true, Ordering::Relaxed);
    }

    /// Reads from the socket and passes at once what is valid, so that bytes are usually copied only once.
    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBufCursor<'_>) -> Poll<io::Result<Progress>> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            // Reads no more than hyper can take, so that a long body does not accumulate here.
            let most = self.read_bound();
            let want = if self.shared.is_busy() { buf.remaining().clamp(1, most) } else { most };
            let mut read = ReadBuf::new(&mut scratch[..want]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let input = read.filled();
            if input.is_empty() {
                return Poll::Ready(Ok(Progress::End));
            }
            let pass = match &mut self.framer {
                None => input.len(),
                Some(framer) => match framer.inspect(input) {
                    Step::Pass { bytes, head } => {
                        self.record_release(head);
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
            self.releasable = pass - fits;
            Poll::Ready(Ok(if fits > 0 { Progress::Passed } else { Progress::Held }))
        })
    }

    /// Returns true if hyper writes its own bare error response to a head that was passed. It is discarded, and the gateway's error
    /// response is sent instead. Every response of the gateway has a request ID, hyper's has none. While bytes of a response may be waiting
    /// to be written, nothing is discarded, because the bytes may be part of a body.
    fn is_bare_error_response(&self, bytes: &[u8]) -> bool {
        if self.shared.has_unwritten() {
            return false;
        }
        let unseen = self.shared.delivered.load(Ordering::Relaxed) != self.shared.called.load(Ordering::Relaxed);
        let suspect = unseen && self.framer.is_some() && !self.shared.is_refused() && bytes.starts_with(b"HTTP/1.1 4");
        suspect && bytes.ends_with(b"\r\n\r\n") && !bytes.windows(12).any(|part| part.eq_ignore_ascii_case(b"x-request-id"))
    }

    fn record_write(&mut self, poll: &Poll<io::Result<usize>>) {
        self.shared.blocked.store(poll.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(written) = poll {
            self.shared.wrote(*written.as_ref().unwrap_or(&0));
            if self.shared.bytes() > self.check_at {
                self.check_client_reads();
            }
        }
    }

    /// Checks whether more was written than the send buffer holds; the client must have read the excess.
    #[cold]
    fn check_client_reads(&mut self) {
        let written = self.shared.bytes();
        let holds = socket2::SockRef::from(&self.stream).send_buffer_size().unwrap_or(usize::MAX) as u64;
        let client_reads = written > holds;
        self.client_reads.store(client_reads, Ordering::Relaxed);
        self.check_at = if client_reads { u64::MAX } else { written + CHECK_INTERVAL };
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
            if this.broken && this.releasable == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "chunked framing is broken")));
            }
            if this.refusal.is_some() && this.releasable == 0 {
                // Reports the end of the stream once the earlier requests are answered; the connection polls again then.
                return if this.shared.is_settled() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            if !this.held.is_empty() {
                if this.release(&mut buf) {
                    return Poll::Ready(Ok(()));
                }
                if this.refusal.is_some() || this.broken {
                    continue;
                }
                // The current request comes first. hyper reads again once it is answered.
                if this.is_read_ahead() && this.held.len() >= READ_AHEAD {
                    return Poll::Pending;
                }
                // The head is incomplete.
                if ready!(this.poll_read_held(cx))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(this.poll_read_through(cx, &mut buf))? {
                Progress::Passed | Progress::End => return Poll::Ready(Ok(())),
                Progress::Held => {}
            }
        }
    }
}

impl hyper::rt::Write for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_bare_error_response(bytes) {
            this.refuse(Refusal::bad("refused by the HTTP parser"));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.record_write(&written);
        written
    }

    /// hyper flushes after writing everything it had.
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
        if bufs.first().is_some_and(|first| this.is_bare_error_response(first)) {
            this.refuse(Refusal::bad("refused by the HTTP parser"));
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.record_write(&written);
        written
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::head::Limits;
    use super::*;

    #[tokio::test]
    async fn few_pipelined_bytes_are_held() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::new(ConnectionState::default());
        let framer = RequestFramer::new(Limits { head: 1024, target: 512, fields: 10 });
        let mut socket = ClientSocket::new(stream, shared, framer, Arc::default());
        assert_eq!(socket.read_bound(), HEAD_READ);
        client.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4 * HEAD_READ / 27)).await.unwrap();
        socket.stream.readable().await.unwrap();

        let mut taken = vec![0; SCRATCH];
        let mut buf = hyper::rt::ReadBuf::new(&mut taken);
        std::future::poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut socket), cx, buf.unfilled())).await.unwrap();
        assert!(buf.filled().len() + socket.held.len() <= HEAD_READ, "{} and {}", buf.filled().len(), socket.held.len());
        assert!(socket.is_read_ahead());
        assert_eq!(socket.read_bound(), READ_AHEAD);
    }
}
