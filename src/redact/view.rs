//! What a reader would see: escapes and markup undone, each byte still knowing where it stood in the source.
//!
//! A trace hides behind JSON escapes (twice, when JSON was put into JSON), entities and tags; undone, one set of rules
//! finds it everywhere. These are lenient views for searching, never parsers: what they take for a tag or a string need
//! not be one, and nothing is decided by them but where to look.

use std::borrow::Cow;
use std::ops::Range;

/// The longest thing between `<` and `>` that is taken for a tag, in bytes.
const MAX_TAG: usize = 8 * 1024;
/// The longest entity, in bytes.
const MAX_ENTITY: usize = 12;

/// A text with the place of every byte.
#[derive(Clone, Debug, Default)]
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, [u8]>,
    /// Source bytes of each byte; empty when they are the same. A byte of no source (a line end put in) has none.
    from: Vec<(u32, u32)>,
}

impl<'t> View<'t> {
    /// The source itself. Sources beyond 4 GiB are cut there.
    pub(super) fn of(source: &'t [u8]) -> Self {
        Self { text: Cow::Borrowed(&source[..source.len().min(u32::MAX as usize)]), from: Vec::new() }
    }

    fn empty(capacity: usize) -> View<'static> {
        View { text: Cow::Owned(Vec::with_capacity(capacity)), from: Vec::with_capacity(capacity) }
    }

    fn place(&self, at: usize) -> (u32, u32) {
        if self.from.is_empty() { (at as u32, at as u32 + 1) } else { self.from.get(at).copied().unwrap_or_default() }
    }

    /// Adds text that stands for `range` of another view.
    fn push(&mut self, bytes: &[u8], source: &View<'_>, range: Range<usize>) {
        let place = (source.place(range.start).0, source.place(range.end.saturating_sub(1)).1);
        for byte in bytes {
            self.text.to_mut().push(*byte);
            self.from.push(place);
        }
    }

    /// Adds a line end that stands nowhere.
    fn break_line(&mut self) {
        if self.text.last().is_some_and(|last| *last != b'\n') {
            self.text.to_mut().push(b'\n');
            self.from.push((0, 0));
        }
    }

    /// Source ranges of a range of this view, in order and merged; what markup stood between stays out of them.
    pub(super) fn sources(&self, range: Range<usize>) -> Vec<Range<usize>> {
        if self.from.is_empty() {
            return if range.is_empty() { Vec::new() } else { vec![range] };
        }
        let mut found: Vec<Range<usize>> = Vec::new();
        for (start, end) in self.from[range].iter().filter(|(start, end)| end > start) {
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
        let mut out = View::empty(self.text.len());
        let (mut at, mut inside) = (0, false);
        while at < self.text.len() {
            match self.text[at] {
                b'"' => {
                    inside = !inside;
                    out.break_line();
                }
                b'\\' if inside => {
                    let (bytes, length) = escape(&self.text[at..]);
                    out.push(bytes.as_slice(), self, at..at + length);
                    at += length;
                    continue;
                }
                byte if inside => out.push(&[byte], self, at..at + 1),
                _ => {}
            }
            at += 1;
        }
        out
    }

    /// Backslash escapes undone wherever they stand.
    pub(super) fn unescaped(&self) -> View<'static> {
        let mut out = View::empty(self.text.len());
        let mut at = 0;
        while at < self.text.len() {
            let (bytes, length) = if self.text[at] == b'\\' { escape(&self.text[at..]) } else { (Escaped::one(self.text[at]), 1) };
            out.push(bytes.as_slice(), self, at..at + length);
            at += length;
        }
        out
    }

    /// Tags gone (those that end a line become one) and entities undone.
    pub(super) fn visible(&self) -> View<'static> {
        let mut out = View::empty(self.text.len());
        let mut at = 0;
        while at < self.text.len() {
            let rest = &self.text[at..];
            match rest[0] {
                b'<' => {
                    if let Some(length) = tag(rest) {
                        if ends_line(&rest[1..length]) {
                            out.break_line();
                        }
                        at += length;
                        continue;
                    }
                    out.push(b"<", self, at..at + 1);
                }
                b'&' => {
                    if let Some((character, length)) = entity(rest) {
                        let mut buffer = [0; 4];
                        out.push(character.encode_utf8(&mut buffer).as_bytes(), self, at..at + length);
                        at += length;
                        continue;
                    }
                    out.push(b"&", self, at..at + 1);
                }
                byte => out.push(&[byte], self, at..at + 1),
            }
            at += 1;
        }
        out
    }

    /// Are there backslash escapes that hide something?
    pub(super) fn has_escapes(&self) -> bool {
        let mut pairs = self.text.windows(2);
        pairs.any(|pair| pair[0] == b'\\' && matches!(pair[1], b'n' | b't' | b'r' | b'"' | b'u' | b'/' | b'\\'))
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

/// Length of the tag or comment opening at the start.
fn tag(text: &[u8]) -> Option<usize> {
    let opens = text.get(1).is_some_and(|next| next.is_ascii_alphabetic() || *next == b'/');
    if text.starts_with(b"<!--") {
        return Some(4);
    }
    if !opens && !text.starts_with(b"<!") {
        return None;
    }
    let name = text[1..].iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'/' | b'!' | b'-' | b':')))? + 1;
    // `<module>`, `<anonymous>` and generics are text that nobody escaped.
    let known = is_element(&text[1..name]);
    let end = text.iter().take(MAX_TAG).position(|b| *b == b'>')?;
    known.then_some(end + 1)
}

