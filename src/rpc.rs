//! The wire types of gRPC errors: header names, message encoding, and the `google.rpc` types of error details
//! (<https://cloud.google.com/apis/design/errors#error_model>). Plain data; knows nothing of how errors are parsed and rendered.

use http::HeaderName;
use prost::{Message, Name};

/// The status code of a call.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The error message of a call, percent-encoded.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The error details of a call: a `google.rpc.Status` in base64.
pub const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// The same as `grpc-status`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The same as `grpc-message`.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed details.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// `type.googleapis.com/PACKAGE.NAME`
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.ErrorInfo`
#[derive(Clone, PartialEq, Message)]
pub struct ErrorInfo {
    /// The machine code.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// The service or domain that defines the code.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// Additional values by name.
    #[prost(map = "string, string", tag = "3")]
    pub metadata: std::collections::HashMap<String, String>,
}

/// `google.rpc.RequestInfo`
#[derive(Clone, PartialEq, Message)]
pub struct RequestInfo {
    /// The id of the request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Opaque data of the service.
    #[prost(string, tag = "2")]
    pub serving_data: String,
}

/// `google.rpc.BadRequest`
#[derive(Clone, PartialEq, Message)]
pub struct BadRequest {
    /// The field errors.
    #[prost(message, repeated, tag = "1")]
    pub field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`
#[derive(Clone, PartialEq, Message)]
pub struct FieldViolation {
    /// The path of the field.
    #[prost(string, tag = "1")]
    pub field: String,
    /// The error message.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The machine code of the error.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Message)]
pub struct RetryInfo {
    /// The time to wait before a retry.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Duration {
    /// The whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The remaining nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RetryInfo {
    /// Returns a delay of this many seconds.
    pub fn after(seconds: u64) -> Self {
        Self { retry_delay: Some(Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }) }
    }
}

macro_rules! impl_name {
    ($($type:ident),*) => {
        $(impl Name for $type {
            const NAME: &'static str = stringify!($type);
            const PACKAGE: &'static str = "google.rpc";

            fn type_url() -> String {
                format!("type.googleapis.com/{}.{}", Self::PACKAGE, Self::NAME)
            }
        })*
    };
}

impl_name!(ErrorInfo, RequestInfo, BadRequest, RetryInfo);

impl Any {
    /// Decodes the message if it has the type `T`.
    pub fn unpack<T: Message + Name + Default>(&self) -> Option<T> {
        let local = self.type_url.rsplit('/').next()?;
        (local == T::full_name()).then(|| T::decode(self.value.as_slice()).ok()).flatten()
    }
}

/// A list of details.
#[derive(Debug, Default)]
pub struct Details(pub Vec<Any>);

impl Details {
    /// Adds a detail.
    pub fn add<T: Message + Name>(&mut self, detail: &T) {
        self.0.push(Any { type_url: T::type_url(), value: detail.encode_to_vec() });
    }
}

/// The flag of uncompressed trailers in a gRPC-Web body.
pub const WEB_TRAILERS: u8 = 0x80;

/// Writes the trailers at the end of a gRPC-Web body: flags, a length, then lines
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).
pub fn web_trailers<'l>(trailers: impl Iterator<Item = (&'l HeaderName, &'l [u8])>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(&[name.as_str().as_bytes(), b":", value, b"\r\n"].concat());
    }
    // Header lists are far below 4 GiB.
    let length = u32::try_from(lines.len()).unwrap_or_default().to_be_bytes();
    [&[WEB_TRAILERS], length.as_slice(), lines.as_slice()].concat()
}

/// Encodes a `grpc-message`: printable ASCII except `%` as it is, everything else as percent-encoded UTF-8.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Decodes percent escapes, as in `grpc-message`. Invalid escapes remain, and invalid UTF-8 is replaced with U+FFFD.
pub fn percent_decode(value: &[u8]) -> String {
    let hex = |at: usize| {
        value.get(at..at + 2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        match (value[at], hex(at + 1)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                at += 3;
            }
            (byte, _) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_round_trip() {
        let mut details = Details::default();
        details.add(&ErrorInfo { reason: "E1".into(), ..ErrorInfo::default() });
        assert_eq!(details.0[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(details.0[0].unpack::<ErrorInfo>().map(|info| info.reason).as_deref(), Some("E1"));
        assert_eq!(details.0[0].unpack::<BadRequest>(), None);
    }

    proptest::proptest! {
        #[test]
        fn messages_round_trip(text in "\\PC{0,60}") {
            let encoded = percent_encode(&text);
            proptest::prop_assert!(encoded.bytes().all(|b| (b' '..=b'~').contains(&b)));
            proptest::prop_assert_eq!(percent_decode(encoded.as_bytes()), text);
        }
    }
}
