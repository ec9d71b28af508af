//! Decides where a value may stand in an HTML template: where it stays a value whatever it is, escaped. Everything that is not known to be
//! such a place is refused. Knows no value.

mod reader;

use std::ops::Range;

use reader::{Place, Reader};

/// Attributes that are text, in every element. So are all `aria-*` and `data-*`.
const TEXTS: [&str; 10] = ["class", "id", "title", "alt", "lang", "xml:lang", "dir", "placeholder", "label", "datetime"];
/// Elements whose `value` is text.
const VALUES: [&str; 7] = ["input", "button", "option", "data", "li", "meter", "progress"];
/// Elements and their attributes that are URLs of something that is shown or followed, and nothing that is run.
const URLS: [(&str, &str); 11] = [
    ("a", "href"),
    ("area", "href"),
    ("form", "action"),
    ("button", "formaction"),
    ("input", "formaction"),
    ("img", "src"),
    ("video", "poster"),
    ("blockquote", "cite"),
    ("q", "cite"),
    ("del", "cite"),
    ("ins", "cite"),
];
/// How much of a `<meta>` is read behind a value, in characters. A longer one is refused.
const MAX_META: usize = 4096;
/// What is allowed, for every message.
const ALLOWED: &str = "a value may stand in text, in a quoted attribute such as title, class, value, aria-* or data-*, and in a link behind the beginning of its URL";

/// Checks that the values at these places of a template leave its structure as it is, and lead to no other host.
///
/// # Errors
/// Returns the position of the first value that may not stand where it does, and the reason.
pub(super) fn check(template: &str, values: &[Range<usize>]) -> Result<(), (usize, String)> {
    // The content of `noscript` is markup only where no scripts run.
    [true, false].into_iter().try_for_each(|scripting| check_reading(Reader::new(scripting), template, values))
}

fn check_reading(mut reader: Reader, template: &str, values: &[Range<usize>]) -> Result<(), (usize, String)> {
    let mut at = 0;
    for value in values {
        template[at..value.start].chars().for_each(|c| reader.read(c));
        if let Some(objection) = objection(&reader, &template[value.end..]) {
            return Err((value.start, format!("{objection}; {ALLOWED}")));
        }
        at = value.end;
    }
    Ok(())
}

/// Returns why no value may stand here, if none may.
fn objection(reader: &Reader, rest: &str) -> Option<String> {
    let (element, attribute) = (reader.element(), reader.attribute());
    match reader.place() {
        Place::Text => None,
        Place::Raw if element == "title" && reader.is_plain() => None,
        Place::Raw => Some(format!("a value in <{element}> cannot be made safe")),
        Place::Comment | Place::Declaration => Some("a value in a comment or a declaration cannot be made safe".into()),
        Place::BeforeValue | Place::Unquoted => Some(format!("the value of `{attribute}` needs quotation marks")),
        Place::Quoted(_) if !reader.is_end_tag() => attribute_objection(reader, rest),
        Place::TagOpen
        | Place::EndTagOpen
        | Place::TagName
        | Place::BeforeName
        | Place::Name
        | Place::AfterName
        | Place::Quoted(_)
        | Place::AfterValue
        | Place::SelfClosing => Some("a value cannot be a part of a tag".into()),
        Place::Unknown(why) => Some(format!("browsers could read the template in two ways up to here, because of {why}")),
    }
}

fn attribute_objection(reader: &Reader, rest: &str) -> Option<String> {
    let (element, attribute) = (reader.element(), reader.attribute());
    let is_text = TEXTS.contains(&attribute)
        || attribute.starts_with("aria-")
        || attribute.starts_with("data-")
        || (attribute == "value" && VALUES.contains(&element));
    if is_text {
        return None;
    }
    if URLS.contains(&(element, attribute)) {
        return (!fixes_host(reader.value())).then(|| {
            format!(
                "the URL of `{attribute}` must begin with `/` and a part of a path, `?`, `#`, `https://HOST/`, `http://HOST/` or `mailto:` before a value; \
                 an empty `href` leads to the same page"
            )
        });
    }
    if (element, attribute) == ("meta", "content") {
        return (!is_named_meta(reader.clone(), rest))
            .then(|| "a value in `content` needs a <meta> with `name` and without `http-equiv`".into());
    }
    Some(format!("a value in `{attribute}` of <{element}> cannot be made safe"))
}

