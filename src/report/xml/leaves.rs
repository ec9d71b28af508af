//! Finds message and code of an XML document by the names of its leaves: elements without elements, and attributes. Knows names, and no
//! format.

use super::super::names;
use super::super::phrases::is_status_phrase;
use super::tree::Tree;
use crate::text::Untrusted;

/// The maximum number of leaves that are inspected. An error has few.
const MAX_LEAVES: usize = 200;
/// Additional names of the message, best first.
const MESSAGE: &[&str] = &["faultstring", "text", "string"];

/// A named text: of an element without elements, or of an attribute.
pub(super) struct Leaf<'t> {
    /// The normalized name, without a prefix.
    pub(super) name: &'t str,
    pub(super) text: &'t str,
    /// The number of the element.
    pub(super) element: usize,
}

/// The leaves of a part of a document.
pub(super) struct Leaves<'t>(pub(super) Vec<Leaf<'t>>);

impl<'t> Leaves<'t> {
    /// Returns the leaves for which `is_wanted` returns true for their element.
    pub(super) fn of(tree: &'t Tree, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut leaves = Vec::new();
        for (at, node) in tree.nodes().filter(|(at, _)| is_wanted(*at) && !tree.has_ancestor(*at, "link")) {
            let telling = |name: &str| names::is_code(name) || names::is_message(name) || matches!(name, "text" | "reason");
            let attributes = node.attributes.iter().filter(|(name, text)| telling(name) && !text.is_empty());
            leaves.extend(attributes.map(|(name, text)| Leaf { name, text, element: at }));
            if !node.text.is_empty() {
                leaves.push(Leaf { name: &node.name, text: &node.text, element: at });
            }
            if leaves.len() >= MAX_LEAVES {
                break;
            }
        }
        Self(leaves)
    }

    /// Returns the first leaf by the order of the names.
    pub(super) fn find(&self, names: &[&str], is_usable: impl Fn(&str) -> bool) -> Option<&Leaf<'t>> {
        names.iter().find_map(|name| self.0.iter().find(|leaf| leaf.name == *name && is_usable(leaf.text)))
    }

    /// Returns the first leaf whose name matches.
    fn like(&self, matches: impl Fn(&str) -> bool, is_usable: impl Fn(&str) -> bool) -> Option<&Leaf<'t>> {
        self.0.iter().find(|leaf| matches(leaf.name) && is_usable(leaf.text))
    }

    /// Returns the value that XML-RPC names in the leaf before it.
    fn member(&self, name: &str) -> Option<&Leaf<'t>> {
        self.0.windows(2).find(|pair| pair[0].name == "name" && pair[0].text.eq_ignore_ascii_case(name)).map(|pair| &pair[1])
    }

    pub(super) fn message(&self) -> Option<&Leaf<'t>> {
        let sentence = |text: &str| is_informative(text) && (text.contains(' ') || !text.is_ascii());
        self.member("faultString")
            .or_else(|| self.find(names::MESSAGE, sentence))
            .or_else(|| self.find(names::MESSAGE, is_informative))
            .or_else(|| self.find(MESSAGE, is_informative))
            .or_else(|| self.like(names::is_message, is_informative))
            .or_else(|| self.like(|name| name.ends_with("text") || name.ends_with("exception"), sentence))
            .or_else(|| self.0.first().filter(|only| self.0.len() == 1 && sentence(only.text)))
    }

    pub(super) fn code(&self) -> Option<&'t str> {
        let token = |text: &str| !text.contains(' ') && !text.contains("://") && !is_status(text);
        let leaf = self
            .member("faultCode")
            .or_else(|| self.find(&["code", "errorcode", "subcode", "faultcode"], token))
            .or_else(|| self.like(names::is_code, token))
            .or_else(|| self.find(&["errortag", "number", "type"], token));
        leaf.map(|leaf| leaf.text)
    }
}

pub(super) fn is_informative(text: &str) -> bool {
    !is_status_phrase(text) && text.chars().any(char::is_alphabetic)
}

fn is_status(text: &str) -> bool {
    text.len() == 3 && text.parse::<u16>().is_ok_and(|number| (400..600).contains(&number))
}

/// Returns the code without its prefix: `soap:Client.OrderLocked`.
pub(super) fn bare(code: &str) -> Untrusted {
    Untrusted::new(code.rsplit(':').next().unwrap_or_default())
}
