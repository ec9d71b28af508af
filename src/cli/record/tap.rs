//! A tap on the connections of the gateway to a service: copies what goes through, up to a bound.
//!
//! Changes nothing that goes through. Knows HTTP/1 framing, and must not know what becomes of an exchange.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tower::Service as _;

use crate::http1::request::{Inspected, Limits, RequestHead, RequestParser};
use crate::http1::response::{self, ResponseHead};
use crate::upstream::connect::connector::{Connector, Dial, Dialer, Dialing};
use crate::upstream::connect::stream::Stream;

/// Most bytes of a request that are kept: its head.
const MAX_REQUEST: usize = 64 * 1024;
/// Most bytes of a response that are kept.
const MAX_RESPONSE: usize = 256 * 1024;
const LIMITS: Limits = Limits { head: MAX_REQUEST, target: MAX_REQUEST, strict_target: false, fields: 1000 };

/// A request, and the error that the service answered.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    pub(super) body: Vec<u8>,
}

/// Opens connections with a tap.
#[derive(Debug)]
pub(super) struct Tap {
    connector: Connector,
    seen: mpsc::Sender<Exchange>,
}

impl Tap {
    pub(super) const fn new(connector: Connector, seen: mpsc::Sender<Exchange>) -> Self {
        Self { connector, seen }
    }
}

impl Dialer for Tap {
    fn dial(&self, dial: Dial) -> Dialing {
        let (mut connector, seen) = (self.connector.clone(), self.seen.clone());
        // The tap reads HTTP/1 only.
        let opened = connector.call(Dial { http1_only: true, ..dial });
        Box::pin(async move {
            let stream = opened.await?;
            let tapped = Tapped { stream, copy: Copy { request: Vec::new(), response: Vec::new(), ended: false, seen } };
            Ok(Stream::Other(Box::new(tapped)))
        })
    }
}

/// A connection with a tap.
#[derive(Debug)]
struct Tapped {
    stream: Stream,
    copy: Copy,
}

/// What went through in the current exchange.
#[derive(Debug)]
struct Copy {
    request: Vec<u8>,
    response: Vec<u8>,
    /// The exchange is told, or is no error.
    ended: bool,
    seen: mpsc::Sender<Exchange>,
}

impl Copy {
    fn sent(&mut self, bytes: &[u8]) {
        if !self.response.is_empty() {
            // Bytes behind a response belong to the next request.
            self.tell(true);
            (self.request, self.response, self.ended) = (Vec::new(), Vec::new(), false);
        }
        keep(&mut self.request, bytes, MAX_REQUEST);
    }

    fn received(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        keep(&mut self.response, bytes, MAX_RESPONSE);
        self.tell(self.response.len() == MAX_RESPONSE);
    }

    /// Tells of the exchange once its response is complete. `is_last` is true if no more of it follows or is kept.
    fn tell(&mut self, is_last: bool) {
        if self.ended {
            return;
        }
        let Inspected::Head(_, request) = RequestParser::new(LIMITS).inspect(&self.request) else { return };
        let Some((mut response, rest)) = final_head(&self.response, &request.method) else { return };
        if response.status.as_u16() < 400 {
            self.ended = true;
            return;
        }
        let mut body = Vec::new();
        let is_read = response.framing.decode(rest, &mut body).is_ok();
        if is_read && !response.framing.is_end() && !is_last {
            return;
        }
        self.ended = true;
        // A full queue loses the exchange, which may come again.
        let _ = self.seen.try_send(Exchange { request, response, body });
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], max: usize) {
    kept.extend_from_slice(&bytes[..bytes.len().min(max.saturating_sub(kept.len()))]);
}

/// Returns the head behind all interim responses, and the bytes that follow it.
fn final_head<'b>(mut bytes: &'b [u8], method: &Method) -> Option<(ResponseHead, &'b [u8])> {
    loop {
        let (head, length) = response::inspect(bytes, 0, method).ok()??;
        bytes = &bytes[length..];
        if !head.status.is_informational() {
            return Some((head, bytes));
        }
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.copy.tell(true);
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        match bytes.is_empty() {
            true => self.copy.tell(true),
            false => self.copy.received(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.copy.sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
