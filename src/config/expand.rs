//! Expands `${ENV}` and `file:` in string values.
//!
//! An expanded value may be a secret, so it must not become part of a diagnostic; only a name or path that cannot be expanded may.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::regular_file;

/// The largest secret file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What a configuration file is expanded with.
pub struct Surroundings<'a> {
    /// Returns the values of environment variables.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of the configuration file. Relative names of files are relative to it.
    pub folder: &'a Path,
    /// The files and folders that the configuration names.
    files: RefCell<BTreeSet<PathBuf>>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment may hold secrets.
        write!(out, "Surroundings({})", self.folder.display())
    }
}

impl<'a> Surroundings<'a> {
    /// Returns the surroundings of a text that is in no file: names of files are relative to the working directory.
    pub fn of_text(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self::in_folder(variable, Path::new(""))
    }

    /// Returns the surroundings of a file in a folder.
    pub fn in_folder(variable: &'a dyn Fn(&str) -> Option<String>, folder: &'a Path) -> Self {
        Self { variable, folder, files: RefCell::default() }
    }

    /// Returns the path of a file or folder that the configuration names, and remembers it.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        self.files.borrow_mut().insert(path.clone());
        path
    }

    /// Returns the files and folders that were named so far.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.files.borrow().clone()
    }
}

/// Replaces each `${NAME}` with the value of that environment variable. `$${` stands for a literal `${`.
pub fn environment(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let name = &rest[at + 2..];
        let end = name.find('}').ok_or("`${` is never closed by `}`")?;
        let name = &name[..end];
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err("the name of an environment variable consists of letters, digits and `_`".into());
        }
        out.push_str(&lookup(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))?);
        rest = &rest[at + 2 + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Returns the value of a secret: the content of the file for `file:/path` (without one trailing line end), otherwise the text itself.
pub fn secret(text: &str, around: &Surroundings<'_>) -> Result<String, String> {
    let Some(name) = text.strip_prefix("file:") else { return Ok(text.to_owned()) };
    let path = around.file(name);
    let value = content(&path, MAX_FILE)?;
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() { Err(format!("`{}` is empty", path.display())) } else { Ok(value.to_owned()) }
}

/// Returns the content of a file of at most `max` bytes.
pub fn content(path: &Path, max: u64) -> Result<String, String> {
    regular_file::read_text(path, max).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_expanded_and_missing_names_are_named() {
        let lookup = |name: &str| (name == "HOST").then(|| "10.0.0.1".to_owned());
        assert_eq!(environment("http://${HOST}:1", &lookup).unwrap(), "http://10.0.0.1:1");
        assert_eq!(environment("a$${b}", &lookup).unwrap(), "a${b}");
        assert!(environment("${NOPE}", &lookup).unwrap_err().contains("NOPE"));
        assert!(environment("${HOST", &lookup).is_err());
        assert!(environment("${}", &lookup).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[$\\{\\}A-Z\\PC]{0,30}") {
            let _ = environment(&text, &|_| Some(String::new()));
        }
    }
}
