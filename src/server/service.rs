//! The gateway's entry as hyper calls it, counting requests and answers for the guard and the clocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection_state::{Arriving, ConnectionState};
use crate::body::{Aborted, Body, Hold};
use crate::gateway::{Answering, Entry};

/// The gateway's entry, counting requests and answers for the guard.
pub(super) struct ConnectionService {
    pub(super) entry: Entry,
    pub(super) shared: Arc<ConnectionState>,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<CountedBody>;
    type Error = std::convert::Infallible;
    type Future = Counting;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        self.shared.called(version == Version::HTTP_2);
        let last = !self.entry.client.gateway.lifecycle.is_ready() || self.entry.client.surplus;
        // A stream of HTTP/2 has its body for itself.
        let has_body = version < Version::HTTP_2 && !request.body().is_end_stream();
        let hold = if has_body { Hold::new(Arriving::new(&self.shared)) } else { Hold::nothing() };
        let answer = self.entry.answer(request, hold);
        Counting { answer, version, last, count: Some(Count(Arc::clone(&self.shared))) }
    }
}

/// An answer on its way, counted.
pub(super) struct Counting {
    answer: Answering,
    version: Version,
    /// The connection ends after it.
    last: bool,
    /// Goes on with the body.
    count: Option<Count>,
}

impl Future for Counting {
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
        let mut response = response.map(|body| CountedBody { body, close_delimited, stream, handed: false, count });
        if this.last && !stream {
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

/// One answer under way; counted as finished when it is dropped.
struct Count(Arc<ConnectionState>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.finished();
    }
}

pub(super) struct CountedBody {
    body: Body,
    /// Only the connection's end shows the client where this body ends.
    close_delimited: bool,
    /// One of many on its connection.
    stream: bool,
    /// A frame was handed over and the next was not asked for: the client takes nothing.
    handed: bool,
    count: Option<Count>,
}

impl CountedBody {
    fn set_handed(&mut self, handed: bool) {
        if self.stream
            && self.handed != handed
            && let Some(count) = &self.count
        {
            self.handed = handed;
            count.0.stalled(handed);
        }
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.set_handed(false);
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self.get_mut();
        this.set_handed(false);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let (false, Poll::Ready(_), Some(count)) = (this.stream, &frame, &this.count) {
            count.0.set_unwritten(true);
        }
        this.set_handed(matches!(frame, Poll::Ready(Some(Ok(_)))));
        if let (true, Poll::Ready(Some(Err(_))), Some(count)) = (this.close_delimited, &frame, &this.count) {
            count.0.must_reset();
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
