//! Tells in which part of a page an element is: an alert, the main part, or the chrome around it. Decides by elements, ARIA roles and the
//! words in classes and ids. Knows no framework, and no sentence.

/// A part of a page, in the order in which the parts are searched for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// An error that the page shows.
    Alert,
    /// A message or a note.
    Notice,
    /// The main part.
    Main,
    /// Anything else.
    Body,
    /// The site's header, of which only headings may be those of the page.
    Header,
    /// Navigation, footers, forms' labels, banners and hidden text.
    Chrome,
}

impl Place {
    /// The parts that may hold a message.
    pub(super) const SEARCHED: [Self; 5] = [Self::Alert, Self::Notice, Self::Main, Self::Body, Self::Header];

    /// Returns true for a part that exists to show a message.
    pub(super) const fn is_message(self) -> bool {
        matches!(self, Self::Alert | Self::Notice)
    }
}

/// An attribute that tells the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// `class` and `id`.
    Words,
    Role,
    Live,
    Hidden,
    AriaHidden,
    Other,
}

impl Attribute {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"class" | b"id" => Self::Words,
            b"role" => Self::Role,
            b"aria-live" => Self::Live,
            b"hidden" => Self::Hidden,
            b"aria-hidden" => Self::AriaHidden,
            _ => Self::Other,
        }
    }
}

/// What the attributes of one element tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    alert: bool,
    notice: bool,
    main: bool,
    /// It is chrome by its role.
    chrome: bool,
    /// It is chrome by its class or id.
    chrome_word: bool,
    /// The alert is about a success.
    success: bool,
    hidden: bool,
}

/// The maximum length of an attribute that is inspected, in bytes.
const MAX_ATTRIBUTE: usize = 256;

impl Signs {
    /// Adds an attribute with its value, which is empty for `hidden`.
    pub(super) fn add(&mut self, attribute: Attribute, value: &[u8]) {
        let value = &value[..value.len().min(MAX_ATTRIBUTE)];
        match attribute {
            Attribute::Words => value.split(u8::is_ascii_whitespace).for_each(|token| self.add_token(token)),
            Attribute::Role => match value {
                b"alert" | b"alertdialog" => self.alert = true,
                b"main" => self.main = true,
                b"navigation" | b"banner" | b"contentinfo" | b"search" | b"complementary" | b"menu" | b"menubar" | b"toolbar" => {
                    self.chrome = true;
                }
                _ => {}
            },
            Attribute::Live => self.alert |= value == b"assertive",
            Attribute::Hidden => self.hidden = true,
            Attribute::AriaHidden => self.hidden |= value == b"true",
            Attribute::Other => {}
        }
    }

    /// Adds one class or id, by the words of which it consists.
    fn add_token(&mut self, token: &[u8]) {
        let words = Words { rest: token };
        let mut found = Self::default();
        let (mut is_layout, mut language, mut choice) = (false, false, false);
        for word in words {
            let mut lower = [0; MAX_WORD];
            let Some(lower) = lower.get_mut(..word.len()) else { continue };
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            match &*lower {
                // A state or the kind of a page or of a wrapper, not what this element shows.
                b"has" | b"no" | b"with" | b"without" | b"page" | b"site" | b"code" | b"layout" | b"template" | b"container"
                | b"wrapper" | b"wrap" | b"title" | b"header" | b"icon" | b"number" | b"status" => is_layout = true,
                b"alert" | b"error" | b"errors" | b"danger" | b"invalid" | b"errornote" | b"errorlist" | b"errormsg" | b"errormessage"
                | b"exception" | b"failure" => found.alert = true,
                b"message" | b"messages" | b"msg" | b"flash" | b"flashes" | b"notice" | b"warning" => found.notice = true,
                b"success" | b"info" => found.success = true,
                b"nav" | b"navbar" | b"navigation" | b"menu" | b"breadcrumb" | b"breadcrumbs" | b"footer" | b"sidebar" | b"cookie"
                | b"cookies" | b"consent" | b"gdpr" | b"skip" | b"skiplink" | b"skiplinks" | b"jump" | b"toolbar" | b"brand"
                | b"branding" | b"logo" | b"copyright" | b"social" | b"newsletter" | b"pagination" | b"powered" | b"credits" => {
                    found.chrome_word = true
                }
                b"lang" | b"language" | b"languages" | b"locale" | b"locales" => language = true,
                b"switch" | b"switcher" | b"picker" | b"select" | b"selector" | b"dropdown" | b"list" | b"links" => choice = true,
                b"hidden" | b"sr" | b"screenreader" => found.chrome_word = true,
                _ => {}
            }
        }
        self.success |= found.success;
        if !is_layout {
            self.alert |= found.alert;
            self.notice |= found.notice;
        }
        self.chrome_word |= (found.chrome_word && !is_layout) || (language && choice);
    }
}