/// Elements that are taken for markup, in order.
#[rustfmt::skip]
const ELEMENTS: &[&str] = &[
    "a", "abbr", "address", "article", "aside", "b", "base", "big", "blockquote", "body", "br", "button", "caption", "center",
    "cite", "code", "col", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "fieldset", "figure", "font", "footer",
    "form", "frame", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "i", "iframe", "img", "input", "ins",
    "kbd", "label", "legend", "li", "link", "main", "mark", "meta", "nav", "nobr", "noscript", "ol", "option", "p", "path",
    "pre", "q", "s", "samp", "script", "section", "select", "small", "span", "strong", "style", "sub", "summary", "sup", "svg",
    "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "time", "title", "tr", "tt", "u", "ul", "var", "video", "wbr",
];

fn is_element(name: &[u8]) -> bool {
    let bare = name.strip_prefix(b"/").unwrap_or(name);
    let Ok(bare) = std::str::from_utf8(bare) else { return false };
    let bare = bare.trim_end_matches('/').to_ascii_lowercase();
    bare == "!doctype" || ELEMENTS.binary_search(&bare.as_str()).is_ok()
}

/// Does what stands in this tag end a line?
fn ends_line(inner: &[u8]) -> bool {
    let name: Vec<u8> =
        inner.iter().skip_while(|b| **b == b'/').take_while(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    !matches!(
        name.as_slice(),
        b"a" | b"abbr"
            | b"b"
            | b"big"
            | b"cite"
            | b"code"
            | b"del"
            | b"dfn"
            | b"em"
            | b"font"
            | b"i"
            | b"ins"
            | b"kbd"
            | b"label"
            | b"mark"
            | b"nobr"
            | b"q"
            | b"s"
            | b"samp"
            | b"small"
            | b"span"
            | b"strong"
            | b"sub"
            | b"sup"
            | b"tt"
            | b"u"
            | b"var"
            | b"wbr"
            | b"time"
    )
}

/// The character that the entity at the start stands for, and its length.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    let end = text.iter().take(MAX_ENTITY).position(|b| *b == b';')?;
    let name = std::str::from_utf8(&text[..=end]).ok()?;
    if name == "&nbsp;" || name == "&#160;" {
        return Some((' ', end + 1));
    }
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
        let view = View::of(source).strings();
        assert_eq!(text(&view), "a\nx\n\tat b\nc\n{\"d\":\"e\\n f\"}\n");
        assert!(text(&view.unescaped()).contains("e\n f"));
    }

    #[test]
    fn tags_and_entities_are_seen_through() {
        let view = View::of(b"<p>File &quot;<b>a.py</b>&quot;, line 3<br>in &lt;module&gt; &#x27;x&#39; a < b ~ <module>");
        assert_eq!(text(&view.visible()), "File \"a.py\", line 3\nin <module> 'x' a < b ~ <module>");
    }

    #[test]
    fn every_part_knows_its_source() {
        let source = b"<p>a&amp;<i>b</i></p>";
        let view = View::of(source).visible();
        assert_eq!(text(&view), "a&b\n");
        let pieces: Vec<&[u8]> = view.sources(0..3).into_iter().map(|range| &source[range]).collect();
        assert_eq!(pieces, [b"a&amp;".as_slice(), b"b"]);
    }

    #[test]
    fn names_of_elements_are_sorted() {
        for name in ["a", "wbr", "h6", "textarea", "BODY"] {
            assert!(is_element(name.as_bytes()), "{name}");
        }
        assert!(!is_element(b"module"));
    }

    proptest::proptest! {
        #[test]
        fn places_stay_within_the_source(source in "[<>a-z/&;\\\\\"nu0-9 \u{e4}]{0,80}") {
            let raw = View::of(source.as_bytes());
            for view in [raw.strings(), raw.unescaped(), raw.visible(), raw.strings().unescaped().visible()] {
                for range in view.sources(0..view.text.len()) {
                    proptest::prop_assert!(range.start < range.end && range.end <= source.len());
                }
            }
        }
    }
}
