//! An HTTP/1 connection of a client as one loop: read a head, call the gateway, write the response.
//!
//! The loop owns the socket. It reads the body when the gateway asks for it, and notices a client that leaves while it waits. Requests that
//! arrive early wait, within bounds. A connection without a request holds no buffer. Knows nothing of routes or upstreams.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, StatusCode, Version};
use tokio::io::AsyncWrite as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::arriving_body::{ArrivingBody, MAX_DISCARDED};
use super::client_stream::{ClientStream, HEAD_READ, Received};
use super::closing::Closing;
use super::early::{HEADER_TIMEOUT, SHUTTING_DOWN};
use super::request_body::BodyFeed;
use super::response::{Asked, OutgoingResponse};
use super::settings::{PARK_AFTER, Settings};
use super::slow_client::{self, SlowClient};
use crate::body::RequestBody;
use crate::failure::{Failure, Kind};
use crate::gateway::{ClientRequest, Entry, Gateway, Upgraded};
use crate::http1::Violation;
use crate::http1::framing::Framing;
use crate::http1::request::{Inspected, RequestHead, RequestParser};
use crate::http1::write;
use crate::timer::Timer;

/// Size of a read of a body.
const BODY_READ: usize = 64 * 1024;
/// Bytes of later requests that are read while a request is served.
const READ_AHEAD: usize = 4 * 1024;
/// Bytes of interim responses at which a client that has not read them gets no more.
const MAX_INTERIM: usize = 16 * 1024;
/// The interim response that asks for a body (RFC 9110 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a connection stopped serving requests.
#[derive(Debug)]
pub(super) enum End {
    /// No request came for [`PARK_AFTER`], and nothing of one is held.
    Idle,
    /// It ends properly.
    Closed,
    /// The client has left.
    Gone,
    /// A reset must show that the last response is incomplete.
    Reset,
    /// The client is told what is wrong, and the connection ends.
    Refused(Violation),
    /// It leaves HTTP: the 101 is written.
    Tunnel(Box<Upgraded>),
}

/// An HTTP/1 connection that serves requests.
pub(super) struct Http1<'c> {
    stream: &'c mut ClientStream,
    entry: &'c Entry,
    settings: Settings,
    parser: RequestParser,
    timer: Timer,
    body: ArrivingBody,
    /// Interim responses that are sent before the response.
    interim: Vec<u8>,
}

/// The result of reading from a client while its request is served.
enum Read {
    /// The gateway got more of the body.
    Fed,
    /// The client has left.
    Gone,
}

impl<'c> Http1<'c> {
    /// Creates the connection. Bytes that were read before are in the stream.
    pub(super) fn new(stream: &'c mut ClientStream, entry: &'c Entry, gateway: &Gateway) -> Self {
        let settings = Settings::of(&gateway.plan.listen);
        let timer = Timer::new(Instant::now() + settings.header_timeout);
        let parser = RequestParser::new(settings.limits());
        Self { stream, entry, settings, parser, timer, body: ArrivingBody::NONE, interim: Vec::new() }
    }

    /// Serves requests until the connection ends or is idle. `served` is true if it has served a request before. Each request gets the
    /// gateway that is the current one when its head is complete.
    pub(super) async fn serve(&mut self, mut gateway: Arc<Gateway>, closing: &mut watch::Receiver<bool>, mut served: bool) -> End {
        let signal = pin!(closing.wait_for(|closing| *closing));
        let mut closing = Closing::new(signal);
        loop {
            let head = match self.next_head(&mut closing, served).await {
                Ok(head) => head,
                Err(end) => return end,
            };
            if !self.entry.client.gateway.is_current(&gateway) {
                gateway = self.entry.client.gateway.get();
                self.configure(&gateway);
            }
            if let Err(end) = self.serve_request(head, &gateway, &mut closing).await {
                return end;
            }
            served = true;
        }
    }

    /// Takes the settings of a gateway that has replaced the one before. The parser holds nothing behind a complete head.
    fn configure(&mut self, gateway: &Gateway) {
        self.settings = Settings::of(&gateway.plan.listen);
        self.parser = RequestParser::new(self.settings.limits());
    }

