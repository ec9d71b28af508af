//! One request and its response on an HTTP/2 connection: the request that uses the stream drives it.
//!
//! Dropping the stream before the end of the response resets it. What was taken of the request's body is kept until it is known that the
//! endpoint processes the request, so that a refused request can be sent again whatever its method. Knows nothing of timeouts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{self, HeaderMap};
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::connection::{Http2Connection, Place};
use crate::body::InterimResponses;
use crate::context::Dialect;
use crate::failure::classify::{self, Http2Failure};
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value};
use crate::timer::Timer;
use crate::upstream::connect::http1::RequestHead;
use crate::upstream::upload::Upload;

/// Maximum header lines of a response, as over HTTP/1.
const MAX_FIELDS: usize = 512;
/// Maximum bytes of a request's body that are kept until the response. A refusal arrives before more were sent, unless the window is large.
pub const MAX_KEPT: usize = 64 * 1024;

/// The head of a response.
#[derive(Debug)]
pub struct Http2Head {
    /// The status.
    pub status: StatusCode,
    /// The header lines.
    pub headers: HeaderList,
}

/// A stream of an HTTP/2 connection.
#[derive(Debug)]
pub struct Http2Stream {
    place: Place,
    sender: Option<SendRequest<Bytes>>,
    /// The connection has served a request before.
    pub reused: bool,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// Bytes of the body that were announced and have not arrived.
    remaining: Option<u64>,
    /// `None` once the whole request was sent or the endpoint reads no more of it.
    upload: Option<SendStream<Bytes>>,
    /// The whole request was sent.
    sent: bool,
    /// Data that waits for the endpoint's window.
    waiting: Bytes,
    /// The data that was taken so far. `None` if it cannot be put back.
    kept: Option<Vec<Bytes>>,
    keeps: bool,
    timer: Option<Timer>,
}

impl Http2Stream {
    /// Returns a stream of a connection if one is free.
    pub fn on(connection: &Arc<Http2Connection>) -> Option<Box<Self>> {
        let (place, sender) = connection.place()?;
        Some(Box::new(Self {
            reused: place.has_served(),
            place,
            sender: Some(sender),
            response: None,
            body: None,
            remaining: None,
            upload: None,
            sent: false,
            waiting: Bytes::new(),
            kept: Some(Vec::new()),
            keeps: true,
            timer: None,
        }))
    }

    /// Returns true once `due` has come. Else the task is woken then, or before.
    pub fn is_due(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        self.timer.get_or_insert_with(|| Timer::new(due)).is_due(due, cx)
    }

    /// Lets no other request use the connection.
    pub fn retire_connection(&self) {
        self.place.connection().retire();
    }

    /// Returns true if the connection takes no more requests.
    pub fn is_retired(&self) -> bool {
        self.place.connection().is_closing()
    }

    /// Returns true if the whole request was sent, or the endpoint reads no more of it.
    pub const fn is_sent(&self) -> bool {
        self.upload.is_none()
    }

    /// Puts the data that was taken of the body back. Returns false if that is impossible.
    pub fn put_back(&mut self, upload: &mut Upload) -> bool {
        let Some(kept) = self.kept.take() else { return false };
        if !kept.is_empty() {
            let mut all = BytesMut::with_capacity(kept.iter().map(Bytes::len).sum());
            kept.iter().for_each(|data| all.extend_from_slice(data));
            upload.put_back(all.freeze());
        }
        true
    }

