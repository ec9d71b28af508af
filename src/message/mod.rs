//! In whose words: the catalogue's messages by code and language, and the choice of a language (RFC 9110 12.5.4).
//!
//! Adding a language is one file in `languages/`. Codes are never translated. Knows nothing of formats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::context::quality;
use crate::text::Text;

/// The languages that are built in, and complete.
const BUILT_IN: &[(&str, &str)] = &[
    ("en", include_str!("languages/en.toml")),
    ("ko", include_str!("languages/ko.toml")),
    ("ja", include_str!("languages/ja.toml")),
    ("zh", include_str!("languages/zh.toml")),
];

/// Words around a message on a page.
const PAGE_KEYS: &[&str] = &["request_id", "help"];

/// The longest message of a file, in characters.
const MAX_TEXT: usize = 1_000;

#[derive(Clone, Debug, Default)]
struct Language {
    codes: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
    page: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
}

/// What is wrong in a language file: bytes of the file, what, and what to do.
pub type Complaint = (Range<usize>, String, String);

/// All words in all languages: the built-in ones and what an operator's files add or replace.
#[derive(Clone, Debug)]
pub struct Messages(BTreeMap<Cow<'static, str>, Language>);

impl Default for Messages {
    fn default() -> Self {
        static BUILT: LazyLock<Messages> = LazyLock::new(Messages::built_in);
        BUILT.clone()
    }
}

impl Messages {
    /// The built-in files are read by every test run; a broken one is found there.
    fn built_in() -> Self {
        let read = |(tag, text): &(&'static str, &'static str)| {
            let mut language = Language::default();
            let _ = language.add(text);
            (Cow::Borrowed(*tag), language)
        };
        Self(BUILT_IN.iter().map(read).collect())
    }

    /// Adds a file: a new language, or other words for one that is known.
    ///
    /// # Errors
    /// Everything that is wrong in the file.
    pub fn add_file(&mut self, tag: &str, text: &str) -> Result<(), Vec<Complaint>> {
        self.0.entry(Cow::Owned(tag.to_owned())).or_default().add(text)
    }

    /// Tags of all languages that can be configured, sorted.
    pub fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = self.0.keys().map(Cow::as_ref).collect();
        tags.sort_unstable();
        tags
    }

    /// The message of a code in a language; English where the language or its word is unknown, never empty.
    pub fn of_code(&self, code: &str, language: &str) -> Text {
        let find = |tag: &str| self.0.get(tag).and_then(|language| language.codes.get(code)).cloned();
        Text::own(find(language).or_else(|| find("en")).unwrap_or(Cow::Borrowed("The request failed.")))
    }

    /// Words around a message on a page (`request_id`, `help`).
    pub fn of_page(&self, key: &str, language: &str) -> &str {
        let find = |tag: &str| self.0.get(tag).and_then(|language| language.page.get(key)).map(Cow::as_ref);
        find(language).or_else(|| find("en")).unwrap_or_default()
    }

    /// True when the code has a message of its own in any language.
    pub fn knows(&self, code: &str) -> bool {
        self.0.values().any(|language| language.codes.contains_key(code))
    }
}

impl Language {
    fn add(&mut self, text: &str) -> Result<(), Vec<Complaint>> {
        let (root, errors) = toml::de::DeTable::parse_recoverable(text);
        let mut complaints: Vec<Complaint> = errors
            .into_iter()
            .map(|error| (error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()), String::new()))
            .collect();
        for (name, value) in root.get_ref() {
            let (words, known): (_, Option<&[&str]>) = match name.get_ref().as_ref() {
                "codes" => (&mut self.codes, None),
                "page" => (&mut self.page, Some(PAGE_KEYS)),
                other => {
                    complaints.push((name.span(), format!("unknown table `{other}`"), "known: [codes], [page]".into()));
                    continue;
                }
            };
            let Some(table) = value.get_ref().as_table() else {
                complaints.push((value.span(), format!("`{}` must be a table", name.get_ref()), String::new()));
                continue;
            };
            for (key, value) in table {
                match entry(key.get_ref(), value.get_ref().as_str(), known) {
                    Ok((key, text)) => {
                        words.insert(Cow::Owned(key), Cow::Owned(text));
                    }
                    Err((what, help)) => complaints.push((value.span(), what, help)),
                }
            }
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints) }
    }
}