/// Returns true if the beginning of a URL determines its scheme and its host, whatever follows. White space and character references are
/// no part of such a beginning: browsers remove or decode them first (<https://url.spec.whatwg.org/#concept-basic-url-parser>).
fn fixes_host(beginning: &str) -> bool {
    let lower = beginning.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) {
        return rest.find(['/', '?', '#']).is_some_and(|end| is_host(&rest[..end]));
    }
    // `//` and `/\` begin a host.
    let is_path = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || "-._~%?#@".contains(c));
    lower.starts_with(['?', '#']) || lower.starts_with("mailto:") || lower.strip_prefix('/').is_some_and(is_path)
}

/// Returns true for a host with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    is_name(host) && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

/// Returns true if the tag has a `name` and no `http-equiv`, which may also stand behind the value.
fn is_named_meta(mut reader: Reader, rest: &str) -> bool {
    for c in rest.chars().take(MAX_META) {
        reader.read(c);
        if !reader.is_in_tag() {
            break;
        }
    }
    reader.place() == Place::Text && reader.has("name") && !reader.has("http-equiv")
}

#[cfg(test)]
mod tests {
    use html5gum::{DefaultEmitter, Token, Tokenizer};
    use proptest::sample::select;

    use super::*;

    const VALUE: &str = "{{message}}";

    fn checked(template: &str) -> Result<(), (usize, String)> {
        let values: Vec<_> = template.match_indices(VALUE).map(|(at, _)| at..at + VALUE.len()).collect();
        check(template, &values)
    }

