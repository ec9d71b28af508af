//! Tests that the table of keys and the readers have the same keys, and that the table is complete.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::kind::Kind;
use super::value::toml;
use super::{FILES, KeyInfo, POLICY, ROOT, TableInfo, table, tables};
use crate::config::diagnose::Problems;
use crate::config::expand::Surroundings;

/// Keys that a reader knows only to say what they are called now.
const FORMER: [(&str, &str); 1] = [("limits.NAME", "allow")];
/// Where the operator chooses a name.
const NAME: &str = "NAME";

type Places = BTreeSet<(String, String)>;

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The table that values of a type are, and whether the operator chooses a name in between.
fn nested(kind: &Kind) -> Option<(&'static TableInfo, bool)> {
    match kind {
        Kind::Table(name) => table(name).map(|table| (table, false)),
        Kind::Map(item) => nested(item).map(|(table, _)| (table, true)),
        Kind::List(item) => nested(item),
        Kind::Either(kinds) => kinds.iter().find_map(nested),
        Kind::Boolean | Kind::Fraction | Kind::Integer(..) | Kind::Text(_) | Kind::Word(_) | Kind::Choice(_) => None,
    }
}

/// Every key of the table, with the path at which a reader finds it.
fn places(table: &TableInfo, path: &str, found: &mut Places) {
    for key in table.all_keys() {
        found.insert((path.to_owned(), key.name.clone()));
        if let Some((inner, is_named)) = nested(&key.kind) {
            let below = joined(path, &key.name);
            places(inner, &if is_named { joined(&below, NAME) } else { below }, found);
        }
    }
}

/// A table with a value for every key, or for those only that hold tables.
fn sample(table: &TableInfo, only_tables: bool) -> Value {
    let keys = table.all_keys().filter(|key| !only_tables || nested(&key.kind).is_some());
    Value::Object(keys.map(|key| (key.name.clone(), sample_of(key, &key.kind, only_tables))).collect::<Map<_, _>>())
}

fn sample_of(key: &KeyInfo, kind: &Kind, only_tables: bool) -> Value {
    match kind {
        _ if nested(kind).is_none() => key.example.clone().or_else(|| key.default.clone()).unwrap_or(Value::Null),
        Kind::Table(name) => sample(table(name).unwrap(), only_tables),
        Kind::Map(item) => json!({ NAME: sample_of(key, item, only_tables) }),
        Kind::List(item) => json!([sample_of(key, item, only_tables)]),
        Kind::Either(kinds) => sample_of(key, kinds.iter().find(|kind| nested(kind).is_some()).unwrap(), only_tables),
        Kind::Boolean | Kind::Fraction | Kind::Integer(..) | Kind::Text(_) | Kind::Word(_) | Kind::Choice(_) => Value::Null,
    }
}

/// Reads a text, and returns the keys that the readers asked for.
fn asked(text: &str) -> (Places, Problems) {
    let mut problems = Problems::default();
    crate::config::read(text, &mut problems, &Surroundings::of_text(&|_| None));
    let asked = problems.1.iter().filter(|(_, key)| *key != "*").map(|(path, key)| (path.clone(), (*key).to_owned()));
    (asked.collect(), problems)
}

fn whole(only_tables: bool) -> String {
    let root = sample(table(ROOT).unwrap(), only_tables);
    root.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {}\n", toml(value))).collect()
}

