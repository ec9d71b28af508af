//! An entry of the journal, as it is stored and shown: credentials are masked, and every part is bounded.
//!
//! Plain data; the stores keep it as JSON beside the columns that they search.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A time as milliseconds since 1970 (UTC).
pub type Millis = u64;

/// Returns the current time.
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(Millis::MAX))
}

/// Names and values of headers, in their order.
pub type Headers = Vec<(String, String)>;

/// One attempt to get a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEntry {
    /// The endpoint, as configured.
    pub endpoint: Option<String>,
    /// When it began, in microseconds from the arrival of the request.
    pub begin_us: u64,
    /// How long it took to get a connection, in microseconds.
    pub connect_us: u64,
    /// How long it took in all, in microseconds.
    pub took_us: u64,
    /// The status of the response.
    pub status: Option<u16>,
    /// The reason of the failure, as in `Proxy-Status`.
    pub reason: Option<String>,
}

/// A failed request.
///
/// A field that an older program did not write has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The id that the client was given.
    pub request_id: String,
    /// The trace, in hexadecimal digits.
    pub trace_id: Option<String>,
    /// When the request arrived.
    pub at: Millis,
    /// The time until its end, in microseconds.
    pub duration_us: u64,
    /// The time until the upstream's response head, in microseconds.
    pub upstream_us: Option<u64>,
    /// The address of the client.
    pub client: String,
    /// The method.
    pub method: String,
    /// The host that the client named.
    pub host: Option<String>,
    /// The path.
    pub path: String,
    /// The query, whose values are masked.
    pub query: Option<String>,
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: String,
    /// The headers that were sent to the upstream, or as they arrived if nothing was sent.
    pub request_headers: Headers,
    /// The beginning of the request's body, or what it is if it cannot be shown; `None` unless the journal keeps it.
    pub request_body: Option<String>,
    /// The body of the request is not complete.
    pub request_truncated: bool,
    /// The name of the route.
    pub route: String,
    /// The name of the backend.
    pub backend: String,
    /// The endpoint of the last attempt.
    pub endpoint: Option<String>,
    /// The attempts.
    pub attempts: Vec<AttemptEntry>,
    /// The status that the client got.
    pub status: u16,
    /// The status of the upstream.
    pub received: Option<u16>,
    /// The code that the client got.
    pub code: String,
    /// The reason, as in `Proxy-Status`; may be empty.
    pub reason: String,
    /// The cause of a failure of the gateway itself.
    pub cause: Option<String>,
    /// The headers of the upstream's response.
    pub upstream_headers: Headers,
    /// The body of the upstream's response.
    pub upstream_body: Option<String>,
    /// The body is not complete.
    pub upstream_truncated: bool,
    /// The class of the exception.
    pub exception: Option<String>,
    /// The message of the upstream.
    pub message: Option<String>,
    /// The stack trace.
    pub stack: Option<String>,
    /// The cause that the upstream reported.
    pub caused_by: Option<String>,
    /// The headers that the client got.
    pub answer_headers: Headers,
    /// The body that the client got.
    pub answer_body: Option<String>,
    /// The version of the configuration.
    pub config: String,
    /// The gateway that served the request, where several share a journal.
    pub gateway: String,
    /// Identifies the group, in 32 hexadecimal digits.
    pub fingerprint: String,
    /// The title of the group: what went wrong, in one line.
    pub title: String,
    /// It counts in its group, and is not kept, because only a share of entries is.
    #[serde(skip)]
    pub counted_only: bool,
}

impl Entry {
    /// Returns about how much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = [
            &self.request_id,
            &self.client,
            &self.method,
            &self.path,
            &self.route,
            &self.backend,
            &self.code,
            &self.title,
            &self.fingerprint,
        ];
        let maybe = [
            &self.query,
            &self.host,
            &self.endpoint,
            &self.cause,
            &self.request_body,
            &self.upstream_body,
            &self.exception,
            &self.message,
            &self.stack,
            &self.caused_by,
            &self.answer_body,
        ];
        let headers = [&self.request_headers, &self.upstream_headers, &self.answer_headers];
        let headers = headers.into_iter().flatten().map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>()).sum::<usize>();
        let texts = texts.iter().map(|text| text.len()).sum::<usize>() + maybe.into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + texts + headers + self.attempts.len() * 128
    }
}