    #[test]
    fn values_may_stand_in_text_and_in_quoted_attributes() {
        for template in [
            "{{message}}",
            "<p>{{message}}",
            "<!doctype html><html lang=\"{{message}}\">",
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\"><p>{{message}}",
            "<?xml version=\"1.0\"?><html xml:lang='{{message}}'>",
            "<title>{{message}} | {{message}}</title>",
            "<svg><title>{{message}}</title><text>{{message}}</text></svg>",
            "<a title = '{{message}}'>",
            "<p class=\"e {{message}}\"data-id='{{message}}' aria-label=\"{{message}}\">",
            "<input type=hidden value=\"{{message}}\">",
            "<style>p{color:red}</style><p>{{message}}",
            "<SCRIPT>if(a<b){}</SCRIPT ><p>{{message}}",
            "<script>\"</scriptx>\"</script/><p>{{message}}",
            "<!-- <script> --><b>{{message}}",
            "<!--><b>{{message}}",
            "<!--x--!>{{message}}",
            "a < b, {{message}}",
            "<br/>{{message}}",
            "<p hidden>{{message}}",
            "<p class=x>{{message}}",
            "<noscript><p>No scripts.</p></noscript>{{message}}",
            "<meta name=a content=\"{{message}}\">",
            "<meta content=\"{{message}} {{message}}\" name=description>",
        ] {
            assert_eq!(checked(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn values_may_stand_in_a_link_behind_its_host() {
        for beginning in [
            "/help?id=",
            "/h",
            "?",
            "#",
            "https://example.com/",
            "HTTP://example.com:81?",
            "https://example.com#",
            "mailto:help@example.com?subject=",
            "mailto:",
        ] {
            for tag in ["a href", "form action", "button formaction", "img src", "q cite"] {
                assert_eq!(checked(&format!("<{tag}=\"{beginning}{{{{message}}}}/{{{{message}}}}\">")), Ok(()), "{tag} {beginning}");
            }
        }
        for beginning in [
            "",
            " ",
            "\t",
            "&#9;",
            " /a",
            "/",
            "//",
            "/\\",
            "/\t",
            "/&sol;",
            "\\",
            "a",
            "./",
            "java",
            "j",
            "javascript:f('",
            "data:text/html,",
            "http:",
            "https:/",
            "https://",
            "https://example.com",
            "https://example.com:",
            "https://example.com:8x/",
            "https://a@b/",
            "https://ex&#x2f;/",
            "https:///",
            "https://a\\b/",
            "blob:https://a/",
            "vbscript:",
            "tel:",
        ] {
            let told = checked(&format!("<a href='{}{VALUE}'>", beginning.replace('\'', "&#39;"))).unwrap_err().1;
            assert!(told.contains("the URL of `href` must begin") && told.contains("https://HOST/"), "{beginning}: {told}");
        }
    }

    #[test]
    fn values_may_not_stand_where_no_escape_helps() {
        for (template, word) in [
            ("<script>let id = \"{{message}}", "<script>"),
            ("<style>p{content:'{{message}}", "<style>"),
            ("<textarea>{{message}}", "<textarea>"),
            ("<noscript>{{message}}", "<noscript>"),
            ("<title><b>{{message}}", "<title>"),
            ("<script src=x>{{message}}", "<script>"),
            ("<script/>{{message}}", "<script>"),
            ("<script>\"</scriptx>\"{{message}}</script>", "<script>"),
            ("<!--x--!><script>{{message}}</script>", "<script>"),
            ("<!-- {{message}} -->", "comment"),
            ("<!doctype {{message}}>", "declaration"),
            ("</ {{message}}>", "declaration"),
            ("</!-->-><script>{{message}}", "<script>"),
            ("<p {{message}}>", "part of a tag"),
            ("<p title=''{{message}}>", "part of a tag"),
            ("<p/{{message}}>", "part of a tag"),
            ("<{{message}}", "part of a tag"),
            ("</{{message}}", "part of a tag"),
            ("<p></p title='{{message}}'>", "part of a tag"),
            ("<p class={{message}}>", "quotation marks"),
            ("<p class=a{{message}}>", "quotation marks"),
            ("<p onclick=\"f('{{message}}')\">", "`onclick`"),
            ("<p hidden STYLE=\"{{message}}\">", "`style`"),
            ("<iframe srcdoc=\"{{message}}\">", "`srcdoc`"),
            ("<img srcset=\"/a?{{message}}\">", "`srcset`"),
            ("<link imagesrcset=\"/a?{{message}}\">", "`imagesrcset`"),
            ("<link href=\"/a?{{message}}\">", "`href` of <link>"),
            ("<script src=\"/x?{{message}}\">", "`src` of <script>"),
            ("<form action=\"j{{message}}\">", "`action`"),
            ("<img alt='' src='{{message}}'>", "`src`"),
            ("<param value=\"{{message}}\">", "`value` of <param>"),
            ("<svg><set attributeName=\"onmouseover\" to=\"{{message}}\"/>", "`to` of <set>"),
            ("<svg><animate values=\"{{message}}\">", "`values` of <animate>"),
            ("<meta http-equiv=\"refresh\" content=\"0;url={{message}}\">", "`http-equiv`"),
            ("<meta name=a http-equiv=\"refresh\" content=\"0;url={{message}}\">", "`http-equiv`"),
            ("<meta name=a content=\"0;url={{message}}\" HTTP-EQUIV=\"refresh\">", "`http-equiv`"),
            ("<meta name=a content=\"0;url={{message}}\" name=b http-equiv=\"refresh\">", "`http-equiv`"),
            ("<meta content=\"{{message}}\">", "`name`"),
            ("<meta name=a content=\"{{message}}", "`name`"),
        ] {
            let (at, told) = checked(template).expect_err(template);
            assert!(told.contains(word) && told.contains("a value may stand in text"), "{template}: {told}");
            assert_eq!(Some(at), template.find(VALUE));
        }
    }

    #[test]
    fn no_value_may_stand_behind_what_two_readers_could_read_differently() {
        for template in [
            "<title><!-- </title><script>{{message}}</script>",
            "<title><!-- </title>{{message}}",
            "<script><!-- <script> </script>{{message}}",
            "<script><![CDATA[</script>{{message}}",
            "<svg><style><a title='</style>{{message}}",
            "<select><title><a title='</title>{{message}}",
            "<svg><script/><p>{{message}}</script>",
            "<plaintext>{{message}}",
            "<svg><![CDATA[>{{message}}]]>",
            "<!doctype html [<!ENTITY a \"b>{{message}}",
            "<!doctype \"a>{{message}}",
            "<?a>{{message}}",
            "<p a\"b>{{message}}",
            "<p 'b>{{message}}",
            "<p a=b'>{{message}}",
            "<p a=1 A=2>{{message}}",
            "<s:script>{{message}}",
            "<p\0>{{message}}",
        ] {
            let told = checked(template).expect_err(template).1;
            assert!(told.contains("in two ways"), "{template}: {told}");
        }
        assert!(checked("<noscript><b onclick='</noscript>{{message}}'>").is_err(), "a handler where no scripts run");
    }

    /// The tokens of a template with this value, but `value` in place of it. Errors of syntax are no tokens.
    fn tokens(template: &str, value: &str) -> Vec<String> {
        let html = template.replace(VALUE, &html_escape::encode_safe(value));
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(value, "value");
        let mut inside = String::new();
        let told = |token: Token| match token {
            Token::StartTag(tag) => {
                inside = text(&tag.name);
                let attributes: Vec<_> = tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                Some(format!("start {} {attributes:?} {}", text(&tag.name), tag.self_closing))
            }
            Token::EndTag(tag) => {
                inside.clear();
                Some(format!("end {}", text(&tag.name)))
            }
            Token::String(string) => Some(format!("text in {inside}: {}", text(&string))),
            Token::Comment(comment) => Some(format!("comment {}", text(&comment))),
            Token::Doctype(doctype) => Some(format!("doctype {}", text(&doctype.name))),
            Token::Error(_) => None,
        };
        Tokenizer::new_with_emitter(html.as_str(), emitter).map(Result::unwrap).filter_map(told).collect()
    }

    const PARTS: [&str; 48] = [
        "{{message}}",
        "{{message}}",
        "{{message}}",
        "{{message}}",
        "<p>",
        "<p title=\"{{message}}\">",
        "<a href=\"/x{{message}}\">",
        "<a href=\"",
        "<p title='",
        "<p class=",
        "<p ",
        "</p>",
        "<",
        ">",
        "/",
        "!",
        "=",
        "-",
        "\"",
        "'",
        " ",
        "a",
        "?",
        "<!--",
        "-->",
        "--!>",
        "<!doctype html>",
        "<script>",
        "<script>",
        "</scriptx>",
        "</script>",
        "</script",
        "<style>",
        "</style >",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea>",
        "<noscript>",
        "</noscript>",
        "<svg>",
        "<select>",
        "<![CDATA[",
        "]]>",
        "<meta name=a content=\"",
        "data-a=\"",
        "<plaintext>",
        "</",
    ];

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 4096, ..Default::default() })]

        #[test]
        fn no_value_changes_the_structure_around_it(
            parts in proptest::collection::vec(select(&PARTS[..]), 0..10),
            value in "qz([<>\"'&/=! a-z;:-]|</script>|-->|--!>|]]>){0,8}",
        ) {
            let template = parts.concat();
            if template.contains(VALUE) && checked(&template).is_ok() {
                let tokens_of_value = tokens(&template, &value);
                for token in tokens_of_value.iter().filter(|token| token.contains("value")) {
                    let unsafe_places = ["comment", "doctype", "end", "text in script", "text in style", "text in textarea", "text in noscript"];
                    proptest::prop_assert!(!unsafe_places.iter().any(|place| token.starts_with(place)), "{} in {}", token, template);
                }
                proptest::prop_assert_eq!(tokens_of_value, tokens(&template, "qz"), "{}", template);
            }
        }

        #[test]
        fn any_text_is_read(text in "[<>a-z!/='\" -]{0,60}") {
            let _ = checked(&format!("{text}{VALUE}"));
        }
    }
}
