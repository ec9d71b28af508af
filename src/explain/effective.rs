//! The values of a configuration that are in force, each with its origin. Plain data; knows no keys.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::text::Secret;

/// The values of a configuration that are in force.
#[derive(Debug)]
pub struct Effective {
    /// The name of the file, for origins.
    pub file: String,
    /// The parts, in the order of the schema and the file.
    pub parts: Vec<Part>,
}

/// A table of the configuration, such as `[listen]`, a backend or a route.
#[derive(Debug)]
pub struct Part {
    /// The name of the table in the file; empty for keys outside of tables.
    pub table: &'static str,
    /// The name of a backend, a limit or a route.
    pub name: Option<String>,
    /// The part is an entry of a list, as routes are.
    pub is_listed: bool,
    /// The line on which it begins.
    pub line: Option<usize>,
    /// What it sets itself.
    pub(super) own: Vec<Setting>,
    /// What holds for a part of this kind that sets nothing. Parts with the same backend share it.
    pub(super) inherited: Arc<[Setting]>,
}

/// A key with the value that is in force.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key below its part, such as `retry.attempts`.
    pub path: String,
    /// The backend for which the value holds, where a route has several and they differ.
    pub backend: Option<Arc<str>>,
    /// The value.
    pub content: Content,
    /// Where it comes from.
    pub origin: Origin,
    /// Its place in the schema.
    pub(super) order: [u16; 3],
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A value as it may be shown.
    Value {
        /// The value, without secrets.
        shown: Value,
        /// The value with its secrets, to compare it.
        hidden: Option<Secret<String>>,
    },
    /// No fixed value: what applies.
    Absent(Cow<'static, str>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file does not set it.
    Default,
    /// A line of the file.
    File {
        /// The line, from 1.
        line: usize,
        /// The part that sets it.
        layer: Layer,
    },
}

/// The part of the file that sets a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The part itself.
    Own,
    /// A table that it inherits from, such as `[defaults]`.
    Table(&'static str),
    /// The backend of the route.
    Backend(Arc<str>),
}

impl Effective {
    /// Returns the part of a route by its position in the file.
    pub fn route(&self, index: usize) -> Option<&Part> {
        self.parts.iter().filter(|part| part.table == "routes").nth(index)
    }

    /// Returns a part by its table and its name.
    pub fn part(&self, table: &str, name: Option<&str>) -> Option<&Part> {
        self.parts.iter().find(|part| part.table == table && part.name.as_deref() == name)
    }
}

impl Part {
    /// Returns all settings in the order of the schema. What the part sets itself takes the place of what it inherits.
    pub fn settings(&self) -> Vec<&Setting> {
        let own: HashSet<&str> = self.own.iter().map(Setting::unit).collect();
        let inherited = self.inherited.iter().filter(|setting| !own.contains(setting.unit()));
        let mut all: Vec<&Setting> = self.own.iter().chain(inherited).collect();
        all.sort_by_key(|setting| setting.order);
        all
    }

    /// Returns the setting at a path. With several backends that differ, the one of `backend` comes first.
    pub fn setting(&self, path: &str, backend: Option<&str>) -> Option<&Setting> {
        let all = self.settings();
        let of = |wanted: Option<&str>| all.iter().find(|setting| setting.path == path && setting.backend.as_deref() == wanted).copied();
        backend.and_then(|backend| of(Some(backend))).or_else(|| of(None))
    }
}

impl Setting {
    /// The part of the path that a more specific layer replaces as a whole: one key, or one key of `errors`.
    pub(super) fn unit(&self) -> &str {
        let mut dots = self.path.match_indices('.').map(|(at, _)| at);
        let end = if self.path.starts_with("errors.") { dots.nth(1) } else { dots.next() };
        &self.path[..end.unwrap_or(self.path.len())]
    }
}

impl Origin {
    /// Returns the origin as text, such as `default`, `lockgate.toml:12` or `[defaults] lockgate.toml:7`.
    pub fn told(&self, file: &str) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File { line, layer: Layer::Own } => format!("{file}:{line}"),
            Self::File { line, layer: Layer::Table(name) } => format!("[{name}] {file}:{line}"),
            Self::File { line, layer: Layer::Backend(name) } => format!("backend {name}, {file}:{line}"),
        }
    }
}
