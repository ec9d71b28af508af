//! How well faults are grouped: measured on recorded errors of real frameworks, which are not part of this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockgate::journal::Entry;
use lockgate::journal::{fingerprint, trace};
use lockgate::language::Languages;
use lockgate::report;

/// Of the same faults with other values, at most so many may get another group.
const MAX_SPLIT: f64 = 0.03;
/// Of pairs of different faults, at most so many may share a group.
const MAX_MERGED: f64 = 0.03;
/// The most of a body, in bytes.
const MAX_BODY: usize = 256 * 1024;

struct Case {
    /// The framework, its version and its mode.
    program: String,
    situation: String,
    /// The message that a person finds in it.
    message: Option<String>,
    status: u16,
    content_type: Option<String>,
    body: String,
}

fn folders() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let lists = [corpus.join("cases"), corpus.join("fresh")].map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let mut found: Vec<PathBuf> =
        lists.into_iter().flatten().map(|entry| entry.path()).filter(|path| path.join("meta.json").exists()).collect();
    found.sort();
    found
}

/// Takes the chunks of a body apart.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]);
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16) else { break };
        let rest = &body[end + 2..];
        out.extend_from_slice(&rest[..size.min(rest.len())]);
        if size == 0 || rest.len() < size + 2 {
            break;
        }
        body = &rest[size + 2..];
    }
    out
}

fn case(folder: &Path) -> Option<Case> {
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("meta.json")).ok()?).ok()?;
    let text = |name: &str| meta[name].as_str().map(str::to_owned);
    let status = u16::try_from(meta["status"].as_u64()?).ok().filter(|status| *status >= 400)?;
    let raw = std::fs::read(folder.join("raw.bin")).ok()?;
    let head = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
    let lines = String::from_utf8_lossy(&raw[..head]).to_ascii_lowercase();
    let value = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned());
    let body = if value("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        joined(&raw[head + 4..])
    } else {
        raw[head + 4..].to_vec()
    };
    let content_type = value("content-type");
    let decoded = report::decode::uncode(&body, value("content-encoding").as_deref(), MAX_BODY);
    let body = report::decode::text(&decoded.bytes, content_type.as_deref());
    let program = format!("{} {} {}", text("framework")?, text("version").unwrap_or_default(), text("mode").unwrap_or_default());
    Some(Case { program, situation: text("situation")?, message: text("message"), status, content_type, body })
}

/// The entry of an answer, without its group.
fn entry(case: &Case, body: &str) -> Entry {
    let read = report::read_as(body, case.content_type.as_deref(), Languages::new(None, &[]));
    let text = |text: &Option<lockgate::text::Untrusted>| text.as_ref().map(|text| text.raw().to_owned());
    let mut entry = Entry {
        route: "shop".into(),
        code: format!("code_{}", case.status),
        received: Some(case.status),
        exception: text(&read.exception),
        message: text(&read.message),
        stack: text(&read.stack),
        caused_by: text(&read.cause),
        upstream_body: Some(body.to_owned()),
        ..Entry::default()
    };
    trace::complete(&mut entry);
    entry
}

/// The same answer with other numbers: those that stand alone. Names, status codes and escapes stay.
fn other_numbers(body: &str, status: u16) -> String {
    let bytes = body.as_bytes();
    let mut out = String::with_capacity(body.len() * 2);
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            let c = body[at..].chars().next().unwrap();
            out.push(c);
            at += c.len_utf8();
            continue;
        }
        let run = &body[at..at + length];
        let before = out.chars().next_back().unwrap_or(' ');
        let after = body[at + length..].chars().next().unwrap_or(' ');
        let is_fixed = before.is_alphanumeric()
            || after.is_alphanumeric()
            || "#\\%.".contains(before)
            || run == status.to_string()
            || run.starts_with('0');
        // One digit more, and all of them others.
        let other = |digit: u8| char::from(b'1' + (digit - b'0' + 4) % 9);
        if is_fixed {
            out.push_str(run)
        } else {
            out.extend(run.bytes().map(other).chain(['7']))
        }
        at += length;
    }
    out
}

/// The same message with another value in each pair of quotes.
fn other_quotes(text: &str) -> String {
    let parts: Vec<&str> = text.split('\'').collect();
    if parts.len() < 3 || parts.len().is_multiple_of(2) || text.contains("n't") {
        return text.to_owned();
    }
    parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { format!("'other {}'", part.len()) } else { (*part).to_owned() }).collect()
}

#[test]
fn recorded_faults_are_grouped() {
    let cases: Vec<Case> = folders().iter().filter_map(|folder| case(folder)).collect();
    if folders().is_empty() {
        println!("skipped: there is no corpus at ../shared/corpus (it is not part of this repository)");
        return;
    }
    let group = |entry: &Entry| fingerprint::of(entry).0;
    let (mut split, mut same, mut examples) = (0, 0, Vec::new());
    for case in &cases {
        let original = entry(case, &case.body);
        let mut other = entry(case, &other_numbers(&case.body, case.status));
        other.message = other.message.as_deref().map(other_quotes);
        if other == original {
            continue;
        }
        same += 1;
        if group(&other) != group(&original) {
            split += 1;
            examples.push(format!("{} {}: {:?} | {:?}", case.program, case.situation, original.message, other.message));
        }
    }
    println!("the same fault with other values: {split} of {same} get another group");
    examples.iter().take(30).for_each(|example| println!("  {example}"));
    let (shared, pairs) = merged(&cases, group);
    let merged = shared.len() as u32;
    println!("different faults: {merged} of {pairs} pairs share a group");
    shared.iter().take(30).for_each(|example| println!("  {example}"));
    assert!(same > 300 && f64::from(split) / f64::from(same) <= MAX_SPLIT);
    assert!(pairs > 300 && f64::from(merged) / f64::from(pairs) <= MAX_MERGED);
}

/// The letters of a text: what differs in numbers only is the same.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

/// Compares all faults of one program. Two of them are different if their messages are, but for numbers. What says nothing, or the same,
/// cannot be told apart by anybody.
fn merged(cases: &[Case], group: impl Fn(&Entry) -> String) -> (Vec<String>, u32) {
    let mut programs: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    cases.iter().for_each(|case| programs.entry(&case.program).or_default().push(case));
    let (mut merged, mut pairs) = (Vec::new(), 0);
    for cases in programs.values() {
        let said: Vec<(&&Case, String, Entry)> = cases
            .iter()
            .filter_map(|case| {
                // The status tells them apart in a gateway: here only the words may.
                let entry = Entry { code: "x".into(), received: None, ..entry(case, &case.body) };
                let words = case.message.clone().or_else(|| entry.message.clone())?;
                Some((case, letters(&words), entry))
            })
            .collect();
        for (at, (one, words, entry)) in said.iter().enumerate() {
            for (other, other_words, other_entry) in &said[at + 1..] {
                if words == other_words {
                    continue;
                }
                pairs += 1;
                if group(entry) == group(other_entry) {
                    merged.push(format!("{} {} and {}: {words:.60} | {other_words:.60}", one.program, one.situation, other.situation));
                }
            }
        }
    }
    (merged, pairs)
}
