//! Reads a file of cases. All problems are reported at once with their places, as those of a configuration are.
//!
//! Must not run anything.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::case::{Case, Check, Lines, Reply, Request, What};
use super::fault::{FAULTS, Fault};
use super::values::{self, BodyKeys};
use crate::config::diagnose::{Problem, Problems};
use crate::config::expand::Surroundings;
use crate::config::section::{At, Section};

/// The document that lists all keys.
const GUIDE: &str = "docs/how-to/test-your-contract.md";
/// Most requests of a case.
const MAX_REPEAT: u64 = 100_000;
/// The address of a client that is not named: one of a network for documentation (RFC 5737).
pub(in crate::cli) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A file of cases.
#[derive(Debug)]
pub(in crate::cli) struct CaseFile {
    /// The configuration that the file names, relative to its folder.
    pub(in crate::cli) config: Option<String>,
    pub(in crate::cli) cases: Vec<Case>,
}

/// Reads the text of a file of cases that is in `folder`. With `may_be_open`, a case may expect nothing.
///
/// # Errors
/// Returns all problems, in the order of the file.
pub(in crate::cli) fn read(text: &str, folder: &Path, may_be_open: bool) -> Result<CaseFile, Vec<Problem>> {
    let mut problems = Problems::default();
    let around = Surroundings::in_folder(&|_| None, folder);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.add(error.span(), format!("invalid TOML: {}", error.message()), "");
    }
    let mut section = Section::new("", root.get_ref(), root.span(), &mut problems, &around).guided(GUIDE);
    let config = section.text("config").map(|at| at.value);
    let list = section.list("cases").unwrap_or_default();
    let read = |item| section.table_in("cases", item, |s| case(s, folder, may_be_open));
    let cases: Vec<Case> = list.into_iter().filter_map(read).collect();
    section.end();
    if cases.is_empty() && !problems.has_errors() {
        problems.add(None, "the file has no case", "begin with: lockgate test --example");
    }
    if problems.has_errors() { Err(problems.sorted()) } else { Ok(CaseFile { config, cases }) }
}

fn case(s: &mut Section<'_, '_>, folder: &Path, may_be_open: bool) -> Case {
    let span = s.span.clone();
    if s.named("name").is_none() {
        s.problems.add(span.clone(), "the case has no `name`", "for example: name = \"a stack trace of the shop stays inside\"");
    }
    let name = s.text("name").map(|at| at.value).unwrap_or_default();
    let request = s.table("request", |s| request(s, folder)).unwrap_or_else(default_request);
    let repeat = s.number("repeat", 1..=MAX_REPEAT).unwrap_or(1);
    let replies = replies(s, folder);
    let checks = s.table("expect", expect).unwrap_or_default();
    let is_open = s.named("expect").is_none_or(|value| value.get_ref().as_table().is_some_and(|table| table.is_empty()));
    if is_open && !may_be_open {
        let help = "add [cases.expect] with a `status` and more, or let `lockgate test --update` write what comes back";
        s.problems.add(span.clone(), "the case expects nothing", help);
    }
    Case { name, span, request, repeat, replies, checks }
}

