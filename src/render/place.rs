//! Follows the places of an HTML template, to refuse a value where no escape makes it safe: scripts, styles, unquoted attributes, the
//! beginning of a URL. Knows HTML's syntax as far as that needs, and no value.

/// A place in HTML (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    Comment,
    /// Behind `<`, in the name of an element.
    Tag,
    /// In a tag, outside of values.
    Attributes,
    /// Behind the `=` of an attribute.
    BeforeValue,
    /// In a value between these quotation marks, or without any.
    Value(Option<char>),
    /// In an element whose content is no markup.
    Raw,
}

/// Elements whose content is no markup.
const RAW: [&str; 6] = ["script", "style", "xmp", "iframe", "noembed", "noframes"];
/// Attributes whose values are URLs.
const URLS: [&str; 10] = ["href", "src", "action", "formaction", "poster", "data", "ping", "background", "xlink:href", "srcset"];

/// The place behind the text that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    place: Place,
    element: String,
    attribute: String,
    /// Whether the value of the attribute has begun.
    has_begun: bool,
    /// The end of the text that was read.
    last: String,
}

impl Reader {
    /// Reads a part of the template.
    pub(super) fn read(&mut self, text: &str) {
        text.chars().for_each(|c| self.step(c));
    }

    /// Notes that a value stands here.
    pub(super) fn value(&mut self) {
        self.has_begun = true;
    }

    /// Returns why no value may stand here, if none may.
    pub(super) fn objection(&self) -> Option<String> {
        let (element, attribute) = (&self.element, &self.attribute);
        match self.place {
            Place::Text | Place::Comment => None,
            Place::Raw => {
                Some(format!("a value in <{element}> cannot be made safe; put it into an element or an attribute that the script reads"))
            }
            Place::Tag | Place::Attributes => Some("a value cannot be a part of a tag; put it into a quoted attribute".into()),
            Place::BeforeValue | Place::Value(None) => Some(format!("the value of `{attribute}` needs quotation marks")),
            Place::Value(Some(_)) if attribute.starts_with("on") || matches!(attribute.as_str(), "style" | "srcdoc") => {
                Some(format!("a value in `{attribute}` cannot be made safe"))
            }
            Place::Value(Some(_)) if URLS.contains(&attribute.as_str()) && !self.has_begun => {
                Some(format!("the URL of `{attribute}` cannot begin with a value; an empty `href` leads to the same page"))
            }
            Place::Value(Some(_)) => None,
        }
    }

    fn step(&mut self, c: char) {
        self.remember(c);
        match self.place {
            Place::Text if c == '<' => self.begin(Place::Tag),
            Place::Text => {}
            Place::Comment if self.last.ends_with("-->") => self.place = Place::Text,
            Place::Comment => {}
            Place::Raw if self.last.ends_with(&format!("</{}", self.element)) => self.begin(Place::Attributes),
            Place::Raw => {}
            Place::Tag => self.tag(c),
            Place::Attributes => self.attributes(c),
            Place::BeforeValue => match c {
                '"' | '\'' => self.begin(Place::Value(Some(c))),
                '>' => self.end_tag(),
                _ if c.is_ascii_whitespace() => {}
                _ => self.begin(Place::Value(None)),
            },
            Place::Value(Some(quote)) if c == quote => self.attribute_ends(),
            Place::Value(None) if c == '>' => self.end_tag(),
            Place::Value(None) if c.is_ascii_whitespace() => self.attribute_ends(),
            Place::Value(_) => self.has_begun = true,
        }
    }

    fn tag(&mut self, c: char) {
        match c {
            '>' => self.end_tag(),
            '-' if self.element == "!-" => self.place = Place::Comment,
            _ if c.is_ascii_whitespace() && self.element.is_empty() => self.place = Place::Text,
            '/' if !self.element.is_empty() => self.attribute_ends(),
            _ if c.is_ascii_whitespace() => self.attribute_ends(),
            _ => self.element.push(c.to_ascii_lowercase()),
        }
    }

    fn attributes(&mut self, c: char) {
        match c {
            '>' => self.end_tag(),
            '=' => self.place = Place::BeforeValue,
            '/' => self.attribute.clear(),
            _ if c.is_ascii_whitespace() => {}
            // A name behind white space is another attribute.
            _ if self.last.chars().rev().nth(1).is_some_and(|before| before.is_ascii_whitespace()) => {
                self.attribute = c.to_ascii_lowercase().into()
            }
            _ => self.attribute.push(c.to_ascii_lowercase()),
        }
    }

    fn begin(&mut self, place: Place) {
        if place == Place::Tag {
            self.element.clear();
        }
        if place == Place::Attributes {
            // An end tag: what follows its name is nothing that is raw.
            self.element.insert(0, '/');
        }
        self.has_begun = false;
        self.place = place;
    }

    fn attribute_ends(&mut self) {
        self.attribute.clear();
        self.place = Place::Attributes;
    }

    fn end_tag(&mut self) {
        self.attribute.clear();
        self.place = if RAW.contains(&self.element.as_str()) { Place::Raw } else { Place::Text };
    }

    /// The longest end that is looked at is that of an element with a long name.
    fn remember(&mut self, c: char) {
        if self.last.len() > 64 {
            self.last = self.last.chars().skip(self.last.chars().count() - 16).collect();
        }
        self.last.push(c.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(before: &str) -> Option<String> {
        let mut reader = Reader::default();
        reader.read(before);
        reader.objection()
    }

    #[test]
    fn values_may_stand_in_text_and_in_quoted_attributes() {
        for before in [
            "",
            "<p>",
            "<!doctype html><html lang=\"",
            "<a title = '",
            "<a href=\"/help?id=",
            "<a href='mailto:help@example.com?subject=",
            "<style>p{color:red}</style><p>",
            "<SCRIPT>if(a<b){}</SCRIPT >",
            "<!-- <script> ",
            "<!-- <script> --><b>",
            "a < b, ",
            "<br/>",
            "<p hidden>",
            "<p class=x>",
            "<meta name=a content=\"",
        ] {
            assert_eq!(objection(before), None, "{before}");
        }
    }

    #[test]
    fn values_may_not_stand_where_no_escape_helps() {
        for (before, word) in [
            ("<script>let id = \"", "<script>"),
            ("<style>p{content:'", "<style>"),
            ("<script src=x>", "<script>"),
            ("<script/>", "<script>"),
            ("<p ", "part of a tag"),
            ("<p class=", "quotation marks"),
            ("<p class=a", "quotation marks"),
            ("<p onclick=\"f('", "`onclick`"),
            ("<p hidden STYLE=\"", "`style`"),
            ("<a href=\"", "`href`"),
            ("<img alt='' src='", "`src`"),
            ("<", "part of a tag"),
        ] {
            assert!(objection(before).is_some_and(|told| told.contains(word)), "{before}: {:?}", objection(before));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[<>a-z!/='\" -]{0,60}") {
            objection(&text);
        }
    }
}
