//! Reads one TOML table key by key: returns typed values with their place, and reports unknown keys with a suggestion.
//!
//! Knows TOML. Must not know which keys there are; the callers (`keys`, `policy_keys`, `upstreams`, `errors`) do.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnose::Problems;
use super::expand::{self, Surroundings};
use super::other_proxies;
use super::words::{nearest, nearest_of};
use crate::text::Secret;

/// A value with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// The byte range in the file.
    pub span: Range<usize>,
}

impl<T> At<T> {
    /// Creates a value that is not in the file, such as a default.
    pub const fn without_place(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

/// A table that is being read. Each key that is asked for becomes a known key; `finish` reports all others.
pub struct Section<'t, 'p> {
    path: String,
    table: &'t DeTable<'t>,
    /// The place of the table.
    pub span: Range<usize>,
    known: Vec<&'static str>,
    reserved: Vec<&'static str>,
    /// The list to which problems are added.
    pub problems: &'p mut Problems,
    around: &'p Surroundings<'p>,
    /// The document that lists all keys.
    guide: &'static str,
}

impl<'t, 'p> Section<'t, 'p> {
    /// Starts to read the table at `path` (empty for the root).
    pub fn new(
        path: impl Into<String>,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        problems: &'p mut Problems,
        around: &'p Surroundings<'p>,
    ) -> Self {
        Self { path: path.into(), table, span, known: Vec::new(), reserved: Vec::new(), problems, around, guide: "config/full.toml" }
    }

    /// Names the document that lists all keys, if it is not `config/full.toml`.
    pub const fn guided(mut self, guide: &'static str) -> Self {
        self.guide = guide;
        self
    }

    /// Returns all keys of the table with their places, for tables whose keys the operator chooses.
    pub fn names(&self) -> Vec<At<String>> {
        let mut names: Vec<_> = self.table.iter().map(|(key, _)| At { value: key.get_ref().to_string(), span: key.span() }).collect();
        names.sort_by_key(|name| name.span.start);
        names
    }

    fn find(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    /// Returns the path of a key of this table, such as `listen.admin`.
    pub fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Returns the raw value of a key and makes it a known key.
    pub fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.find(key)
    }

    /// Returns the raw value of a key without making it a known key.
    pub fn named(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.find(key)
    }

    /// Reserves keys for features of a later version, and reports those that the table has.
    pub fn reserve(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.reserved.push(key);
            if let Some((name, _)) = self.table.iter().find(|(name, _)| name.get_ref().as_ref() == *key) {
                let title = format!("`{}` is not available in this version", self.full(key));
                self.problems.add(name.span(), title, "remove the key");
            }
        }
    }

    /// Reports that the value of a key is not what is `wanted`.
    pub fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let title = format!("`{}` must be {wanted}, not {}", self.full(key), article(value.get_ref().type_str()));
        let is_zero = value.get_ref().as_integer().is_some_and(|number| number.as_str() == "0") || value.get_ref().as_bool() == Some(false);
        let help = match wanted.contains("string") {
            true if is_zero => "write values with units in quotes; \"off\" disables a timeout or a limit",
            true => "write names and values with units in quotes: \"10s\", \"32KiB\"",
            false => "",
        };
        self.problems.add(value.span(), title, help);
    }

