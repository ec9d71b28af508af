//! One occurrence: what the upstream said beside what the client got, the attempts, the stack, the headers.

use askama::Template;

use super::answer::Answer;
use super::ask::encoded;
use super::attempts::Timeline;
use super::body::{Body, visible};
use super::export::Form;
use super::parts::{Chip, Status, public_title};
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use super::stack::{self, Run};
use super::test_case;
use super::time::{self, Ago, At};
use crate::journal::Entry;
use crate::journal::entry::Headers;

/// A fact about the request.
struct Fact {
    name: &'static str,
    value: String,
    href: String,
    is_code: bool,
}

/// The family of a rule, and how often it found something.
struct Found {
    family: &'static str,
    text: &'static str,
    count: usize,
}

/// What the upstream said.
struct Said {
    status: Option<Status>,
    body: Body,
    headers: Headers,
    exception: String,
    message: String,
    caused_by: String,
    stack: Vec<Run>,
    is_truncated: bool,
}

/// A way to take the occurrence elsewhere.
struct Export {
    href: String,
    text: &'static str,
    class: &'static str,
}

#[derive(Template)]
#[template(path = "page/occurrence.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: String,
    id: String,
    method: String,
    path: String,
    at: At,
    ago: Ago,
    chip: Option<Chip>,
    group_href: String,
    group_note: String,
    facts: Vec<Fact>,
    said: Option<Said>,
    is_hidden: bool,
    cause: String,
    status: Status,
    code: String,
    reason: String,
    answer: Body,
    answer_headers: Headers,
    found: Vec<Found>,
    timeline: Timeline,
    request_headers: Headers,
    request_body: Option<Body>,
    is_request_cut: bool,
    exports: Vec<Export>,
}

fn headers(headers: &Headers) -> Headers {
    headers.iter().map(|(name, value)| (visible(name), visible(value))).collect()
}

fn shown(text: Option<&String>) -> String {
    text.map(|text| visible(text)).unwrap_or_default()
}

fn said(entry: &Entry, sources: &Sources<'_>) -> Option<Said> {
    let body = entry.upstream_body.as_ref();
    if body.is_none() && entry.received.is_none() {
        return None;
    }
    Some(Said {
        status: entry.received.map(Status::new),
        body: Body::new(body.map_or("", String::as_str), Some(sources.redactor)),
        headers: headers(&entry.upstream_headers),
        exception: shown(entry.exception.as_ref()),
        message: shown(entry.message.as_ref()),
        caused_by: shown(entry.caused_by.as_ref()),
        stack: entry.stack.as_deref().map(stack::runs).unwrap_or_default(),
        is_truncated: entry.upstream_truncated,
    })
}

fn facts(entry: &Entry, shell: &Shell<'_>) -> Vec<Fact> {
    let fact = |key: &'static str, value: String, href: String| Fact { name: shell.t(key), value, href, is_code: false };
    let code = |key: &'static str, value: String| Fact { name: shell.t(key), value, href: String::new(), is_code: true };
    let by = |name: &str, value: &str| format!("/errors?{name}={}", encoded(value));
    let mut all = vec![
        fact("fact_route", visible(&entry.route), by("route", &entry.route)),
        fact("fact_backend", visible(&entry.backend), by("backend", &entry.backend)),
        fact("fact_duration", time::duration(entry.duration_us), String::new()),
    ];
    if let Some(upstream) = entry.upstream_us {
        all.push(fact("fact_upstream", time::duration(upstream), String::new()));
    }
    all.push(code("fact_client", visible(&entry.client)));
    if let Some(host) = &entry.host {
        all.push(code("fact_host", visible(host)));
    }
    all.push(fact("fact_protocol", visible(&entry.protocol), String::new()));
    if !entry.config.is_empty() {
        all.push(code("fact_configuration", visible(&super::overview::short(&entry.config))));
    }
    if let Some(trace) = &entry.trace_id {
        all.push(code("fact_trace", visible(trace)));
    }
    if !entry.gateway.is_empty() {
        all.push(code("fact_gateway", visible(&entry.gateway)));
    }
    all
}

fn family_key(word: &str) -> &'static str {
    match word {
        "trace" => "family_trace",
        "path" => "family_path",
        "class" => "family_class",
        "fault" => "family_fault",
        "sql" => "family_sql",
        "secret" => "family_secret",
        "address" => "family_address",
        "environment" => "family_environment",
        "markup" => "family_markup",
        _ => "family_extra",
    }
}

fn exports(entry: &Entry, shell: &Shell<'_>) -> Vec<Export> {
    if !shell.shows_originals() {
        return Vec::new();
    }
    let export = |form: Form, key: &'static str| Export {
        href: format!("/errors/{}.{}", encoded(&entry.request_id), form.extension()),
        text: shell.t(key),
        class: if form == Form::TestCase { "export-save" } else { "export-copy" },
    };
    let mut all = vec![export(Form::Curl, "export_curl"), export(Form::Markdown, "export_markdown"), export(Form::Json, "export_json")];
    if test_case::is_possible(entry) {
        all.push(export(Form::TestCase, "export_test"));
    }
    all
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, segment: &str) -> Result<Answer, Refusal> {
    let entry = sources.find(segment)?;
    let shows = shell.shows_originals();
    if shows {
        sources.actions.opened(&entry.request_id);
    }
    // The page is shown without its group if the store fails between the two questions.
    let group = sources.store.and_then(|store| store.group(&entry.fingerprint).ok().flatten());
    let said = said(&entry, sources).filter(|_| shows);
    let families = said.as_ref().map(|said| said.body.families.clone()).unwrap_or_default();
    let found = |(family, count): (&'static str, usize)| Found { family, text: shell.t(family_key(family)), count };
    let query = entry.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let note = group.as_ref().map(|group| shell.texts.number("one_of_group", group.count)).unwrap_or_default();
    shell::render(&Page {
        shell,
        active: "errors",
        title: if shows { visible(&entry.title) } else { public_title(&entry.code, &entry.reason) },
        id: visible(&entry.request_id),
        method: visible(&entry.method),
        path: visible(&format!("{}{query}", entry.path)),
        at: At::new(entry.at),
        ago: Ago::new(entry.at, shell.now, shell.texts),
        chip: group.as_ref().map(|group| Chip::of_state(group.state, shell.texts)),
        group_href: if group.is_some() { format!("/groups/{}", encoded(&entry.fingerprint)) } else { String::new() },
        group_note: note,
        facts: facts(&entry, shell),
        said,
        is_hidden: !shows,
        cause: shown(entry.cause.as_ref().filter(|_| shows)),
        status: Status::new(entry.status),
        code: visible(&entry.code),
        reason: visible(&entry.reason.replace('_', " ")),
        answer: Body::new(entry.answer_body.as_deref().unwrap_or_default(), None),
        answer_headers: headers(&entry.answer_headers),
        found: families.into_iter().map(found).collect(),
        timeline: Timeline::new(&entry, shell.texts),
        request_headers: if shows { headers(&entry.request_headers) } else { Vec::new() },
        request_body: entry.request_body.as_deref().filter(|_| shows).map(|body| Body::new(body, None)),
        is_request_cut: entry.request_truncated,
        exports: exports(&entry, shell),
    })
}