fn default_request() -> Request {
    Request {
        method: Method::GET,
        path: "/".into(),
        host: "localhost".into(),
        secure: false,
        client: CLIENT,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn request(s: &mut Section<'_, '_>, folder: &Path) -> Request {
    let default = default_request();
    let method = s.parsed("method", |text| Method::from_bytes(text.as_bytes()).map_err(|_| "expected a method, such as POST".into()));
    let mut headers = values::lines(s, "headers");
    let BodyKeys { bytes: body, is_json } = values::body(s, folder);
    add_json_type(&mut headers, is_json);
    if let Some(user) = s.text("user") {
        headers.push(("Authorization".into(), format!("Basic {}", STANDARD.encode(user.value))));
    }
    Request {
        method: method.map_or(if body.is_empty() { Method::GET } else { Method::POST }, |at| at.value),
        path: s.text("path").map_or(default.path, |at| at.value),
        host: s.text("host").map_or(default.host, |at| at.value),
        secure: s.choice("scheme", &[("http", Some(false)), ("https", Some(true))]).unwrap_or(default.secure),
        client: s
            .parsed("client", |text| text.parse().map_err(|_| "expected an address, such as 192.0.2.1".into()))
            .map_or(CLIENT, |at| at.value),
        headers,
        body,
    }
}

/// A body that is written as JSON has its content type, unless the case says another.
fn add_json_type(headers: &mut Lines, is_json: bool) {
    if is_json && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".into(), "application/json".into()));
    }
}

/// Reads `upstream`: one reply, or a list with one for each attempt.
fn replies(s: &mut Section<'_, '_>, folder: &Path) -> Vec<Reply> {
    let Some(value) = s.value("upstream") else { return Vec::new() };
    let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![value],
    };
    items.into_iter().filter_map(|item| s.table_in("upstream", item, |s| reply(s, folder))).collect()
}

