//! In whose words: the catalogue's messages by code and language, and the choice of a language (RFC 9110 12.5.4).
//!
//! Adding a language is one file in `languages/`. Codes are never translated. Knows nothing of formats.

use std::collections::HashMap;
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

struct Language {
    codes: HashMap<String, String>,
    page: HashMap<String, String>,
}

fn languages() -> &'static HashMap<&'static str, Language> {
    static ALL: LazyLock<HashMap<&'static str, Language>> =
        LazyLock::new(|| BUILT_IN.iter().map(|(tag, text)| (*tag, parse(text))).collect());
    &ALL
}

/// The built-in files are read by every test run; a broken one is found there.
fn parse(text: &str) -> Language {
    let table: toml::Table = text.parse().unwrap_or_default();
    let section = |name: &str| -> HashMap<String, String> {
        let entries = table.get(name).and_then(toml::Value::as_table);
        entries.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    Language { codes: section("codes"), page: section("page") }
}

/// Tags of all languages that can be configured.
pub fn tags() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(tag, _)| *tag).collect()
}

/// The message of a code in a language; English where the language is unknown, never empty.
pub fn of_code(code: &str, language: &str) -> Text {
    let find = |tag: &str| languages().get(tag).and_then(|language| language.codes.get(code)).map(String::as_str);
    Text::own(find(language).or_else(|| find("en")).unwrap_or("The request failed."))
}

/// Words around a message on a page (`request_id`, `help`).
pub fn of_page(key: &str, language: &str) -> &'static str {
    let find = |tag: &str| languages().get(tag).and_then(|language| language.page.get(key)).map(String::as_str);
    find(language).or_else(|| find("en")).unwrap_or_default()
}

/// True when the code has a message of its own in English.
pub fn knows(code: &str) -> bool {
    languages().get("en").is_some_and(|language| language.codes.contains_key(code))
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
        for (tag, language) in languages() {
            let has: BTreeSet<&str> = language.codes.keys().map(String::as_str).collect();
            assert_eq!(has, wanted, "{tag}");
            assert!(language.codes.values().all(|text| !text.trim().is_empty()), "{tag}");
            let pages: BTreeSet<&str> = language.page.keys().map(String::as_str).collect();
            assert_eq!(pages, BTreeSet::from(["help", "request_id"]), "{tag}");
        }
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
