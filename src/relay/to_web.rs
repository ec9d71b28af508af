//! Turns the body of a gRPC response into one of gRPC-Web (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>): the messages are
//! framed alike, and the trailers become the last frame. In the text form, each piece is base64 by itself.
//!
//! Knows nothing of what trailers say.

use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};

use crate::body::{Aborted, Flow};
use crate::rpc;

/// The body of a gRPC response as gRPC-Web.
pub struct ToWeb {
    flow: Box<dyn Flow>,
    is_text: bool,
    /// What is sent as the trailers if the body has none.
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl ToWeb {
    /// Turns `flow` into gRPC-Web, which is base64 if `is_text`. `trailers` are those of a response that has only a head.
    pub fn new(flow: Box<dyn Flow>, is_text: bool, trailers: Option<HeaderMap>) -> Self {
        Self { flow, is_text, trailers, ended: false }
    }

    fn encode(&self, data: Bytes) -> Frame<Bytes> {
        Frame::data(if self.is_text { STANDARD.encode(&data).into() } else { data })
    }

    /// Ends the body with these trailers, or with those of its head. Without either, the call has failed.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Frame<Bytes> {
        self.ended = true;
        let unknown = || HeaderMap::from_iter([(rpc::GRPC_STATUS, HeaderValue::from_static("2"))]);
        let trailers = trailers.or_else(|| self.trailers.take()).unwrap_or_else(unknown);
        let frame = rpc::web_trailers(trailers.iter().map(|(name, value)| (name, value.as_bytes())));
        self.encode(frame.into())
    }
}

impl Flow for ToWeb {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.flow.poll_frame(cx)).transpose() {
            Err(aborted) => Some(Err(aborted)),
            Ok(None) => Some(Ok(self.end(None))),
            Ok(Some(frame)) => Some(Ok(match frame.into_data() {
                Ok(data) => self.encode(data),
                Err(frame) => self.end(frame.into_trailers().ok()),
            })),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