    /// Reads a string and expands `${ENV}` in it.
    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        self.expanded(key, value)
    }

    fn expanded(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<At<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        match expand::environment(text, self.around.variable) {
            Ok(text) => Some(At { value: text, span: value.span() }),
            Err(complaint) => {
                // Only a variable that is not set can be set: the other complaints are of the text.
                let help = match complaint.ends_with("is not set") {
                    true => "set the variable before the gateway starts",
                    false => "write a variable as \"${NAME}\", and `$${` where the text itself has `${`",
                };
                self.problems.add_url(text, value.span(), format!("`{}`: {complaint}", self.full(key)), help);
                None
            }
        }
    }

    /// Reads a string as it stands: nothing in it is expanded.
    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.value(key)?;
        self.text_of(key, value)
    }

    /// Reads `value`, the value of `key`, as a string as it stands.
    pub fn text_of(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<At<String>> {
        match value.get_ref().as_str() {
            Some(text) => Some(At { value: text.to_owned(), span: value.span() }),
            None => {
                self.wrong_type(key, value, "a string");
                None
            }
        }
    }

    /// Reads a string or a list of strings as they stand.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Array(list) => Some(list.iter().filter_map(|item| self.text_of(key, item)).collect()),
            _ => Some(self.text_of(key, value).into_iter().collect()),
        }
    }

    /// Reads the name of a file that is written to. A relative one is relative to the folder of the configuration file. It is not one of the
    /// files on which the configuration depends.
    pub fn output(&mut self, key: &'static str) -> Option<At<String>> {
        let name = self.string(key)?;
        Some(At { value: self.around.folder.join(&name.value).to_string_lossy().into_owned(), span: name.span })
    }

    /// Reads the name of a file or folder. A relative one is relative to the folder of the configuration file.
    pub fn file(&mut self, key: &'static str) -> Option<At<String>> {
        let name = self.string(key)?;
        Some(At { value: self.around.file(&name.value).to_string_lossy().into_owned(), span: name.span })
    }

    /// Reads a secret: the text, or with `file:` the content of a file.
    pub fn secret(&mut self, key: &'static str) -> Option<At<Secret<String>>> {
        let around = self.around;
        self.parsed(key, |text| expand::secret(text, around).map(Secret::new))
    }

    /// Reads `file:NAME`: the path of the file, and its content of at most `max` bytes, which is a secret.
    pub fn content(&mut self, key: &'static str, max: u64) -> Option<At<(String, Secret<String>)>> {
        let around = self.around;
        self.parsed(key, |text| {
            let path = around.file(text.strip_prefix("file:").ok_or("expected \"file:/path\"")?);
            expand::content(&path, max).map(|text| (path.to_string_lossy().into_owned(), Secret::new(text)))
        })
    }

    /// Reads a string and converts it with `parse`.
    pub fn parsed<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        let text = self.string(key)?;
        match parse(&text.value) {
            Ok(value) => Some(At { value, span: text.span }),
            Err(complaint) => {
                self.problems.add_url(&text.value, text.span, format!("`{}` is not valid", self.full(key)), complaint);
                None
            }
        }
    }

    /// Reads one of several fixed values. A choice of `None` is reserved for a later version.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, Option<T>)]) -> Option<T> {
        let text = self.string(key)?;
        match choices.iter().find(|(word, _)| *word == text.value) {
            Some((_, Some(value))) => Some(*value),
            Some((word, None)) => {
                let title = format!("`{} = \"{word}\"` is not available in this version", self.full(key));
                self.problems.add(text.span, title, format!("available: {}", list_of(choices)));
                None
            }
            None => {
                let all: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                let help = match nearest(&text.value, &all) {
                    Some(word) => format!("did you mean \"{word}\"? available: {}", list_of(choices)),
                    None => format!("available: {}", list_of(choices)),
                };
                self.problems.add(text.span, format!("this is not a known value of `{}`", self.full(key)), help);
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    /// Reads a whole number within bounds.
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

    /// Reads a share from 0 to 1.
    pub fn share(&mut self, key: &'static str) -> Option<At<f64>> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(number) => i32::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from),
            _ => None,
        };
        match number.filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Some(At { value: number, span: value.span() }),
            None => {
                let title = format!("`{}` must be a number from 0 to 1", self.full(key));
                self.problems.add(value.span(), title, "0.1 is every tenth, 1 is all");
                None
            }
        }
    }

    /// Reads a list of strings. With `or_one`, a single string counts as a list of one.
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

    /// Reads networks in CIDR notation or addresses: a list, or a single one.
    pub fn networks(&mut self, key: &'static str) -> Option<Vec<IpNet>> {
        let mut found = Vec::new();
        for item in self.strings(key, true)? {
            match item.value.parse::<IpNet>().or_else(|_| item.value.parse::<IpAddr>().map(IpNet::from)) {
                Ok(net) => found.push(without_mapping(net)),
                Err(_) => self.problems.add(item.span, "invalid network", "expected CIDR or an address, such as \"10.0.0.0/8\" or \"::1\""),
            }
        }
        Some(found)
    }

    /// Returns the raw items of a list.
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

    /// Reads a nested table.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'t, '_>) -> T) -> Option<T> {
        let value = self.value(key)?;
        self.table_in(key, value, read)
    }

    /// Reads `value`, the value of `key` in this table, as a nested table.
    pub fn table_in<T>(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>, read: impl FnOnce(&mut Section<'t, '_>) -> T) -> Option<T> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        let mut section = Section::new(self.full(key), table, value.span(), self.problems, self.around).guided(self.guide);
        let read = read(&mut section);
        section.finish();
        Some(read)
    }

    /// Reports a missing key with an example.
    pub fn require(&mut self, key: &'static str, example: &str) {
        if self.find(key).is_none() {
            let title = format!("`{}` has no `{key}`", self.path);
            self.problems.add(self.span.clone(), title, format!("for example: {example}"));
        }
    }

    /// Reads `value` as a string and expands `${ENV}` in it.
    pub fn string_of(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<At<String>> {
        self.expanded(key, value)
    }

    /// Reads `value` as a secret, which comes from the environment or from a file of its own.
    pub fn secret_of(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<At<Secret<String>>> {
        if value.get_ref().as_str().is_some_and(|text| !text.contains("${") && !text.starts_with("file:")) {
            let title = "a secret must not be written in the configuration file";
            self.problems.add_secret(value.span(), title, "write \"${NAME}\" or \"file:/path\"");
            return None;
        }
        let text = self.expanded(key, value)?;
        match expand::secret(&text.value, self.around) {
            Ok(value) => Some(At { value: Secret::new(value), span: text.span }),
            Err(complaint) => {
                self.problems.add(text.span, format!("`{}` is not valid", self.full(key)), complaint);
                None
            }
        }
    }

    /// Allows any key, for a table whose keys the operator chooses.
    pub fn allow_any_key(&mut self) {
        self.known.push("*");
    }

    fn finish(&mut self) {
        #[cfg(test)]
        self.problems.1.extend(self.known.iter().map(|key| (self.path.clone(), *key)));
        if self.known.contains(&"*") {
            return;
        }
        for name in self.names() {
            let key = name.value.as_str();
            if self.known.contains(&key) || self.reserved.contains(&key) {
                continue;
            }
            let mut all: Vec<_> = self.known.iter().copied().chain(self.reserved.iter().copied()).collect();
            let mut listed = std::collections::HashSet::new();
            all.retain(|known| listed.insert(*known));
            let help = match (nearest(key, &all), other_proxies::help(key)) {
                (Some(word), None) => format!("did you mean `{word}`?"),
                // One wrong letter is an error of typing, even if the result is a key of another proxy.
                (Some(word), Some(_)) if strsim::damerau_levenshtein(key, word) == 1 => format!("did you mean `{word}`?"),
                (_, Some(help)) => help,
                (None, None) => format!("expected {}", nearest_of(key, all, self.guide)),
            };
            self.problems.add(name.span, format!("unknown key `{}`", self.full(key)), help);
        }
    }

    /// Finishes the root table.
    pub fn end(mut self) {
        self.finish();
    }
}

/// Returns a network of IPv4 addresses that is written as one of IPv6 (RFC 4291 2.5.5.2): clients are compared by their IPv4 addresses.
fn without_mapping(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            let mapped = v6.addr().to_ipv4_mapped().and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
            mapped.map_or(net, IpNet::V4)
        }
        IpNet::V4(_) | IpNet::V6(_) => net,
    }
}

fn list_of<T>(choices: &[(&'static str, Option<T>)]) -> String {
    let available: Vec<_> = choices.iter().filter(|(_, value)| value.is_some()).map(|(word, _)| format!("\"{word}\"")).collect();
    available.join(", ")
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}
