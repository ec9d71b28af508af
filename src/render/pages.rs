//! An operator's own error pages: templates that are chosen by the status and the language of an error. Reads no file.

use super::template::Template;

/// The errors that a page is for, most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Status(u16),
    /// The first digit of the status.
    Class(u16),
    All,
}

/// The errors and the language that a page is for: the beginning of its file's name, such as `502`, `4xx.ko` or `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageName {
    scope: Scope,
    language: Option<String>,
}

impl PageName {
    /// Parses a name. Returns `None` if it names no errors; the language may be anything.
    pub fn parse(stem: &str) -> Option<Self> {
        let (scope, language) = stem.split_once('.').map_or((stem, None), |(scope, language)| (scope, Some(language.to_owned())));
        let status = || scope.parse().ok().filter(|status| scope.len() == 3 && (400..600).contains(status) && *status != 499);
        let scope = match scope {
            "default" => Scope::All,
            "4xx" => Scope::Class(4),
            "5xx" => Scope::Class(5),
            _ => Scope::Status(status()?),
        };
        Some(Self { scope, language })
    }

    /// The tag of the language, or `None` for a page that is for every language.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }
}

/// The pages of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages(Vec<(PageName, Template)>);

impl Pages {
    /// Returns `None` if no page is for all errors: there would be errors without a page.
    pub fn new(mut pages: Vec<(PageName, Template)>) -> Option<Self> {
        pages.sort_by(|(one, _), (other, _)| one.cmp(other));
        pages.iter().any(|(name, _)| name.scope == Scope::All).then_some(Self(pages))
    }

    /// The names of all pages.
    pub fn names(&self) -> impl Iterator<Item = &PageName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Returns the page of an error: that of its status before that of its class before that of all errors; of these, that in its language
    /// before that without one. If no page is in its language, that is a default page in English or in any other language.
    pub(super) fn find(&self, status: u16, language: &str) -> Option<&Template> {
        let of = |scope| self.0.iter().filter(move |(name, _)| name.scope == scope);
        let page = |scope, language: Option<&str>| of(scope).find(|(name, _)| name.language() == language);
        let scopes = [Scope::Status(status), Scope::Class(status / 100), Scope::All];
        let fit = scopes.into_iter().find_map(|scope| page(scope, Some(language)).or_else(|| page(scope, None)));
        fit.or_else(|| page(Scope::All, Some("en"))).or_else(|| of(Scope::All).next()).map(|(_, template)| template)
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::sample;
    use super::*;

    #[test]
    fn the_most_specific_page_that_the_reader_can_read() {
        let page = |stem: &str| (PageName::parse(stem).unwrap(), Template::compile(stem, "text/html").unwrap());
        let pages = Pages::new(["default.ko", "default.en", "5xx", "502.ko", "404", "404.ko"].map(page).to_vec()).unwrap();
        let shown = |status, language| String::from_utf8(pages.find(status, language).unwrap().render(&sample(true))).unwrap();
        for (status, language, stem) in [
            (502, "ko", "502.ko"),
            (502, "en", "5xx"),
            (503, "ko", "5xx"),
            (404, "ko", "404.ko"),
            (404, "ja", "404"),
            (403, "ko", "default.ko"),
            (403, "ja", "default.en"),
        ] {
            assert_eq!(shown(status, language), stem, "{status} {language}");
        }
        assert!(Pages::new(vec![page("404")]).is_none());
    }

    #[test]
    fn names_of_no_error_are_refused() {
        for stem in ["", "200", "40", "4XX", "index", "499", "600", "0404", "+50"] {
            assert_eq!(PageName::parse(stem), None, "{stem}");
        }
        assert_eq!(PageName::parse("4xx.pt-BR").unwrap().language(), Some("pt-BR"));
    }
}
