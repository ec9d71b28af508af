//! Cleans the failure of a gRPC call in headers or trailers: the status stays, the message passes the redactor.
//!
//! A status that blames the server gets a fixed message, as a 5xx does. Details are kept if their type is known and they are clean, and
//! dropped otherwise.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderName;
use http::header::HeaderValue;
use prost::Message as _;

use super::heads::guard_headers;
use crate::header::HeaderList;
use crate::policy::Mode;
use crate::redact::Redactor;
use crate::report::decode;
use crate::rpc::{self, Any, BadRequest, Details, ErrorInfo, FieldViolation, GRPC_DETAILS, GRPC_MESSAGE, GRPC_STATUS, RetryInfo, Status};
use crate::text::Untrusted;

/// Cleans the status of a call: a failure keeps its number, a value that is no number becomes UNKNOWN, and a success keeps no message
/// that leaks.
pub(super) fn tidy(headers: &mut HeaderList, redactor: &Redactor, mode: Mode) {
    if mode != Mode::Production {
        return;
    }
    let statuses: Vec<Option<u8>> = headers.get_all(GRPC_STATUS).map(|value| value.to_str().ok()?.trim().parse().ok()).collect();
    let failed = statuses.iter().find(|status| **status != Some(0)).copied();
    let sent = headers.get(GRPC_MESSAGE).map(|value| Untrusted::new(rpc::percent_decode(value.as_bytes())));
    let Some(status) = failed.map(|status| status.filter(|status| *status <= 16).unwrap_or(2)) else {
        if sent.is_some_and(|sent| redactor.leaks(sent.raw())) {
            headers.remove(GRPC_MESSAGE);
        }
        headers.remove(GRPC_DETAILS);
        return;
    };
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
    let blames_client = !matches!(status, 2 | 4 | 13 | 14 | 15);
    let clean = sent.as_ref().filter(|_| blames_client).and_then(|sent| redactor.clear(sent));
    let message = match (clean, &sent) {
        // Nothing was removed: the client reads the text as it was sent, with its line breaks.
        (Some(clean), Some(sent)) if sent.raw().split_ascii_whitespace().eq(clean.as_str().split_ascii_whitespace()) => {
            sent.raw().to_owned()
        }
        (Some(clean), _) => clean.as_str().to_owned(),
        (None, _) => word(status).to_owned(),
    };
    let details = headers.take(GRPC_DETAILS).filter(|_| blames_client).and_then(|value| kept_details(&value, status, &message, redactor));
    // The content of binary metadata is unknown, so a failure keeps none.
    headers.retain(|name| !name.as_str().ends_with("-bin"));
    guard_headers(headers, redactor);
    if let Ok(value) = HeaderValue::from_str(&rpc::percent_encode(&message)) {
        headers.insert(GRPC_MESSAGE, value);
    }
    if let Some(value) = details {
        headers.insert(GRPC_DETAILS, value);
    }
}

/// Returns the frame for the trailers at the end of a gRPC-Web body
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>: flags, a length, then lines). Trailers that say nothing unclean stay as
/// they are; a failed call replaces those that cannot be read, which are `None`, and compressed ones come uncompressed.
pub(super) fn tidy_web(frame: Option<Vec<u8>>, coding: Option<&str>, redactor: &Redactor, mode: Mode) -> Vec<u8> {
    let sent = frame.as_deref().and_then(|frame| web_lines(frame, coding));
    let mut headers = sent.clone().unwrap_or_default();
    if sent.is_none() {
        // Without a status the call has failed.
        headers.insert(GRPC_STATUS, HeaderValue::from_static("2"));
    }
    tidy(&mut headers, redactor, mode);
    guard_headers(&mut headers, redactor);
    if let Some(frame) = frame.filter(|frame| sent.as_ref() == Some(&headers) && frame[0] == rpc::WEB_TRAILERS) {
        return frame;
    }
    rpc::web_trailers(headers.iter().map(|(name, value)| (name, value.as_bytes())))
}

/// The flag of a compressed frame.
const WEB_COMPRESSED: u8 = 0x01;
/// The most bytes of trailers after they are uncompressed.
const MAX_WEB_TRAILERS: usize = 64 * 1024;

/// The lines of trailers. `None` if they cannot be read.
fn web_lines(frame: &[u8], coding: Option<&str>) -> Option<HeaderList> {
    let (head, content) = frame.split_at_checked(5)?;
    let content = match head[0] & WEB_COMPRESSED {
        0 => Cow::Borrowed(content),
        _ => Some(decode::uncode(content, coding, MAX_WEB_TRAILERS)).filter(|decoded| decoded.whole)?.bytes,
    };
    let mut headers = HeaderList::new();
    for line in content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon].trim_ascii().to_ascii_lowercase()).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(headers)
}

/// The fixed message of a status.
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

