//! Compares what came back with what a case expects.
//!
//! Knows nothing of files or of terminals.

use std::ops::Range;

use http::HeaderName;
use serde_json::Value;

use super::bench::Got;
use super::case::{Case, Check, Wanted, What};
use super::told::{Told, told};
use crate::header::HeaderList;
use crate::text::bounded;

/// Most bytes of a text that a difference shows.
const SHOWN: usize = 400;

/// A difference between what came back and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Difference {
    /// What differs.
    pub(in crate::cli) what: String,
    pub(in crate::cli) expected: String,
    pub(in crate::cli) got: String,
    /// The expectation in the file.
    pub(in crate::cli) span: Range<usize>,
    /// What would be expected instead, as TOML, where it can simply be replaced.
    pub(in crate::cli) instead: Option<String>,
}

/// Returns all differences.
pub(in crate::cli) fn judge(case: &Case, got: &Got) -> Vec<Difference> {
    let told = told(got);
    case.checks.iter().flat_map(|check| differences(check, got, &told)).collect()
}

fn differences(check: &Check, got: &Got, told: &Told) -> Vec<Difference> {
    let one = |what: &str, result: Outcome| result.map(|outcome| outcome.at(what, check)).into_iter().collect();
    let log = |key: &str| got.log[key].as_str().map(str::to_owned);
    let seen = got.seen.as_ref();
    match &check.what {
        What::Status(wanted) => one("status", number(*wanted, Some(u64::from(got.status)))),
        What::Code(wanted) => one("code", text(wanted, told.code.clone())),
        What::Message(wanted) if told.message.is_some() => one("message", text(wanted, told.message.clone())),
        // A page or a document of XML has the message somewhere.
        What::Message(wanted) | What::MessageContains(wanted) => {
            one("message", contains(wanted, Some(&told.message.clone().unwrap_or_else(|| plain(got)))))
        }
        What::Fields(wanted) => one("fields", same(wanted, told.fields.as_ref())),
        What::Header(name, wanted) => one(&format!("header {name}"), lines(wanted, got.header_lines(name))),
        What::Trailer(name, wanted) => one(&format!("trailer {name}"), lines(wanted, got.trailer(name).into_iter().collect())),
        What::Json(wanted) => members("json", wanted, got.json().as_ref(), check),
        What::Body(wanted) => one("body", text(wanted, Some(got.text()))),
        What::BodyContains(wanted) => one("body", contains(wanted, Some(&got.text()))),
        What::Absent(unwanted) => one("absent", absent(unwanted, got)),
        What::Language(wanted) => one("language", text(wanted, got.header("content-language"))),
        What::ContentType(wanted) => one("content_type", content_type(wanted, got.header("content-type"))),
        What::Route(wanted) => one("route", text(wanted, log("route"))),
        What::Backend(wanted) => one("backend", text(wanted, log("backend"))),
        What::Attempts(wanted) => one("attempts", number(*wanted, got.log["attempts"].as_u64())),
        What::Reason(wanted) => one("reason", text(wanted, log("reason"))),
        What::Original(wanted) => one("original", contains(wanted, original(got).as_deref())),
        What::Cut(wanted) => one("cut", (*wanted != got.cut).then(|| Differs::replaceable(wanted, got.cut))),
        What::UpstreamMethod(wanted) => one("upstream.method", text(wanted, seen.map(|seen| seen.method.clone()))),
        What::UpstreamPath(wanted) => one("upstream.path", text(wanted, seen.map(|seen| seen.path.clone()))),
        What::UpstreamHeader(name, wanted) => {
            one(&format!("upstream header {name}"), lines(wanted, seen.map(|seen| values(&seen.headers, name)).unwrap_or_default()))
        }
        What::UpstreamJson(wanted) => {
            let json = seen.and_then(|seen| serde_json::from_slice(&seen.body).ok());
            members("upstream.json", wanted, json.as_ref(), check)
        }
        What::UpstreamBody(wanted) => one("upstream.body", text(wanted, seen.map(|seen| String::from_utf8_lossy(&seen.body).into_owned()))),
    }
}

/// A difference without its name, or none.
type Outcome = Option<Differs>;

struct Differs {
    expected: String,
    got: String,
    instead: Option<String>,
}

impl Differs {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: expected.into(), got: got.into(), instead: None }
    }

    fn replaceable(expected: impl ToString, got: impl ToString) -> Self {
        Self { expected: expected.to_string(), got: got.to_string(), instead: Some(got.to_string()) }
    }

    fn at(self, what: &str, check: &Check) -> Difference {
        let Self { expected, got, instead } = self;
        Difference { what: what.into(), expected, got, span: check.span.clone(), instead }
    }
}

