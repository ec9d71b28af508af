//! What a gRPC peer says of a failure, in headers or trailers: the status stays its own, its words pass the redactor.
//!
//! A status that blames the server is told in the catalogue's words, as a 5xx is; details are kept where their type is known
//! and clean, and dropped where not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{HeaderMap, HeaderValue};
use prost::Message as _;

use crate::policy::Mode;
use crate::redact::Redactor;
use crate::rpc::{self, Any, BadRequest, Details, ErrorInfo, FieldViolation, GRPC_DETAILS, GRPC_MESSAGE, GRPC_STATUS, RetryInfo, Status};
use crate::text::Untrusted;

/// Makes a failed status fit to be seen. A status of 0, and a block without one, stay as they are.
pub(super) fn tidy(headers: &mut HeaderMap, redactor: &Redactor, mode: Mode) {
    let status = headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<u8>().ok());
    let Some(status) = status.filter(|status| *status != 0 && mode == Mode::Production) else { return };
    let blames_client = !matches!(status, 2 | 4 | 13 | 14 | 15) && status <= 16;
    let said = headers.get(GRPC_MESSAGE).map(|value| Untrusted::new(rpc::percent_decode(value.as_bytes())));
    let clean = said.as_ref().filter(|_| blames_client).and_then(|said| redactor.clear(said));
    let message = clean.map_or_else(|| word(status).to_owned(), |text| text.as_str().to_owned());
    let details = headers.remove(GRPC_DETAILS).filter(|_| blames_client).and_then(|value| kept_details(&value, status, &message, redactor));
    if let Ok(value) = HeaderValue::from_str(&rpc::percent_encode(&message)) {
        headers.insert(GRPC_MESSAGE, value);
    }
    if let Some(value) = details {
        headers.insert(GRPC_DETAILS, value);
    }
}

/// What a status says by itself.
const fn word(status: u8) -> &'static str {
    match status {
        1 => "The call was cancelled.",
        3 => "The request is not valid.",
        4 => "The service did not answer in time.",
        5 => "This was not found.",
        6 => "This exists already.",
        7 => "You are not allowed to do this.",
        8 => "A limit is used up.",
        9 => "The request does not fit the current state.",
        10 => "The call was aborted.",
        11 => "A value is out of range.",
        12 => "The service does not offer this.",
        14 => "The service is unavailable.",
        16 => "You need to sign in.",
        _ => "The service had a problem.",
    }
}

/// Details of known types, each cleaned.
fn kept_details(value: &HeaderValue, status: u8, message: &str, redactor: &Redactor) -> Option<HeaderValue> {
    let bytes = STANDARD_NO_PAD.decode(value.as_bytes()).or_else(|_| STANDARD.decode(value.as_bytes())).ok()?;
    let said = Status::decode(bytes.as_slice()).ok()?;
    let mut kept = Details::default();
    said.details.iter().for_each(|detail| keep(detail, &mut kept, redactor));
    if kept.0.is_empty() {
        return None;
    }
    let status = Status { code: i32::from(status), message: message.to_owned(), details: kept.0 };
    HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.encode_to_vec())).ok()
}

fn keep(detail: &Any, kept: &mut Details, redactor: &Redactor) {
    let clear = |text: &str| redactor.clear(&Untrusted::new(text)).map(|text| text.as_str().to_owned());
    if let Some(info) = detail.unpack::<ErrorInfo>() {
        if let Some(reason) = redactor.clear_code(&info.reason) {
            let sound = |text: &String| !redactor.leaks(text);
            let metadata = info.metadata.into_iter().filter(|(name, value)| sound(name) && sound(value)).collect();
            kept.add(&ErrorInfo { reason, domain: if redactor.leaks(&info.domain) { String::new() } else { info.domain }, metadata });
        }
    } else if let Some(bad) = detail.unpack::<BadRequest>() {
        let violations = bad.field_violations.into_iter().filter_map(|violation| {
            let reason = redactor.clear_code(&violation.reason).unwrap_or_default();
            Some(FieldViolation { field: redactor.clear_field(&violation.field)?, description: clear(&violation.description)?, reason })
        });
        kept.add(&BadRequest { field_violations: violations.collect() });
    } else if let Some(retry) = detail.unpack::<RetryInfo>() {
        kept.add(&retry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: u8, message: &str, details: Option<Details>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_str(&rpc::percent_encode(message)).unwrap());
        if let Some(details) = details {
            let status = Status { code: i32::from(status), message: message.into(), details: details.0 };
            headers.insert(GRPC_DETAILS, HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.encode_to_vec())).unwrap());
        }
        tidy(&mut headers, &Redactor::default(), Mode::Production);
        headers
    }

    fn message(headers: &HeaderMap) -> String {
        rpc::percent_decode(headers[GRPC_MESSAGE].as_bytes())
    }

    #[test]
    fn a_servers_fault_is_told_in_our_words_and_a_clients_in_theirs() {
        assert_eq!(
            message(&failed(13, "rpc error: dial tcp 10.20.30.40:5432: connect: connection refused", None)),
            "The service had a problem."
        );
        assert_eq!(message(&failed(5, "주문 7을 찾을 수 없습니다", None)), "주문 7을 찾을 수 없습니다");
        assert_eq!(message(&failed(5, "pq: relation \"orders\" does not exist", None)), "This was not found.");
    }

    #[test]
    fn details_are_kept_where_they_are_known_and_clean() {
        let mut details = Details::default();
        let violation = |field: &str, description: &str| FieldViolation {
            field: field.into(),
            description: description.into(),
            ..FieldViolation::default()
        };
        details.add(&BadRequest {
            field_violations: vec![violation("qty", "must be positive"), violation("sku", "at com.acme.Order.find(Order.java:3)")],
        });
        details.0.push(Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: b"stack".to_vec() });
        let headers = failed(3, "Not valid.", Some(details));
        let status = Status::decode(STANDARD_NO_PAD.decode(headers[GRPC_DETAILS].as_bytes()).unwrap().as_slice()).unwrap();
        assert_eq!(status.details.len(), 1);
        assert_eq!(status.details[0].unpack::<BadRequest>().unwrap().field_violations, [violation("qty", "must be positive")]);
    }

    #[test]
    fn success_is_left_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static("/srv/app"));
        tidy(&mut headers, &Redactor::default(), Mode::Production);
        assert_eq!(headers[GRPC_MESSAGE], "/srv/app");
    }
}