/// One word of a file, if it is one.
fn entry(key: &str, text: Option<&str>, known: Option<&[&str]>) -> Result<(String, String), (String, String)> {
    let Some(text) = text.map(str::trim) else { return Err((format!("`{key}` must be a string"), String::new())) };
    if let Some(known) = known.filter(|known| !known.contains(&key)) {
        return Err((format!("unknown word `{key}`"), format!("known: {}", known.join(", "))));
    }
    if text.is_empty() || text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err((
            format!("the text of `{key}` is empty, too long or has control characters"),
            format!("1 to {MAX_TEXT} characters in one line"),
        ));
    }
    Ok((key.to_owned(), text.to_owned()))
}

/// The best of `offered` for an `Accept-Language` value; the first offered when none is wanted. RFC 4647 3.3.1 basic
/// filtering, both ways: `ko-KR` finds `ko`, and `ko` finds `ko-KR`. `q=0` forbids.
pub fn negotiate<'o>(accept: Option<&str>, offered: &'o [String]) -> &'o str {
    let fallback = offered.first().map_or("en", String::as_str);
    let Some(accept) = accept else { return fallback };
    let mut best: Option<(u32, &str)> = None;
    for tag in offered {
        let quality = quality_of(accept, tag);
        if quality > 0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, tag));
        }
    }
    best.map_or(fallback, |(_, tag)| tag)
}

/// The longest header that is read, in bytes.
const MAX_ACCEPT: usize = 1024;

/// Quality in thousandths that the most specific matching range gives to `tag`.
fn quality_of(accept: &str, tag: &str) -> u32 {
    let mut end = accept.len().min(MAX_ACCEPT);
    while !accept.is_char_boundary(end) {
        end -= 1;
    }
    let mut best = (0usize, 0u32);
    for range in accept[..end].split(',') {
        let mut parts = range.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let wanted = parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(1000, quality);
        let prefix = |long: &str, short: &str| {
            long.len() > short.len()
                && long.as_bytes()[short.len()] == b'-'
                && long.as_bytes()[..short.len()].eq_ignore_ascii_case(short.as_bytes())
        };
        let specific = match name {
            "*" => 1,
            _ if name.eq_ignore_ascii_case(tag) => 3 + name.len(),
            _ if !name.is_empty() && (prefix(name, tag) || prefix(tag, name)) => 2,
            _ => continue,
        };
        if specific > best.0 || (specific == best.0 && wanted > best.1) {
            best = (specific, wanted);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::failure::{Kind, catalog};

    #[test]
    fn every_language_says_every_code() {
        let mut wanted: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.row().code).filter(|code| !code.is_empty()).collect();
        wanted.extend(catalog::CLIENT_STATUSES.iter().map(|status| catalog::code_of_status(*status)));
        wanted.insert(catalog::VALIDATION_ERROR);
        let all = Messages::default();
        for (tag, language) in &all.0 {
            let has: BTreeSet<&str> = language.codes.keys().map(Cow::as_ref).collect();
            assert_eq!(has, wanted, "{tag}");
            let pages: BTreeSet<&str> = language.page.keys().map(Cow::as_ref).collect();
            assert_eq!(pages, PAGE_KEYS.iter().copied().collect(), "{tag}");
            // No message has a placeholder: what a client is told of a failure does not depend on its details.
            assert!(language.codes.values().all(|text| !text.contains(['{', '}', '%'])), "{tag}");
        }
    }

    #[test]
    fn files_add_and_replace() {
        let mut all = Messages::default();
        all.add_file("de", "[codes]\nNOT_FOUND = \"Nicht gefunden.\"\n[page]\nhelp = \"Bitte angeben.\"\n").unwrap();
        assert_eq!(all.of_code("NOT_FOUND", "de").as_str(), "Nicht gefunden.");
        assert_eq!(all.of_code("FORBIDDEN", "de"), all.of_code("FORBIDDEN", "en"), "what is missing is told in English");
        assert_eq!((all.of_page("help", "de"), all.tags().contains(&"de")), ("Bitte angeben.", true));
        let wrong = all.add_file("de", "[codes]\nA = 1\nB = \"\"\n[pages]\n[page]\nhlep = \"x\"\n").unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }

    #[test]
    fn languages_are_negotiated() {
        let offered = ["en".to_owned(), "ko".to_owned()];
        let choose = |accept| negotiate(accept, &offered);
        assert_eq!(choose(None), "en");
        assert_eq!(choose(Some("ko-KR,ko;q=0.9,en;q=0.8")), "ko");
        assert_eq!(choose(Some("fr")), "en");
        assert_eq!(choose(Some("en;q=0.1, ko;q=0.2")), "ko");
        assert_eq!(choose(Some("en;q=0, *;q=0.5")), "ko");
        assert_eq!(choose(Some("*")), "en");
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(accept in "\\PC{0,60}") {
            negotiate(Some(&accept), &["en".to_owned(), "ko".to_owned()]);
        }
    }
}