/// Keeps details of known types, each cleaned.
fn kept_details(value: &HeaderValue, status: u8, message: &str, redactor: &Redactor) -> Option<HeaderValue> {
    let bytes = STANDARD_NO_PAD.decode(value.as_bytes()).or_else(|_| STANDARD.decode(value.as_bytes())).ok()?;
    let decoded = Status::decode(bytes.as_slice()).ok()?;
    let mut kept = Details::default();
    decoded.details.iter().for_each(|detail| keep(detail, &mut kept, redactor));
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

    fn failed(status: u8, message: &str, details: Option<Details>) -> HeaderList {
        let mut headers = HeaderList::new();
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_str(&rpc::percent_encode(message)).unwrap());
        if let Some(details) = details {
            let status = Status { code: i32::from(status), message: message.into(), details: details.0 };
            headers.insert(GRPC_DETAILS, HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.encode_to_vec())).unwrap());
        }
        tidy(&mut headers, &Redactor::default(), Mode::Production);
        headers
    }

    fn message(headers: &HeaderList) -> String {
        rpc::percent_decode(headers.get(GRPC_MESSAGE).unwrap().as_bytes())
    }

    #[test]
    fn a_servers_fault_gets_a_fixed_message_and_a_clients_keeps_its_own() {
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
        let status = Status::decode(STANDARD_NO_PAD.decode(headers.get(GRPC_DETAILS).unwrap().as_bytes()).unwrap().as_slice()).unwrap();
        assert_eq!(status.details.len(), 1);
        assert_eq!(status.details[0].unpack::<BadRequest>().unwrap().field_violations, [violation("qty", "must be positive")]);
    }

    #[test]
    fn what_is_no_status_is_a_failure_and_success_keeps_no_leaks() {
        for status in ["300", "-1", "13.0", "x", ""] {
            let mut headers = HeaderList::new();
            headers.insert(GRPC_STATUS, HeaderValue::from_str(status).unwrap());
            headers.insert(GRPC_MESSAGE, HeaderValue::from_static("at com.acme.Order.find(Order.java:3)"));
            headers.insert(HeaderName::from_static("x-err-bin"), HeaderValue::from_static("YWJj"));
            tidy(&mut headers, &Redactor::default(), Mode::Production);
            assert_eq!(
                (headers.get(GRPC_STATUS).unwrap().to_str().unwrap(), message(&headers).as_str()),
                ("2", "The service had a problem."),
                "{status}"
            );
            assert!(!headers.contains("x-err-bin"));
        }
        let mut twice = HeaderList::new();
        twice.append(GRPC_STATUS, HeaderValue::from_static("0"));
        twice.append(GRPC_STATUS, HeaderValue::from_static("13"));
        tidy(&mut twice, &Redactor::default(), Mode::Production);
        assert_eq!(twice.get_all(GRPC_STATUS).collect::<Vec<_>>(), ["13"]);
        let mut fine = HeaderList::new();
        fine.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        fine.insert(GRPC_MESSAGE, HeaderValue::from_static("OK"));
        tidy(&mut fine, &Redactor::default(), Mode::Production);
        assert!(fine.get(GRPC_STATUS).unwrap() == "0" && fine.get(GRPC_MESSAGE).unwrap() == "OK");
    }

    fn web(flags: u8, content: &[u8], coding: Option<&str>) -> Vec<u8> {
        let frame = [&[flags], u32::try_from(content.len()).unwrap().to_be_bytes().as_slice(), content].concat();
        tidy_web(Some(frame), coding, &Redactor::default(), Mode::Production)
    }

    #[test]
    fn trailers_of_a_web_body_are_cleaned() {
        let clean = web(0x80, b"grpc-status:13\r\ngrpc-message:at com.acme.Order.find(Order.java:3)\r\n", None);
        assert_eq!(usize::from(clean[4]), clean.len() - 5);
        let text = String::from_utf8_lossy(&clean[5..]).into_owned();
        assert!(text.contains("grpc-status:13\r\n") && text.contains("The service had a problem.") && !text.contains("acme"), "{text}");
        let fine = b"Grpc-Status: 0\r\nX-Trace-Id: 7\r\n";
        assert_eq!(web(0x80, fine, None)[5..], fine[..], "clean trailers stay as they are");
        let failed = web(0x80, "grpc-status:5\ngrpc-message:주문이 없습니다\n".as_bytes(), None);
        assert!(String::from_utf8_lossy(&failed).contains(&rpc::percent_encode("주문이 없습니다")));
        let leaking = web(0x80, b"grpc-status:0\r\nx-debug:at com.acme.Order.find(Order.java:3)\r\n", None);
        assert_eq!(leaking[5..], b"grpc-status:0\r\n"[..]);
    }

    #[test]
    fn trailers_of_a_web_body_that_cannot_be_read_are_a_failure() {
        let failed = [b"\x80\0\0\0\x3b".as_slice(), b"grpc-status:2\r\ngrpc-message:The service had a problem.\r\n"].concat();
        let failed = [&failed[..4], &[(failed.len() - 5) as u8], &failed[5..]].concat();
        assert_eq!(tidy_web(None, None, &Redactor::default(), Mode::Production), failed);
        for content in [b"grpc-status".as_slice(), b"a b:c", b"\x1f\x8b\x08"] {
            assert_eq!(web(0x80, content, None), failed);
        }
        assert_eq!(web(0x81, b"\x1f\x8b\x08", Some("gzip")), failed);
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut coder, b"grpc-status:0\r\n").unwrap();
        assert_eq!(web(0x81, &coder.finish().unwrap(), Some("gzip")), b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    }
}
