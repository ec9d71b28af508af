//! Writes an occurrence as a case for `lockgate test`: the request, what the upstream did, and what the client got.
//!
//! Pure functions of an entry. A case needs an upstream that did something: what the gateway rejected before it asked one has none, because
//! nothing that an upstream does would repeat it. `docs/how-to/test-your-contract.md` describes the file.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::body::Body;
use crate::failure::Kind;
use crate::journal::Entry;
use crate::redact::Redactor;
use crate::write::toml_string as string;

/// The most texts of a case that must not reach the client.
const MAX_ABSENT: usize = 6;
/// The most of an upstream's body in a case, in bytes.
const MAX_BODY: usize = 32 * 1024;
/// A body of which a fault sends the first half, for one that the journal does not keep.
const SOME_BODY: &str = "The beginning of a response that does not come to its end.";
/// What a request line cannot hold, and a mask may have decoded.
const NOT_IN_A_TARGET: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Headers of a request that decide the form of an error.
const DECIDING: [&str; 4] = ["accept", "accept-language", "content-type", "x-requested-with"];
/// Headers of a response that the network sets.
const OF_CONNECTION: [&str; 6] = ["content-length", "transfer-encoding", "connection", "date", "content-encoding", "keep-alive"];

/// What the upstream does to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It answers with a status.
    Answers(u16),
    /// It has a fault, by its word.
    Fails(&'static str),
    /// It answers with a status, and has a fault within the body.
    Breaks(u16, &'static str),
}

/// Returns the word of the fault by which an upstream causes a failure before its response; `None` for what it does not cause so.
const fn fault(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::DnsError
        | Kind::DnsTimeout
        | Kind::Unroutable
        | Kind::Prohibited
        | Kind::ConnectionRefused
        | Kind::ConnectTimeout
        | Kind::TlsProtocol
        | Kind::TlsCertificate
        | Kind::TlsAlert
        | Kind::ConnectionLost
        | Kind::ResponseIncomplete
        | Kind::ResponseMalformed
        | Kind::ResponseCoding
        | Kind::ResponseHeadersTooLarge
        | Kind::ResponseHeaderTooLarge
        | Kind::ResponseTimeout
        | Kind::TotalTimeout
        | Kind::UploadTimeout
        | Kind::Overloaded => Some(kind.row().reason),
        Kind::StreamRefused => Some("stream_refused"),
        Kind::NoEndpoint => Some("destination_unavailable"),
        Kind::UpstreamError
        | Kind::UpstreamBadGateway
        | Kind::UpstreamUnavailable
        | Kind::UpstreamGatewayTimeout
        | Kind::UpstreamRateLimited
        | Kind::Duplicate
        | Kind::Reference
        | Kind::UpstreamClientError
        | Kind::ShuttingDown
        | Kind::Maintenance
        | Kind::Responded
        | Kind::Denied
        | Kind::Unauthorized
        | Kind::AuthRefused
        | Kind::AuthUnavailable
        | Kind::RateLimited
        | Kind::RouteNotFound
        | Kind::MethodNotAllowed
        | Kind::BadRequest
        | Kind::PayloadTooLarge
        | Kind::UriTooLong
        | Kind::HeadersTooLarge
        | Kind::RequestTimeout
        | Kind::ExpectationFailed
        | Kind::CodingNotSupported
        | Kind::UpgradeNotPermitted
        | Kind::WebSocketVersion
        | Kind::LoopDetected
        | Kind::ClientClosed
        | Kind::Internal => None,
    }
}

/// Returns the fault of an attempt with this reason.
fn fault_of_attempt(reason: &str) -> Option<&'static str> {
    Kind::ALL.iter().filter(|kind| kind.row().reason == reason).find_map(|kind| fault(*kind))
}

/// Returns the fault of a request that failed with this reason without an attempt that tells it.
fn fault_of_request(reason: &str) -> Option<&'static str> {
    // No connection was opened, so that nobody can have refused a stream.
    if reason == Kind::NoEndpoint.row().reason { fault(Kind::NoEndpoint) } else { fault_of_attempt(reason) }
}

/// Returns the fault by which a response ends within its body.
fn fault_within_body(reason: &str) -> Option<&'static str> {
    let is = |kind: Kind| kind.row().reason == reason;
    if is(Kind::ResponseIncomplete) || is(Kind::ConnectionLost) {
        return Some("cut_body");
    }
    if is(Kind::ResponseTimeout) || is(Kind::TotalTimeout) {
        return Some("stalled_body");
    }
    (is(Kind::ResponseCoding) || is(Kind::ResponseMalformed)).then_some("invalid_chunk")
}