    /// Sends the head of a request, with the part of its body that is available. [`poll_send`](Self::poll_send) continues. What is taken of
    /// the body is kept for another attempt if it `keeps`.
    ///
    /// # Errors
    /// The request cannot be written, or the failure of its body. A failure of the connection shows in the response.
    pub fn start(&mut self, cx: &mut Context<'_>, head: RequestHead<'_>, upload: &mut Upload, keeps: bool) -> Result<(), Http2Failure> {
        self.keeps = keeps;
        let request = request_of(head, self.place.scheme(), upload)?;
        let Some(mut sender) = self.sender.take() else { return Err(Failure::from(Kind::Internal).into()) };
        let has_body = !upload.is_end_stream();
        let (response, send) = sender.send_request(request, !has_body).map_err(|error| classify::http2_unsent(&error))?;
        self.response = Some(response);
        self.sent = !has_body;
        self.upload = has_body.then_some(send);
        match self.poll_send(cx, upload) {
            Poll::Ready(Err(failure)) => Err(failure.into()),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Sends the rest of the request. Ready once all of it is sent, or the endpoint reads no more of it.
    ///
    /// # Errors
    /// Returns the failure of the request's body.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, upload: &mut Upload) -> Poll<Result<(), Failure>> {
        while let Some(send) = &mut self.upload {
            if self.waiting.is_empty() {
                match ready!(upload.poll_data(cx)).transpose()? {
                    Some(data) => {
                        self.waiting = data.clone();
                        self.keep(data);
                    }
                    None => {
                        // An endpoint that has reset the stream tells why in the response.
                        self.sent = send.send_data(Bytes::new(), true).is_ok();
                        self.upload = None;
                    }
                }
                continue;
            }
            send.reserve_capacity(self.waiting.len());
            let room = match ready!(send.poll_capacity(cx)) {
                Some(Ok(room)) => room.min(self.waiting.len()),
                Some(Err(_)) | None => {
                    self.upload = None;
                    continue;
                }
            };
            let is_end = room == self.waiting.len() && upload.is_end_stream();
            if send.send_data(self.waiting.split_to(room), is_end).is_err() || is_end {
                self.sent = is_end;
                self.upload = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, data: Bytes) {
        let Some(kept) = &mut self.kept else { return };
        kept.push(data);
        if !self.keeps || kept.iter().map(Bytes::len).sum::<usize>() > MAX_KEPT {
            self.kept = None;
        }
    }

    /// Receives the response head. Interim responses go to `interim`, or are dropped.
    ///
    /// # Errors
    /// The stream or its connection ended or broke, or the head is not valid.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: Option<&InterimResponses>,
    ) -> Poll<Result<Http2Head, Http2Failure>> {
        let Some(response) = &mut self.response else { return Poll::Ready(Err(Failure::from(Kind::Internal).into())) };
        while let Poll::Ready(Some(Ok(head))) = response.poll_informational(cx) {
            // A 100 answers an expectation that the gateway never sends.
            if let (status @ 102..200, Some(interim)) = (head.status().as_u16(), interim) {
                interim.push(status, head.headers().into());
            }
        }
        let (head, body) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => {
                if error.is_go_away() {
                    self.place.connection().retire();
                }
                return Poll::Ready(Err(classify::http2_head(&error)));
            }
        };
        (self.response, self.kept) = (None, None);
        self.place.serves();
        if head.headers.len() > MAX_FIELDS {
            return Poll::Ready(Err(Failure::because(Kind::ResponseHeadersTooLarge, "too many header lines").into()));
        }
        self.remaining = length_of(&head.headers, head.status, method, &body)?;
        self.body = Some(body);
        Poll::Ready(Ok(Http2Head { status: head.status, headers: (&head.headers).into() }))
    }

    /// Receives the next data of the body, or its trailers. `None` at its end.
    ///
    /// # Errors
    /// The stream or its connection ended or broke within the body.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Failure>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
        let next = match ready!(body.poll_data(cx)) {
            Some(next) => next.map(|data| {
                self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
                // The next data is asked for only when this was taken, so what waits is bounded.
                let _ = body.flow_control().release_capacity(data.len());
                Some(Frame::data(data))
            }),
            None => ready!(body.poll_trailers(cx)).map(|trailers| trailers.map(Frame::trailers)),
        };
        Poll::Ready(match next {
            Ok(Some(frame)) => {
                if frame.is_trailers() {
                    self.body = None;
                }
                Ok(Some(frame))
            }
            Ok(None) => self.end(),
            // An endpoint that has answered completely may ask for no more of the request (RFC 9113 8.1).
            Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) && !self.sent => self.end(),
            Err(error) => Err(classify::http2_body(&error)),
        })
    }

    fn end(&mut self) -> Result<Option<Frame<Bytes>>, Failure> {
        self.body = None;
        match self.remaining {
            Some(0) | None => Ok(None),
            Some(_) => Err(Failure::because(Kind::ResponseIncomplete, "the body is shorter than its Content-Length")),
        }
    }

    /// Returns true if no more of the response follows.
    pub fn is_end_stream(&self) -> bool {
        self.response.is_none() && self.body.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    /// Returns the bounds of the rest of the body.
    pub fn size_hint(&self) -> SizeHint {
        match self.remaining {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}

/// Makes the request without its body. Fields that are specific to an HTTP/1 connection are not sent (RFC 9113 8.2.2), and `Host` becomes
/// `:authority`.
fn request_of(head: RequestHead<'_>, scheme: &str, upload: &Upload) -> Result<Request<()>, Failure> {
    let host = head.headers.get(header::HOST).map_or(&b""[..], Value::as_bytes);
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(head.target).build();
    let uri = uri.map_err(|error| Failure::because(Kind::BadRequest, format!("no `:authority` or `:path` for HTTP/2: {error}")))?;
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 1);
    for (name, value) in head.headers.iter().filter(|(name, _)| !is_of_connection(name.as_str())) {
        headers.append(name, value.to_header());
    }
    match upload.size_hint().exact() {
        Some(0) if !matches!(*head.method, Method::POST | Method::PUT | Method::PATCH) => {}
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        None => {}
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], Value::as_bytes);
    if Dialect::of_content_type(content_type) == Some(Dialect::Grpc) {
        // gRPC requires it, and the gateway forwards trailers whatever the client's connection is.
        headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    }
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (head.method.clone(), uri, headers);
    *request.version_mut() = Version::HTTP_2;
    Ok(request)
}

/// Returns true for `Host`, the length, which is announced anew, and the fields of an HTTP/1 connection.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
            | "te"
            | "http2-settings"
    )
}

/// Returns the announced length of the body.
fn length_of(headers: &HeaderMap, status: StatusCode, method: &Method, body: &RecvStream) -> Result<Option<u64>, Failure> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Failure::because(Kind::ResponseMalformed, "Transfer-Encoding in HTTP/2"));
    }
    if *method == Method::HEAD || matches!(status.as_u16(), 204 | 304) || body.is_end_stream() {
        return Ok(None);
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let number = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
    match (number, lengths.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(Failure::because(Kind::ResponseMalformed, "Content-Length is not one number")),
    }
}
