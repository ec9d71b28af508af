//! The upstream of a case: answers each attempt with the next reply, and records what it was asked.
//!
//! It reads and writes HTTP/1 in memory. Where a timeout is the fault, the stream ends with the failure that the elapsed clock would be, so
//! that no case waits. Each connection serves one request.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::case::{Lines, Reply};
use super::fault::Fault;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::http1::request::{Inspected, Limits, RequestHead, RequestParser};
use crate::plan::Plan;
use crate::upstream::connect::connector::{Dial, Dialer, Dialing};
use crate::upstream::connect::stream::Stream;
use crate::upstream::connect::target::Target;

/// Bytes in memory between the gateway and the script, in each direction.
const BUFFER: usize = 64 * 1024;
/// Limits of what the gateway sends; what it takes from clients is smaller.
const LIMITS: Limits = Limits { head: 1 << 20, target: 1 << 20, strict_target: false, fields: 1000 };
/// Most bytes of a request body that are kept.
const MAX_BODY: usize = 16 << 20;
/// More than the bound of one header.
const LARGE_HEADER: usize = 200 * 1024;

/// A request as an upstream saw it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Seen {
    pub(in crate::cli) method: String,
    pub(in crate::cli) path: String,
    pub(in crate::cli) headers: HeaderList,
    pub(in crate::cli) body: Vec<u8>,
}

/// The upstreams of a case.
#[derive(Clone, Debug)]
pub(super) struct Script(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    replies: Vec<Reply>,
    /// The name of the backend of each endpoint.
    names: Vec<(Arc<Target>, Arc<str>)>,
    /// Attempts so far, for each backend that has replies of its own, and under the empty name for all others.
    attempts: Mutex<HashMap<String, usize>>,
    seen: Mutex<Option<Seen>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    pub(super) fn new(replies: Vec<Reply>, plan: &Plan) -> Self {
        let endpoints = plan.destinations().flat_map(|backend| backend.endpoints());
        let names = endpoints.map(|endpoint| (Arc::clone(&endpoint.target), Arc::clone(&endpoint.backend))).collect();
        Self(Arc::new(Inner { replies, names, attempts: Mutex::default(), seen: Mutex::default() }))
    }

    /// Returns the last request that an upstream has seen.
    pub(super) fn seen(&self) -> Option<Seen> {
        lock(&self.0.seen).take()
    }

    /// Returns the reply to the next attempt at this endpoint.
    fn next(&self, target: &Arc<Target>) -> Reply {
        let name = self.0.names.iter().find(|(known, _)| Arc::ptr_eq(known, target)).map_or("", |(_, name)| name);
        let own: Vec<&Reply> = self.0.replies.iter().filter(|reply| reply.backend.as_deref() == Some(name)).collect();
        let (key, replies) = match own.is_empty() {
            true => ("", self.0.replies.iter().filter(|reply| reply.backend.is_none()).collect()),
            false => (name, own),
        };
        let mut attempts = lock(&self.0.attempts);
        let attempt = attempts.entry(key.to_owned()).or_default();
        let reply = replies.get(*attempt).or(replies.last());
        *attempt += 1;
        reply.map(|reply| (*reply).clone()).unwrap_or_default()
    }
}

impl Dialer for Script {
    fn dial(&self, dial: Dial) -> Dialing {
        let reply = self.next(&dial.target);
        if let Some(Fault::Connect(kind, about)) = reply.fault {
            return Box::pin(std::future::ready(Err(Failure::because(kind, about))));
        }
        let (gateway, upstream) = tokio::io::duplex(BUFFER);
        let ending = Arc::new(OnceLock::new());
        tokio::spawn(serve(self.clone(), upstream, reply, Arc::clone(&ending)));
        Box::pin(std::future::ready(Ok(Stream::Other(Box::new(Scripted { stream: gateway, ending })))))
    }
}

/// How a stream ends, if not by a close.
#[derive(Debug)]
enum Ending {
    Reset,
    Failure(Failure),
}

/// The gateway's end of a connection.
#[derive(Debug)]
struct Scripted {
    stream: DuplexStream,
    ending: Arc<OnceLock<Ending>>,
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let ended = buf.filled().len() == before;
        Poll::Ready(match self.ending.get() {
            Some(Ending::Reset) if ended => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Ending::Failure(failure)) if ended => Err(io::Error::other(failure.clone())),
            Some(_) | None => Ok(()),
        })
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Reads the request and answers it. Errors mean that the gateway has closed the connection.
async fn serve(script: Script, mut stream: DuplexStream, reply: Reply, ending: Arc<OnceLock<Ending>>) {
    let Some((head, body)) = read_request(&mut stream).await else { return };
    let is_head = head.method == http::Method::HEAD;
    let path = head.target.uri.path_and_query().map_or_else(|| head.target.uri.to_string(), ToString::to_string);
    *lock(&script.0.seen) = Some(Seen { method: head.method.to_string(), path, headers: head.headers, body });
    let (bytes, end) = response(&reply, is_head);
    // It is set first: the gateway looks for it at the end.
    if let Some(end) = end {
        let _ = ending.set(end);
    }
    let _ = stream.write_all(&bytes).await;
}

