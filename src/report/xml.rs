//! XML errors and SOAP faults: leaf elements by name. SOAP 1.1 4.4, SOAP 1.2 5.4, RFC 9457 appendix B, and what services
//! write by hand under the same few names.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Certainty, Report, is_status_phrase};
use crate::text::Untrusted;

/// Leaves that are looked at; an error has few.
const MAX_LEAVES: usize = 200;
/// Characters of an element's name that are looked at.
const MAX_NAME: usize = 64;
/// Names of the sentence, best first, in lower case and without prefix.
const MESSAGE: &[&str] =
    &["message", "faultstring", "text", "detail", "description", "errormessage", "error_message", "msg", "reason", "title", "error"];
/// Names of the code, best first.
const CODE: &[&str] = &["code", "errorcode", "error_code", "faultcode", "subcode", "type"];

struct Leaf {
    /// Name in lower case without prefix.
    name: String,
    /// Number of the element around it.
    parent: usize,
    /// Stands within a `code`.
    in_code: bool,
    /// Stands within a `link`.
    in_link: bool,
    text: String,
}

/// Reads an XML error.
pub(super) fn read(text: &str) -> Report {
    let leaves = leaves(text);
    let find = |names: &[&str], usable: &dyn Fn(&str) -> bool| {
        names.iter().find_map(|name| {
            leaves.iter().find(|leaf| leaf.name == *name && !leaf.in_link && usable(&leaf.text)).map(|leaf| leaf.text.clone())
        })
    };
    let message = find(MESSAGE, &|text| !is_status_phrase(text) && text.chars().any(char::is_alphabetic));
    let soap_code = leaves.iter().rfind(|leaf| leaf.name == "value" && leaf.in_code).map(|leaf| leaf.text.clone());
    let code = find(CODE, &|text| !text.contains(' ') && !text.contains("://") && !is_status(text)).or(soap_code);
    Report {
        fields: fields(&leaves, message.as_deref()),
        message: message.map(Untrusted::new),
        // `soap:Client.OrderLocked`: the prefix belongs to the document, not to the code.
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

/// `<field>qty</field>` beside a message names the field it is about.
fn fields(leaves: &[Leaf], message: Option<&str>) -> Vec<(String, Vec<Untrusted>)> {
    let mut found: Vec<(String, Vec<Untrusted>)> = Vec::new();
    for (at, leaf) in leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| matches!(leaf.name.as_str(), "field" | "property" | "propertypath" | "parameter" | "path"))
    {
        let siblings = leaves.iter().enumerate().filter(|(other, sibling)| *other != at && sibling.parent == leaf.parent);
        let text =
            siblings.filter(|(_, sibling)| MESSAGE.contains(&sibling.name.as_str())).map(|(_, sibling)| sibling.text.as_str()).next();
        if let Some(text) = text.or(message).filter(|_| !leaf.text.contains(' ') && !leaf.text.starts_with('/')) {
            found.push((leaf.text.clone(), vec![Untrusted::new(text)]));
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
    // A document that is not well-formed has told what it had told so far.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(start) => {
                content.clear();
                elements += 1;
                let name = start.local_name();
                let name: &str = name.as_ref();
                path.push((name.chars().take(MAX_NAME).collect::<String>().to_lowercase(), elements));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (String, String) {
        let report = read(text);
        let own = |text: Option<Untrusted>| text.map(|t| t.raw().to_owned()).unwrap_or_default();
        (own(report.message), own(report.code))
    }

    #[test]
    fn faults_and_errors_read_alike() {
        let want = ("It is locked & closed.".to_owned(), "OrderLocked".to_owned());
        for text in [
            "<Error><Code>OrderLocked</Code><Message>It is locked &amp; closed.</Message><RequestId>7</RequestId></Error>",
            "<s:Fault xmlns:s='x'><faultcode>s:OrderLocked</faultcode><faultstring>It is locked &amp; closed.</faultstring></s:Fault>",
            "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>x:OrderLocked</e:Value></e:Subcode></e:Code><e:Reason><e:Text>It is locked &#38; closed.</e:Text></e:Reason></e:Fault>",
            "<error><code>OrderLocked</code><message><![CDATA[It is locked & closed.]]></message>",
        ] {
            assert_eq!(told(text), want, "{text}");
        }
    }

    #[test]
    fn a_field_beside_a_message_is_named() {
        let report = read("<error><message>qty must be positive</message><field>qty</field></error>");
        assert_eq!(report.fields, [("qty".to_owned(), vec![Untrusted::new("qty must be positive")])]);
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_read(text in "[<>/a-z&;!\\[\\]CDAT=\" ]{0,200}") {
            read(&text);
        }
    }
}
