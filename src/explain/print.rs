//! The effective configuration as TOML, with the origin of each value as a comment, and as JSON. Knows no keys.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::effective::{Content, Effective, Part, Setting};
use crate::config::schema::value;

/// The widest line to which comments are aligned, in characters.
const MAX_COLUMN: usize = 56;

impl Effective {
    /// Returns the configuration as TOML. It can be used as a configuration file with the same effect, unless a credential is masked.
    pub fn toml(&self) -> String {
        let mut out = String::new();
        for part in &self.parts {
            if !out.is_empty() {
                out.push('\n');
            }
            self.write_part(part, &mut out);
        }
        out
    }

    fn write_part(&self, part: &Part, out: &mut String) {
        if !part.table.is_empty() {
            let name = part.name.as_deref().filter(|_| !part.is_listed).map(|name| format!(".{}", value::key_of(name)));
            let (open, close) = if part.is_listed { ("[[", "]]") } else { ("[", "]") };
            let place = part.line.map_or_else(|| "default".to_owned(), |line| format!("{}:{line}", self.file));
            out.push_str(&format!("{open}{}{}{close}  # {place}\n", part.table, name.unwrap_or_default()));
        }
        let settings = part.settings();
        let differing: HashSet<&str> = settings.iter().filter(|setting| setting.backend.is_some()).map(|setting| setting.unit()).collect();
        let lines = settings.into_iter().map(|setting| self.line(setting, differing.contains(setting.unit())));
        let lines: Vec<(String, String)> = lines.collect();
        let widest = lines.iter().map(|(text, _)| text.chars().count()).filter(|width| *width <= MAX_COLUMN).max().unwrap_or_default();
        for (text, origin) in lines {
            let padding = " ".repeat(widest.saturating_sub(text.chars().count()));
            out.push_str(&format!("{text}{padding}  # {origin}\n"));
        }
    }

    /// A setting as a line of TOML, or as a comment if it is no fixed value or not the same for all backends of a route; and its origin.
    fn line(&self, setting: &Setting, differs: bool) -> (String, String) {
        let text = match &setting.content {
            Content::Value { shown, .. } => format!("{} = {}", setting.path, value::toml(shown)),
            Content::Absent(text) => format!("{}: {}", setting.path, one_line(text)),
        };
        let text = match (&setting.backend, &setting.content) {
            (Some(backend), _) => format!("# {text} (backend {})", one_line(backend)),
            (None, Content::Value { .. }) if differs => format!("# {text} (other backends)"),
            (None, Content::Value { .. }) => text,
            (None, Content::Absent(_)) => format!("# {text}"),
        };
        (text, one_line(&setting.origin.told(&self.file)))
    }

    /// Returns the configuration as JSON: each key with `value` and `origin`, and with `note` where there is no fixed value. Routes are a list,
    /// and named tables are members of one object.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("file".into(), self.file.as_str().into());
        for part in &self.parts {
            let members = self.members(part);
            match (&part.name, part.table) {
                (_, "") => all.extend(members),
                (Some(name), table) if part.is_listed => {
                    let mut route = Map::new();
                    route.insert("id".into(), name.as_str().into());
                    route.extend(members);
                    let list = all.entry(table).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut().into_iter().for_each(|list| list.push(Value::Object(route.clone())));
                }
                (Some(name), table) => {
                    let named = all.entry(table).or_insert_with(|| Value::Object(Map::new()));
                    named.as_object_mut().into_iter().for_each(|named| {
                        named.insert(name.clone(), Value::Object(members.clone()));
                    });
                }
                (None, table) => {
                    all.insert(table.to_owned(), Value::Object(members));
                }
            }
        }
        Value::Object(all)
    }

    fn members(&self, part: &Part) -> Map<String, Value> {
        let mut members = Map::new();
        for setting in part.settings() {
            let mut path = setting.path.split('.');
            let last = path.next_back().unwrap_or_default();
            let mut within = &mut members;
            let backend = setting.backend.as_deref().map(|backend| ["for_backends", backend]);
            for name in backend.into_iter().flatten().chain(path) {
                within = inner_of(within, name);
            }
            within.insert(last.to_owned(), self.leaf(setting));
        }
        members
    }

    fn leaf(&self, setting: &Setting) -> Value {
        let origin = setting.origin.told(&self.file);
        match &setting.content {
            Content::Value { shown, .. } => json!({ "value": shown, "origin": origin }),
            Content::Absent(text) => json!({ "value": null, "origin": origin, "note": text }),
        }
    }
}

/// The object at a member, which is made where there is none.
fn inner_of<'m>(members: &'m mut Map<String, Value>, name: &str) -> &'m mut Map<String, Value> {
    let inner = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    match inner {
        Value::Object(inner) => inner,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => unreachable!("it was made an object"),
    }
}

/// A comment ends with its line, so what an operator chose must not have one.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
