//! The texts of the pages, one file per language, and the choice of a language: that of the cookie, else of `Accept-Language`.
//!
//! Knows no page. Every text may be plain only: templates escape it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::ask::cookie;
use crate::language::Languages;

/// The name of the cookie.
pub(super) const COOKIE: &str = "lockgate-language";

/// The languages: tag, name, file.
const ALL: [(&str, &str, &str); 2] =
    [("en", "English", include_str!("languages/en.toml")), ("ko", "한국어", include_str!("languages/ko.toml"))];

static CATALOGUES: LazyLock<Vec<Catalogue>> = LazyLock::new(|| ALL.iter().map(Catalogue::read).collect());

/// The texts of one language.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// The tag of the language.
    pub(super) tag: &'static str,
    texts: BTreeMap<String, String>,
}

impl Catalogue {
    /// Reads a file. A test checks that all files are valid and have the same keys.
    fn read((tag, _, file): &(&'static str, &'static str, &'static str)) -> Self {
        Self { tag, texts: toml::from_str(file).unwrap_or_default() }
    }

    /// Returns the texts for a client.
    pub(super) fn of(cookies: Option<&str>, accept: Option<&str>) -> &'static Self {
        let wanted = cookie(cookies, COOKIE).and_then(|tag| ALL.iter().position(|(known, ..)| *known == tag));
        let at = wanted.or_else(|| Languages::new(accept, &[]).best(ALL.iter().map(|(tag, ..)| *tag))).unwrap_or(0);
        CATALOGUES.get(at).unwrap_or_else(|| &CATALOGUES[0])
    }

    /// Returns a text; its key if there is none.
    pub(super) fn text<'t>(&'t self, key: &'t str) -> &'t str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// Returns a text with values in the place of `{name}`.
    pub(super) fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.text(key);
        // A value is never read for placeholders.
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
            out.push_str(before);
            out.push_str(values.iter().find(|(known, _)| *known == name).map_or(name, |(_, value)| value));
            rest = after;
        }
        out + rest
    }

    /// Returns a text with a number in the place of `{n}`: that of `KEY_one` for one, else of `KEY`.
    pub(super) fn number(&self, key: &str, n: u64) -> String {
        let one = format!("{key}_one");
        let key = if n == 1 && self.texts.contains_key(&one) { one.as_str() } else { key };
        self.with(key, &[("n", &grouped(n))])
    }
}

/// Returns the tag if it is that of a language, else that of the first one.
pub(super) fn known(tag: &str) -> &'static str {
    ALL.iter().find(|(known, ..)| *known == tag).map_or(ALL[0].0, |(known, ..)| known)
}

/// Returns tag and name of each language.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|(tag, name, _)| (*tag, *name))
}

/// Writes a number with its digits in groups of three.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
    }

    #[test]
    fn all_languages_have_the_same_texts() {
        let read = |file| toml::from_str::<BTreeMap<String, String>>(file).unwrap();
        let first = read(ALL[0].2);
        for (tag, _, file) in &ALL[1..] {
            let other = read(file);
            let needed: Vec<_> = first.keys().filter(|key| !key.ends_with("_one")).collect();
            assert_eq!(needed, other.keys().filter(|key| !key.ends_with("_one")).collect::<Vec<_>>(), "{tag}");
            for key in needed {
                assert_eq!(placeholders(&first[key]), placeholders(&other[key]), "{tag}: {key}");
            }
        }
    }

    /// Keys are named as the first argument of `t(…)`, `number(…)` and `with(…)`, or begin with a word that is in this list.
    #[test]
    fn every_text_is_used_and_every_used_text_is_there() {
        const BUILT: [&str; 10] =
            ["state_", "health_", "endpoint_", "outcome_", "cause_", "action_", "refusal_", "family_", "ago_", "range_"];
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = [root.join("templates/page"), root.join("src/admin/page")];
        let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
        let text: String = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let keys = toml::from_str::<BTreeMap<String, String>>(ALL[0].2).unwrap();
        for key in keys.keys().map(|key| key.trim_end_matches("_one")) {
            assert!(BUILT.iter().any(|built| key.starts_with(built)) || text.contains(&format!("\"{key}\"")), "{key} is not used");
        }
        for used in text.split("t(\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(key, _)| key) {
            if used.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                && !used.is_empty()
                && text.contains(&format!("shell.t(\"{used}\")"))
            {
                assert!(keys.contains_key(used), "{used} has no text");
            }
        }
    }

    #[test]
    fn the_cookie_comes_before_the_header() {
        assert_eq!(Catalogue::of(None, None).tag, "en");
        assert_eq!(Catalogue::of(None, Some("ko-KR,ko;q=0.9,en;q=0.8")).tag, "ko");
        assert_eq!(Catalogue::of(Some("lockgate-language=en"), Some("ko")).tag, "en");
        assert_eq!(Catalogue::of(Some("lockgate-language=xx"), Some("ko")).tag, "ko");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
