//! Reads HTML up to a place and tells where that is: in text, in a tag, in the value of an attribute. Follows the tokenizer of the standard
//! (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>), and gives up where two readers could differ. Knows no value, and
//! not which places are safe.

use std::collections::BTreeSet;

/// A place in HTML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Text,
    /// Behind `<`.
    TagOpen,
    /// Behind `</`.
    EndTagOpen,
    TagName,
    /// In a tag, before the name of an attribute.
    BeforeName,
    Name,
    /// Behind the name of an attribute and white space.
    AfterName,
    /// Behind the `=` of an attribute.
    BeforeValue,
    /// In a value between these quotation marks.
    Quoted(char),
    /// In a value without quotation marks.
    Unquoted,
    /// Behind the closing quotation mark.
    AfterValue,
    /// Behind `/` in a tag.
    SelfClosing,
    Comment,
    /// In `<!...>`, `<?...>`, or an end tag that is none.
    Declaration,
    /// In an element whose content is no markup.
    Raw,
    /// Behind text that two readers could read differently, for this reason. Nothing leads out of here.
    Unknown(&'static str),
}

/// Elements whose content is no markup. `noscript` is one where scripts run.
const RAW: [&str; 8] = ["script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"];
/// Elements in which the content of some of [`RAW`] is markup, or in which such a start tag is ignored.
const EXCEPTIONS: [&str; 5] = ["svg", "math", "select", "template", "frameset"];
/// More than any end tag of [`RAW`] is long, in bytes.
const MAX_END_TAG: usize = 16;

/// The place behind the text that was read. Its size is bounded by that of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    /// Whether scripts run, which makes the content of `noscript` raw.
    scripting: bool,
    place: Place,
    /// The name of the last tag, in lower case.
    element: String,
    is_end_tag: bool,
    /// The name of the last attribute, in lower case.
    attribute: String,
    /// The names of the tag's attributes whose names have ended.
    attributes: BTreeSet<String>,
    /// What was read of the value in quotation marks.
    value: String,
    /// What was read of a comment or a declaration; of raw content, the text from its last `<`.
    read: String,
    /// Whether one of [`EXCEPTIONS`] stands before this.
    has_exceptions: bool,
}

