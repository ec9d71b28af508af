//! The parser of XML errors and SOAP faults: finds the leaf elements by name. Covers SOAP 1.1 4.4, SOAP 1.2 5.4, RFC 9457 appendix B,
//! XML-RPC, and documents of services with the same few names. Knows no other format.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::found::{Certainty, Field, Item, Report};
use super::names::{self, normalize_name};
use super::phrases::{is_status_phrase, phrase};
use crate::language::Languages;
use crate::text::Untrusted;

/// The maximum number of leaves that are inspected. An error has few.
const MAX_LEAVES: usize = 200;
/// Additional names of the message, best first.
const MESSAGE: &[&str] = &["faultstring", "text", "string"];

struct Leaf {
    /// The normalized name, without a prefix.
    name: String,
    /// The number of the element around it.
    parent: usize,
    /// Whether it is within a `code` element.
    in_code: bool,
    /// Whether it is within a `link` element.
    in_link: bool,
    text: String,
}

/// Parses an XML error.
pub(super) fn read(text: &str, languages: Languages<'_>) -> Report {
    let _ = languages;
    let leaves = leaves(text);
    let find = |names: &[&str], usable: &dyn Fn(&str) -> bool| {
        let of = |name: &&str| {
            leaves.iter().find(|leaf| leaf.name == **name && !leaf.in_link && usable(&leaf.text)).map(|leaf| leaf.text.clone())
        };
        names.iter().find_map(of)
    };
    let like = |matches: fn(&str) -> bool, usable: &dyn Fn(&str) -> bool| {
        leaves.iter().find(|leaf| matches(&leaf.name) && !leaf.in_link && usable(&leaf.text)).map(|leaf| leaf.text.clone())
    };
    let is_informative = |text: &str| !is_status_phrase(text) && text.chars().any(char::is_alphabetic);
    let sentence = |text: &str| is_informative(text) && (text.contains(' ') || !text.is_ascii());
    // In XML-RPC, a leaf names the value in the next leaf.
    let member = |name: &str| {
        leaves.windows(2).find(|pair| pair[0].name == "name" && pair[0].text.eq_ignore_ascii_case(name)).map(|pair| pair[1].text.clone())
    };
    let message = member("faultString")
        .or_else(|| find(names::MESSAGE, &sentence))
        .or_else(|| find(names::MESSAGE, &is_informative))
        .or_else(|| find(MESSAGE, &is_informative))
        .or_else(|| like(names::is_message, &is_informative))
        .or_else(|| like(|name| name.ends_with("text") || name.ends_with("exception"), &sentence))
        .or_else(|| leaves.first().filter(|only| leaves.len() == 1 && sentence(&only.text)).map(|only| only.text.clone()));
    let soap_code = leaves.iter().rfind(|leaf| leaf.name == "value" && leaf.in_code).map(|leaf| leaf.text.clone());
    let token = |text: &str| !text.contains(' ') && !text.contains("://") && !is_status(text);
    let code = member("faultCode")
        .or_else(|| find(&["code", "errorcode", "subcode", "faultcode"], &token))
        .or(soap_code)
        .or_else(|| like(names::is_code, &token))
        .or_else(|| find(&["errortag", "number", "type"], &token));
    Report {
        fields: fields(&leaves, message.as_deref()),
        phrase: leaves.iter().filter(|leaf| names::MESSAGE.contains(&leaf.name.as_str())).find_map(|leaf| phrase(&leaf.text)),
        message: message.map(Untrusted::new),
        // The prefix is not part of the code: `soap:Client.OrderLocked`.
        code: code.map(|code| Untrusted::new(code.rsplit(':').next().unwrap_or_default())),
        stack: find(&["stacktrace", "stack", "trace"], &|_| true).map(Untrusted::new),
        cause: find(&["cause", "rootcause", "innerexception"], &|_| true).map(Untrusted::new),
        certainty: Certainty::Likeness,
        exception: find(&["exception", "exceptiontype"], &|_| true).map(Untrusted::new),
        ..Report::default()
    }
}

fn is_status(text: &str) -> bool {
    text.len() == 3 && text.parse::<u16>().is_ok()
}

