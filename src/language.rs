//! Chooses a language for a client: of those that the gateway has, or of those in which a service has sent its message. Knows
//! `Accept-Language` and tags (RFC 5646), and no message.

use crate::context::{quality, weight};
use crate::text::bounded;

/// The languages that are wanted for an error: by the client, and by the route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Languages<'l> {
    accept: Option<&'l str>,
    offered: &'l [String],
}

impl<'l> Languages<'l> {
    /// Returns the languages of an `Accept-Language` value and those of a route, of which the first is its own.
    pub const fn new(accept: Option<&'l str>, offered: &'l [String]) -> Self {
        Self { accept, offered }
    }

    /// Returns the position of the best of several languages: the client's, else the route's first, else English, else the first.
    pub fn best<'t>(&self, tags: impl Iterator<Item = &'t str> + Clone) -> Option<usize> {
        let route = self.offered.first().map_or("en", String::as_str);
        let is = |wanted: &str| tags.clone().position(|tag| is_same(tag, wanted));
        self.wanted(tags.clone()).or_else(|| is(route)).or_else(|| is("en")).or_else(|| tags.clone().next().map(|_| 0))
    }

    /// Returns the position of the language that the client prefers. `None` if it names none of them.
    pub fn wanted<'t>(&self, tags: impl Iterator<Item = &'t str>) -> Option<usize> {
        let accept = self.accept?;
        let mut best: Option<(u32, usize)> = None;
        for (at, tag) in tags.enumerate().take(MAX_TAGS) {
            let (specificity, quality) = match tag.contains('_') {
                true => quality_of(accept, &tag.replace('_', "-")),
                false => quality_of(accept, tag),
            };
            if specificity > 1 && quality > 0 && best.is_none_or(|(highest, _)| quality > highest) {
                best = Some((quality, at));
            }
        }
        best.map(|(_, at)| at)
    }
}

/// The maximum number of languages that are compared.
const MAX_TAGS: usize = 64;

/// Returns true if the primary language of both tags is the same.
fn is_same(one: &str, other: &str) -> bool {
    let primary = |tag: &'_ str| tag.find(['-', '_']).unwrap_or(tag.len());
    one[..primary(one)].eq_ignore_ascii_case(&other[..primary(other)])
}

/// Returns the best of `offered` for an `Accept-Language` value, or the first one if none matches. Matching is RFC 4647 3.3.1 basic
/// filtering in both directions: `ko-KR` matches `ko`, and `ko` matches `ko-KR`. `q=0` excludes a language.
pub fn negotiate<'o>(accept: Option<&str>, offered: &'o [String]) -> &'o str {
    let fallback = offered.first().map_or("en", String::as_str);
    let Some(accept) = accept else { return fallback };
    let mut best: Option<(u32, &str)> = None;
    for tag in offered {
        let (_, quality) = quality_of(accept, tag);
        if quality > 0 && best.is_none_or(|(highest, _)| quality > highest) {
            best = Some((quality, tag));
        }
    }
    best.map_or(fallback, |(_, tag)| tag)
}

/// The length of the part of a header that is parsed, in bytes.
const MAX_ACCEPT: usize = 1024;

/// Returns the quality, in thousandths, that the most specific matching range gives to `tag`, behind the specificity of that range: 1 for
/// any language.
fn quality_of(accept: &str, tag: &str) -> (usize, u32) {
    let mut best = (0usize, 0u32);
    for range in bounded(accept, MAX_ACCEPT).split(',') {
        let mut parts = range.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let weight = parts.find_map(weight).map_or(1000, quality);
        let prefix = |long: &str, short: &str| {
            long.len() > short.len()
                && long.as_bytes()[short.len()] == b'-'
                && long.as_bytes()[..short.len()].eq_ignore_ascii_case(short.as_bytes())
        };
        let specificity = match name {
            "*" => 1,
            _ if name.eq_ignore_ascii_case(tag) => 3 + name.len(),
            _ if !name.is_empty() && (prefix(name, tag) || prefix(tag, name)) => 2,
            _ => continue,
        };
        if specificity > best.0 || (specificity == best.0 && weight > best.1) {
            best = (specificity, weight);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_language_comes_before_the_routes() {
        let offered = ["ko".to_owned(), "en".to_owned()];
        let best = |accept, tags: &[&str]| Languages::new(accept, &offered).best(tags.iter().copied());
        assert_eq!(best(Some("de-AT,de;q=0.8,en;q=0.5"), &["en", "de_DE", "ko"]), Some(1));
        assert_eq!(best(Some("fr"), &["en", "de", "ko-KR"]), Some(2));
        assert_eq!(best(None, &["it", "en-GB"]), Some(1));
        assert_eq!(best(Some("*"), &["it", "de"]), Some(0));
        assert_eq!(best(Some("de;q=0"), &["de", "en"]), Some(1));
        assert_eq!(best(None, &[]), None);
        assert_eq!(Languages::default().best(["de", "en"].into_iter()), Some(1));
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
        fn any_header_is_parsed_without_panic(accept in "\\PC{0,60}") {
            negotiate(Some(&accept), &["en".to_owned(), "ko".to_owned()]);
        }
    }
}