/// Returns what the upstream did, attempt by attempt. `None` if it did nothing that explains what the client got.
fn acts(entry: &Entry) -> Option<Vec<Act>> {
    let mut acts = Vec::new();
    for attempt in &entry.attempts {
        match (attempt.status, attempt.reason.as_deref()) {
            (Some(status), _) => acts.push(Act::Answers(status)),
            (None, Some(reason)) => acts.push(Act::Fails(fault_of_attempt(reason)?)),
            // The gateway did not wait for its end.
            (None, None) => {}
        }
    }
    let last = match entry.received {
        Some(status) if entry.reason.is_empty() => Act::Answers(status),
        Some(status) => Act::Breaks(status, fault_within_body(&entry.reason)?),
        None => match acts.last() {
            Some(Act::Fails(_)) if entry.attempts.last().is_some_and(|last| last.reason.as_deref() == Some(&entry.reason)) => {
                return Some(acts);
            }
            Some(Act::Fails(_) | Act::Answers(_) | Act::Breaks(..)) | None => Act::Fails(fault_of_request(&entry.reason)?),
        },
    };
    // An answer that is an error is an attempt that failed.
    if let (Some(Act::Answers(answered)), Act::Answers(status) | Act::Breaks(status, _)) = (acts.last().copied(), last)
        && answered == status
    {
        acts.pop();
    }
    acts.push(last);
    Some(acts)
}

/// Returns true if a case can be made of an occurrence.
pub(super) fn is_possible(entry: &Entry) -> bool {
    acts(entry).is_some()
}

/// Returns the case; `None` if none can be made.
pub(super) fn written(entry: &Entry, redactor: &Redactor) -> Option<String> {
    let acts = acts(entry)?;
    let mut out = String::new();
    if entry.request_headers.iter().any(|(name, value)| name == "authorization" && value.contains("***")) {
        out.push_str("# The request had credentials, which are not kept. If the route asks for them, add: user = \"NAME:PASSWORD\"\n");
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "[[cases]]\nname = {}\n\n[cases.request]\n", string(&format!("{} ({})", entry.title, entry.request_id)));
    let _ = writeln!(out, "method = {}\npath = {}", string(&entry.method), string(&target(entry)));
    if let Some(host) = &entry.host {
        let _ = writeln!(out, "host = {}", string(host));
    }
    let deciding = headers(entry.request_headers.iter().filter(|(name, _)| DECIDING.contains(&name.as_str())));
    if !deciding.is_empty() {
        let _ = writeln!(out, "headers = {{ {deciding} }}");
    }
    replies(entry, &acts, &mut out);
    expected(entry, &acts, redactor, &mut out);
    Some(out)
}

fn target(entry: &Entry) -> Cow<'_, str> {
    let path = utf8_percent_encode(&entry.path, NOT_IN_A_TARGET);
    match &entry.query {
        None => path.into(),
        Some(query) => format!("{path}?{}", utf8_percent_encode(query, NOT_IN_A_TARGET)).into(),
    }
}

/// Writes a reply for each attempt.
fn replies(entry: &Entry, acts: &[Act], out: &mut String) {
    for (at, act) in acts.iter().enumerate() {
        out.push_str("\n[[cases.upstream]]\n");
        let _ = match act {
            Act::Answers(status) => writeln!(out, "status = {status}"),
            Act::Fails(fault) => writeln!(out, "fault = {}", string(fault)),
            Act::Breaks(status, fault) => writeln!(out, "status = {status}\nfault = {}", string(fault)),
        };
        if at + 1 < acts.len() || matches!(act, Act::Fails(_)) {
            continue;
        }
        let headers = headers(entry.upstream_headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str())));
        if !headers.is_empty() {
            let _ = writeln!(out, "headers = {{ {headers} }}");
        }
        let unknown = if matches!(act, Act::Breaks(..)) { SOME_BODY } else { "" };
        let _ = writeln!(out, "body = {}", string(crate::text::bounded(entry.upstream_body.as_deref().unwrap_or(unknown), MAX_BODY)));
    }
}

/// Writes what the client must get.
fn expected(entry: &Entry, acts: &[Act], redactor: &Redactor, out: &mut String) {
    let _ = write!(out, "\n[cases.expect]\nstatus = {}\n", entry.status);
    let is_cut = matches!(acts.last(), Some(Act::Breaks(status, _)) if *status == entry.status && *status < 400);
    let kept = entry.upstream_body.as_deref().unwrap_or_default();
    // The code of the upstream may be in what is missing.
    let is_whole = !entry.upstream_truncated && kept.len() <= MAX_BODY;
    if is_cut {
        out.push_str("cut = true\n");
    } else if !entry.code.is_empty() && is_whole {
        let _ = writeln!(out, "code = {}", string(&entry.code));
    }
    // Attempts that were given up, and states of the gateway, are not repeated one by one.
    let is_repeated = acts.len() >= entry.attempts.len() && acts.last() != Some(&Act::Fails("destination_unavailable"));
    if acts.len() > 1 && is_repeated {
        let _ = writeln!(out, "attempts = {}", acts.len());
    }
    let absent = absent(entry, redactor);
    if !absent.is_empty() {
        let _ = writeln!(out, "absent = [{}]", absent.iter().map(|text| string(text)).collect::<Vec<_>>().join(", "));
    }
}