async fn read_request(stream: &mut DuplexStream) -> Option<(RequestHead, Vec<u8>)> {
    let (mut parser, mut input, mut body) = (RequestParser::new(LIMITS), Vec::new(), Vec::new());
    let (length, mut head) = loop {
        match parser.inspect(&input) {
            Inspected::Head(length, head) => break (length, head),
            Inspected::Incomplete if stream.read_buf(&mut input).await.ok()? > 0 => {}
            Inspected::Incomplete | Inspected::Invalid(_) => return None,
        }
    };
    let mut rest = input.split_off(length);
    if head.expects_continue {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    while !head.framing.is_end() && body.len() < MAX_BODY {
        let taken = head.framing.decode(&rest, &mut body).ok()?;
        rest.drain(..taken);
        if !head.framing.is_end() && stream.read_buf(&mut rest).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// The bytes of a reply, and how the connection ends behind them.
fn response(reply: &Reply, is_head: bool) -> (Vec<u8>, Option<Ending>) {
    if let Some(raw) = &reply.raw {
        return (raw.clone(), None);
    }
    let half = || reply.body[..reply.body.len() / 2].to_vec();
    let stalled = || Ending::Failure(Failure::because(Kind::ResponseTimeout, "no more of the body came in time"));
    match reply.fault {
        None => (whole(reply, is_head), None),
        Some(Fault::Closed) => (Vec::new(), None),
        Some(Fault::Reset) => (Vec::new(), Some(Ending::Reset)),
        Some(Fault::Silent(kind)) => (Vec::new(), Some(Ending::Failure(kind.into()))),
        Some(Fault::CutHead) => (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Le".to_vec(), None),
        Some(Fault::Garbage) => (b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec(), None),
        Some(Fault::UnknownCoding) => (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n".to_vec(), None),
        Some(Fault::LargeHead) => {
            let line = format!("X-Filler: {}\r\n", "x".repeat(4000));
            (format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(100)).into_bytes(), None)
        }
        Some(Fault::LargeHeader) => {
            let mut large = reply.clone();
            large.headers.push(("X-Large".into(), "x".repeat(LARGE_HEADER)));
            (whole(&large, is_head), None)
        }
        Some(Fault::CutBody) => ([head(reply, &length(reply)), half()].concat(), None),
        Some(Fault::ResetBody) => ([head(reply, &length(reply)), half()].concat(), Some(Ending::Reset)),
        Some(Fault::StalledBody) => ([head(reply, &length(reply)), half()].concat(), Some(stalled())),
        Some(Fault::InvalidChunk) => {
            let half = half();
            let size = if half.is_empty() { Vec::new() } else { format!("{:x}\r\n", half.len()).into_bytes() };
            let end: &[u8] = if half.is_empty() { b"no size\r\n" } else { b"\r\nno size\r\n" };
            ([head(reply, "Transfer-Encoding: chunked\r\n"), size, half, end.to_vec()].concat(), None)
        }
        // These are states of the gateway, or no connection is opened.
        Some(Fault::Connect(..) | Fault::Unavailable | Fault::ShuttingDown) => (Vec::new(), None),
    }
}

/// The announced length of a body that is cut; one without content announces some.
fn length(reply: &Reply) -> String {
    format!("Content-Length: {}\r\n", reply.body.len().max(64))
}

fn whole(reply: &Reply, is_head: bool) -> Vec<u8> {
    let frames_itself = |name: &str| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
    if reply.headers.iter().any(|(name, _)| frames_itself(name)) {
        return [head(reply, ""), reply.body.clone()].concat();
    }
    let has_no_body = is_head || matches!(reply.status, 204 | 304);
    if !reply.trailers.is_empty() && !has_no_body {
        let mut bytes = head(reply, "Transfer-Encoding: chunked\r\n");
        if !reply.body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", reply.body.len()).as_bytes());
            bytes.extend_from_slice(&reply.body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        bytes.extend_from_slice(lines(&reply.trailers).as_bytes());
        bytes.extend_from_slice(b"\r\n");
        return bytes;
    }
    let framing = if matches!(reply.status, 204 | 304) { String::new() } else { format!("Content-Length: {}\r\n", reply.body.len()) };
    [head(reply, &framing), if has_no_body { Vec::new() } else { reply.body.clone() }].concat()
}

fn head(reply: &Reply, framing: &str) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
    format!("HTTP/1.1 {} {reason}\r\n{}{framing}Connection: close\r\n\r\n", reply.status, lines(&reply.headers)).into_bytes()
}

fn lines(lines: &Lines) -> String {
    lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}
