//! The content of an error response, independent of the format in which it is rendered.
//!
//! A client may see everything in it. `render` turns it into bytes. This file knows nothing of formats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{Method, StatusCode};

use crate::context::RequestId;
use crate::failure::ViolatedPolicy;
use crate::policy::Details;
use crate::text::Text;

/// The content of an error response.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The HTTP status, 400..=599.
    pub status: StatusCode,
    /// The stable machine code, which is never translated.
    pub code: Cow<'static, str>,
    /// The human-readable message, which is never empty.
    pub message: Text,
    /// The negotiated language: that of the texts around the message on a page.
    pub negotiated_language: String,
    /// Whether `message` is in that language, because it is from the catalog. The upstream's may be in any.
    pub is_translated: bool,
    /// The errors of fields, sorted by their paths, and then those that belong to no field and say more than `message`.
    pub errors: Vec<Item>,
    /// The form in which `details` shows the errors.
    pub details: Details,
    /// The seconds to wait before a retry, at least 1.
    pub retry_after: Option<u64>,
    /// The exceeded limits.
    pub violated: Vec<ViolatedPolicy>,
    /// The upstream's problem type (RFC 9457 3.1.1), if it is a URI that may be shown.
    pub problem_type: Option<String>,
    /// Further members of the upstream's body, as a JSON object.
    pub upstream: Option<String>,
    /// The time of the error.
    pub timestamp: SystemTime,
    /// The request id, as in `X-Request-Id`.
    pub request_id: RequestId,
    /// The method of the request.
    pub method: Method,
    /// The path of the request, without its query.
    pub path: String,
    /// The gRPC status code: the upstream's, or the one that corresponds to `status`.
    pub grpc: u8,
    /// The `id` of the JSON-RPC call, as JSON, or `None` if the upstream's response has none.
    pub rpc_id: Option<String>,
    /// The debug output, in development mode only.
    pub debug: Option<Box<Debug>>,
}

/// One of several errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The path of the field (`address.zip`, `items[0].qty`), or `None` for an error of the whole request.
    pub field: Option<String>,
    /// The human-readable message, which is never empty.
    pub message: Text,
    /// The machine code of this error.
    pub code: Option<String>,
}

impl Envelope {
    /// Returns the language of `message` if it is from the catalog, or `None` if it is the upstream's.
    pub fn language(&self) -> Option<&str> {
        self.is_translated.then_some(self.negotiated_language.as_str())
    }

    /// Returns the messages of each field by its path.
    pub fn fields(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for item in &self.errors {
            if let Some(field) = &item.field {
                fields.entry(field).or_default().push(item.message.as_str());
            }
        }
        fields
    }

    /// Returns the errors that belong to no field.
    pub fn general_errors(&self) -> impl Iterator<Item = &Item> {
        self.errors.iter().filter(|item| item.field.is_none())
    }
}

/// The debug output of an error, for development mode.
#[derive(Clone, Debug, Default)]
pub struct Debug {
    /// The status of the upstream's response.
    pub upstream_status: Option<u16>,
    /// The name of the backend.
    pub backend: Option<String>,
    /// The URL of the endpoint.
    pub endpoint: Option<String>,
    /// The number of attempts.
    pub attempts: u32,
    /// The reason of the failure: an RFC 9209 token or the catalog's cause.
    pub reason: String,
    /// The class of the exception, or the detail of the failure if the upstream reported none.
    pub exception: Option<Text>,
    /// The stack trace.
    pub stack: Option<Text>,
    /// The cause that the upstream reported.
    pub cause: Option<Text>,
    /// The certainty of the parser of the upstream's body: `known`, `likeness` or `guess`.
    pub certainty: Option<&'static str>,
    /// The beginning of the upstream's body.
    pub body: Option<Text>,
}