fn number(wanted: u64, got: Option<u64>) -> Outcome {
    (got != Some(wanted)).then(|| got.map_or_else(|| Differs::new(wanted.to_string(), "nothing"), |got| Differs::replaceable(wanted, got)))
}

fn text(wanted: &str, got: Option<String>) -> Outcome {
    if got.as_deref() == Some(wanted) {
        return None;
    }
    let instead = got.as_deref().map(quoted);
    Some(Differs { expected: shown(wanted), got: got.as_deref().map_or("nothing".into(), shown), instead })
}

fn contains(wanted: &str, got: Option<&str>) -> Outcome {
    let found = got.is_some_and(|got| got.contains(wanted));
    (!found).then(|| Differs::new(format!("text with {}", shown(wanted)), got.map_or("nothing".into(), shown)))
}

fn same(wanted: &Value, got: Option<&Value>) -> Outcome {
    (got != Some(wanted)).then(|| Differs::new(wanted.to_string(), got.map_or("nothing".into(), ToString::to_string)))
}

fn lines(wanted: &Wanted, got: Vec<String>) -> Outcome {
    let all = || if got.is_empty() { "nothing".to_owned() } else { got.iter().map(|line| shown(line)).collect::<Vec<_>>().join(", ") };
    match wanted {
        Wanted::Present => got.is_empty().then(|| Differs::new("any value", "nothing")),
        Wanted::Absent => (!got.is_empty()).then(|| Differs::new("no such header", all())),
        Wanted::Contains(part) => {
            (!got.iter().any(|line| line.contains(part.as_str()))).then(|| Differs::new(format!("text with {}", shown(part)), all()))
        }
        Wanted::Exact(wanted) => (got != *wanted).then(|| {
            let expected = wanted.iter().map(|line| shown(line)).collect::<Vec<_>>().join(", ");
            let instead = if let [one] = got.as_slice() { Some(quoted(one)) } else { None };
            Differs { expected, got: all(), instead }
        }),
    }
}

/// A media type without parameters is compared without parameters.
fn content_type(wanted: &str, got: Option<String>) -> Outcome {
    let essence = |value: &str| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &got {
        Some(value) if !wanted.contains(';') && essence(value) == essence(wanted) => None,
        _ => text(wanted, got),
    }
}

/// Compares every member that is expected, and names those that differ by their path.
fn members(path: &str, wanted: &Value, got: Option<&Value>, check: &Check) -> Vec<Difference> {
    match (wanted, got) {
        (Value::Object(wanted), Some(Value::Object(got))) => {
            wanted.iter().flat_map(|(name, value)| members(&format!("{path}.{name}"), value, got.get(name), check)).collect()
        }
        (Value::Array(wanted), Some(Value::Array(got))) if wanted.len() == got.len() => {
            let pairs = wanted.iter().zip(got).enumerate();
            pairs.flat_map(|(at, (value, other))| members(&format!("{path}[{at}]"), value, Some(other), check)).collect()
        }
        _ => same(wanted, got).map(|differs| differs.at(path, check)).into_iter().collect(),
    }
}

fn absent(unwanted: &str, got: &Got) -> Outcome {
    let body = got.text();
    let place = if let Some(at) = body.find(unwanted) {
        Some(format!("it stands in the body: {}", around(&body, at, unwanted.len())))
    } else {
        let header =
            |name: &HeaderName, value: &[u8]| name.as_str().contains(unwanted) || String::from_utf8_lossy(value).contains(unwanted);
        let headers = got
            .headers
            .iter()
            .filter(|(name, value)| header(name, value.as_bytes()))
            .map(|(name, _)| format!("it stands in the header {name}"));
        let trailers = got
            .trailers
            .iter()
            .filter(|(name, value)| header(name, value.as_bytes()))
            .map(|(name, _)| format!("it stands in the trailer {name}"));
        headers.chain(trailers).next()
    };
    place.map(|place| Differs::new(format!("{} nowhere", shown(unwanted)), place))
}

/// The body without character references.
fn plain(got: &Got) -> String {
    html_escape::decode_html_entities(&got.text()).into_owned()
}

