//! Reads SOAP faults: version 1.1 (section 4.4) and 1.2 (section 5.4). Knows no other document.

use super::super::found::Report;
use super::leaves::{Leaves, bare, is_informative};
use super::lists::Lists;
use super::tree::{Node, Tree};
use crate::language::Languages;
use crate::text::Untrusted;

/// The codes of the standards, which say whose fault it was and nothing else.
const STANDARD: &[&str] = &["Client", "Server", "Sender", "Receiver", "VersionMismatch", "MustUnderstand", "DataEncodingUnknown"];
/// The maximum depth of subcodes.
const MAX_SUBCODES: usize = 8;

/// A fault, by the numbers of its elements.
pub(super) struct Fault<'t> {
    /// The codes with their prefixes, from the outermost.
    codes: Vec<&'t str>,
    /// The element whose elements are the texts of the reason.
    reason: usize,
    detail: Option<usize>,
}

impl<'t> Fault<'t> {
    /// Returns the first fault of a document.
    pub(super) fn find(tree: &'t Tree) -> Option<Self> {
        tree.nodes().filter(|(_, node)| node.name == "fault").find_map(|(at, _)| {
            let code = tree.child(at, "faultcode").or_else(|| tree.child(at, "code"))?;
            let reason = tree.child(at, "faultstring").map(|_| at).or_else(|| Some(tree.child(at, "reason")?.0));
            let detail = tree.child(at, "detail").map(|(detail, _)| detail);
            Some(Self { codes: codes(tree, code), reason: reason.unwrap_or(at), detail })
        })
    }

    /// Adds message and codes to the report.
    pub(super) fn report(&self, tree: &Tree, lists: &Lists, languages: Languages<'_>, report: &mut Report) {
        report.message = self.text(tree, languages).filter(|text| is_informative(text)).map(Untrusted::new);
        let in_detail = self.detail.map(|detail| Leaves::of(tree, |at| tree.is_within(at, detail) && at != detail));
        let own = self.codes.last().filter(|code| !STANDARD.contains(&bare(code).raw()));
        // The code of one of several errors is not that of the fault.
        let detailed = in_detail.as_ref().filter(|_| lists.field_elements < 2).and_then(Leaves::code);
        report.code = own.copied().or(detailed).or(self.codes.last().copied()).map(bare);
        if report.message.is_none() && lists.items.is_empty() {
            report.message = in_detail.as_ref().and_then(Leaves::message).map(|leaf| Untrusted::new(leaf.text));
        }
        for code in self.codes.iter().rev() {
            report.codes.push(Untrusted::new(*code));
            report.codes.push(bare(code));
        }
    }

    /// Returns the reason in the wanted language.
    fn text(&self, tree: &'t Tree, languages: Languages<'_>) -> Option<&'t str> {
        let is_text = |(_, node): &(usize, &Node)| matches!(node.name.as_str(), "text" | "faultstring") && !node.text.is_empty();
        let texts = tree.children(self.reason).filter(is_text);
        let best = languages.best(texts.clone().map(|(_, node)| node.language()))?;
        texts.clone().nth(best).map(|(_, node)| node.text.as_str())
    }
}

/// Returns the code and its subcodes, from the outermost.
fn codes<'t>(tree: &'t Tree, (mut at, node): (usize, &'t Node)) -> Vec<&'t str> {
    let mut codes: Vec<&str> = Some(node.text.as_str()).filter(|text| !text.is_empty()).into_iter().collect();
    for _ in 0..MAX_SUBCODES {
        codes.extend(tree.child(at, "value").map(|(_, value)| value.text.as_str()).filter(|text| !text.is_empty()));
        let Some((inner, _)) = tree.child(at, "subcode") else { break };
        at = inner;
    }
    codes
}
