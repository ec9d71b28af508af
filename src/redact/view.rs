//! Views of a text: decode escapes and remove markup, and map each byte to its position in the source.
//!
//! JSON escapes (twice, if JSON holds JSON as a string), entities and tags can conceal a trace. With these removed, one set of rules finds
//! it everywhere. The views are lenient and used for searching only. They are not parsers, and may take other text for a tag or a string.
//! This file knows no rule.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::log_line::prefix;

/// The maximum distance from `<` to `>` of a tag, in bytes.
const MAX_TAG: usize = 8 * 1024;
/// The maximum length of an entity, in bytes.
const MAX_ENTITY: usize = 12;

/// A text, and the source position of each of its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, [u8]>,
    source_map: SourceMap,
}

/// Maps the bytes of a view to byte ranges of the source.
#[derive(Clone, Debug, Default)]
enum SourceMap {
    /// Positions are not tracked.
    #[default]
    Untracked,
    /// The view is the source.
    Identity,
    /// The source range of each byte, which is empty for a line end that the view inserts.
    Bytes(Vec<(u32, u32)>),
}

impl<'t> View<'t> {
    /// Returns the source as a view that does not track positions. Truncates a source at 4 GiB.
    pub(super) fn of(source: &'t [u8]) -> Self {
        Self { text: Cow::Borrowed(&source[..source.len().min(u32::MAX as usize)]), source_map: SourceMap::Untracked }
    }

    /// Returns the source as a view that tracks positions, which costs time and memory in the views made of it.
    pub(super) fn mapped(source: &'t [u8]) -> Self {
        Self { source_map: SourceMap::Identity, ..Self::of(source) }
    }

    fn derived(&self) -> View<'static> {
        let source_map = match &self.source_map {
            SourceMap::Untracked => SourceMap::Untracked,
            SourceMap::Identity | SourceMap::Bytes(_) => SourceMap::Bytes(Vec::with_capacity(self.text.len())),
        };
        View { text: Cow::Owned(Vec::with_capacity(self.text.len())), source_map }
    }

    fn source_range(&self, at: usize) -> (u32, u32) {
        match &self.source_map {
            SourceMap::Bytes(source_map) => source_map.get(at).copied().unwrap_or_default(),
            SourceMap::Untracked | SourceMap::Identity => (at as u32, at as u32 + 1),
        }
    }

    /// Appends bytes of another view unchanged.
    fn push_run(&mut self, source: &View<'_>, range: Range<usize>) {
        if let SourceMap::Bytes(source_map) = &mut self.source_map {
            source_map.extend(range.clone().map(|at| source.source_range(at)));
        }
        self.text.to_mut().extend_from_slice(&source.text[range]);
    }

    /// Appends bytes that replace `range` of another view.
    fn push(&mut self, bytes: &[u8], source: &View<'_>, range: Range<usize>) {
        if let SourceMap::Bytes(source_map) = &mut self.source_map {
            let source_range = (source.source_range(range.start).0, source.source_range(range.end.saturating_sub(1)).1);
            source_map.extend(bytes.iter().map(|_| source_range));
        }
        self.text.to_mut().extend_from_slice(bytes);
    }

    /// Appends a line end that has no source.
    fn break_line(&mut self) {
        if self.text.last().is_some_and(|last| *last != b'\n') {
            self.text.to_mut().push(b'\n');
            if let SourceMap::Bytes(source_map) = &mut self.source_map {
                source_map.push((0, 0));
            }
        }
    }

    /// Returns the source ranges of a range of this view, in order and merged. Removed markup in between is not part of them.
    pub(super) fn sources(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let SourceMap::Bytes(source_map) = &self.source_map else { return if range.is_empty() { Vec::new() } else { vec![range] } };
        let mut found: Vec<Range<usize>> = Vec::new();
        for (start, end) in source_map[range].iter().filter(|(start, end)| end > start) {
            let (start, end) = (*start as usize, *end as usize);
            match found.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => found.push(start..end),
            }
        }
        found
    }

    /// Returns the contents of the double-quoted strings with their escapes decoded, one per line.
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

    /// Returns the text with all backslash escapes decoded.
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

    /// Returns the text without what a log writes before each message, or `None` if its first line has no such prefix.
    pub(super) fn unprefixed(&self) -> Option<View<'static>> {
        let first = self.text.trim_ascii_start();
        if prefix(first) == 0 {
            return None;
        }
        let mut out = self.derived();
        let mut at = self.text.len() - first.len();
        while at < self.text.len() {
            let end = memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |end| at + end + 1);
            out.push_run(self, at + prefix(&self.text[at..end])..end);
            at = end;
        }
        Some(out)
    }

    /// Returns the text without tags and with entities decoded. A block-level tag becomes a line end.
    pub(super) fn visible(&self) -> View<'static> {
        let is_xml = is_xml(&self.text);
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
            match tag(rest, is_xml) {
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

    /// Returns the contents of tags (names and values of attributes) with entities decoded, one tag per line, as a program that reads the
    /// attribute sees them. Omits tags without entities, which the rules can match in the source.
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

    /// Returns true if there are backslash escapes that may conceal text.
    pub(super) fn has_escapes(&self) -> bool {
        let mut marks = memchr::memchr_iter(b'\\', &self.text);
        marks.any(|at| matches!(self.text.get(at + 1), Some(b'n' | b't' | b'r' | b'"' | b'u' | b'x' | b'/' | b'\\')))
    }

    /// Returns true if there are tags or entities.
    pub(super) fn has_markup(&self) -> bool {
        memchr::memchr2_iter(b'<', b'&', &self.text).any(|at| match (self.text[at], self.text.get(at + 1)) {
            (b'<', Some(next)) => next.is_ascii_alphabetic() || matches!(next, b'/' | b'!'),
            (b'&', Some(next)) => *next == b'#' || next.is_ascii_lowercase(),
            _ => false,
        })
    }
}

