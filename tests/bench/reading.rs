//! What it costs to read, clean and tell one upstream error: `cargo bench --bench reading`.
//!
//! The goals of this project: a 10 KiB page under 150 us, a 300-byte JSON error under 15 us, a clean message under 3 us, a
//! hostile body of 1 MiB under 10 ms, each on one core.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench has no outside")]

use std::time::SystemTime;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use http::{Method, StatusCode};
use lockgate::context::RequestId;
use lockgate::envelope::{Envelope, Fields};
use lockgate::policy::Format;
use lockgate::redact::{self, Redactor};
use lockgate::render::negotiate::Shape;
use lockgate::render::{PageWords, render};
use lockgate::report::{self, decode};
use lockgate::text::{Text, Untrusted};

fn main() {
    redact::prepare();
    divan::main();
}

/// The whole way of an error body: decoded, read, cleaned, kept for the log, told as JSON.
fn tell(body: &[u8], content_type: &str, redactor: &Redactor) -> Vec<u8> {
    let text = decode::text(&decode::uncode(body, None, 1 << 20).unwrap().bytes, Some(content_type));
    let report = report::read(&text);
    let message = report.message.iter().chain(&report.alternatives).find_map(|own| redactor.clear(own));
    let code = report.code.as_ref().and_then(|code| redactor.clear_code(code.raw()));
    let mut fields = Fields::new();
    for (path, texts) in report.fields.iter().take(200) {
        let texts: Vec<Text> = texts.iter().filter_map(|text| redactor.clear(text)).collect();
        if let Some(path) = redactor.clear_field(path).filter(|_| !texts.is_empty()) {
            fields.insert(path, texts);
        }
    }
    black_box(redact::mask(&text, 4096));
    let now = SystemTime::now();
    let envelope = Envelope {
        status: StatusCode::CONFLICT,
        code: code.unwrap_or_else(|| "CONFLICT".into()),
        message: message.unwrap_or_else(|| Text::own("The request conflicts with the current state.")),
        language: None,
        spoken: "en".into(),
        fields,
        retry_after: None,
        violated: Vec::new(),
        problem_type: None,
        timestamp: now,
        request_id: RequestId::generate(now),
        method: Method::GET,
        path: "/orders/7".into(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    };
    render(&envelope, Shape::Json(Format::Envelope), PageWords { request_id: "", help: "" }, None).body
}

/// A debug page of some 10 KiB: a heading, a trace of fifty frames, a table.
fn page() -> String {
    let frame = |n| format!("<li><span>at com.acme.orders.OrderService.step{n}(OrderService.java:{n})</span></li>\n");
    let row = |n| format!("<tr><td>HTTP_X_{n}</td><td><code>value &amp; value {n}</code></td></tr>\n");
    format!(
        "<!doctype html><html><head><title>409 Conflict</title><style>{}</style></head><body><h1>Conflict</h1><p>Order 5 is already paid.</p><ol>{}</ol><table>{}</table></body></html>",
        "p { color: red }\n".repeat(40),
        (0..80).map(frame).collect::<String>(),
        (0..50).map(row).collect::<String>()
    )
}

#[divan::bench]
fn page_of_10_kib(bencher: Bencher<'_, '_>) {
    let (page, redactor) = (page(), Redactor::default());
    assert!((9_500..12_000).contains(&page.len()), "{}", page.len());
    bencher.counter(BytesCount::of_str(&page)).bench(|| tell(black_box(page.as_bytes()), "text/html", &redactor));
}

#[divan::bench]
fn json_of_300_bytes(bencher: Bencher<'_, '_>) {
    let body = r#"{"timestamp":"2026-11-22T10:00:00.000Z","status":422,"error":"Unprocessable Content","code":"ORDER_INVALID","message":"The order has errors.","path":"/orders","errors":[{"field":"items[0].qty","message":"must be at least 1"},{"field":"email","message":"must be a well-formed address"}],"requestId":"7"}"#;
    assert!((280..330).contains(&body.len()), "{}", body.len());
    let redactor = Redactor::default();
    bencher.counter(BytesCount::of_str(body)).bench(|| tell(black_box(body.as_bytes()), "application/json", &redactor));
}

#[divan::bench]
fn clean_message(bencher: Bencher<'_, '_>) {
    let (message, redactor) = (Untrusted::new("The order is locked by another session; please try again later."), Redactor::default());
    bencher.bench(|| redactor.clear(black_box(&message)));
}

/// Bodies that keep readers and rules half way at once, repeated to 1 MiB.
const HOSTILE: &[(&str, &str, &str)] = &[
    ("frames", "text/plain", "at a.b(c.java:1) "),
    ("half frames", "text/plain", "at a.b.c( in /x.php on lin "),
    ("paths", "text/plain", "/a.b/c.d/e.f:1 "),
    ("select", "text/plain", "select a , b from "),
    ("escapes", "text/plain", "\\u0061\\n\\\\"),
    ("json open", "application/json", "["),
    ("json numbers", "application/json", "[1,"),
    ("json names", "application/json", "{\"message\":{\"a b\":\"c d\","),
    ("json strings", "application/json", "[\"email must be an email\",\"x y\"],"),
    ("tags", "text/html", "<b><i>x"),
    ("blocks", "text/html", "<p>word word"),
    ("entities", "text/html", "&lt;&#x41;&amp"),
    ("comments", "text/html", "<!-- <style <script "),
    ("xml", "application/xml", "<a><b>c d</b>"),
    ("latin", "text/plain", "caf\u{e9} "),
];

#[divan::bench(args = HOSTILE.iter().map(|(name, ..)| *name))]
fn hostile_1_mib(bencher: Bencher<'_, '_>, name: &str) {
    let (_, content_type, piece) = HOSTILE.iter().find(|(known, ..)| *known == name).unwrap();
    let mut body = piece.repeat((1 << 20) / piece.len());
    if name == "xml" {
        body.insert_str(0, "<?xml version=\"1.0\"?><r>");
    }
    let mut bytes = body.into_bytes();
    if name == "latin" {
        bytes.retain(|byte| *byte != 0xc3);
    }
    let redactor = Redactor::default();
    bencher.counter(BytesCount::new(bytes.len())).bench(|| tell(black_box(&bytes), content_type, &redactor));
}

/// A document of a guarded route, or of `lockgate redact`.
#[divan::bench(args = ["clean", "frames", "half frames", "paths", "escapes", "tags", "entities"])]
fn document_1_mib(bencher: Bencher<'_, '_>, name: &str) {
    let piece = HOSTILE
        .iter()
        .find(|(known, ..)| *known == name)
        .map_or("The quick brown fox reads the manual of order 7.\n", |(_, _, piece)| piece);
    let body = piece.repeat((1 << 20) / piece.len());
    let redactor = Redactor::default();
    bencher.counter(BytesCount::of_str(&body)).bench(|| redactor.document_leaks(black_box(&body)));
}