    /// Returns true if a part of the last request's body was not read, or bytes behind it were.
    pub(super) fn has_unread(&self) -> bool {
        !self.body.framing.is_end() || self.body.broken || !self.stream.held.is_empty()
    }

    /// Reads the next head.
    async fn next_head<F: Future>(&mut self, closing: &mut Closing<Pin<&mut F>>, served: bool) -> Result<RequestHead, End> {
        let begin = Instant::now();
        // A pipelined request, or the first one, may be here already.
        if let Some(head) = inspect(&mut self.parser, &mut self.stream.held)? {
            return Ok(head);
        }
        let mut partial_since = (!self.stream.held.is_empty()).then_some(begin);
        let Self { stream, entry, settings, parser, timer, .. } = self;
        std::future::poll_fn(|cx| {
            while let Poll::Ready(received) = stream.poll_receive(cx, HEAD_READ, |bytes| head_in(parser, bytes)) {
                match received {
                    Received::End => return Poll::Ready(Err(End::Gone)),
                    Received::Direct(Inspected::Head(_, head)) => return Poll::Ready(Ok(head)),
                    Received::Direct(Inspected::Invalid(violation)) => return Poll::Ready(Err(End::Refused(violation))),
                    Received::Direct(Inspected::Incomplete) => {}
                    Received::Held => {
                        if let Some(head) = inspect(parser, &mut stream.held)? {
                            return Poll::Ready(Ok(head));
                        }
                    }
                }
                partial_since = partial_since.or_else(|| Some(Instant::now()));
            }
            if closing.is_due(entry, cx) {
                match partial_since {
                    None => return Poll::Ready(Err(End::Closed)),
                    Some(_) if entry.client.gateway.core.lifecycle.is_closing() => return Poll::Ready(Err(End::Refused(SHUTTING_DOWN))),
                    // Its listener was removed, but not the gateway: this is its last request.
                    Some(_) => {}
                }
            }
            let (due, end) = match partial_since {
                Some(since) => (since + settings.header_timeout, End::Refused(HEADER_TIMEOUT)),
                None if served => (begin + settings.idle_timeout.min(PARK_AFTER), End::Idle),
                None => (begin + settings.header_timeout, End::Closed),
            };
            if timer.is_due(due, cx) { Poll::Ready(Err(end)) } else { Poll::Pending }
        })
        .await
    }