/// The one to four bytes that an escape decodes to.
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

/// Decodes the escape at the start, and returns its length in the text.
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
                // A lone surrogate is not a character, and no rule depends on the character that it is a part of.
                Some(code) => (Escaped::character(char::from_u32(code).unwrap_or('\u{fffd}')), 6),
                None => (Escaped::one(b'\\'), 1),
            }
        }
        _ => (Escaped::one(b'\\'), 1),
    }
}

/// Returns true for an XML document other than a page. Its text spells out every angle bracket, so each `<` opens a tag.
fn is_xml(text: &[u8]) -> bool {
    let start = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    start.starts_with(b"<?xml")
}

/// Returns the length of the tag or comment opening at the start, and its type.
fn tag(text: &[u8], is_xml: bool) -> Option<(usize, Element)> {
    let opens = text.get(1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!'));
    if text.starts_with(b"<!--") {
        return Some((4, Element::Block));
    }
    if is_xml {
        let data: &[u8] = b"<![CDATA[";
        let length = if text.starts_with(data) { data.len() } else { memchr(b'>', &text[..text.len().min(MAX_TAG)])? + 1 };
        return Some((length, Element::Block));
    }
    let name = text[1..].iter().take(MAX_NAME + 3).position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'/' | b'!')));
    let element = element(&text[1..=name.filter(|_| opens)?])?;
    let end = memchr(b'>', &text[..text.len().min(MAX_TAG)])?;
    Some((end + 1, element))
}

/// The effect of an element on the visible text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// It is within a line.
    Inline,
    /// It ends a line.
    Block,
}

/// The maximum length of a known element name, in bytes.
const MAX_NAME: usize = 10;

/// Returns the type of the element, or `None` if HTML has no such element: `<module>`, `<anonymous>` and generics are unescaped text.
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

/// Decodes the entity at the start, and returns its length.
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
    fn escapes_of_nested_strings_are_decoded() {
        let source = br#"{"a":"x\n\tat b","c":"{\"d\":\"e\\n f\"}"}"#;
        let view = View::mapped(source).strings();
        assert_eq!(text(&view), "a\nx\n\tat b\nc\n{\"d\":\"e\\n f\"}\n");
        assert!(text(&view.unescaped()).contains("e\n f"));
    }

    #[test]
    fn tags_are_removed_and_entities_are_decoded() {
        let view = View::mapped(b"<p>File &quot;<b>a.py</b>&quot;, line 3<br>in &lt;module&gt; &#x27;x&#39; a < b ~ <module>");
        assert_eq!(text(&view.visible()), "File \"a.py\", line 3\nin <module> 'x' a < b ~ <module>");
    }

    #[test]
    fn ranges_map_to_their_source() {
        let source = b"<p>a&amp;<i>b</i></p>";
        let view = View::mapped(source).visible();
        assert_eq!(text(&view), "a&b\n");
        let pieces: Vec<&[u8]> = view.sources(0..3).into_iter().map(|range| &source[range]).collect();
        assert_eq!(pieces, [b"a&amp;".as_slice(), b"b"]);
    }

    #[test]
    fn entities_in_attributes_are_decoded() {
        let view = View::mapped(b"<a title=\"x&#32;&quot;y&quot;\" b='c'>t &amp; u<i>v</i><?x y=\"&lt;z\"?> 1 < 2 & 3 > 2").attributes();
        assert_eq!(text(&view), "a title=\"x \"y\"\" b='c'\n?x y=\"<z\"?\n");
        assert_eq!(text(&View::mapped(br"a\x2fb\xzz").unescaped()), r"a/b\xzz");
    }

    #[test]
    fn prefixes_of_logs_are_removed() {
        let log = View::mapped(b"10:00:00 a\n10:00:01   at b\n");
        assert_eq!(log.unprefixed().map(|view| text(&view)), Some("a\n  at b\n".into()));
        assert!(View::mapped(b"a\n10:00:01 b").unprefixed().is_none());
    }

    #[test]
    fn every_bracket_of_xml_opens_a_tag() {
        let view = View::mapped(b"<?xml version=\"1.0\"?><r><m>free(): x &lt;y&gt;</m><![CDATA[a <b> c]]></r>").visible();
        assert_eq!(text(&view), "free(): x <y>\na \n c]]>\n");
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
        fn source_ranges_stay_within_the_source(source in "[<>a-z/&;\\\\\"nu0-9 \u{e4}]{0,80}") {
            let raw = View::mapped(source.as_bytes());
            for view in [raw.strings(), raw.unescaped(), raw.visible(), raw.strings().unescaped().visible(), raw.attributes()] {
                for range in view.sources(0..view.text.len()) {
                    proptest::prop_assert!(range.start < range.end && range.end <= source.len());
                }
            }
        }
    }
}
