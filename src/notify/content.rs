//! A message as the body of a request, in the form of its notifier; and its signature.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use ring::hmac;

use super::message::Message;
use super::settings::Form;
use super::{chat, sentry};

/// Identifies a message, so that a receiver takes one that is sent again only once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// When the request was signed, in seconds since 1970.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("lockgate-timestamp");
/// `v1=` and the HMAC-SHA256 of the timestamp, a dot and the body, in hexadecimal digits.
pub const SIGNATURE: HeaderName = HeaderName::from_static("lockgate-signature");

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// Returns the body for a message.
pub fn content(form: &Form, message: &Message) -> Content {
    let json = |value: serde_json::Value| Content { content_type: "application/json", body: value.to_string().into() };
    match form {
        Form::Slack => json(chat::slack(message)),
        Form::Teams => json(chat::teams(message)),
        Form::Discord => json(chat::discord(message)),
        Form::Webhook { template: None, secret: _ } => json(message.json()),
        Form::Webhook { template: Some(template), secret: _ } => {
            Content { content_type: template.content_type(), body: template.render(message).into() }
        }
        Form::Sentry => Content { content_type: sentry::CONTENT_TYPE, body: sentry::envelope(message).into() },
    }
}

/// Returns the headers that a request has beside those of its body. `now` is in seconds since 1970: a request that is sent again is
/// signed again, so that its receiver may refuse old ones.
pub fn headers(form: &Form, id: &str, body: &[u8], now: u64) -> Vec<(HeaderName, HeaderValue)> {
    let Form::Webhook { secret, template: _ } = form else { return Vec::new() };
    let mut headers = Vec::new();
    // An id has hexadecimal digits only.
    headers.extend(HeaderValue::from_str(id).ok().map(|id| (IDEMPOTENCY_KEY, id)));
    headers.push((TIMESTAMP, HeaderValue::from(now)));
    let signature = secret.as_ref().map(|secret| signature(secret.reveal(), now, body));
    headers.extend(signature.and_then(|text| HeaderValue::from_str(&text).ok()).map(|value| (SIGNATURE, value)));
    headers
}

/// Signs a body (RFC 2104).
fn signature(secret: &str, now: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(now.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let digits: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_other_programs() {
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(signature("key", 1_700_000_000, b"{\"a\":1}"), expected);
    }
}