    /// Serves one request. Returns `Ok` if the connection may serve another one.
    async fn serve_request<F: Future>(
        &mut self,
        head: RequestHead,
        gateway: &Gateway,
        closing: &mut Closing<Pin<&mut F>>,
    ) -> Result<(), End> {
        let RequestHead { method, target, version, headers, framing, keep_alive, expects_continue, reads_trailers } = head;
        let is_head = method == Method::HEAD;
        let body = self.begin_body(framing, expects_continue && version == Version::HTTP_11);
        let request = ClientRequest { method, target, version, headers, body };
        let entry = self.entry;
        let mut response = {
            let mut answering = pin!(entry.serve(gateway, request));
            std::future::poll_fn(|cx| {
                // The gateway looks at the lifecycle itself. This only makes sure that the task is woken.
                closing.is_due(entry, cx);
                loop {
                    if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                        return Poll::Ready(Ok(response));
                    }
                    match self.poll_client(cx) {
                        Poll::Ready(Read::Fed) => {}
                        Poll::Ready(Read::Gone) => return Poll::Ready(Err(End::Gone)),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await?
        };
        let open = gateway.core.lifecycle.is_ready() && !entry.client.surplus && !entry.client.is_closed();
        // RFC 9110 15.5.9: the gateway does not wait for the rest of a request that came too slowly.
        let too_slow = response.status == StatusCode::REQUEST_TIMEOUT && !self.body.framing.is_end();
        let tunnel = response.tunnel.take();
        let keep_alive = tunnel.is_some() || (keep_alive && open && !too_slow && self.body.can_be_discarded());
        let asked = Asked { version, is_head, reads_trailers, keep_alive };
        // A 100 must not follow, even if the rest of the body is still wanted.
        self.body.expects_continue = false;
        self.add_interim();
        let mut response = OutgoingResponse::new(response, asked, &std::mem::take(&mut self.interim));
        self.write(&mut response).await?;
        if let Some(tunnel) = tunnel {
            return Err(End::Tunnel(tunnel));
        }
        if !response.keeps_alive() {
            return Err(End::Closed);
        }
        drop(response);
        self.discard_body(closing).await
    }

    /// Begins to read the body of a request.
    fn begin_body(&mut self, framing: Framing, expects_continue: bool) -> RequestBody {
        if framing.is_end() {
            self.body = ArrivingBody::NONE;
            return RequestBody::empty();
        }
        let (feed, body) = BodyFeed::new(framing.remaining());
        self.body = ArrivingBody { framing, feed: Some(feed), expects_continue, broken: false };
        RequestBody::new(body)
    }

    /// Writes a response as it arrives.
    async fn write(&mut self, response: &mut OutgoingResponse) -> Result<(), End> {
        let mut slow = None;
        std::future::poll_fn(|cx| {
            loop {
                response.fill(cx);
                if !response.sending.is_written() {
                    match self.stream.poll_send(cx, &mut response.sending) {
                        Poll::Ready(Ok(_)) => {
                            slow_client::end_wait(slow.take(), response.rate.as_mut(), || self.stream.socket.taken());
                            continue;
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Gone)),
                        Poll::Pending => {}
                    }
                }
                let is_flushed = response.sending.is_written() && self.stream.poll_flush(cx).is_ready();
                if is_flushed && response.is_complete() {
                    return Poll::Ready(Ok(()));
                }
                if is_flushed && response.is_aborted() {
                    return Poll::Ready(Err(if response.needs_reset() { End::Reset } else { End::Closed }));
                }
                match self.poll_client(cx) {
                    Poll::Ready(Read::Fed) => {}
                    Poll::Ready(Read::Gone) => return Poll::Ready(Err(End::Gone)),
                    Poll::Pending if is_flushed => return Poll::Pending,
                    Poll::Pending => {
                        let Self { stream, timer, settings, .. } = self;
                        let taken = || stream.socket.taken();
                        let slow = slow.get_or_insert_with(|| SlowClient::new(Instant::now(), taken()));
                        return slow.poll(cx, timer, settings.write_timeout, response.rate.as_mut(), taken).map(|()| Err(End::Reset));
                    }
                }
            }
        })
        .await
    }

    /// Adds the interim responses that wait. They are dropped if the client has yet to read many.
    fn add_interim(&mut self) {
        for (status, headers) in self.entry.interim_responses() {
            if self.interim.len() < MAX_INTERIM {
                write::interim(&mut self.interim, status, &headers);
            }
        }
    }

    /// Sends interim responses, reads the body if the gateway wants it, and else notices if the client leaves.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        self.add_interim();
        let wanted = self.body.feed.as_ref().is_some_and(BodyFeed::is_wanted);
        if wanted && std::mem::take(&mut self.body.expects_continue) && self.stream.held.is_empty() {
            self.interim.extend_from_slice(CONTINUE);
        }
        while !self.interim.is_empty() {
            match Pin::new(&mut self.stream.socket).poll_write(cx, &self.interim) {
                Poll::Ready(Ok(written)) => drop(self.interim.drain(..written)),
                Poll::Ready(Err(_)) => return Poll::Ready(Read::Gone),
                Poll::Pending => break,
            }
        }
        // A failure shows at the next read.
        let _ = self.stream.poll_flush(cx);
        if self.body.broken || (!self.body.framing.is_end() && !wanted) {
            return Poll::Pending;
        }
        if wanted {
            let read = self.poll_body(cx);
            // The gateway's clock starts when the client is found to have sent nothing.
            return if read.is_pending() && self.body.feed.as_ref().is_some_and(BodyFeed::set_client_silent) {
                Poll::Ready(Read::Fed)
            } else {
                read
            };
        }
        while self.stream.held.len() < READ_AHEAD {
            if matches!(ready!(self.stream.poll_receive(cx, READ_AHEAD, |_| (0, ()))), Received::End) {
                return Poll::Ready(Read::Gone);
            }
        }
        Poll::Pending
    }

    /// Reads more of the body, and passes it to the gateway.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let Self { stream, body, .. } = self;
        let ArrivingBody { framing, feed: Some(feed), broken, .. } = body else { return Poll::Pending };
        loop {
            let mut data = Vec::new();
            let decoded = if stream.held.is_empty() {
                let most = framing.remaining().map_or(BODY_READ, |left| left.min(BODY_READ as u64) as usize);
                match ready!(stream.poll_receive(cx, most, |bytes| decode(framing, bytes, &mut data))) {
                    Received::End => return Poll::Ready(Read::Gone),
                    Received::Direct(decoded) => decoded,
                    Received::Held => Ok(()),
                }
            } else {
                let (taken, decoded) = decode(framing, &stream.held, &mut data);
                stream.consume(taken);
                decoded
            };
            if let Err(rule) = decoded {
                *broken = true;
                feed.feed(cx, Err(Failure::because(Kind::BadRequest, rule)), true);
                return Poll::Ready(Read::Fed);
            }
            if !data.is_empty() || framing.is_end() {
                feed.feed(cx, Ok(data.into()), framing.is_end());
                return Poll::Ready(Read::Fed);
            }
        }
    }

