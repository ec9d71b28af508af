//! Removes HTML tags from a message. Knows the elements of running text; anything else in angle brackets stays as it is.

use std::borrow::Cow;

/// Elements of running text: their tags are removed, and their content stays.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "input", "ins", "kbd",
    "label", "link", "mark", "meta", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var",
    "wbr",
];
/// Elements that begin a line: their tags become a space.
const BLOCKS: &[&str] = &[
    "article",
    "blockquote",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];
/// The maximum length of a tag, in bytes.
const MAX_TAG: usize = 2 * 1024;

/// The text without the tags of running text. Borrowed if there are none. Character references stay, so that a tag which they spell out is
/// not taken for one; [`decoded`] decodes them.
pub(super) fn without_tags(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut from = 0;
    while let Some(open) = text[from..].find('<').map(|at| from + at) {
        let Some((end, separator)) = tag(&text[open..]) else {
            from = open + 1;
            continue;
        };
        out.push_str(&text[kept..open]);
        out.push_str(separator);
        (kept, from) = (open + end, open + end);
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// The text with its character references decoded.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(text)
}

/// The length of the tag at the start of a text, and what replaces it.
fn tag(text: &str) -> Option<(usize, &'static str)> {
    let inner = text.strip_prefix('<')?;
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let element = name[..length].to_ascii_lowercase();
    let separator = match () {
        () if INLINE.contains(&element.as_str()) => "",
        () if BLOCKS.contains(&element.as_str()) => " ",
        () => return None,
    };
    // An element without attributes ends at once; another one has a space or a slash behind its name.
    let rest = &name[length..];
    let end = rest.bytes().take(MAX_TAG).position(|byte| matches!(byte, b'<' | b'>'))?;
    let is_tag = rest.as_bytes()[end] == b'>' && (end == 0 || rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '/'));
    is_tag.then(|| (text.len() - rest.len() + end + 1, separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_running_text_are_removed() {
        for (text, plain) in [
            ("<strong>ERROR</strong>: The name is <b>too long</b>", "ERROR: The name is too long"),
            ("See <a href=\"https://shop.example/lost\">this page</a>?", "See this page?"),
            ("One<br/>two<BR>three", "One two three"),
            ("<p>A &amp; B</p>", " A &amp; B "),
            ("Use no <meta name=\"referrer\"> tag", "Use no  tag"),
            ("a < b and c > d", "a < b and c > d"),
            ("a <b and c> d", "a  d"),
            ("List<String> and <script>x</script>", "List<String> and <script>x</script>"),
            ("a &amp; b", "a &amp; b"),
            ("<a", "<a"),
        ] {
            assert_eq!(without_tags(text), plain, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cleaned_without_panic(text in "[<>/abp \u{e4}=\"']{0,40}") {
            let _ = without_tags(&text);
        }
    }
}
