//! Checks the contract that each error response must keep (contract sections 1, 3, 5).

use super::Response;

/// Internals that test origins put into what they send: none may reach a client in production.
pub const MARKERS: &[&str] =
    &["com.acme", "OrderDao", "/srv/app", "hunter2", "10.20.30.40", "SELECT ", "leak-me", "Traceback", "db.corp.internal"];

/// Asserts everything that holds for any error response of any format in production; returns its code.
pub fn assert_contract(method: &str, response: &Response) -> String {
    for marker in MARKERS {
        assert!(!response.everything().contains(marker), "leaks {marker}: {response:?}");
    }
    if response.header("content-type").is_some_and(|value| value.contains("json")) && !response.body.is_empty() {
        assert!(response.json().get("debug").is_none(), "{response:?}");
    }
    assert_shape(method, response)
}

/// What holds for shapes that this file cannot read: nothing leaks, and the headers of every error are there.
pub fn assert_headers(response: &Response) {
    for marker in MARKERS {
        assert!(!response.everything().contains(marker), "leaks {marker}: {response:?}");
    }
    let context = format!("{response:?}");
    assert!(response.complete && response.all("x-request-id").len() == 1, "{context}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{context}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{context}");
    assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()), "{context}");
}

/// The same for both modes: development shows internals and has a `debug` object.
pub fn assert_shape(method: &str, response: &Response) -> String {
    let context = format!("{response:?}");
    assert!(response.status >= 400 && response.status < 600, "{context}");
    assert!(response.complete, "not complete: {context}");
    let id = response.header("x-request-id").unwrap_or_else(|| panic!("no request id: {context}"));
    assert_eq!(response.all("x-request-id").len(), 1, "{context}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{context}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{context}");
    assert_eq!(response.header("content-encoding"), None, "{context}");
    let canonical = http::StatusCode::from_u16(response.status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default();
    assert!(response.reason.is_empty() || response.reason == canonical, "reason phrase: {context}");
    if matches!(response.status, 429 | 503) {
        let seconds: u64 =
            response.header("retry-after").and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("no Retry-After: {context}"));
        assert!(seconds >= 1, "{context}");
    }
    let length: usize = response.header("content-length").and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("no length: {context}"));
    assert!(length > 0, "{context}");
    if method == "HEAD" {
        assert!(response.body.is_empty(), "{context}");
        return String::new();
    }
    assert_eq!(length, response.body.len(), "{context}");
    body(method, response, id)
}

fn body(method: &str, response: &Response, id: &str) -> String {
    let content_type = response.header("content-type").unwrap_or_default();
    if !content_type.contains("json") {
        assert!(response.text().contains(id), "no id in the body: {response:?}");
        return String::new();
    }
    let json = response.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (code, message, status, shown_id) = match content_type {
        "application/problem+json" => (&json["code"], &json["detail"], &json["status"], &json["requestId"]),
        _ if json["error"].is_object() => (&json["error"]["code"], &json["error"]["message"], &json["statusCode"], &json["requestId"]),
        _ => (&json["code"], &json["message"], &json["statusCode"], &json["requestId"]),
    };
    assert!(!text(message).trim().is_empty(), "empty message: {response:?}");
    assert!(!text(code).is_empty(), "empty code: {response:?}");
    assert_eq!(status.as_u64(), Some(u64::from(response.status)), "{response:?}");
    assert_eq!(text(shown_id), id, "{response:?}");
    if content_type == "application/json" {
        assert_eq!(text(&json["method"]), method, "{response:?}");
        assert!(text(&json["path"]).starts_with('/'), "{response:?}");
        let stamp = text(&json["timestamp"]);
        assert!(stamp.len() == 24 && stamp.ends_with('Z') && stamp.as_bytes()[19] == b'.', "{stamp}");
    }
    let members = ["/error/details/upstream", "/details/upstream", "/upstream"].into_iter().find_map(|at| json.pointer(at));
    let is_bounded = |members: &serde_json::Value| members.is_object() && members.to_string().len() <= 8 * 1024;
    assert!(members.is_none_or(|members| response.status < 500 && is_bounded(members)), "members of an upstream: {response:?}");
    text(code)
}