/// The maximum length of a word that is compared, in bytes.
const MAX_WORD: usize = 12;

/// The words of a class or an id: `nav-bar`, `nav__bar` and `navBar` have two.
struct Words<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        let start = self.rest.iter().position(u8::is_ascii_alphabetic)?;
        let word = &self.rest[start..];
        let is_end = |pair: &[u8]| !pair[1].is_ascii_alphabetic() || (pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
        let end = word.windows(2).position(is_end).map_or(word.len(), |at| at + 1);
        let (word, rest) = word.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Returns the part to which the text in an element belongs, within the part `outer`.
pub(super) fn place_of(element: &[u8], signs: &Signs, outer: Place) -> Place {
    let is_alert = (signs.alert || signs.notice) && !signs.success;
    match element {
        b"html" | b"body" => outer,
        b"nav" | b"footer" | b"aside" | b"address" | b"label" | b"legend" | b"button" | b"select" | b"option" | b"noscript" | b"iframe"
        | b"svg" => Place::Chrome,
        b"main" | b"article" => Place::Main.min(outer),
        b"header" if outer == Place::Body => Place::Header,
        _ if signs.hidden => Place::Chrome,
        _ if is_inline(element) => {
            if signs.alert && !signs.success {
                Place::Alert.min(outer)
            } else {
                outer
            }
        }
        _ if signs.chrome => Place::Chrome,
        _ if is_alert && signs.alert => Place::Alert,
        _ if signs.chrome_word => Place::Chrome,
        _ if signs.main => Place::Main.min(outer),
        _ if is_alert => Place::Notice.min(outer),
        _ => outer,
    }
}

/// Returns true for an element within a line of text. Its class says how it looks, not where it is.
fn is_inline(element: &[u8]) -> bool {
    matches!(
        element,
        b"a" | b"abbr"
            | b"b"
            | b"bdi"
            | b"cite"
            | b"code"
            | b"em"
            | b"font"
            | b"i"
            | b"kbd"
            | b"mark"
            | b"q"
            | b"s"
            | b"samp"
            | b"small"
            | b"span"
            | b"strong"
            | b"sub"
            | b"sup"
            | b"time"
            | b"tt"
            | b"u"
            | b"var"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(element: &str, class: &str) -> Place {
        let mut signs = Signs::default();
        signs.add(Attribute::Words, class.as_bytes());
        place_of(element.as_bytes(), &signs, Place::Body)
    }

    #[test]
    fn classes_are_read_by_their_words() {
        for class in ["alert alert-danger", "errorMessage", "kc-error-message", "form__error", "loginError"] {
            assert_eq!(place("div", class), Place::Alert, "{class}");
        }
        for class in ["alert-success", "error-page", "no-error", "error_site", "errorCode", "col-md-6", "terror"] {
            assert_eq!(place("div", class), Place::Body, "{class}");
        }
        for class in ["navbar-nav", "siteFooter2 footer", "cookie-consent", "lang-switcher", "sr-only"] {
            assert_eq!(place("div", class), Place::Chrome, "{class}");
        }
        assert_eq!(
            (place("body", "has-menu menu"), place("span", "menu"), place("div", "lang-en")),
            (Place::Body, Place::Body, Place::Body)
        );
    }
}
