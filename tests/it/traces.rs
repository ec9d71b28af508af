//! Tests redaction with the output of failing programs (`tests/cases/traces`) and with harmless texts that mention errors
//! (`tests/cases/benign`), each as text, in JSON, in JSON inside JSON and in HTML. Prints the detection rates.

use std::path::Path;

use lockgate::redact::Redactor;
use lockgate::text::Untrusted;

type Form = (&'static str, fn(&str) -> String);

const FORMS: &[Form] = &[
    ("text", str::to_owned),
    ("json", |text| serde_json::json!({ "status": 500, "message": text }).to_string()),
    ("json in json", |text| serde_json::json!({ "body": serde_json::json!({ "detail": text }).to_string() }).to_string()),
    ("html", |text| {
        format!("<html><head><title>Error</title></head><body><h1>Oops</h1><pre>{}</pre></body></html>", html_escape::encode_text(text))
    }),
];

fn texts(folder: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut found: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 60, "{folder} has its cases");
    found
}

#[test]
fn traces_are_found_in_every_form_and_documentation_is_left_alone() {
    let redactor = Redactor::default();
    let (traces, benign) = (texts("traces"), texts("benign"));
    for (form, write) in FORMS {
        let missed: Vec<_> = traces.iter().filter(|(_, text)| redactor.document(&write(text)).is_none()).map(|(name, _)| name).collect();
        let alarms: Vec<_> = benign.iter().filter(|(_, text)| redactor.document(&write(text)).is_some()).map(|(name, _)| name).collect();
        println!(
            "{form}: {} of {} found, {} of {} false alarms; missed {missed:?}",
            traces.len() - missed.len(),
            traces.len(),
            alarms.len(),
            benign.len()
        );
        assert!(missed.len() * 100 <= traces.len() * 5, "{form} misses {missed:?}");
        assert!(alarms.len() <= 1, "{form} alarms at {alarms:?}");
    }
}

/// A source file with its line, or an address in memory: what a frame cannot do without.
fn frames(text: &str) -> usize {
    let pattern = regex::Regex::new(
        r"\b[\w-]+\.(?:java|kt|scala|clj|py|js|ts|rb|php|go|rs|cs|ex|erl|pl|lua|swift|dart|hs|ml)(?::\d+|\(\d+\)|. line \d+)",
    )
    .unwrap();
    pattern.find_iter(text).count()
}

#[test]
fn nothing_of_a_trace_is_left() {
    let redactor = Redactor::default();
    let mut total = 0;
    let mut left = Vec::new();
    for (name, text) in texts("traces") {
        let before = frames(&text);
        let after = redactor.document(&text).map_or(before, |clean| frames(&clean));
        total += before;
        if after > 0 {
            left.push((name, after));
        }
    }
    let rest: usize = left.iter().map(|(_, count)| count).sum();
    println!("{rest} of {total} frames left: {left:?}");
    assert!(total > 500 && rest * 100 <= total, "{rest} of {total}: {left:?}");
}

#[test]
fn no_message_of_an_error_holds_a_frame() {
    let redactor = Redactor::default();
    for (name, text) in texts("traces") {
        for message in [text.clone(), text.replace('\n', " "), format!("The order is locked.\n{text}")] {
            let shown = redactor.clear(&Untrusted::new(message)).map(|text| text.as_str().to_owned()).unwrap_or_default();
            assert_eq!(frames(&shown), 0, "{name}: {shown}");
        }
    }
}

#[test]
fn json_stays_json_and_the_rest_stays() {
    let redactor = Redactor::default();
    for (name, text) in texts("traces") {
        let body = serde_json::json!({ "order": 7, "total": "19.90 EUR", "stack": text, "ok": false }).to_string();
        let Some(clean) = redactor.document(&body) else { continue };
        let value: serde_json::Value = serde_json::from_str(&clean).unwrap_or_else(|error| panic!("{name}: {error}\n{clean}"));
        assert_eq!(
            (value["order"].as_u64(), value["total"].as_str(), value["ok"].as_bool()),
            (Some(7), Some("19.90 EUR"), Some(false)),
            "{name}"
        );
    }
}

/// Text of random letters, at least `length` bytes long.
fn random(letters: &str, length: usize, seed: u64) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    while text.len() < length {
        text.push(letters[random.usize(..letters.len())]);
    }
    text
}

#[test]
fn encoded_data_is_no_leak() {
    let alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let redactor = Redactor::default();
    for seed in 0..2 {
        for letters in [format!("{alphanumeric}+/"), format!("{alphanumeric}-_"), "0123456789abcdef".into(), "%0123456789ABCDEF".into()] {
            let data = random(&letters, 1 << 20, seed);
            for body in [data.clone(), format!("{{\"image\":\"{data}\"}}"), format!("<img src=\"data:image/png;base64,{data}\">")] {
                let kept = redactor.document(&body);
                assert!(kept.is_none(), "{:?} of {letters}, seed {seed}", redactor.findings(&body));
            }
        }
    }
}