/// Returns the field errors: an element such as `<field>qty</field>` beside a message names its field.
fn fields(leaves: &[Leaf], message: Option<&str>) -> Vec<Field> {
    let mut found: Vec<Field> = Vec::new();
    for (at, leaf) in leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| matches!(leaf.name.as_str(), "field" | "property" | "propertypath" | "parameter" | "path"))
    {
        let siblings = leaves.iter().enumerate().filter(|(other, sibling)| *other != at && sibling.parent == leaf.parent);
        let text = siblings
            .filter(|(_, sibling)| names::MESSAGE.contains(&sibling.name.as_str()))
            .map(|(_, sibling)| sibling.text.as_str())
            .next();
        if let Some(text) = text.or(message).filter(|_| !leaf.text.contains(' ') && !leaf.text.starts_with('/')) {
            found.push((leaf.text.clone(), vec![Item::new(text)]));
        }
    }
    found
}

fn leaves(text: &str) -> Vec<Leaf> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut leaves = Vec::new();
    let mut path: Vec<(String, usize)> = Vec::new();
    let mut elements = 0;
    let mut content = String::new();
    // The leaves before an error in a malformed document are kept.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) => {
                content.clear();
                elements += 1;
                let name = start.local_name();
                path.push((normalize_name(name.as_ref()), elements));
                attributes(&start, elements, &mut leaves);
            }
            Event::Empty(empty) => {
                elements += 1;
                attributes(&empty, elements, &mut leaves);
            }
            Event::Text(text) => content.push_str(text.as_ref()),
            Event::CData(text) => content.push_str(text.as_ref()),
            Event::GeneralRef(entity) => {
                let name: &str = entity.as_ref();
                content.push_str(&html_escape::decode_html_entities(&format!("&{name};")));
            }
            Event::End(_) => {
                let text = content.split_whitespace().collect::<Vec<_>>().join(" ");
                content.clear();
                if let Some((name, _)) = path.pop().filter(|_| !text.is_empty()) {
                    let within = |outer: &str| path.iter().any(|(name, _)| name == outer);
                    let (in_code, in_link) = (within("code"), within("link"));
                    leaves.push(Leaf { name, parent: path.last().map_or(0, |(_, number)| *number), in_code, in_link, text });
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if leaves.len() >= MAX_LEAVES || path.len() > 64 {
            break;
        }
    }
    leaves
}

/// Adds the attributes that hold a code or a message.
fn attributes(start: &BytesStart<'_>, element: usize, leaves: &mut Vec<Leaf>) {
    for attribute in start.attributes().with_checks(false).flatten().take(16) {
        let name = normalize_name(attribute.key.local_name().as_ref());
        let text = html_escape::decode_html_entities(AsRef::<str>::as_ref(&attribute.value)).into_owned();
        let telling = names::is_code(&name) || names::is_message(&name) || matches!(name.as_str(), "text" | "reason");
        if telling && !text.is_empty() {
            leaves.push(Leaf { name, parent: element, in_code: false, in_link: false, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_and_code(text: &str) -> (String, String) {
        let report = read(text, Languages::default());
        let own = |text: Option<Untrusted>| text.map(|t| t.raw().to_owned()).unwrap_or_default();
        (own(report.message), own(report.code))
    }

    #[test]
    fn faults_and_errors_are_equivalent() {
        let want = ("It is locked & closed.".to_owned(), "OrderLocked".to_owned());
        for text in [
            "<Error><Code>OrderLocked</Code><Message>It is locked &amp; closed.</Message><RequestId>7</RequestId></Error>",
            "<s:Fault xmlns:s='x'><faultcode>s:OrderLocked</faultcode><faultstring>It is locked &amp; closed.</faultstring></s:Fault>",
            "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>x:OrderLocked</e:Value></e:Subcode></e:Code><e:Reason><e:Text>It is locked &#38; closed.</e:Text></e:Reason></e:Fault>",
            "<error><code>OrderLocked</code><message><![CDATA[It is locked & closed.]]></message>",
        ] {
            assert_eq!(message_and_code(text), want, "{text}");
        }
    }

    #[test]
    fn a_field_beside_a_message_is_named() {
        let report = read("<error><message>qty must be positive</message><field>qty</field></error>", Languages::default());
        assert_eq!(report.fields, [("qty".to_owned(), vec![Item::new("qty must be positive")])]);
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_parsed_without_panic(text in "[<>/a-z&;!\\[\\]CDAT=\" ]{0,200}") {
            read(&text, Languages::default());
        }
    }
}
