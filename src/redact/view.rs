//! What a reader would see: escapes and markup undone, each byte still knowing where it stood in the source.
//!
//! A trace hides behind JSON escapes (twice, when JSON was put into JSON), entities and tags; undone, one set of rules
//! finds it everywhere. These are lenient views for searching, never parsers: what they take for a tag or a string need
//! not be one, and nothing is decided by them but where to look.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// The longest thing between `<` and `>` that is taken for a tag, in bytes.
const MAX_TAG: usize = 8 * 1024;
/// The longest entity, in bytes.
const MAX_ENTITY: usize = 12;

/// A text, and where each of its bytes stood.
#[derive(Clone, Debug, Default)]
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, [u8]>,
    places: Places,
}

/// Source bytes of each byte of a view.
#[derive(Clone, Debug, Default)]
enum Places {
    /// Nobody will ask.
    #[default]
    Unknown,
    /// They are the same.
    Same,
    /// One by one. A byte of no source (a line end put in) has none.
    Each(Vec<(u32, u32)>),
}

impl<'t> View<'t> {
    /// The source itself, to be searched only. Sources beyond 4 GiB are cut there.
    pub(super) fn of(source: &'t [u8]) -> Self {
        Self { text: Cow::Borrowed(&source[..source.len().min(u32::MAX as usize)]), places: Places::Unknown }
    }

    /// The source itself; views made of it know the places of their bytes, at a cost.
    pub(super) fn mapped(source: &'t [u8]) -> Self {
        Self { places: Places::Same, ..Self::of(source) }
    }

    fn derived(&self) -> View<'static> {
        let places = match &self.places {
            Places::Unknown => Places::Unknown,
            Places::Same | Places::Each(_) => Places::Each(Vec::with_capacity(self.text.len())),
        };
        View { text: Cow::Owned(Vec::with_capacity(self.text.len())), places }
    }

    fn place(&self, at: usize) -> (u32, u32) {
        match &self.places {
            Places::Each(places) => places.get(at).copied().unwrap_or_default(),
            Places::Unknown | Places::Same => (at as u32, at as u32 + 1),
        }
    }

    /// Adds bytes of another view as they are.
    fn push_run(&mut self, source: &View<'_>, range: Range<usize>) {
        if let Places::Each(places) = &mut self.places {
            places.extend(range.clone().map(|at| source.place(at)));
        }
        self.text.to_mut().extend_from_slice(&source.text[range]);
    }

    /// Adds text that stands for `range` of another view.
    fn push(&mut self, bytes: &[u8], source: &View<'_>, range: Range<usize>) {
        if let Places::Each(places) = &mut self.places {
            let place = (source.place(range.start).0, source.place(range.end.saturating_sub(1)).1);
            places.extend(bytes.iter().map(|_| place));
        }
        self.text.to_mut().extend_from_slice(bytes);
    }

    /// Adds a line end that stands nowhere.
    fn break_line(&mut self) {
        if self.text.last().is_some_and(|last| *last != b'\n') {
            self.text.to_mut().push(b'\n');
            if let Places::Each(places) = &mut self.places {
                places.push((0, 0));
            }
        }
    }

    /// Source ranges of a range of this view, in order and merged; what markup stood between stays out of them.
    pub(super) fn sources(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let Places::Each(places) = &self.places else { return if range.is_empty() { Vec::new() } else { vec![range] } };
        let mut found: Vec<Range<usize>> = Vec::new();
        for (start, end) in places[range].iter().filter(|(start, end)| end > start) {
            let (start, end) = (*start as usize, *end as usize);
            match found.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => found.push(start..end),
            }
        }
        found
    }

    /// The contents of strings in double quotes, one a line.
    pub(super) fn strings(&self) -> View<'static> {
        let mut out = self.derived();
        let (mut at, mut inside) = (0, false);
        while let Some(found) = memchr2(b'"', b'\\', &self.text[at..]).map(|found| at + found) {
            if inside {
                out.push_run(self, at..found);
            }
            at = found + 1;
            if self.text[found] == b'"' {
                inside = !inside;
                out.break_line();
            } else if inside {
                let (bytes, length) = escape(&self.text[found..]);
                out.push(bytes.as_slice(), self, found..found + length);
                at = found + length;
            }
        }
        if inside {
            out.push_run(self, at..self.text.len());
        }
        out
    }

    /// Backslash escapes undone wherever they stand.
    pub(super) fn unescaped(&self) -> View<'static> {
        let mut out = self.derived();
        let mut at = 0;
        while let Some(found) = memchr(b'\\', &self.text[at..]).map(|found| at + found) {
            out.push_run(self, at..found);
            let (bytes, length) = escape(&self.text[found..]);
            out.push(bytes.as_slice(), self, found..found + length);
            at = found + length;
        }
        out.push_run(self, at..self.text.len());
        out
    }

    /// Tags gone (those that end a line become one) and entities undone.
    pub(super) fn visible(&self) -> View<'static> {
        let mut out = self.derived();
        let mut at = 0;
        while let Some(found) = memchr2(b'<', b'&', &self.text[at..]).map(|found| at + found) {
            out.push_run(self, at..found);
            at = found + 1;
            let rest = &self.text[found..];
            if rest[0] == b'&' {
                match entity(rest) {
                    Some((character, length)) => {
                        let mut buffer = [0; 4];
                        out.push(character.encode_utf8(&mut buffer).as_bytes(), self, found..found + length);
                        at = found + length;
                    }
                    None => out.push_run(self, found..at),
                }
                continue;
            }
            match tag(rest) {
                Some((length, element)) => {
                    if element == Element::Block {
                        out.break_line();
                    }
                    at = found + length;
                }
                None => out.push_run(self, found..at),
            }
        }
        out.push_run(self, at..self.text.len());
        out
    }

    /// What tags hold (names and values of attributes) with entities undone, one tag a line: what a reader of the source sees, and a
    /// program that asks for the value. Tags without entities stand in the source as they are.
    pub(super) fn attributes(&self) -> View<'static> {
        let mut out = self.derived();
        let mut at = 0;
        while let Some(found) = memchr(b'<', &self.text[at..]).map(|found| at + found) {
            at = found + 1;
            let opens = self.text.get(at).is_some_and(|next| next.is_ascii_alphabetic() || *next == b'?');
            let window = &self.text[at..self.text.len().min(at + MAX_TAG)];
            let Some(length) = memchr(b'>', window).filter(|length| opens && memchr(b'&', &window[..*length]).is_some()) else { continue };
            let end = at + length;
            while let Some(entity_at) = memchr(b'&', &self.text[at..end]).map(|entity_at| at + entity_at) {
                out.push_run(self, at..entity_at);
                at = entity_at + 1;
                match entity(&self.text[entity_at..end]) {
                    Some((character, length)) => {
                        let mut buffer = [0; 4];
                        out.push(character.encode_utf8(&mut buffer).as_bytes(), self, entity_at..entity_at + length);
                        at = entity_at + length;
                    }
                    None => out.push_run(self, entity_at..at),
                }
            }
            out.push_run(self, at..end);
            out.break_line();
            at = end;
        }
        out
    }

    /// Are there backslash escapes that hide something?
    pub(super) fn has_escapes(&self) -> bool {
        let mut pairs = self.text.windows(2);
        pairs.any(|pair| pair[0] == b'\\' && matches!(pair[1], b'n' | b't' | b'r' | b'"' | b'u' | b'x' | b'/' | b'\\'))
    }

    /// Are there tags or entities?
    pub(super) fn has_markup(&self) -> bool {
        self.text.windows(2).any(|pair| match pair[0] {
            b'<' => pair[1].is_ascii_alphabetic() || matches!(pair[1], b'/' | b'!'),
            b'&' => pair[1] == b'#' || pair[1].is_ascii_lowercase(),
            _ => false,
        })
    }
}

