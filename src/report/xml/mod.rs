//! The parser of XML errors and SOAP faults: finds the leaf elements by name. Covers SOAP 1.1 4.4, SOAP 1.2 5.4, RFC 9457 appendix B,
//! XML-RPC, and documents of services with the same few names. Knows no other format.

mod leaves;
mod lists;
mod soap;
mod tree;

use super::found::{Certainty, Item, Report};
use super::names;
use super::phrases::phrase;
use crate::language::Languages;
use crate::text::Untrusted;
use leaves::{Leaf, Leaves, bare};
use lists::Lists;
use tree::Tree;

/// Parses an XML error. Of a message in several languages, the wanted one counts.
pub(super) fn read(text: &str, languages: Languages<'_>) -> Report {
    let tree = Tree::read(text);
    let lists = Lists::read(&tree);
    let all = Leaves::of(&tree, |_| true);
    let summary = Leaves::of(&tree, |at| !lists.is_covered(&tree, at));
    let of_name = |names: &[&str]| all.find(names, |_| true).map(|leaf| Untrusted::new(leaf.text));
    let mut report = Report {
        stack: of_name(&["stacktrace", "stack", "trace"]),
        cause: of_name(&["cause", "rootcause", "innerexception"]),
        exception: of_name(&["exception", "exceptiontype"]),
        phrase: summary.0.iter().filter(|leaf| names::MESSAGE.contains(&leaf.name)).find_map(|leaf| phrase(leaf.text)),
        certainty: Certainty::Likeness,
        ..Report::default()
    };
    match soap::Fault::find(&tree) {
        Some(fault) => fault.report(&tree, &lists, languages, &mut report),
        None => {
            report.message = summary.message().map(|leaf| Untrusted::new(translation(&tree, leaf, languages)));
            report.code = summary.code().map(bare);
        }
    }
    add_lists(&mut report, lists);
    report
}

/// Returns the text of the leaf, or of the element beside it that has the same name and the wanted language.
fn translation<'t>(tree: &'t Tree, leaf: &Leaf<'t>, languages: Languages<'_>) -> &'t str {
    let node = tree.node(leaf.element);
    let texts =
        tree.children(node.parent).map(|(_, sibling)| sibling).filter(|sibling| sibling.name == node.name && !sibling.text.is_empty());
    let is_translated = leaf.name == node.name && texts.clone().all(|sibling| !sibling.language().is_empty());
    let best = languages.best(texts.clone().map(tree::Node::language)).filter(|_| is_translated);
    best.and_then(|best| texts.clone().nth(best)).map_or(leaf.text, |sibling| sibling.text.as_str())
}

/// Adds the field errors and the items. Without a summary, the first item is the message, and the code of the only error is that of the
/// whole.
fn add_lists(report: &mut Report, lists: Lists) {
    let Lists { fields, mut items, .. } = lists;
    if report.message.is_none() && !items.is_empty() {
        let first = items.remove(0);
        report.message = Some(first.message);
        report.code = report.code.take().or(first.code.as_ref().map(|code| bare(code.raw())));
    }
    if let (None, None, [(_, only)]) = (&report.message, &report.code, fields.as_slice())
        && let [Item { code: Some(code), .. }] = only.as_slice()
        && code.raw().bytes().any(|b| b.is_ascii_uppercase() || b == b'_')
    {
        report.code = Some(bare(code.raw()));
    }
    items.retain(|item| report.message.as_ref() != Some(&item.message));
    (report.fields, report.items) = (fields, items);
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