/// The text around a finding.
fn around(text: &str, at: usize, length: usize) -> String {
    let (mut start, mut end) = (at.saturating_sub(30), (at + length + 30).min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    format!("...{}...", text[start..end].escape_debug())
}

/// The upstream error in the log, and the cause of a failure.
fn original(got: &Got) -> Option<String> {
    let texts = [&got.log["original"], &got.log["cause"]];
    let found: Vec<_> = texts.into_iter().filter_map(Value::as_str).collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

fn values(headers: &HeaderList, wanted: &str) -> Vec<String> {
    let own = headers.iter().filter(|(name, _)| name.as_str().eq_ignore_ascii_case(wanted));
    own.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// A text in quotes, of bounded length.
fn shown(text: &str) -> String {
    let part = bounded(text, SHOWN);
    format!("\"{}\"{}", part.escape_debug(), if part.len() < text.len() { "..." } else { "" })
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    super::write::string(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn got(body: &str, headers: &[(&'static str, &'static str)]) -> Got {
        let mut list = HeaderList::new();
        for (name, value) in headers {
            list.try_append(HeaderName::from_static(name), value.as_bytes()).unwrap();
        }
        let body = body.as_bytes().to_vec();
        Got { status: 404, headers: list, body, trailers: http::HeaderMap::new(), cut: false, log: json!({ "attempts": 1 }), seen: None }
    }

    /// What differs, by name.
    fn named(what: What, got: &Got) -> Vec<String> {
        differences(&Check { span: 0..0, what }, got, &told(got)).into_iter().map(|difference| difference.what).collect()
    }

    #[test]
    fn members_that_are_not_expected_may_be_there() {
        let got = got("{\"a\":{\"b\":1,\"c\":[1,{\"d\":2,\"e\":3}]},\"f\":null}", &[]);
        assert!(named(What::Json(json!({ "a": { "b": 1, "c": [1, { "d": 2 }] }, "f": null })), &got).is_empty());
        assert_eq!(
            named(What::Json(json!({ "a": { "b": 2, "c": [1, { "d": 3 }], "x": 1 } })), &got),
            ["json.a.b", "json.a.c[1].d", "json.a.x"]
        );
        assert_eq!(named(What::Json(json!({ "a": { "c": [1] } })), &got), ["json.a.c"]);
    }

    #[test]
    fn an_absent_text_is_found_wherever_it_stands() {
        let got = got("{\"error\":{\"message\":\"body\"}}", &[("x-name", "value")]);
        for text in ["body", "x-name", "value"] {
            assert_eq!(named(What::Absent(text.into()), &got), ["absent"], "{text}");
        }
        assert!(named(What::Absent("other".into()), &got).is_empty());
    }

    #[test]
    fn headers_are_judged_by_their_lines() {
        let got = got("", &[("vary", "Accept"), ("vary", "Accept-Language"), ("content-type", "text/html; charset=utf-8")]);
        let holds = |name: &str, wanted| named(What::Header(name.into(), wanted), &got).is_empty();
        assert!(holds("Vary", Wanted::Exact(vec!["Accept".into(), "Accept-Language".into()])));
        assert!(!holds("Vary", Wanted::Exact(vec!["Accept".into()])));
        assert!(
            holds("Vary", Wanted::Present)
                && !holds("Vary", Wanted::Absent)
                && holds("Age", Wanted::Absent)
                && !holds("Age", Wanted::Present)
        );
        assert!(holds("Vary", Wanted::Contains("Lang".into())) && !holds("Vary", Wanted::Contains("Encoding".into())));
        let holds = |wanted: &str| named(What::ContentType(wanted.into()), &got).is_empty();
        assert!(holds("text/html") && holds("text/html; charset=utf-8") && !holds("text/html; charset=latin1") && !holds("text/plain"));
    }

    #[test]
    fn codes_and_messages_are_found_in_every_format() {
        for body in [
            "{\"error\":{\"code\":\"A\",\"message\":\"m\",\"details\":{\"fields\":{\"x.y\":[\"no\"]}}}}",
            "{\"status\":422,\"code\":\"A\",\"detail\":\"m\",\"errors\":[{\"detail\":\"no\",\"pointer\":\"#/x.y\"}]}",
            "{\"statusCode\":422,\"code\":\"A\",\"message\":\"m\",\"details\":{\"fields\":{\"x.y\":[\"no\"]}}}",
            "{\"error\":{\"code\":\"A\",\"message\":\"m\",\"details\":{\"errors\":[{\"field\":\"x.y\",\"message\":\"no\"}]}}}",
        ] {
            let got = got(body, &[]);
            assert!(named(What::Code("A".into()), &got).is_empty(), "{body}");
            assert!(named(What::Message("m".into()), &got).is_empty(), "{body}");
            assert!(named(What::Fields(json!({ "x.y": ["no"] })), &got).is_empty(), "{body}");
            assert_eq!(named(What::Fields(json!({ "x.y": ["no"], "z": ["no"] })), &got), ["fields"], "{body}");
        }
        let page = got("<p>It&#x27;s gone.</p>", &[("content-type", "text/html")]);
        assert!(named(What::Message("It's gone.".into()), &page).is_empty());
        assert_eq!(named(What::Message("Gone".into()), &page), ["message"]);
    }
}
