//! The difference between two configurations, by listener, backend, limit and route. Knows no keys.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::effective::{Content, Effective, Layer, Origin, Part, Setting};
use crate::config::schema::value;

/// A part of the configuration that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The table, such as `routes`; empty for keys outside of tables.
    pub table: &'static str,
    /// The name of a backend, a limit or a route.
    pub name: Option<String>,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The part is new, with the keys that it sets.
    Added(Vec<KeyChange>),
    /// The part is gone.
    Removed,
    /// Values that are in force differ.
    Changed(Vec<KeyChange>),
}

/// A key whose value differs. A value without a text is not in force.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyChange {
    /// The key below its part.
    pub key: String,
    /// The backend for which the value holds, where a route has several and they differ.
    pub backend: Option<String>,
    /// The value before, as TOML.
    pub old: Option<String>,
    /// The value after, as TOML.
    pub new: Option<String>,
    /// A secret differs, which is not shown.
    pub is_secret: bool,
}

/// Returns what differs between two configurations, in the order of the new one, with removed parts last.
pub fn diff(old: &Effective, new: &Effective) -> Vec<Change> {
    let by_id = |all: &'_ Effective| -> HashMap<(&'static str, Option<String>), usize> {
        all.parts.iter().enumerate().map(|(at, part)| ((part.table, part.name.clone()), at)).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let mut same = SameInherited::default();
    let mut changes = Vec::new();
    for part in &new.parts {
        let what = match before.get(&(part.table, part.name.clone())).and_then(|at| old.parts.get(*at)) {
            None => Some(What::Added(added(part))),
            Some(before) => Some(changed(before, part, &mut same)).filter(|keys| !keys.is_empty()).map(What::Changed),
        };
        changes.extend(what.map(|what| Change { table: part.table, name: part.name.clone(), what }));
    }
    let gone = old.parts.iter().filter(|part| !after.contains_key(&(part.table, part.name.clone())));
    changes.extend(gone.map(|part| Change { table: part.table, name: part.name.clone(), what: What::Removed }));
    changes
}

/// What two groups of routes inherit is compared once, however many routes they have.
#[derive(Default)]
struct SameInherited(HashMap<(*const Setting, *const Setting), bool>);

impl SameInherited {
    fn are_same(&mut self, old: &Part, new: &Part) -> bool {
        let (one, two) = (&old.inherited, &new.inherited);
        let compare = || one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| is_same(one, two));
        *self.0.entry((one.as_ptr(), two.as_ptr())).or_insert_with(compare)
    }
}

/// Returns true if the same value is in force, wherever it comes from.
fn is_same(one: &Setting, two: &Setting) -> bool {
    one.path == two.path && one.backend == two.backend && one.content == two.content
}

/// The keys that a new part sets itself.
fn added(part: &Part) -> Vec<KeyChange> {
    let own = part.settings().into_iter().filter(|setting| matches!(&setting.origin, Origin::File { layer: Layer::Own, .. }));
    own.map(|setting| change(None, Some(setting))).collect()
}

fn changed(old: &Part, new: &Part, same: &mut SameInherited) -> Vec<KeyChange> {
    let own_is_same = old.own.len() == new.own.len() && old.own.iter().zip(&new.own).all(|(one, two)| is_same(one, two));
    if own_is_same && same.are_same(old, new) {
        return Vec::new();
    }
    let (before, after) = (old.settings(), new.settings());
    let id = |setting: &Setting| (setting.path.clone(), setting.backend.clone());
    let old_by_id: HashMap<_, &Setting> = before.iter().map(|setting| (id(setting), *setting)).collect();
    let new_by_id: HashMap<_, &Setting> = after.iter().map(|setting| (id(setting), *setting)).collect();
    let mut all: Vec<(Option<&Setting>, Option<&Setting>)> =
        after.iter().map(|setting| (old_by_id.get(&id(setting)).copied(), Some(*setting))).collect();
    all.extend(before.iter().filter(|setting| !new_by_id.contains_key(&id(setting))).map(|setting| (Some(*setting), None)));
    all.sort_by_key(|(old, new)| new.or(*old).map(|setting| setting.order));
    let differing = all.into_iter().filter(|(old, new)| old.map(|old| &old.content) != new.map(|new| &new.content));
    differing.map(|(old, new)| change(old, new)).collect()
}

fn change(old: Option<&Setting>, new: Option<&Setting>) -> KeyChange {
    let text = |setting: &Setting| match &setting.content {
        Content::Value { shown, .. } => value::toml(shown),
        Content::Absent(text) => text.to_string(),
    };
    let (before, after) = (old.map(text), new.map(text));
    let setting = new.or(old);
    KeyChange {
        key: setting.map(|setting| setting.path.clone()).unwrap_or_default(),
        backend: setting.and_then(|setting| setting.backend.as_deref()).map(str::to_owned),
        is_secret: before == after,
        old: before,
        new: after,
    }
}

impl Change {
    /// Returns the part as text, such as `listen`, `backend shop` or `route /orders/*`.
    pub fn part(&self) -> String {
        match (self.table, &self.name) {
            ("", _) => "top level".to_owned(),
            (table, None) => table.to_owned(),
            (table, Some(name)) => format!("{} {name}", table.strip_suffix('s').unwrap_or(table)),
        }
    }

