//! Reads one TOML table against the keys that a section knows: typed values with their place, unknown keys with
//! "did you mean", keys of a later version by name.
//!
//! It knows TOML and nothing of gateways; `file` knows the keys.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnose::Problems;
use super::elsewhere::elsewhere;
use super::expand;

/// A value with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file.
    pub span: Range<usize>,
}

impl<T> At<T> {
    /// A value that stands nowhere in the file (a default).
    pub const fn nowhere(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

/// One table being read. Every key asked for is a known key; `finish` complains of the others.
pub struct Section<'t, 'p> {
    path: String,
    table: &'t DeTable<'t>,
    /// Place of the table itself.
    pub span: Range<usize>,
    known: Vec<&'static str>,
    later: Vec<&'static str>,
    /// Where complaints go.
    pub problems: &'p mut Problems,
    lookup: &'p dyn Fn(&str) -> Option<String>,
}

impl<'t, 'p> Section<'t, 'p> {
    /// Begins with the table at `path` (empty for the root).
    pub fn new(
        path: impl Into<String>,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        problems: &'p mut Problems,
        lookup: &'p dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { path: path.into(), table, span, known: Vec::new(), later: Vec::new(), problems, lookup }
    }

    /// Names of all keys that are there, with their places (for tables keyed by names of the operator's).
    pub fn names(&self) -> Vec<At<String>> {
        let mut names: Vec<_> = self.table.iter().map(|(key, _)| At { value: key.get_ref().to_string(), span: key.span() }).collect();
        names.sort_by_key(|name| name.span.start);
        names
    }

    fn find(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The raw value of a known key.
    pub fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.find(key)
    }

    /// The raw value of a key that the operator named.
    pub fn named(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.find(key)
    }

    /// Keys of the language whose feature this version does not have.
    pub fn not_yet(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.later.push(key);
            if let Some((name, _)) = self.table.iter().find(|(name, _)| name.get_ref().as_ref() == *key) {
                let title = format!("`{}` is not available in this version", self.full(key));
                self.problems.add(name.span(), title, "remove the key; it is never silently ignored");
            }
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let title = format!("`{}` must be {wanted}, not {}", self.full(key), article(value.get_ref().type_str()));
        let is_zero = value.get_ref().as_integer().is_some_and(|number| number.as_str() == "0") || value.get_ref().as_bool() == Some(false);
        let help = match wanted.contains("string") {
            true if is_zero => "values with units are quoted, and \"off\" switches a clock or a limit off",
            true => "values with units and names are quoted: \"10s\", \"32KiB\"",
            false => "",
        };
        self.problems.add(value.span(), title, help);
    }

    /// A string with `${ENV}` expanded.
    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        self.expanded(key, value)
    }

    fn expanded(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<At<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        match expand::environment(text, self.lookup) {
            Ok(text) => Some(At { value: text, span: value.span() }),
            Err(complaint) => {
                self.problems.add(value.span(), format!("`{}`: {complaint}", self.full(key)), "set it before the gateway starts");
                None
            }
        }
    }

    /// A string that a function turns into a value.
    pub fn parsed<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        let text = self.string(key)?;
        match parse(&text.value) {
            Ok(value) => Some(At { value, span: text.span }),
            Err(complaint) => {
                self.problems.add(text.span, format!("`{}` is not valid", self.full(key)), complaint);
                None
            }
        }
    }

    /// One word of a closed list.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, Option<T>)]) -> Option<T> {
        let text = self.string(key)?;
        match choices.iter().find(|(word, _)| *word == text.value) {
            Some((_, Some(value))) => Some(*value),
            Some((word, None)) => {
                let title = format!("`{} = \"{word}\"` is not available in this version", self.full(key));
                self.problems.add(text.span, title, format!("available: {}", words(choices)));
                None
            }
            None => {
                let all: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                let help = match nearest(&text.value, &all) {
                    Some(word) => format!("did you mean \"{word}\"? available: {}", words(choices)),
                    None => format!("available: {}", words(choices)),
                };
                self.problems.add(text.span, format!("`{}` does not know this word", self.full(key)), help);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    /// A whole number within bounds.
    pub fn number(&mut self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| bounds.contains(n)) {
            Some(number) => Some(number),
            None => {
                let title = format!("`{}` must be between {} and {}", self.full(key), bounds.start(), bounds.end());
                self.problems.add(value.span(), title, "");
                None
            }
        }
    }

    /// A list of strings; one string counts as a list of one where `or_one`.
    pub fn strings(&mut self, key: &'static str, or_one: bool) -> Option<Vec<At<String>>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Array(list) => Some(list.iter().filter_map(|item| self.expanded(key, item)).collect()),
            DeValue::String(_) if or_one => Some(self.expanded(key, value).into_iter().collect()),
            _ => {
                self.wrong_type(key, value, "a list of strings");
                None
            }
        }
    }

    /// The items of a list, whatever they are.
    pub fn list(&mut self, key: &'static str) -> Option<Vec<&'t Spanned<DeValue<'t>>>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Array(list) => Some(list.iter().collect()),
            _ => {
                self.wrong_type(key, value, "a list");
                None
            }
        }
    }

    /// Reads a table below this one.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'t, '_>) -> T) -> Option<T> {
        let value = self.value(key)?;
        self.table_in(key, value, read)
    }

    /// Reads `value`, which belongs to `key` of this table, as a table.
    pub fn table_in<T>(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>, read: impl FnOnce(&mut Section<'t, '_>) -> T) -> Option<T> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        let mut section = Section::new(self.full(key), table, value.span(), self.problems, self.lookup);
        let read = read(&mut section);
        section.finish();
        Some(read)
    }

    /// Complains where a key is missing; `example` shows it.
    pub fn needs(&mut self, key: &'static str, example: &str) {
        if self.find(key).is_none() {
            let title = format!("`{}` has no `{key}`", self.path);
            self.problems.add(self.span.clone(), title, format!("such as {example}"));
        }
    }

    /// Text of a value whose key the operator named.
    pub fn text_of(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<At<String>> {
        self.expanded(key, value)
    }

    /// Declares that all keys here are names of the operator's.
    pub fn any_name(&mut self) {
        self.known.push("*");
    }

    fn finish(&mut self) {
        if self.known.contains(&"*") {
            return;
        }
        for name in self.names() {
            let key = name.value.as_str();
            if self.known.contains(&key) || self.later.contains(&key) {
                continue;
            }
            let mut all: Vec<_> = self.known.iter().copied().chain(self.later.iter().copied()).collect();
            let mut listed = std::collections::HashSet::new();
            all.retain(|known| listed.insert(*known));
            let help = match (elsewhere(key), nearest(key, &all)) {
                (Some((theirs, ours)), _) => format!("that is {theirs}'s word; here it is {ours}"),
                (None, Some(word)) => format!("did you mean `{word}`?"),
                (None, None) => format!("known here: {}", all.join(", ")),
            };
            self.problems.add(name.span, format!("unknown key `{}`", self.full(key)), help);
        }
    }

    /// Ends the root table.
    pub fn end(mut self) {
        self.finish();
    }
}

fn words<T>(choices: &[(&'static str, Option<T>)]) -> String {
    let available: Vec<_> = choices.iter().filter(|(_, value)| value.is_some()).map(|(word, _)| format!("\"{word}\"")).collect();
    available.join(", ")
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// The known word that was probably meant.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let best = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate)).min()?;
    // A typing error or two, not another key that shares a word.
    let tolerance = (word.len().min(best.1.len()) / 4).clamp(1, 3);
    (best.0 <= tolerance).then_some(best.1)
}