impl Reader {
    pub(super) fn new(scripting: bool) -> Self {
        Self { scripting, ..Self::default() }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// The name of the last tag, in lower case.
    pub(super) fn element(&self) -> &str {
        &self.element
    }

    /// Returns true if the last tag is an end tag.
    pub(super) const fn is_end_tag(&self) -> bool {
        self.is_end_tag
    }

    /// The name of the last attribute, in lower case.
    pub(super) fn attribute(&self) -> &str {
        &self.attribute
    }

    /// Returns true if the tag has an attribute of this name so far.
    pub(super) fn has(&self, attribute: &str) -> bool {
        self.attributes.contains(attribute)
    }

    /// The value in quotation marks so far.
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// Returns true if this is a place in a tag, or in one that may begin here.
    pub(super) const fn is_in_tag(&self) -> bool {
        !matches!(self.place, Place::Text | Place::Comment | Place::Declaration | Place::Raw | Place::Unknown(_))
    }

    /// Returns true if raw content has no `<` so far: whoever reads it as markup reads the same.
    pub(super) const fn is_plain(&self) -> bool {
        self.read.is_empty()
    }

    /// Reads a character.
    pub(super) fn read(&mut self, c: char) {
        if c == '\0' {
            self.place = Place::Unknown("a NUL");
        }
        match self.place {
            Place::Text if c == '<' => self.place = Place::TagOpen,
            Place::Text | Place::Unknown(_) => {}
            Place::TagOpen | Place::EndTagOpen => self.open(c),
            Place::TagName => self.tag_name(c),
            Place::BeforeName | Place::AfterName | Place::AfterValue | Place::SelfClosing => self.between(c),
            Place::Name => self.attribute_name(c),
            Place::BeforeValue => self.before_value(c),
            Place::Quoted(quote) if c == quote => self.place = Place::AfterValue,
            Place::Quoted(_) => self.value.push(c),
            Place::Unquoted => self.unquoted(c),
            Place::Comment => self.comment(c),
            Place::Declaration => self.declaration(c),
            Place::Raw => self.raw(c),
        }
    }

    fn open(&mut self, c: char) {
        let is_end_tag = self.place == Place::EndTagOpen;
        self.read.clear();
        match c {
            _ if c.is_ascii_alphabetic() => {
                self.begin_tag(is_end_tag);
                self.element = c.to_ascii_lowercase().into();
                self.place = Place::TagName;
            }
            '>' if is_end_tag => self.place = Place::Text,
            _ if is_end_tag => self.place = Place::Declaration,
            '!' | '?' => {
                self.place = Place::Declaration;
                self.read.push(c);
            }
            '/' => self.place = Place::EndTagOpen,
            '<' => {}
            _ => self.place = Place::Text,
        }
    }

    fn begin_tag(&mut self, is_end_tag: bool) {
        self.is_end_tag = is_end_tag;
        self.attribute.clear();
        self.attributes.clear();
        self.value.clear();
    }

    fn tag_name(&mut self, c: char) {
        match c {
            '>' => self.end_tag(),
            '/' => self.place = Place::SelfClosing,
            '-' | '0'..='9' | 'a'..='z' | 'A'..='Z' => self.element.push(c.to_ascii_lowercase()),
            _ if c.is_ascii_whitespace() => self.place = Place::BeforeName,
            // In XML, a name with a colon may be that of any element.
            _ => self.place = Place::Unknown("a name of an element with other characters than letters, digits and `-`"),
        }
    }

    /// Reads a character between attributes.
    fn between(&mut self, c: char) {
        match c {
            '>' => self.end_tag(),
            '/' => self.place = Place::SelfClosing,
            '=' if self.place == Place::AfterName => self.place = Place::BeforeValue,
            '"' | '\'' | '<' | '=' => self.place = Place::Unknown("a tag with a misplaced `\"`, `'`, `<` or `=`"),
            _ if c.is_ascii_whitespace() && self.place == Place::AfterName => {}
            _ if c.is_ascii_whitespace() => self.place = Place::BeforeName,
            _ => {
                self.attribute = c.to_ascii_lowercase().into();
                self.value.clear();
                self.place = Place::Name;
            }
        }
    }

    fn attribute_name(&mut self, c: char) {
        let place = match c {
            '>' | '/' => Place::BeforeName,
            '=' => Place::BeforeValue,
            '"' | '\'' | '<' => Place::Unknown("a tag with a misplaced `\"`, `'`, `<` or `=`"),
            _ if c.is_ascii_whitespace() => Place::AfterName,
            _ => return self.attribute.push(c.to_ascii_lowercase()),
        };
        if !self.attributes.insert(self.attribute.clone()) {
            self.place = Place::Unknown("a tag with two attributes of one name");
            return;
        }
        self.place = place;
        if matches!(c, '>' | '/') {
            self.between(c);
        }
    }

    fn before_value(&mut self, c: char) {
        match c {
            '"' | '\'' => self.place = Place::Quoted(c),
            '>' => self.end_tag(),
            _ if c.is_ascii_whitespace() => {}
            _ => {
                self.place = Place::Unquoted;
                self.unquoted(c);
            }
        }
    }

    fn unquoted(&mut self, c: char) {
        match c {
            '>' => self.end_tag(),
            '"' | '\'' | '<' | '`' => self.place = Place::Unknown("a value without quotation marks that has `\"`, `'`, `<` or a backtick"),
            _ if c.is_ascii_whitespace() => self.place = Place::BeforeName,
            _ => {}
        }
    }

    fn end_tag(&mut self) {
        let element = self.element.as_str();
        self.read.clear();
        self.place = match element {
            _ if self.is_end_tag => Place::Text,
            "plaintext" => Place::Unknown("<plaintext>, which never ends"),
            "noscript" if self.scripting => Place::Raw,
            _ if RAW.contains(&element) => Place::Raw,
            _ => Place::Text,
        };
        self.has_exceptions |= !self.is_end_tag && EXCEPTIONS.contains(&element);
    }

    fn comment(&mut self, c: char) {
        if c == '>' && (matches!(self.read.as_str(), "" | "-") || self.read.ends_with("--") || self.read.ends_with("--!")) {
            self.place = Place::Text;
        }
        self.read.push(c);
    }

    /// HTML ends a declaration at the first `>`. XML may read on behind `[`, in quotation marks, and in `<?` up to `?>`.
    fn declaration(&mut self, c: char) {
        let count = |quote: char| self.read.matches(quote).count();
        match c {
            '[' => self.place = Place::Unknown("`<![CDATA[`, or `[` in a declaration"),
            '>' if self.read.starts_with('?') && !self.read.ends_with('?') => self.place = Place::Unknown("`<?` that `>` ends without `?`"),
            '>' if count('"') % 2 + count('\'') % 2 > 0 => {
                self.place = Place::Unknown("a declaration with a `\"` or `'` that is not closed")
            }
            '>' => self.place = Place::Text,
            _ => self.read.push(c),
        }
        if self.read == "!--" {
            self.place = Place::Comment;
            self.read.clear();
        }
    }

    fn raw(&mut self, c: char) {
        let is_delimiter = c.is_ascii_whitespace() || matches!(c, '/' | '>');
        if is_delimiter && self.read.strip_prefix("</") == Some(self.element.as_str()) {
            self.begin_tag(true);
            self.place = Place::BeforeName;
            return self.between(c);
        }
        let is_first = self.read.is_empty();
        match c {
            '<' => self.read = c.into(),
            _ if is_first => return,
            _ if self.read.len() < MAX_END_TAG => self.read.push(c.to_ascii_lowercase()),
            _ => {}
        }
        let is_end = (is_first || c != '<') && format!("</{}", self.element).starts_with(&self.read);
        if matches!(self.read.as_str(), "<!--" | "<![") {
            self.place = Place::Unknown("`<!--` or `<![` in an element whose content is no markup");
        } else if self.has_exceptions && !is_end {
            self.place =
                Place::Unknown("`<` in <script>, <style>, <title> or the like behind <svg>, <math>, <select>, <template> or <frameset>");
        }
    }
}
