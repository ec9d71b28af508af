//! Translates a gRPC-Web call for a backend that speaks gRPC (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>): the content
//! types, the base64 of a request in the text form, and the head of the response. `relay` translates the response's body.
//!
//! Does not decode messages.

use std::task::{Context, Poll, ready};

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};

use super::payload::Payload;
use super::request::Request;
use crate::body::{Incoming, RequestBody};
use crate::context::Dialect;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value};
use crate::rpc;
use crate::upstream::attempt::{self, DispatchContext};
use crate::upstream::choose::backend::Backend;

/// The form of a gRPC-Web call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Binary,
    /// All of a body is base64.
    Text,
}

const GRPC: &[u8] = b"application/grpc";
const WEB: &[u8] = b"application/grpc-web";
const WEB_TEXT: &[u8] = b"application/grpc-web-text";

/// Returns the form of a gRPC-Web call.
pub(super) fn form(request: Request<'_>) -> Option<Form> {
    match request.context.wanted.dialect? {
        Dialect::GrpcWeb => Some(Form::Binary),
        Dialect::GrpcWebText => Some(Form::Text),
        Dialect::Grpc | Dialect::Soap11 | Dialect::Soap12 => None,
    }
}

/// Returns true if a call is translated: one to a backend that speaks HTTP/2, which gRPC needs. A backend that was not asked yet is.
pub(super) async fn is_translated(backend: &Backend, context: DispatchContext<'_>) -> bool {
    if backend.speaks_http2().is_none() {
        attempt::learn_version(backend, context).await;
    }
    backend.speaks_http2() == Some(true)
}

/// Translates a request.
///
/// # Errors
/// The body is not base64.
pub(super) fn request(form: Form, headers: &mut HeaderList, payload: Payload) -> Result<Payload, Failure> {
    let web = match form {
        Form::Binary => WEB,
        Form::Text => WEB_TEXT,
    };
    replace_type(headers, web, GRPC);
    headers.remove("x-grpc-web");
    headers.remove(header::ACCEPT);
    if form == Form::Binary {
        return Ok(payload);
    }
    headers.remove(header::CONTENT_LENGTH);
    let mut decoder = Decoder::default();
    Ok(match payload {
        Payload::Empty => Payload::Empty,
        Payload::Held(bytes) => {
            let mut decoded = decoder.push(&bytes)?;
            decoded.extend(decoder.finish()?);
            Payload::Held(decoded.into())
        }
        Payload::Streaming { before, body } => {
            let before = decoder.push(&before)?.into();
            Payload::Streaming { before, body: RequestBody::new(Decoded { body, decoder }) }
        }
    })
}

/// Translates the head of a response. Returns the status of a call that has nothing else, which a browser can read only in the body. `None`
/// if the response is none of gRPC.
#[allow(clippy::option_option, reason = "translated or not, and then with a status or not")]
pub(super) fn response(form: Form, headers: &mut HeaderList) -> Option<Option<HeaderMap>> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], Value::as_bytes);
    if Dialect::of_content_type(content_type) != Some(Dialect::Grpc) {
        return None;
    }
    let web = match form {
        Form::Binary => WEB,
        Form::Text => WEB_TEXT,
    };
    replace_type(headers, GRPC, web);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRAILER);
    let names = [rpc::GRPC_STATUS, rpc::GRPC_MESSAGE, rpc::GRPC_DETAILS];
    let moved: HeaderMap = names.into_iter().filter_map(|name| headers.take(&name).map(|value| (name, value))).collect();
    Some(moved.contains_key(rpc::GRPC_STATUS).then_some(moved))
}

/// Replaces the begin of the content type, and keeps the format of the messages behind it.
fn replace_type(headers: &mut HeaderList, from: &[u8], to: &[u8]) {
    let sent = headers.get(header::CONTENT_TYPE).map_or(&b""[..], Value::as_bytes);
    let replaced = [to, sent.get(from.len()..).unwrap_or_default()].concat();
    // A part of a valid value is put behind a constant.
    let _ = headers.try_insert(header::CONTENT_TYPE, &replaced);
}

/// Base64 with or without padding, in one or several pieces.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// The number of characters that encode three bytes.
const GROUP: usize = 4;

/// Decodes base64 that arrives in parts.
#[derive(Debug, Default)]
struct Decoder {
    /// The characters of an incomplete group.
    group: Vec<u8>,
}

impl Decoder {
    fn push(&mut self, part: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::with_capacity(part.len() / GROUP * 3 + 3);
        for &byte in part.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            self.group.push(byte);
            if self.group.len() == GROUP {
                out.extend(self.finish()?);
            }
        }
        Ok(out)
    }

    /// Decodes the last group, which may be incomplete without padding.
    fn finish(&mut self) -> Result<Vec<u8>, Failure> {
        let decoded = BASE64.decode(&self.group);
        self.group.clear();
        decoded.map_err(|error| Failure::because(Kind::BadRequest, format!("the gRPC-Web body is not base64: {error}")))
    }
}

/// The body of a request in the text form, decoded as it arrives.
struct Decoded {
    body: RequestBody,
    decoder: Decoder,
}

impl Incoming for Decoded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            let decoded = match ready!(self.body.poll_frame(cx)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.decoder.push(&data)?,
                None if self.decoder.group.is_empty() => return Poll::Ready(None),
                // Trailers end the body, too.
                Some(Err(_)) | None => self.decoder.finish()?,
            };
            if !decoded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(decoded.into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.decoder.group.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }

    fn waits_for_peer(&self) -> bool {
        self.body.waits_for_peer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn base64_decodes_alike_however_it_is_cut(pieces in proptest::collection::vec(proptest::collection::vec(0u8.., 0..40), 0..4), cut in 1usize..9) {
            let encoded: String = pieces.iter().map(|piece| base64::engine::general_purpose::STANDARD.encode(piece)).collect();
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            for part in encoded.as_bytes().chunks(cut) {
                decoded.extend(decoder.push(part).unwrap());
            }
            decoded.extend(decoder.finish().unwrap());
            proptest::prop_assert_eq!(decoded, pieces.concat());
        }
    }
}
