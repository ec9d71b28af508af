//! hyper's service for the streams of an HTTP/2 connection: calls the gateway, and counts requests and responses for the clock.
//!
//! Knows nothing of how a request is answered.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::state::ConnectionState;
use super::{head, websocket};
use crate::body::{Aborted, Body, RequestBody};
use crate::context::ClientPreferences;
use crate::failure::{Failure, Kind, classify};
use crate::gateway::{Answering, ClientRequest, Early, Entry};
use crate::header::HeaderList;
use crate::http1::target::Target;

/// Calls the gateway, and counts requests and responses.
pub(super) struct Service {
    pub(super) entry: Entry,
    pub(super) state: Arc<ConnectionState>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.state.called();
        let (mut parts, body) = request.into_parts();
        let violated = head::violation(&parts.headers).map(|rule| Failure::because(Kind::BadRequest, rule));
        let upgrade = match violated.map_or_else(|| websocket::translate(&mut parts), Err) {
            Ok(upgrade) => upgrade.map(|stream| Box::new((stream, self.entry.clone()))),
            Err(failure) => {
                let early = Early { failure, method: parts.method, uri: parts.uri, wanted: ClientPreferences::default() };
                return self.response(self.entry.refuse(early), None);
            }
        };
        let answer = self.entry.answer(ClientRequest {
            method: parts.method,
            target: Target { uri: parts.uri, raw_query: None },
            version: parts.version,
            headers: HeaderList::from(&parts.headers),
            body: if body.is_end_stream() { RequestBody::empty() } else { RequestBody::new(StreamBody(body)) },
        });
        self.response(answer, upgrade)
    }
}

impl Service {
    fn response(&self, answer: Answering, upgrade: Option<Box<(OnUpgrade, Entry)>>) -> ResponseFuture {
        ResponseFuture { answer, upgrade, count: Some(ResponseGuard(Arc::clone(&self.state))) }
    }
}

/// The body of a request.
struct StreamBody(Incoming);

impl crate::body::Incoming for StreamBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(|error| classify::request_body(&error))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The future of a response.
pub(super) struct ResponseFuture {
    answer: Answering,
    /// The stream of an extended CONNECT, once it is accepted.
    upgrade: Option<Box<(OnUpgrade, Entry)>>,
    /// Passed on to the response's body, or to the tunnel.
    count: Option<ResponseGuard>,
}

impl Future for ResponseFuture {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Ok(mut answer) = std::task::ready!(this.answer.as_mut().poll(cx));
        let mut count = this.count.take();
        let (status, headers) = match this.upgrade.take() {
            Some(upgrade) => {
                let (stream, entry) = *upgrade;
                let held = count.take_if(|_| answer.tunnel.is_some());
                websocket::accept(&mut answer, stream, &entry, held)
            }
            None => (answer.status, (&answer.headers).into()),
        };
        let mut response = Response::new(CountedBody { body: answer.body, is_stalled: false, count });
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
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
    /// A frame was returned and the next one not polled yet: the client is not reading.
    is_stalled: bool,
    count: Option<ResponseGuard>,
}

impl CountedBody {
    fn set_stalled(&mut self, is_stalled: bool) {
        if self.is_stalled != is_stalled
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
        this.set_stalled(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
