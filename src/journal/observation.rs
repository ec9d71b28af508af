//! What a failed request hands over to the journal: owned values as they were, not masked yet.
//!
//! Plain data. Making one must cost a request no more than moves.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Uri, Version};

use crate::body::Excerpt;
use crate::context::{RequestId, TraceId};
use crate::failure::Kind;
use crate::header::HeaderList;
use crate::report::Report;

/// One attempt to get a response.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The endpoint, as configured; `None` if none was available.
    pub endpoint: Option<Arc<str>>,
    /// When it began, from the arrival of the request.
    pub begin: Duration,
    /// How long it took to get a connection; zero for one that was open.
    pub connect: Duration,
    /// How long it took in all.
    pub took: Duration,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// Why it failed.
    pub kind: Option<Kind>,
}

/// What the upstream said.
#[derive(Debug, Default)]
pub struct Said {
    /// The headers of its response.
    pub headers: HeaderList,
    /// The decoded body.
    pub body: String,
    /// The body is not complete.
    pub truncated: bool,
    /// What was read of the body; `None` if nobody has read it yet.
    pub report: Option<Report>,
}

/// What the client got.
#[derive(Debug, Default)]
pub struct Told {
    /// The headers.
    pub headers: HeaderList,
    /// The body. Shares the memory of the response.
    pub body: Bytes,
}

/// A request that failed.
#[derive(Debug)]
pub struct Observation {
    /// Its id.
    pub id: RequestId,
    /// Its trace.
    pub trace: Option<TraceId>,
    /// When it arrived.
    pub at: SystemTime,
    /// The time until its end.
    pub took: Duration,
    /// The time until the upstream's response head.
    pub upstream_time: Option<Duration>,
    /// Who asked.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The host that the client named, as bytes of a header value.
    pub host: Option<Box<[u8]>>,
    /// The protocol.
    pub version: Version,
    /// The headers that were sent to the upstream, or as they arrived if the request was rejected before.
    pub headers: HeaderList,
    /// The beginning of the request's body, if that is kept.
    pub body: Option<Arc<Excerpt>>,
    /// The name of the route.
    pub route: Arc<str>,
    /// The name of the backend.
    pub backend: Arc<str>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Arc<str>>,
    /// The attempts, in the order in which they began.
    pub attempts: Vec<Attempt>,
    /// The kind of the failure.
    pub kind: Kind,
    /// The code that the client got.
    pub code: Cow<'static, str>,
    /// The status that the client got; 499 if it had left.
    pub status: u16,
    /// The status of the upstream.
    pub received: Option<u16>,
    /// The cause of the failure, with masked credentials.
    pub cause: Option<Box<str>>,
    /// What the upstream said.
    pub said: Option<Box<Said>>,
    /// What the client got.
    pub told: Option<Box<Told>>,
    /// The version of the configuration.
    pub config: Arc<str>,
}

impl Observation {
    /// Returns about how much memory it holds, in bytes.
    pub fn size(&self) -> usize {
        let headers = |list: &HeaderList| list.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len() + 32).sum::<usize>();
        let said = self.said.as_ref().map_or(0, |said| said.body.capacity() + headers(&said.headers));
        let told = self.told.as_ref().map_or(0, |told| told.body.len() + headers(&told.headers));
        let body = self.body.as_ref().map_or(0, |body| body.max());
        size_of::<Self>() + headers(&self.headers) + body + said + told + self.attempts.capacity() * size_of::<Attempt>()
    }
}