    /// Returns the change as JSON.
    pub fn json(&self) -> Value {
        let (word, keys) = match &self.what {
            What::Added(keys) => ("added", keys.as_slice()),
            What::Removed => ("removed", &[][..]),
            What::Changed(keys) => ("changed", keys.as_slice()),
        };
        let mut all = Map::new();
        all.insert("table".into(), self.table.into());
        if let Some(name) = &self.name {
            all.insert("name".into(), name.as_str().into());
        }
        all.insert("change".into(), word.into());
        if !keys.is_empty() {
            all.insert("keys".into(), keys.iter().map(KeyChange::json).collect());
        }
        Value::Object(all)
    }
}

impl KeyChange {
    fn json(&self) -> Value {
        let mut all = json!({ "key": self.key, "old": self.old, "new": self.new });
        if let Some(backend) = &self.backend {
            all["backend"] = backend.as_str().into();
        }
        if self.is_secret {
            all["secret"] = true.into();
        }
        all
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.key)?;
        if let Some(backend) = &self.backend {
            write!(out, " (backend {backend})")?;
        }
        match (&self.old, &self.new) {
            (Some(_), Some(_)) if self.is_secret => write!(out, ": a secret has changed"),
            (Some(old), Some(new)) => write!(out, ": {old} -> {new}"),
            (None, Some(new)) => write!(out, ": {new}"),
            (Some(old), None) => write!(out, ": {old} -> not in force"),
            (None, None) => Ok(()),
        }
    }
}

/// Returns all changes on one line, such as `routes: 1 added, 2 changed; backends: 1 removed; listen changed`.
pub fn summary(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no differences".to_owned();
    }
    let mut tables: Vec<&'static str> = Vec::new();
    changes.iter().for_each(|change| {
        if !tables.contains(&change.table) {
            tables.push(change.table)
        }
    });
    let of_table = |table: &'static str| {
        let of = |is: fn(&What) -> bool| changes.iter().filter(|change| change.table == table && is(&change.what)).count();
        let counts = [
            (of(|what| matches!(what, What::Added(_))), "added"),
            (of(|what| matches!(what, What::Removed)), "removed"),
            (of(|what| matches!(what, What::Changed(_))), "changed"),
        ];
        let is_named = changes.iter().any(|change| change.table == table && change.name.is_some());
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts = counts.map(|(count, word)| if is_named { format!("{count} {word}") } else { (*word).to_owned() });
        let counts = counts.collect::<Vec<_>>().join(", ");
        let table = if table.is_empty() { "top level" } else { table };
        if is_named { format!("{table}: {counts}") } else { format!("{table} {counts}") }
    };
    tables.into_iter().map(of_table).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expand::Surroundings;

    const OLD: &str = r#"
[listen]
admin_token = "${TOKEN}"
[defaults]
response_timeout = "30s"
[limits.a]
rate = "1/s"
[backends.one]
endpoints = ["http://127.0.0.1:1"]
[backends.two]
endpoints = ["http://127.0.0.1:2"]
response_timeout = "2s"
[[routes]]
name = "first"
path = "/*"
backend = "one"
[[routes]]
name = "second"
path = "/2"
backend = "two"
"#;

    fn effective(text: &str, token: &'static str) -> Effective {
        Effective::read(text, "a.toml", &Surroundings::of_text(&move |name| (name == "TOKEN").then(|| token.to_owned())))
    }

    fn lines(old: &str, new: &str, token: &'static str) -> Vec<String> {
        let changes = diff(&effective(old, "x"), &effective(new, token));
        let keys = |change: &Change| match &change.what {
            What::Added(keys) => ("added", keys.clone()),
            What::Removed => ("removed", Vec::new()),
            What::Changed(keys) => ("changed", keys.clone()),
        };
        let told = changes.iter().flat_map(|change| {
            let (word, keys) = keys(change);
            let keys = keys.iter().map(|key| format!("{}: {key}", change.part())).collect::<Vec<_>>();
            if word == "changed" { keys } else { vec![format!("{} {word}", change.part())] }
        });
        told.chain([summary(&changes)]).collect()
    }

    #[test]
    fn values_in_force_are_compared() {
        // Order, comments and lines mean nothing.
        assert_eq!(lines(OLD, &format!("# a comment\n{OLD}"), "x"), ["no differences"]);
        // A default that is written is no difference either, and the route with a value of its own does not change.
        let new = OLD.replace("response_timeout = \"30s\"", "response_timeout = \"5s\"\nidle_timeout = \"60s\"");
        assert_eq!(
            lines(OLD, &new, "x"),
            [
                "defaults: response_timeout: \"30s\" -> \"5s\"",
                "route first: response_timeout: \"30s\" -> \"5s\"",
                "defaults changed; routes: 1 changed"
            ]
        );
    }

    #[test]
    fn parts_are_added_and_removed() {
        let new = OLD
            .replace("backends.two", "backends.three")
            .replace("backend = \"two\"", "backend = \"three\"")
            .replace("[limits.a]\nrate = \"1/s\"\n", "");
        assert_eq!(
            lines(OLD, &new, "x"),
            [
                "backend three added",
                "route second: backend: \"two\" -> \"three\"",
                "backend two removed",
                "limit a removed",
                "backends: 1 added, 1 removed; routes: 1 changed; limits: 1 removed"
            ]
        );
    }

    #[test]
    fn a_secret_is_told_as_changed_only() {
        assert_eq!(lines(OLD, OLD, "hunter2"), ["listen: admin_token: a secret has changed", "listen changed"]);
        let new = OLD.replace("${TOKEN}", "${TOKEN}${TOKEN}");
        assert_eq!(lines(OLD, &new, "x")[0], "listen: admin_token: \"${TOKEN}\" -> \"${TOKEN}${TOKEN}\"");
    }
}