/// Up to four bytes that an escape stands for.
#[derive(Clone, Copy)]
struct Escaped([u8; 4], usize);

impl Escaped {
    const fn one(byte: u8) -> Self {
        Self([byte, 0, 0, 0], 1)
    }

    fn character(character: char) -> Self {
        let mut buffer = [0; 4];
        let length = character.encode_utf8(&mut buffer).len();
        Self(buffer, length)
    }

    fn as_slice(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// What the escape at the start stands for, and its length in the text.
fn escape(text: &[u8]) -> (Escaped, usize) {
    match text.get(1) {
        Some(b'n' | b'r') => (Escaped::one(b'\n'), 2),
        Some(b't' | b'b' | b'f') => (Escaped::one(b'\t'), 2),
        Some(byte @ (b'"' | b'\\' | b'/' | b'\'')) => (Escaped::one(*byte), 2),
        Some(b'x') => {
            let code = text.get(2..4).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            code.map_or((Escaped::one(b'\\'), 1), |code| (Escaped::one(code), 4))
        }
        Some(b'u') => {
            let code = text.get(2..6).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u32::from_str_radix(hex, 16).ok());
            match code {
                // Half of a pair stands for no character: what it belongs to is no letter of any rule.
                Some(code) => (Escaped::character(char::from_u32(code).unwrap_or('\u{fffd}')), 6),
                None => (Escaped::one(b'\\'), 1),
            }
        }
        _ => (Escaped::one(b'\\'), 1),
    }
}

/// Length of the tag or comment opening at the start, and what it does.
fn tag(text: &[u8]) -> Option<(usize, Element)> {
    let opens = text.get(1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!'));
    if text.starts_with(b"<!--") {
        return Some((4, Element::Block));
    }
    let name = text[1..].iter().take(MAX_NAME + 3).position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'/' | b'!')));
    let element = element(&text[1..=name.filter(|_| opens)?])?;
    let end = memchr(b'>', &text[..text.len().min(MAX_TAG)])?;
    Some((end + 1, element))
}

/// How an element changes what a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// Within a line.
    Inline,
    /// It ends a line.
    Block,
}

/// The longest name of an element that is known, in bytes.
const MAX_NAME: usize = 10;

