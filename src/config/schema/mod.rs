//! The table of all keys of the configuration: type, unit, default, allowed values, description and example of each.
//!
//! The table is data: the files in `keys/`, one for several sections. A file has one TOML table for each kind of table of the configuration,
//! and in it one table for each key:
//!
//! ```toml
//! [listen]                       # the name that other keys refer to as "@listen"
//! about = "What it is."
//! includes = "policy"            # optional: it has all keys of that table too
//! any_of = ["rate", "burst"]     # optional: one of these keys is required, or with `one_of` exactly one
//!
//! [listen.idle_timeout]
//! type = "duration | =off"       # see `kind`
//! values = ["a", "b"]            # the values of the type "choice"
//! default = "75s"                # the value that applies if the key is not set, or
//! absent = "no limit"            # what applies then, if it is no fixed value
//! always = true                  # a table that applies with its defaults if it is not set
//! example = "60s"                # a value; required if there is no default
//! required = true
//! secret = true                  # the value is never shown
//! with = "backend"               # it has an effect only if its table has this key too; "../backend" is a key of the table around it
//! unless = "mode=fast"           # it has no effect if this key has this value; several are separated by spaces
//! text = "One or two plain sentences."
//! ```
//!
//! `agreement` (a test) proves that the table and the readers have the same keys. Must not read configurations; the readers do.

#[cfg(test)]
mod agreement;
pub mod json_schema;
pub mod kind;
pub mod value;

use std::sync::LazyLock;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use kind::Kind;

/// The files of the table.
const FILES: [&str; 6] = [
    include_str!("keys/listen.toml"),
    include_str!("keys/policy.toml"),
    include_str!("keys/backends.toml"),
    include_str!("keys/routes.toml"),
    include_str!("keys/errors.toml"),
    include_str!("keys/notify.toml"),
];

/// The name of the table of the whole file.
pub const ROOT: &str = "root";
/// The name of the table whose keys `[defaults]`, backends and routes have in common.
pub const POLICY: &str = "policy";

/// A kind of table of the configuration.
#[derive(Debug)]
pub struct TableInfo {
    /// The name by which keys refer to it.
    pub name: String,
    /// What it is, in one or two sentences.
    pub about: String,
    /// The name of a table whose keys it has too.
    pub includes: Option<String>,
    /// Keys of which at least one is required; empty for none.
    pub any_of: Vec<String>,
    /// Keys of which exactly one is required; empty for none.
    pub one_of: Vec<String>,
    /// Its own keys, in the order of the table.
    pub keys: Vec<KeyInfo>,
}

/// A key.
#[derive(Debug)]
pub struct KeyInfo {
    /// Its name.
    pub name: String,
    /// The values that it may have.
    pub kind: Kind,
    /// The value that applies if it is not set.
    pub default: Option<Value>,
    /// What applies if it is not set, where that is no fixed value. Empty if there is nothing to say.
    pub absent: String,
    /// A table that applies with its defaults if it is not set.
    pub always: bool,
    /// An example.
    pub example: Option<Value>,
    /// It must be set.
    pub required: bool,
    /// Its value is never shown.
    pub secret: bool,
    /// Keys without which it has no effect: of its table, or with `../` of the table around that.
    pub with: Vec<String>,
    /// Keys with values with which it has no effect, written `key=value` or `../key=value`.
    pub unless: Vec<String>,
    /// What it does, in one or two sentences.
    pub text: String,
}

/// All tables.
static TABLES: LazyLock<Vec<TableInfo>> = LazyLock::new(|| FILES.iter().flat_map(|text| read(text)).collect());

/// Returns all tables, in the order of the files.
pub fn tables() -> &'static [TableInfo] {
    &TABLES
}

/// Returns the table with this name.
pub fn table(name: &str) -> Option<&'static TableInfo> {
    TABLES.iter().find(|table| table.name == name)
}

impl TableInfo {
    /// Returns all keys: its own, and then those of the table that it includes.
    pub fn all_keys(&self) -> impl Iterator<Item = &KeyInfo> {
        let included = self.includes.as_deref().and_then(table);
        self.keys.iter().chain(included.into_iter().flat_map(|table| &table.keys))
    }

    /// Returns a key, its own or an included one.
    pub fn key(&self, name: &str) -> Option<&KeyInfo> {
        self.all_keys().find(|key| key.name == name)
    }
}

/// Reads one file of the table. What it cannot read is missing; the tests of this module find that.
fn read(text: &str) -> Vec<TableInfo> {
    let (root, _) = DeTable::parse_recoverable(text);
    in_order(root.get_ref()).into_iter().filter_map(|(name, value)| Some(read_table(name, value.as_table()?))).collect()
}

fn read_table(name: &str, table: &DeTable<'_>) -> TableInfo {
    let keys = in_order(table).into_iter().filter_map(|(name, value)| read_key(name, value.as_table()?));
    TableInfo {
        name: name.to_owned(),
        about: word(table, "about"),
        includes: Some(word(table, "includes")).filter(|name| !name.is_empty()),
        any_of: words(table, "any_of"),
        one_of: words(table, "one_of"),
        keys: keys.collect(),
    }
}

fn read_key(name: &str, table: &DeTable<'_>) -> Option<KeyInfo> {
    let of = |key: &str| table.get(key).map(|value| value::of(value.get_ref()));
    let is = |key: &str| of(key) == Some(Value::Bool(true));
    let values = of("values").and_then(|values| values.as_array().cloned()).unwrap_or_default();
    Some(KeyInfo {
        name: name.to_owned(),
        kind: Kind::parse(&word(table, "type"), &values)?,
        default: of("default"),
        absent: word(table, "absent"),
        always: is("always"),
        example: of("example"),
        required: is("required"),
        secret: is("secret"),
        with: word(table, "with").split_whitespace().map(str::to_owned).collect(),
        unless: word(table, "unless").split_whitespace().map(str::to_owned).collect(),
        text: word(table, "text"),
    })
}

fn word(table: &DeTable<'_>, key: &str) -> String {
    table.get(key).and_then(|value| value.get_ref().as_str()).unwrap_or_default().to_owned()
}

fn words(table: &DeTable<'_>, key: &str) -> Vec<String> {
    let list = table.get(key).map(|value| value::of(value.get_ref()));
    let list = list.iter().filter_map(Value::as_array).flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the keys and values of a table in the order of the text.
fn in_order<'t>(table: &'t DeTable<'_>) -> Vec<(&'t str, &'t DeValue<'t>)> {
    let mut all: Vec<_> = table.iter().map(|(key, value)| (key.span().start, key.get_ref().as_ref(), value.get_ref())).collect();
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(_, key, value)| (key, value)).collect()
}