#[test]
fn the_table_and_the_readers_have_the_same_keys() {
    let mut in_table = Places::new();
    places(table(ROOT).unwrap(), "", &mut in_table);
    let former = FORMER.map(|(path, key)| (path.to_owned(), key.to_owned()));
    let full = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/full.toml")).unwrap();
    let read: Places = asked(&whole(false)).0.into_iter().chain(asked(&whole(true)).0).filter(|place| !former.contains(place)).collect();
    let missing: Vec<_> = read.difference(&in_table).collect();
    assert!(missing.is_empty(), "keys without an entry in src/config/schema/keys: {missing:#?}");
    let unread: Vec<_> = in_table.difference(&read).collect();
    assert!(unread.is_empty(), "entries in src/config/schema/keys that no reader asks for: {unread:#?}");
    // What the readers ask of the example of all keys is in the table too, whatever its names.
    let names: BTreeSet<&str> = in_table.iter().map(|(_, key)| key.as_str()).chain(["allow"]).collect();
    let unknown: Vec<_> = asked(&full).0.into_iter().filter(|(_, key)| !names.contains(key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(in_table.len() > 300, "{}", in_table.len());
}

#[test]
fn config_full_toml_has_every_key() {
    let full = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/full.toml")).unwrap();
    let words: BTreeSet<&str> = full.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let keys = tables().iter().flat_map(|table| &table.keys);
    let missing: Vec<_> = keys.map(|key| key.name.as_str()).filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_key_has_all_that_it_needs() {
    for table in tables() {
        assert!(table.about.ends_with('.'), "{} has no `about`", table.name);
        assert!(table.name == ROOT || table.name == POLICY || is_used(&table.name), "{} is never used", table.name);
        for name in table.any_of.iter().chain(&table.one_of) {
            assert!(table.key(name).is_some(), "{}: there is no key `{name}`", table.name);
        }
        for key in &table.keys {
            let place = format!("{}.{}", table.name, key.name);
            let sentences = key.text.replace("such as \"", "").matches(". ").count() + 1;
            assert!(
                key.text.ends_with(['.', '-']) && key.text.len() > 10 && sentences <= 3,
                "{place}: describe it in one or two sentences"
            );
            assert!(
                nested(&key.kind).is_some() || key.example.is_some() || key.default.is_some(),
                "{place} has neither default nor example"
            );
            assert!(key.default.is_none() || key.absent.is_empty(), "{place} has both `default` and `absent`");
            for with in key.with.iter().filter(|with| !with.starts_with("../")) {
                let is_key = tables().iter().any(|table| table.key(with).is_some());
                assert!(is_key, "{place}: there is no key `{with}`");
            }
        }
    }
    // Nothing in the files is left out, such as a key whose type is misspelled.
    let written: usize = FILES.iter().map(|file| file.lines().filter(|line| line.starts_with("type = ")).count()).sum();
    assert_eq!(written, tables().iter().map(|table| table.keys.len()).sum::<usize>(), "a key cannot be read");
}

#[test]
fn the_keys_of_routes_with_a_backend_are_the_same() {
    let route = table("route").unwrap();
    let with: BTreeSet<&str> = route.all_keys().filter(|key| key.with == ["backend"]).map(|key| key.name.as_str()).collect();
    assert_eq!(with, BTreeSet::from(crate::config::routes::OF_BACKENDS));
}

fn is_used(name: &str) -> bool {
    tables().iter().flat_map(|table| &table.keys).any(|key| nested(&key.kind).is_some_and(|(table, _)| table.name == name))
}

#[test]
fn every_default_and_example_is_valid() {
    let mut seen = BTreeSet::new();
    check_values(table(ROOT).unwrap(), &mut Vec::new(), &mut seen);
    assert!(seen.len() > 150, "{}", seen.len());
}

/// Reads each value alone at its place. Problems of what is missing beside it do not count.
fn check_values(table: &'static TableInfo, path: &mut Vec<(String, bool)>, seen: &mut BTreeSet<(String, String)>) {
    for key in table.all_keys() {
        if seen.insert((table.name.clone(), key.name.clone())) {
            for value in [&key.default, &key.example].into_iter().flatten() {
                check_value(path, &key.name, value);
            }
        }
        if let Some((inner, is_named)) = nested(&key.kind).filter(|_| path.len() < 4) {
            path.push((key.name.clone(), is_list(&key.kind)));
            if is_named {
                path.push((NAME.to_owned(), false));
            }
            check_values(inner, path, seen);
            path.truncate(path.len() - 1 - usize::from(is_named));
        }
    }
}

fn is_list(kind: &Kind) -> bool {
    match kind {
        Kind::List(_) => true,
        Kind::Either(kinds) => kinds.iter().any(|kind| is_list(kind) && nested(kind).is_some()),
        Kind::Boolean
        | Kind::Fraction
        | Kind::Integer(..)
        | Kind::Text(_)
        | Kind::Word(_)
        | Kind::Choice(_)
        | Kind::Table(_)
        | Kind::Map(_) => false,
    }
}

fn check_value(path: &[(String, bool)], key: &str, value: &Value) {
    let (mut before, mut after) = (String::new(), String::new());
    for (at, (name, is_list)) in path.iter().enumerate() {
        let (open, close) = if *is_list { ("[{ ", " }]") } else { ("{ ", " }") };
        before.push_str(&format!("{name} = {open}"));
        after.insert_str(0, close);
        assert!(at < 6);
    }
    let text = format!("{before}{key} = {}{after}", toml(value));
    let span = before.len()..text.len() - after.len();
    let found = asked(&text).1.sorted();
    let harmless = ["has no effect", "needs", "cannot read", "has one of", "has both", "names of"];
    let wrong: Vec<_> = found
        .iter()
        .filter(|problem| problem.span.as_ref().is_some_and(|at| span.start <= at.start && at.end <= span.end))
        .filter(|problem| !harmless.iter().any(|part| problem.title.contains(part)))
        // A file in the examples exists nowhere.
        .filter(|problem| !problem.help.contains("cannot read"))
        .collect();
    assert!(wrong.is_empty(), "{text}: {wrong:#?}");
}
