//! The messages of the catalog by code and language, and the negotiation of a language (RFC 9110 12.5.4).
//!
//! A built-in language is one file in `languages/` and a line in the table. Codes are never translated. Knows nothing of response formats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use toml::de::DeValue;

use crate::text::Text;

/// The built-in languages, which are complete.
const BUILT_IN: &[(&str, &str)] = &[
    ("en", include_str!("languages/en.toml")),
    ("ko", include_str!("languages/ko.toml")),
    ("ja", include_str!("languages/ja.toml")),
    ("zh", include_str!("languages/zh.toml")),
];

/// The keys of the texts around a message on a page.
const PAGE_KEYS: &[&str] = &["request_id", "help", "code", "time", "copy", "copied", "retry", "wait", "home"];
/// Where `wait` shows the time until a retry.
pub const TIME: &str = "{time}";

/// The maximum length of a message in a file, in characters.
const MAX_TEXT: usize = 1_000;

#[derive(Clone, Debug, Default)]
struct Language {
    codes: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
    page: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
}

/// A problem in a language file: the byte range in the file, a description, and help on how to fix it (may be empty).
pub type FileProblem = (Range<usize>, String, String);

/// The messages of all languages: the built-in ones, and those that an operator's files add or replace.
#[derive(Clone, Debug)]
pub struct Messages(BTreeMap<Cow<'static, str>, Language>);

impl Default for Messages {
    fn default() -> Self {
        static BUILT: LazyLock<Messages> = LazyLock::new(Messages::built_in);
        BUILT.clone()
    }
}

impl Messages {
    /// Parses the built-in files. Every test run checks that they are complete.
    fn built_in() -> Self {
        let read = |(tag, text): &(&'static str, &'static str)| {
            let mut language = Language::default();
            let _ = language.add(text, |text| text);
            (Cow::Borrowed(*tag), language)
        };
        Self(BUILT_IN.iter().map(read).collect())
    }

    /// Adds a file: a new language, or replacements for the messages of an existing one.
    ///
    /// # Errors
    /// Returns all problems in the file.
    pub fn add_file(&mut self, tag: &str, text: &str) -> Result<(), Vec<FileProblem>> {
        self.0.entry(Cow::Owned(tag.to_owned())).or_default().add(text, |text| Cow::Owned(text.into_owned()))
    }

    /// Returns the tags of all languages, sorted.
    pub fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = self.0.keys().map(Cow::as_ref).collect();
        tags.sort_unstable();
        tags
    }

    /// Returns the message of a code in a language. It is English if the language or its message is missing, and never empty.
    pub fn of_code(&self, code: &str, language: &str) -> Text {
        let find = |tag: &str| self.0.get(tag).and_then(|language| language.codes.get(code)).cloned();
        Text::own(find(language).or_else(|| find("en")).unwrap_or(Cow::Borrowed("The request failed.")))
    }

    /// Returns a text around the message of a page (`request_id`, `help`, `retry`, ...).
    pub fn of_page(&self, key: &str, language: &str) -> &str {
        let find = |tag: &str| self.0.get(tag).and_then(|language| language.page.get(key)).map(Cow::as_ref);
        find(language).or_else(|| find("en")).unwrap_or_default()
    }

    /// Returns true if the code has a message in any language.
    pub fn has_code(&self, code: &str) -> bool {
        self.0.values().any(|language| language.codes.contains_key(code))
    }
}

