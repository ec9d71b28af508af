//! hyper's service: calls the gateway, and counts requests and responses for the socket and the clocks.
//!
//! Knows nothing of how a request is answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection_state::{ConnectionState, RequestBodyGuard};
use crate::body::{Aborted, Body, RequestBody};
use crate::failure::{Failure, classify};
use crate::gateway::{Answering, Entry};

/// Calls the gateway and counts requests and responses.
pub(super) struct ConnectionService {
    pub(super) entry: Entry,
    pub(super) shared: Arc<ConnectionState>,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<CountedBody>;
    type Error = std::convert::Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        self.shared.called(version == Version::HTTP_2);
        let last = !self.entry.client.gateway.lifecycle.is_ready() || self.entry.client.surplus;
        // Only HTTP/1 counts its bodies: an HTTP/2 stream's body does not hold up the connection.
        let has_body = version < Version::HTTP_2 && !request.body().is_end_stream();
        let guard = has_body.then(|| RequestBodyGuard::new(&self.shared));
        let answer = self.entry.answer(request.map(|body| match body.is_end_stream() {
            true => RequestBody::empty(),
            false => RequestBody::new(HyperBody { guard, body }),
        }));
        ResponseFuture { answer, version, last, count: Some(ResponseGuard(Arc::clone(&self.shared))) }
    }
}

/// A request's body that hyper reads.
struct HyperBody {
    /// Held until the body was read completely.
    guard: Option<RequestBodyGuard>,
    body: Incoming,
}

impl crate::body::Incoming for HyperBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.body.is_end_stream() || frame.is_none() {
            self.guard = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| classify::request_body(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The future of a response.
pub(super) struct ResponseFuture {
    answer: Answering,
    version: Version,
    /// The connection ends after this response.
    last: bool,
    /// Passed on to the response's body.
    count: Option<ResponseGuard>,
}

impl Future for ResponseFuture {
    type Output = Result<Response<CountedBody>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Ok(response) = std::task::ready!(this.answer.as_mut().poll(cx));
        let (close_delimited, stream) = (this.version == Version::HTTP_10, this.version == Version::HTTP_2);
        let count = this.count.take();
        if let Some(count) = count.as_ref().filter(|_| !stream) {
            count.0.set_unwritten(true);
            count.0.set_min_rate(response.body().min_rate());
        }
        let mut response = response.map(|body| CountedBody { body, close_delimited, stream, is_stalled: false, count });
        if this.last && !stream {
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

/// Counts a response as finished when dropped.
struct ResponseGuard(Arc<ConnectionState>);

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.finished();
    }
}

/// A response body that reports its progress to the connection.
pub(super) struct CountedBody {
    body: Body,
    /// The body may end with the connection instead of a framing of its own (HTTP/1.0).
    close_delimited: bool,
    /// The body belongs to an HTTP/2 stream.
    stream: bool,
    /// A frame was returned and the next one not polled yet: the client is not reading.
    is_stalled: bool,
    count: Option<ResponseGuard>,
}

impl CountedBody {
    fn set_stalled(&mut self, is_stalled: bool) {
        if self.stream
            && self.is_stalled != is_stalled
            && let Some(count) = &self.count
        {
            self.is_stalled = is_stalled;
            count.0.stalled(is_stalled);
        }
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.set_stalled(false);
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self.get_mut();
        this.set_stalled(false);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let (false, Poll::Ready(_), Some(count)) = (this.stream, &frame, &this.count) {
            count.0.set_unwritten(true);
        }
        this.set_stalled(matches!(frame, Poll::Ready(Some(Ok(_)))));
        if let (true, Poll::Ready(Some(Err(_))), Some(count)) = (this.close_delimited, &frame, &this.count) {
            count.0.set_reset();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