fn reply(s: &mut Section<'_, '_>, folder: &Path) -> Reply {
    let words: Vec<(&'static str, Option<Fault>)> = FAULTS.iter().map(|word| (word.word, Some(word.fault))).collect();
    let fault = s.choice("fault", &words);
    let mut headers = values::lines(s, "headers");
    let BodyKeys { bytes: body, is_json } = values::body(s, folder);
    add_json_type(&mut headers, is_json);
    let status = s.number("status", 200..=999);
    let raw = s.text("raw").map(|at| at.value.into_bytes());
    let is_answer = status.is_some() || !headers.is_empty() || !body.is_empty();
    if is_answer && (fault.is_some_and(|fault| !fault.has_head()) || raw.is_some()) {
        let title = "`status`, `headers` and a body have no effect beside this `fault` or `raw`";
        s.problems.add(s.span.clone(), title, "remove them");
    }
    Reply {
        backend: s.text("backend").map(|at| at.value),
        status: status.map_or(200, |status| status as u16),
        headers,
        trailers: values::lines(s, "trailers"),
        body,
        raw,
        fault,
    }
}

/// Reads `expect`.
fn expect(s: &mut Section<'_, '_>) -> Vec<Check> {
    let mut checks = Checks(Vec::new());
    // A response that ends a request has no other: an interim one is none, and the gateway sends none above (RFC 9110 15).
    checks.number(s, "status", 200..=599, What::Status);
    checks.text(s, "code", What::Code);
    checks.text(s, "message", What::Message);
    checks.texts(s, "message_contains", What::MessageContains);
    checks.json(s, "fields", |fields| What::Fields(as_lists(fields)));
    checks.headers(s, "headers", What::Header);
    checks.headers(s, "trailers", What::Trailer);
    checks.text(s, "content_type", What::ContentType);
    checks.text(s, "language", What::Language);
    checks.json(s, "json", What::Json);
    checks.text(s, "body", What::Body);
    checks.texts(s, "body_contains", What::BodyContains);
    checks.texts(s, "absent", What::Absent);
    checks.truth(s, "cut", What::Cut);
    checks.text(s, "route", What::Route);
    checks.text(s, "backend", What::Backend);
    checks.number(s, "attempts", 0..=1_000_000, What::Attempts);
    checks.text(s, "reason", What::Reason);
    checks.texts(s, "original", What::Original);
    s.table("upstream", |s| {
        checks.text(s, "method", What::UpstreamMethod);
        checks.text(s, "path", What::UpstreamPath);
        checks.headers(s, "headers", What::UpstreamHeader);
        checks.json(s, "json", What::UpstreamJson);
        checks.text(s, "body", What::UpstreamBody);
    });
    checks.0
}

/// A field may have one message instead of a list.
fn as_lists(fields: Value) -> Value {
    match fields {
        Value::Object(members) => {
            let list = |value: Value| if value.is_array() { value } else { Value::Array(vec![value]) };
            Value::Object(members.into_iter().map(|(name, value)| (name, list(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => fields,
    }
}

/// The checks that were read.
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, span: Range<usize>, what: What) {
        self.0.push(Check { span, what });
    }

    fn text(&mut self, s: &mut Section<'_, '_>, key: &'static str, what: impl Fn(String) -> What) {
        if let Some(At { value, span }) = s.text(key) {
            self.add(span, what(value));
        }
    }

    fn texts(&mut self, s: &mut Section<'_, '_>, key: &'static str, what: impl Fn(String) -> What) {
        for At { value, span } in s.texts(key).unwrap_or_default() {
            if value.is_empty() {
                s.problems.add(span, format!("a text of `{key}` is empty"), "every text contains the empty one; write what is looked for");
                continue;
            }
            self.add(span, what(value));
        }
    }

    fn number(&mut self, s: &mut Section<'_, '_>, key: &'static str, bounds: std::ops::RangeInclusive<u64>, what: impl Fn(u64) -> What) {
        let span = s.named(key).map(Spanned::span).unwrap_or_default();
        if let Some(number) = s.number(key, bounds) {
            self.add(span, what(number));
        }
    }

    fn truth(&mut self, s: &mut Section<'_, '_>, key: &'static str, what: impl Fn(bool) -> What) {
        let span = s.named(key).map(Spanned::span).unwrap_or_default();
        if let Some(truth) = s.boolean(key) {
            self.add(span, what(truth));
        }
    }

    fn json(&mut self, s: &mut Section<'_, '_>, key: &'static str, what: impl Fn(Value) -> What) {
        if let Some(At { value, span }) = values::json(s, key) {
            self.add(span, what(value));
        }
    }

    fn headers(&mut self, s: &mut Section<'_, '_>, key: &'static str, what: impl Fn(String, super::case::Wanted) -> What) {
        for At { value: (name, wanted), span } in values::wanted(s, key) {
            self.add(span, what(name, wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let problems = read(text, Path::new("/nowhere"), false).unwrap_err();
        problems.into_iter().map(|problem| format!("{} | {}", problem.title, problem.help)).collect()
    }

    #[test]
    fn all_problems_come_at_once_with_suggestions() {
        let all = problems_of(
            "[[case]]\n[[cases]]\nnam = \"x\"\nrequest = { pth = \"/\", body = \"a\", json = 1, method = \"A B\" }\n\
             upstream = { fault = \"connection_refuse\", status = 99 }\nexpect = { sttus = 1, headers = { A = 3 }, absent = [1] }\n\
             [[cases]]\nname = \"y\"\nupstream = { fault = \"dns_error\", status = 500, body_file = \"no\" }\n",
        );
        for part in [
            "unknown key `case` | did you mean `cases`?",
            "the case has no `name`",
            "did you mean `path`?",
            "a message has one of `body`, `json`",
            "`cases.request.method` is not valid",
            "did you mean \"connection_refused\"?",
            "`cases.upstream.status` must be between 200 and 999",
            "did you mean `status`?",
            "a string or a list of strings",
            "`cases.expect.absent` must be a string",
            "the case expects nothing",
            "cannot read `no`",
            "have no effect beside this `fault`",
        ] {
            assert!(all.iter().any(|problem| problem.contains(part)), "{part} in {all:#?}");
        }
    }

    #[test]
    fn texts_stand_as_they_are() {
        let file =
            read("[[cases]]\nname = \"${HOME}\"\nupstream = { body = \"${jndi:x}\" }\nexpect = { status = 200 }\n", Path::new(""), false);
        let case = file.unwrap().cases.remove(0);
        assert_eq!((case.name.as_str(), case.replies[0].body.as_slice()), ("${HOME}", &b"${jndi:x}"[..]));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\[\\[cases\\]\\]\n)?([a-z]{1,8} = [\"{}a-z0-9\\[\\], =]{0,20}\n){0,4}|\\PC{0,60}") {
            let _ = read(&text, Path::new(""), true);
        }
    }
}