    /// Reads and discards the rest of the body of a request that was answered already.
    async fn discard_body<F: Future>(&mut self, closing: &mut Closing<Pin<&mut F>>) -> Result<(), End> {
        if self.body.framing.is_end() {
            return Ok(());
        }
        let Self { stream, entry, settings, timer, body, .. } = self;
        let (framing, mut discarded, mut data, mut since) = (&mut body.framing, 0, Vec::new(), Instant::now());
        std::future::poll_fn(|cx| {
            loop {
                let decoded = if stream.held.is_empty() {
                    let most = framing.remaining().map_or(BODY_READ, |left| left.min(BODY_READ as u64) as usize);
                    match stream.poll_receive(cx, most, |bytes| decode(framing, bytes, &mut data)) {
                        Poll::Ready(Received::Direct(decoded)) => decoded,
                        Poll::Ready(Received::Held) => Ok(()),
                        Poll::Ready(Received::End) => return Poll::Ready(Err(End::Gone)),
                        Poll::Pending if closing.is_due(entry, cx) || timer.is_due(since + settings.idle_timeout, cx) => {
                            return Poll::Ready(Err(End::Closed));
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                } else {
                    let (taken, decoded) = decode(framing, &stream.held, &mut data);
                    stream.consume(taken);
                    decoded
                };
                discarded += data.len() as u64;
                data.clear();
                since = Instant::now();
                if decoded.is_err() || discarded > MAX_DISCARDED {
                    return Poll::Ready(Err(End::Closed));
                }
                if framing.is_end() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    }
}

/// Parses a head at the start of `bytes`, which were just read. Returns the bytes that it takes.
fn head_in(parser: &mut RequestParser, bytes: &[u8]) -> (usize, Inspected) {
    let inspected = parser.inspect(bytes);
    (if let Inspected::Head(length, _) = inspected { length } else { 0 }, inspected)
}

/// Parses a head at the start of the bytes that are held.
fn inspect(parser: &mut RequestParser, held: &mut Vec<u8>) -> Result<Option<RequestHead>, End> {
    if held.is_empty() {
        return Ok(None);
    }
    match parser.inspect(held) {
        Inspected::Head(length, head) => {
            if length == held.len() {
                *held = Vec::new();
            } else {
                held.drain(..length);
            }
            Ok(Some(head))
        }
        Inspected::Incomplete => Ok(None),
        Inspected::Invalid(violation) => Err(End::Refused(violation)),
    }
}

fn decode(framing: &mut Framing, bytes: &[u8], data: &mut Vec<u8>) -> (usize, Result<(), &'static str>) {
    match framing.decode(bytes, data) {
        Ok(taken) => (taken, Ok(())),
        Err(rule) => (0, Err(rule)),
    }
}
