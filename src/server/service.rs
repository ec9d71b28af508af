//! The gateway's entry as hyper calls it, counting requests and answers for the guard and the clocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower::Service as _;

use super::guard::Shared;
use crate::body::{Aborted, Body};
use crate::gateway::Entry;

/// The gateway's entry, counting requests and answers for the guard.
pub(super) struct Counted {
    pub(super) entry: Entry,
    pub(super) shared: Arc<Shared>,
}

impl hyper::service::Service<Request<Incoming>> for Counted {
    type Response = Response<CountedBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        self.shared.called(version == Version::HTTP_2);
        let mut entry = self.entry.clone();
        let count = Count(Arc::clone(&self.shared));
        Box::pin(async move {
            let last = !entry.gateway.lifecycle.is_ready() || entry.client.surplus;
            let answered = entry.call(request).await;
            answered.map(|response| {
                let mut response = response.map(|body| CountedBody {
                    body,
                    close_delimited: version == Version::HTTP_10,
                    stream: version == Version::HTTP_2,
                    handed: false,
                    count,
                });
                if last && version < Version::HTTP_2 {
                    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
                }
                response
            })
        })
    }
}

/// One answer under way; counted as finished when it is dropped.
struct Count(Arc<Shared>);

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
    count: Count,
}

impl CountedBody {
    fn set_handed(&mut self, handed: bool) {
        if self.stream && self.handed != handed {
            self.handed = handed;
            self.count.0.stalled(handed);
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
        this.set_handed(matches!(frame, Poll::Ready(Some(Ok(_)))));
        if this.close_delimited && matches!(frame, Poll::Ready(Some(Err(_)))) {
            this.count.0.must_reset();
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