impl Language {
    /// Adds the texts of a file. `keep` makes them last: a text of this program lasts as it is, so that no response copies it.
    fn add<'t>(&mut self, text: &'t str, keep: fn(Cow<'t, str>) -> Cow<'static, str>) -> Result<(), Vec<FileProblem>> {
        let (root, errors) = toml::de::DeTable::parse_recoverable(text);
        let mut problems: Vec<FileProblem> = errors
            .into_iter()
            .map(|error| (error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()), String::new()))
            .collect();
        for (name, value) in root.get_ref() {
            let (words, allowed): (_, Option<&[&str]>) = match name.get_ref().as_ref() {
                "codes" => (&mut self.codes, None),
                "page" => (&mut self.page, Some(PAGE_KEYS)),
                other => {
                    problems.push((name.span(), format!("unknown table `{other}`"), "known: [codes], [page]".into()));
                    continue;
                }
            };
            let Some(table) = value.get_ref().as_table() else {
                problems.push((value.span(), format!("`{}` must be a table", name.get_ref()), String::new()));
                continue;
            };
            for (key, value) in table {
                let text = if let DeValue::String(text) = value.get_ref() { Some(text) } else { None };
                match entry(key.get_ref(), text, allowed) {
                    Ok((key, text)) => {
                        words.insert(Cow::Owned(key), keep(text));
                    }
                    Err((what, help)) => problems.push((value.span(), what, help)),
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Validates one key and its text.
fn entry<'t>(key: &str, text: Option<&Cow<'t, str>>, allowed: Option<&[&str]>) -> Result<(String, Cow<'t, str>), (String, String)> {
    let text = match text {
        Some(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
        Some(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
        None => return Err((format!("`{key}` must be a string"), String::new())),
    };
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(&key)) {
        return Err((format!("unknown word `{key}`"), format!("known: {}", allowed.join(", "))));
    }
    if text.is_empty() || text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err((
            format!("the text of `{key}` is empty, too long or has control characters"),
            format!("1 to {MAX_TEXT} characters in one line"),
        ));
    }
    if allowed.is_some() && (text.matches(TIME).count() == 1) != (key == "wait") {
        let title = if key == "wait" { "the text of `wait` does not say when" } else { "only `wait` has a time" };
        return Err((format!("{title} (`{key}`)"), format!("for example: wait = \"You can try again in {TIME}.\"")));
    }
    Ok((key.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::failure::{Kind, catalog};

    #[test]
    fn every_language_has_every_code() {
        let mut wanted: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.row().code).filter(|code| !code.is_empty()).collect();
        wanted.extend(catalog::CLIENT_STATUSES.iter().map(|status| catalog::code_of_status(*status)));
        wanted.insert(catalog::VALIDATION_ERROR);
        let all = Messages::default();
        for (tag, language) in &all.0 {
            let has: BTreeSet<&str> = language.codes.keys().map(Cow::as_ref).collect();
            assert_eq!(has, wanted, "{tag}");
            let pages: BTreeSet<&str> = language.page.keys().map(Cow::as_ref).collect();
            assert_eq!(pages, PAGE_KEYS.iter().copied().collect(), "{tag}");
            // No message has a placeholder, because the message of a failure does not depend on its details.
            assert!(language.codes.values().all(|text| !text.contains(['{', '}', '%'])), "{tag}");
        }
    }

    #[test]
    fn files_add_and_replace() {
        let mut all = Messages::default();
        all.add_file("de", "[codes]\nNOT_FOUND = \"Nicht gefunden.\"\n[page]\nhelp = \"Bitte angeben.\"\n").unwrap();
        assert_eq!(all.of_code("NOT_FOUND", "de").as_str(), "Nicht gefunden.");
        assert_eq!(all.of_code("FORBIDDEN", "de"), all.of_code("FORBIDDEN", "en"), "a missing message falls back to English");
        assert_eq!((all.of_page("help", "de"), all.tags().contains(&"de")), ("Bitte angeben.", true));
        let wrong = all.add_file("de", "[codes]\nA = 1\nB = \"\"\n[pages]\n[page]\nhlep = \"x\"\n").unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(all.add_file("de", "[page]\nwait = \"Gleich.\"\n").is_err() && all.add_file("de", "[page]\nhome = \"{time}\"\n").is_err());
        assert!(all.add_file("de", "[page]\nwait = \"In {time} wieder.\"\n").is_ok());
    }
}
