//! The reference of the configuration: every table with every key.

use std::collections::VecDeque;
use std::fmt::Write;

use lockgate::config::schema::kind::{FORMATS, Format, Kind};
use lockgate::config::schema::value::toml;
use lockgate::config::schema::{KeyInfo, POLICY, ROOT, TableInfo, table, tables};

use super::{cell, compare};

const PATH: &str = "docs/configuration-reference.md";
/// What stands above the generated part.
const BEGIN: &str = "<!-- Generated from src/config/schema/keys by `UPDATE_DOCS=1 cargo test --test it references`. -->\n";

/// The tables with the places where the file has them, each place once and the shortest first.
fn places() -> Vec<(&'static TableInfo, Vec<String>)> {
    let mut found: Vec<(&TableInfo, Vec<String>)> = tables().iter().map(|table| (table, Vec::new())).collect();
    let mut todo = VecDeque::from([(ROOT.to_owned(), String::new())]);
    while let Some((name, place)) = todo.pop_front() {
        let Some(entry) = found.iter_mut().find(|(table, _)| table.name == name) else { panic!("no table {name}") };
        // `errors` is a table of the file, of a backend and of a route: what is below it is told once.
        if entry.1.is_empty() {
            todo.extend(entry.0.keys.iter().flat_map(|key| children(&key.kind, &join(&place, &key.name))));
        }
        if !entry.1.contains(&place) {
            entry.1.push(place);
        }
    }
    found
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// The tables that a type has, each with its place.
fn children(kind: &Kind, place: &str) -> Vec<(String, String)> {
    match kind {
        Kind::Table(name) => vec![(name.clone(), place.to_owned())],
        Kind::List(item) => children(item, &format!("{place}[]")),
        Kind::Map(item) => children(item, &format!("{place}.NAME")),
        Kind::Either(kinds) => kinds.iter().flat_map(|kind| children(kind, place)).collect(),
        Kind::Boolean | Kind::Fraction | Kind::Integer(..) | Kind::Text(_) | Kind::Word(_) | Kind::Choice(_) => Vec::new(),
    }
}

/// The name of a table in headings and links.
fn title(info: &TableInfo, place: &str) -> String {
    if info.name == ROOT { "The whole file".to_owned() } else { place.to_owned() }
}

/// The anchor of a heading, as Markdown renderers derive it.
fn anchor(title: &str) -> String {
    title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

fn link(name: &str) -> String {
    let places = places();
    let (info, at) = places.iter().find(|(table, _)| table.name == name).unwrap();
    let title = title(info, &at[0]);
    // A link has no brackets in its text, so that a list is named as its items are.
    let text = if name == POLICY { "defaults".to_owned() } else { info.name.replace('_', " ") };
    format!("[{text}](#{})", anchor(&title))
}

fn kind_text(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "boolean".to_owned(),
        Kind::Fraction => "number from 0 to 1".to_owned(),
        Kind::Integer(from, to) => format!("integer from {from} to {to}"),
        Kind::Text(Format { name, .. }) => (*name).to_owned(),
        Kind::Word(word) => format!("`\"{word}\"`"),
        Kind::Choice(values) => values.iter().map(|value| format!("`{}`", toml(value))).collect::<Vec<_>>().join(", "),
        Kind::Table(name) => link(name),
        Kind::List(item) => format!("list of {}", kind_text(item)),
        Kind::Map(item) => format!("table of {}", kind_text(item)),
        Kind::Either(kinds) => kinds.iter().map(kind_text).collect::<Vec<_>>().join(" or "),
    }
}

fn default_text(key: &KeyInfo) -> String {
    if key.required {
        return "required".to_owned();
    }
    if key.always {
        return "its defaults".to_owned();
    }
    match &key.default {
        Some(value) => format!("`{}`", toml(value)),
        None => key.absent.clone(),
    }
}

/// What a key does, with an example and the keys that it depends on.
fn about(key: &KeyInfo) -> String {
    let mut text = key.text.clone();
    let names = |keys: &[String]| keys.iter().map(|key| format!("`{}`", key.trim_start_matches("../"))).collect::<Vec<_>>().join(" or ");
    if !key.with.is_empty() {
        write!(text, " Only with {}.", names(&key.with)).unwrap();
    }
    if !key.unless.is_empty() {
        let cases = key.unless.iter().map(|case| case.trim_start_matches("../").replacen('=', " = \"", 1) + "\"");
        write!(text, " Without effect with {}.", cases.map(|case| format!("`{case}`")).collect::<Vec<_>>().join(" or ")).unwrap();
    }
    if key.secret {
        text.push_str(" It is a secret and is never shown.");
    }
    if let Some(example) = key.example.as_ref().filter(|example| Some(*example) != key.default.as_ref()) {
        write!(text, " Example: `{}`.", toml(example)).unwrap();
    }
    text
}

fn section(out: &mut String, info: &TableInfo, places: &[String]) {
    let Some(first) = places.first() else { panic!("nothing refers to {}", info.name) };
    write!(out, "\n## {}\n\n{}", title(info, first), info.about).unwrap();
    if places.len() > 1 {
        let more: Vec<String> = places[1..].iter().map(|place| format!("`{place}`")).collect();
        write!(out, " The same keys are in {}.", more.join(" and ")).unwrap();
    }
    if let Some(includes) = info.includes.as_deref() {
        let included = table(includes).unwrap();
        assert_eq!(included.name, POLICY);
        write!(out, " It also has the keys of [defaults](#defaults).").unwrap();
    }
    for (word, keys) in [("At least one", &info.any_of), ("Exactly one", &info.one_of)] {
        if !keys.is_empty() {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            write!(out, " {word} of {} is required.", keys.join(", ")).unwrap();
        }
    }
    out.push_str("\n\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in &info.keys {
        let cells = [kind_text(&key.kind), default_text(key), about(key)].map(|text| cell(&text));
        writeln!(out, "| `{}` | {} |", key.name, cells.join(" | ")).unwrap();
    }
}

fn formats(out: &mut String) {
    out.push_str("\n## Types\n\n| type | what it is |\n|---|---|\n");
    for Format { name, about, .. } in FORMATS.iter().filter(|format| !format.about.is_empty()) {
        writeln!(out, "| {name} | {} |", cell(about)).unwrap();
    }
    out.push_str("\nThe description of a key tells what a text of any other type may be. `\"${NAME}\"` within a text inserts an environment variable.\n");
}

fn generated() -> String {
    let mut out = String::new();
    for (info, places) in places() {
        section(&mut out, info, &places);
    }
    formats(&mut out);
    out
}

#[test]
fn the_configuration_reference_is_the_schema() {
    compare(PATH, BEGIN, generated().trim_start_matches('\n'));
}

#[test]
fn every_key_has_a_row() {
    let page = generated();
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, tables().iter().map(|table| table.keys.len()).sum::<usize>());
}
