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
use lockgate::envelope::{Envelope, Item};
use lockgate::policy::{Details, Format};
use lockgate::redact::{self, Redactor};
use lockgate::render::negotiate::Shape;
use lockgate::render::{Looks, render};
use lockgate::report::{self, decode};
use lockgate::text::{Text, Untrusted};

fn main() {
    redact::prepare();
    divan::main();
}

/// The whole way of an error body: decoded, read, cleaned, kept for the log, told as JSON.
fn tell(body: &[u8], content_type: &str, redactor: &Redactor) -> Vec<u8> {
    let text = decode::text(&decode::uncode(body, None, 1 << 20).bytes, Some(content_type));
    let report = report::read(&text);
    let message = report.message.iter().chain(&report.alternatives).find_map(|own| redactor.clear(own));
    let code = report.code.as_ref().and_then(|code| redactor.clear_code(code.raw()));
    let mut errors = Vec::new();
    for (path, items) in report.fields.iter().take(200) {
        let field = redactor.clear_field(path);
        let clean = |item: &report::Item| Some(Item { field: Some(field.clone()?), message: redactor.clear(&item.message)?, code: None });
        errors.extend(items.iter().filter_map(clean));
    }
    black_box(redact::mask(&text, 4096));
    let now = SystemTime::now();
    let envelope = Envelope {
        status: StatusCode::CONFLICT,
        code: code.map_or("CONFLICT".into(), Into::into),
        message: message.unwrap_or_else(|| Text::own("The request conflicts with the current state.")),
        negotiated_language: "en".into(),
        is_translated: false,
        errors,
        details: Details::Map,
        retry_after: None,
        violated: Vec::new(),
        problem_type: None,
        upstream: None,
        timestamp: now,
        request_id: RequestId::generate(now),
        method: Method::GET,
        path: "/orders/7".into(),
        grpc: 2,
        rpc_id: None,
        debug: None,
    };
    render(&envelope, Shape::Json(Format::Envelope), &Looks::default()).body
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

/// What rules could be made to look at: random text over their alphabets, and what their strings begin with, again and again.
const ALPHABETS: &[(&str, &str)] = &[
    ("base64", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
    ("base64url", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    ("base64 and marks", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-.:@"),
    ("hex", "0123456789abcdef"),
    ("addresses", "0123456789.: "),
    ("marks", "./:\\@\"'()<>=,;$#-_ \n[]{}|~`"),
    ("paths", "aB1./:\\"),
    ("classes", "aA.$"),
    ("scopes", "aA:"),
    ("frames", "aAt .(:1)\n"),
    ("url-encoded", "%0123456789ABCDEFabc&="),
    ("cjk", "\u{c8fc}\u{bb38}\u{c744} \u{306e}\u{5e74}\u{4e2d}\u{56fd}"),
];

/// The same, of pieces.
const PIECES: &[(&str, &str)] = &[
    ("prose", "The quick brown fox reads the manual of order 7 and an error occurred while it was read at line in the file.\n"),
    ("minified js", "function(e,t){return e.a=t.b?n(t.c):null,r[1]&&(o=i.prototype.call(this,e)),{x:1,\"y\":[2,3]}}!0;"),
    ("at", "at "),
    ("schemes", "://"),
    ("urls", "a://b:c"),
    ("files", "File \"x\", "),
    ("errors", "Error"),
    ("exceptions", "a.b.C: Exception"),
    ("half frames", "at a.b.c( in /x.php on lin "),
    ("file names", "/a.b/c.d/e.f:1 "),
    ("statements", "select a , b from "),
    ("names of secrets", "password token secret_"),
    ("keys", "-----BEGIN "),
    ("escapes", "\\u0061\\n\\\\"),
    ("entities", "&lt;&#x41;&amp"),
    ("tags", "<b><i>x"),
    ("percents", "%41%0a"),
    ("json", "{\"a\":[\"b c\",1]},"),
];

fn adversarial(name: &str, length: usize) -> String {
    if let Some((_, piece)) = PIECES.iter().find(|(known, _)| *known == name) {
        return piece.repeat(length / piece.len());
    }
    let letters: Vec<char> = ALPHABETS.iter().find(|(known, _)| *known == name).map_or("", |(_, letters)| letters).chars().collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::with_capacity(length);
    while text.len() + 4 < length {
        text.push(letters[random.usize(..letters.len())]);
    }
    text
}

fn names() -> impl Iterator<Item = &'static str> {
    ALPHABETS.iter().chain(PIECES).map(|(name, _)| *name)
}

/// An error of some 4 KB whose forty fields echo what the client sent.
#[divan::bench(args = names())]
fn adversarial_error_4_kib(bencher: Bencher<'_, '_>, name: &str) {
    let text = adversarial(name, 4_000);
    let letters: Vec<char> = text.chars().collect();
    let fields: serde_json::Map<String, serde_json::Value> = letters
        .chunks(letters.len() / 40)
        .enumerate()
        .map(|(at, echo)| (format!("f{at}"), serde_json::json!([format!("Invalid value: {}", echo.iter().collect::<String>())])))
        .collect();
    let body = serde_json::json!({ "message": "Validation failed", "errors": fields }).to_string();
    let redactor = Redactor::default();
    bencher.counter(BytesCount::of_str(&body)).bench(|| tell(black_box(body.as_bytes()), "application/json", &redactor));
}

#[divan::bench(args = names())]
fn adversarial_text_4_kib(bencher: Bencher<'_, '_>, name: &str) {
    let (text, redactor) = (Untrusted::new(adversarial(name, 4_096)), Redactor::default());
    bencher.counter(BytesCount::of_str(text.raw())).bench(|| redactor.clear(black_box(&text)));
}

#[divan::bench(args = names())]
fn adversarial_document_1_mib(bencher: Bencher<'_, '_>, name: &str) {
    let (text, redactor) = (adversarial(name, 1 << 20), Redactor::default());
    bencher.counter(BytesCount::of_str(&text)).bench(|| redactor.document(black_box(&text)));
}

#[divan::bench(args = names())]
fn adversarial_stream_1_mib(bencher: Bencher<'_, '_>, name: &str) {
    let (text, redactor) = (adversarial(name, 1 << 20), std::sync::Arc::new(Redactor::default()));
    bencher.counter(BytesCount::of_str(&text)).bench(|| {
        let mut guard = redact::Guard::new(std::sync::Arc::clone(&redactor));
        text.as_bytes().chunks(8_192).map(|bytes| guard.push(black_box(bytes)).len()).sum::<usize>() + guard.finish().len()
    });
}

#[divan::bench(args = names())]
fn adversarial_mask_1_mib(bencher: Bencher<'_, '_>, name: &str) {
    let text = adversarial(name, 1 << 20);
    bencher.counter(BytesCount::of_str(&text)).bench(|| redact::mask(black_box(&text), usize::MAX));
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