/// The element of this name; `None` for what HTML does not have: `<module>`, `<anonymous>` and generics are text that nobody
/// escaped.
fn element(name: &[u8]) -> Option<Element> {
    let bare = name.strip_prefix(b"/").unwrap_or(name);
    let bare = bare.strip_suffix(b"/").unwrap_or(bare);
    let mut buffer = [0; MAX_NAME];
    let lower = buffer.get_mut(..bare.len())?;
    lower.copy_from_slice(bare);
    lower.make_ascii_lowercase();
    match &*lower {
        b"a" | b"abbr" | b"b" | b"big" | b"cite" | b"code" | b"del" | b"dfn" | b"em" | b"font" | b"i" | b"ins" | b"kbd" | b"label"
        | b"mark" | b"nobr" | b"q" | b"s" | b"samp" | b"small" | b"span" | b"strong" | b"sub" | b"sup" | b"time" | b"tt" | b"u"
        | b"var" | b"wbr" => Some(Element::Inline),
        b"address" | b"article" | b"aside" | b"base" | b"blockquote" | b"body" | b"br" | b"button" | b"caption" | b"center" | b"col"
        | b"dd" | b"details" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figure" | b"footer" | b"form" | b"frame" | b"h1" | b"h2"
        | b"h3" | b"h4" | b"h5" | b"h6" | b"head" | b"header" | b"hr" | b"html" | b"iframe" | b"img" | b"input" | b"legend" | b"li"
        | b"link" | b"main" | b"meta" | b"nav" | b"noscript" | b"ol" | b"option" | b"p" | b"path" | b"pre" | b"script" | b"section"
        | b"select" | b"style" | b"summary" | b"svg" | b"table" | b"tbody" | b"td" | b"textarea" | b"tfoot" | b"th" | b"thead"
        | b"title" | b"tr" | b"ul" | b"video" | b"!doctype" => Some(Element::Block),
        _ => None,
    }
}

/// The character that the entity at the start stands for, and its length.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(MAX_ENTITY).position(|b| *b == b';')?;
    let known = match &text[1..end] {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" | b"#34" => '"',
        b"apos" | b"#39" | b"#x27" => '\'',
        b"nbsp" | b"#160" => ' ',
        _ => '\0',
    };
    if known != '\0' {
        return Some((known, end + 1));
    }
    let name = std::str::from_utf8(&text[..=end]).ok()?;
    let decoded = html_escape::decode_html_entities(name);
    let mut characters = decoded.chars();
    let first = characters.next().filter(|_| characters.next().is_none() && decoded != name)?;
    Some((first, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(view: &View<'_>) -> String {
        String::from_utf8_lossy(&view.text).into_owned()
    }

    #[test]
    fn strings_and_nested_strings_are_seen_through() {
        let source = br#"{"a":"x\n\tat b","c":"{\"d\":\"e\\n f\"}"}"#;
        let view = View::mapped(source).strings();
        assert_eq!(text(&view), "a\nx\n\tat b\nc\n{\"d\":\"e\\n f\"}\n");
        assert!(text(&view.unescaped()).contains("e\n f"));
    }

    #[test]
    fn tags_and_entities_are_seen_through() {
        let view = View::mapped(b"<p>File &quot;<b>a.py</b>&quot;, line 3<br>in &lt;module&gt; &#x27;x&#39; a < b ~ <module>");
        assert_eq!(text(&view.visible()), "File \"a.py\", line 3\nin <module> 'x' a < b ~ <module>");
    }

    #[test]
    fn every_part_knows_its_source() {
        let source = b"<p>a&amp;<i>b</i></p>";
        let view = View::mapped(source).visible();
        assert_eq!(text(&view), "a&b\n");
        let pieces: Vec<&[u8]> = view.sources(0..3).into_iter().map(|range| &source[range]).collect();
        assert_eq!(pieces, [b"a&amp;".as_slice(), b"b"]);
    }

    #[test]
    fn what_attributes_hide_is_seen() {
        let view = View::mapped(b"<a title=\"x&#32;&quot;y&quot;\" b='c'>t &amp; u<i>v</i><?x y=\"&lt;z\"?> 1 < 2 & 3 > 2").attributes();
        assert_eq!(text(&view), "a title=\"x \"y\"\" b='c'\n?x y=\"<z\"?\n");
        assert_eq!(text(&View::mapped(br"a\x2fb\xzz").unescaped()), r"a/b\xzz");
    }

    #[test]
    fn only_elements_are_markup() {
        for name in ["a", "wbr", "h6", "textarea", "BODY", "/p", "br/", "!DOCTYPE"] {
            assert!(element(name.as_bytes()).is_some(), "{name}");
        }
        assert_eq!((element(b"module"), element(b"string"), element(b"")), (None, None, None));
    }

    proptest::proptest! {
        #[test]
        fn places_stay_within_the_source(source in "[<>a-z/&;\\\\\"nu0-9 \u{e4}]{0,80}") {
            let raw = View::mapped(source.as_bytes());
            for view in [raw.strings(), raw.unescaped(), raw.visible(), raw.strings().unescaped().visible(), raw.attributes()] {
                for range in view.sources(0..view.text.len()) {
                    proptest::prop_assert!(range.start < range.end && range.end <= source.len());
                }
            }
        }
    }
}
