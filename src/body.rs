//! The one response body type: nothing, bytes that are there, or a flow from an upstream.
//!
//! It tells a witness how the sending ended, so that every visit is recorded exactly once. It knows nothing of relaying
//! or of logs.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::data_rate::MinRate;
use crate::header;

/// The answer was cut on purpose: the protocol must show the client that it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response aborted")]
pub struct Aborted;

impl From<Infallible> for Aborted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body that arrives while it is sent. Implemented by the relay.
pub trait Flow: Send {
    /// The next chunk or the trailers.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>>;
    /// True when nothing more will come.
    fn is_end_stream(&self) -> bool;
    /// What is known of the length.
    fn size_hint(&self) -> SizeHint;
}

/// Learns how a ready answer was sent; dropped without `sent` when the client left first.
pub trait Witness: Send {
    /// All bytes were handed to the connection.
    fn sent(&mut self, bytes: u64);
}

/// Lives as long as a request's body is on its way, whoever has it: the connection may not be taken for idle meanwhile.
pub struct Hold(Option<Box<dyn Send + Sync>>);

impl Hold {
    /// Holds something until it is dropped.
    pub fn new(what: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(what)))
    }

    /// Holds nothing.
    pub const fn nothing() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Hold").field(&self.0.is_some()).finish()
    }
}

/// The response body.
pub enum Body {
    /// Bytes that are there (or none), with their witness.
    Ready {
        /// What is left to send.
        bytes: Option<Bytes>,
        /// Who learns of the end.
        witness: Option<Box<dyn Witness>>,
    },
    /// Bytes that arrive.
    Stream {
        /// Where they come from.
        flow: Box<dyn Flow>,
        /// The least rate at which the client must take them.
        min_rate: MinRate,
    },
}

impl Body {
    /// The least rate at which the client must take it.
    pub const fn min_rate(&self) -> MinRate {
        match self {
            Self::Ready { .. } => None,
            Self::Stream { min_rate, .. } => *min_rate,
        }
    }

    /// A body of these bytes.
    pub fn ready(bytes: impl Into<Bytes>, witness: Option<Box<dyn Witness>>) -> Self {
        let bytes = bytes.into();
        Self::Ready { bytes: (!bytes.is_empty()).then_some(bytes), witness }.settled()
    }

    /// A body without bytes is never polled by hyper: its witness hears of the end now.
    fn settled(mut self) -> Self {
        if let Self::Ready { bytes: None, witness } = &mut self
            && let Some(mut witness) = witness.take()
        {
            witness.sent(0);
        }
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Ready { bytes, witness } => Poll::Ready(bytes.take().map(|bytes| {
                if let Some(mut witness) = witness.take() {
                    witness.sent(bytes.len() as u64);
                }
                Ok(Frame::data(bytes))
            })),
            Self::Stream { flow, .. } => flow.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ready { bytes, .. } => bytes.is_none(),
            Self::Stream { flow, .. } => flow.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream { flow, .. } => flow.size_hint(),
        }
    }
}

/// Drops what may not pass, by name or because `leaks` says so of the value; `None` when nothing is left.
pub fn filter_trailers(mut trailers: HeaderMap, leaks: impl Fn(&str) -> bool) -> Option<HeaderMap> {
    let bad = |name: &http::HeaderName, value: &http::HeaderValue| {
        !header::keep_trailer(name) || leaks(&String::from_utf8_lossy(value.as_bytes()))
    };
    let dropped: Vec<_> = trailers.iter().filter(|(name, value)| bad(name, value)).map(|(name, _)| name.clone()).collect();
    for name in dropped {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}