/// Returns texts of the upstream that must not reach the client: those that rules have found, and that it did not get.
fn absent(entry: &Entry, redactor: &Redactor) -> Vec<String> {
    let body = Body::new(entry.upstream_body.as_deref().unwrap_or_default(), Some(redactor));
    let got = entry.answer_body.as_deref().unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    for text in body.found().flat_map(str::lines).map(str::trim) {
        let fits = (6..=120).contains(&text.len()) && !text.contains("***") && !text.contains(['"', '\\']);
        if fits && !got.contains(text) && !texts.iter().any(|known| known == text) && texts.len() < MAX_ABSENT {
            texts.push(text.to_owned());
        }
    }
    texts
}

/// Writes headers as an inline table; lines of the same name become a list. Those that are masked, or that no header can hold, are left out.
fn headers<'h>(headers: impl Iterator<Item = &'h (String, String)>) -> String {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    let can_be_sent = |value: &str| !value.contains("***") && value.chars().all(|c| c.is_ascii() && !c.is_ascii_control() || c == '\t');
    for (name, value) in headers.filter(|(_, value)| can_be_sent(value)) {
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(string(value)),
            None => lines.push((name, vec![string(value)])),
        }
    }
    let one = |(name, values): &(&str, Vec<String>)| match values.as_slice() {
        [value] => format!("{} = {value}", string(name)),
        values => format!("{} = [{}]", string(name), values.join(", ")),
    };
    lines.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::entry::AttemptEntry;

    fn attempt(status: Option<u16>, reason: Option<&str>) -> AttemptEntry {
        AttemptEntry { status, reason: reason.map(str::to_owned), ..AttemptEntry::default() }
    }

    fn entry() -> Entry {
        Entry {
            request_id: "01a2".into(),
            method: "POST".into(),
            host: Some("shop.example".into()),
            path: "/a'b c".into(),
            query: Some("token=***".into()),
            request_headers: vec![("accept".into(), "text/html".into()), ("authorization".into(), "***".into())],
            attempts: vec![attempt(None, Some("connection_refused")), attempt(Some(500), None)],
            status: 502,
            received: Some(500),
            code: "UPSTREAM_ERROR".into(),
            upstream_headers: vec![
                ("content-type".into(), "text/plain".into()),
                ("content-length".into(), "9".into()),
                ("x-name".into(), "\u{fffd}".into()),
            ],
            upstream_body: Some("java.sql.SQLException: no\n\tat com.shop.A.b(A.java:1)\n\tat com.shop.C.d(C.java:2)\n```".into()),
            title: "a \"title\"".into(),
            ..Entry::default()
        }
    }

    #[test]
    fn a_case_is_valid_toml() {
        let text = written(&entry(), &Redactor::default()).unwrap();
        let case: toml::Table = text.parse().unwrap();
        let case = &case["cases"][0];
        assert_eq!(case["upstream"][0]["fault"].as_str(), Some("connection_refused"));
        assert_eq!(case["upstream"][1]["status"].as_integer(), Some(500));
        assert_eq!(case["upstream"][1]["body"].as_str(), entry().upstream_body.as_deref());
        assert_eq!((case["expect"]["attempts"].as_integer(), case["request"]["path"].as_str()), (Some(2), Some("/a'b%20c?token=***")));
        assert!(case["expect"]["absent"].as_array().is_some_and(|texts| !texts.is_empty()), "{text}");
        assert!(text.starts_with("# The request had credentials"));
        assert!(case["request"]["headers"].get("authorization").is_none());
        for name in ["content-length", "x-name"] {
            assert!(case["upstream"][1]["headers"].get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn attempts_become_replies() {
        let acts = |attempts: &[AttemptEntry], received, reason: &str| {
            acts(&Entry { attempts: attempts.to_vec(), received, reason: reason.into(), ..Entry::default() })
        };
        let refused = attempt(None, Some("connection_refused"));
        let fails = Act::Fails("connection_refused");
        assert_eq!(acts(&[refused.clone(), refused.clone()], None, "connection_refused"), Some(vec![fails, fails]));
        assert_eq!(
            acts(std::slice::from_ref(&refused), Some(200), ""),
            Some(vec![fails, Act::Answers(200)]),
            "a success is no failed attempt"
        );
        assert_eq!(acts(&[attempt(Some(503), None)], Some(500), ""), Some(vec![Act::Answers(503), Act::Answers(500)]));
        let stalled = Some(vec![fails, Act::Fails("http_response_timeout")]);
        assert_eq!(acts(&[refused.clone(), attempt(None, None)], None, "http_response_timeout"), stalled);
        assert_eq!(acts(&[], Some(200), "http_response_incomplete"), Some(vec![Act::Breaks(200, "cut_body")]));
        assert_eq!(
            acts(&[attempt(None, Some("destination_unavailable"))], None, "destination_unavailable"),
            Some(vec![Act::Fails("stream_refused")])
        );
        assert_eq!(acts(&[], None, "destination_unavailable"), Some(vec![Act::Fails("destination_unavailable")]));
        for reason in ["", "http_request_error", "http_request_denied", "destination_not_found", "proxy_internal_error"] {
            assert_eq!(acts(&[], None, reason), None, "{reason}");
        }
        assert_eq!(acts(&[], Some(200), "http_request_error"), None);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(string("a\"\\\n\u{1}"), "\"a\\\"\\\\\\n\\u0001\"");
    }
}
