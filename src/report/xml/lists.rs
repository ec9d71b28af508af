//! Finds the field errors in an XML document, and the items of its lists that belong to no field. Knows no other part of an error.

use std::collections::{BTreeMap, BTreeSet};

use super::super::found::{Field, Item};
use super::super::names;
use super::super::phrases::is_status_phrase;
use super::tree::{Node, Tree};
use crate::text::Untrusted;

/// The maximum number of items and of field errors.
const MAX_ITEMS: usize = 100;

/// Names of elements and attributes that hold the path of a field.
const PATH: &[&str] = &[
    "field",
    "fieldname",
    "property",
    "propertypath",
    "propertyname",
    "parameter",
    "param",
    "parametername",
    "path",
    "pointer",
    "attribute",
    "xpath",
];
/// Names of elements that are an error of a field if an attribute names it.
const FIELD_ERRORS: &[&str] = &["error", "field", "fielderror", "violation", "fieldviolation", "invalid", "issue", "param", "message"];
/// Names of elements that hold a list of errors.
const LISTS: &[&str] = &[
    "errors",
    "errorlist",
    "reasons",
    "messages",
    "warnings",
    "issues",
    "violations",
    "problems",
    "faults",
    "causes",
    "validationerrors",
    "errormessages",
];
/// Names of elements that are errors if there are several in a row.
const LISTED: &[&str] = &["error", "reason", "message", "warning", "issue", "violation", "problem", "fault"];

/// The errors in the lists of a document.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) fields: Vec<Field>,
    pub(super) items: Vec<Item>,
    /// The elements that are errors of fields or items.
    elements: BTreeSet<usize>,
    /// The number of elements that are errors of fields.
    pub(super) field_elements: usize,
}

impl Lists {
    pub(super) fn read(tree: &Tree) -> Self {
        let mut found = Self::default();
        let mut field_errors: BTreeMap<usize, (String, Item)> =
            tree.nodes().filter_map(|(at, node)| Some((at, field_error(tree, at, node)?))).collect();
        for (at, node) in tree.nodes() {
            if found.is_covered(tree, at) || found.items.len() + found.fields.len() >= MAX_ITEMS {
                continue;
            }
            if let Some((path, item)) = field_errors.remove(&at) {
                found.add(path, item);
                found.elements.insert(at);
                found.field_elements += 1;
            } else if is_listed(tree, at, node)
                && !field_errors.range(at..).next().is_some_and(|(inner, _)| tree.is_within(*inner, at))
                && let Some(item) = item(tree, at, node)
            {
                if !found.items.iter().any(|known| known.message == item.message) {
                    found.items.push(item);
                }
                found.elements.insert(at);
            }
        }
        found
    }

    /// Returns true for an element that is part of a listed error.
    pub(super) fn is_covered(&self, tree: &Tree, at: usize) -> bool {
        self.elements.range(..=at).any(|outer| tree.is_within(at, *outer))
    }

    fn add(&mut self, path: String, item: Item) {
        match self.fields.iter_mut().find(|(known, _)| *known == path) {
            Some((_, items)) => items.push(item),
            None => self.fields.push((path, vec![item])),
        }
    }
}

/// Returns the path and the error of an element that names a field beside a message: `<error><field>a</field><message>...</message></error>`,
/// `<error field="a">...</error>`.
fn field_error(tree: &Tree, at: usize, node: &Node) -> Option<(String, Item)> {
    let of_attribute = || {
        let is_named = |name: &str| matches!(name, "name" | "location") && FIELD_ERRORS.contains(&node.name.as_str());
        node.attributes.iter().find(|(name, _)| PATH.contains(&name.as_str()) || is_named(name)).map(|(_, value)| value.as_str())
    };
    let of_child = || tree.children(at).find(|(_, child)| PATH.contains(&child.name.as_str())).map(|(_, child)| child.text.as_str());
    let path = of_attribute().or_else(of_child).filter(|path| is_path(path))?;
    let item = item(tree, at, node).filter(|item| item.message.raw() != path)?;
    Some((path.to_owned(), item))
}

/// Returns true for a path within a document: no URL path, and no sentence.
fn is_path(path: &str) -> bool {
    (1..=128).contains(&path.len()) && !path.contains(' ') && !path.starts_with('/') && !path.contains("://")
}

/// Returns the message and the code of one element.
fn item(tree: &Tree, at: usize, node: &Node) -> Option<Item> {
    let child = |name: &&str| tree.child(at, name).map(|(_, child)| child.text.as_str()).filter(|text| reads(text));
    let attribute = |name: &&str| node.attribute(name).filter(|text| reads(text));
    let own = || Some(node.text.as_str()).filter(|text| reads(text));
    let names = || names::MESSAGE.iter();
    let message = names().find_map(child).or_else(|| names().find_map(attribute)).or_else(own)?;
    Some(Item { message: Untrusted::new(message), code: code(tree, at, node).map(Untrusted::new) })
}

fn code<'t>(tree: &'t Tree, at: usize, node: &'t Node) -> Option<&'t str> {
    const CODES: &[&str] = &["code", "errorcode", "errcode", "faultcode", "rule", "keyword"];
    // Their values are words and numbers of other kinds as often as codes.
    const AMBIGUOUS: &[&str] = &["type", "reason", "key", "id"];
    let is_code = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'))
    };
    let is_clear = |text: &&str| is_code(text) && text.bytes().any(|b| b.is_ascii_uppercase() || b == b'_');
    let of_name = |name: &&str| tree.child(at, name).map(|(_, child)| child.text.as_str()).or_else(|| node.attribute(name));
    CODES.iter().filter_map(of_name).find(is_code).or_else(|| AMBIGUOUS.iter().filter_map(of_name).find(is_clear))
}

/// Returns true for an element in a list of errors.
fn is_listed(tree: &Tree, at: usize, node: &Node) -> bool {
    let is_in_list = LISTS.contains(&tree.node(node.parent).name.as_str());
    let siblings = || tree.children(node.parent).filter(|(_, sibling)| sibling.name == node.name);
    // Texts of one message in several languages are no list.
    let languages = || siblings().filter(|(_, sibling)| !sibling.language().is_empty()).count();
    let is_repeated = || LISTED.contains(&node.name.as_str()) && siblings().nth(1).is_some();
    let is_part = || node.children.is_empty() && !LISTED.contains(&node.name.as_str()) && !is_alone_in_list(tree, node);
    at != 0 && (is_in_list || is_repeated()) && languages() < 2 && !is_part()
}

/// Returns true for a leaf of a list whose elements all have its name: `<reasons><text>..</text><text>..</text></reasons>`.
fn is_alone_in_list(tree: &Tree, node: &Node) -> bool {
    tree.children(node.parent).all(|(_, sibling)| sibling.name == node.name)
}

fn reads(text: &str) -> bool {
    (text.contains(' ') || !text.is_ascii()) && text.chars().any(char::is_alphabetic) && !is_status_phrase(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let lists = Lists::read(&Tree::read(text));
        let shown = |item: &Item| format!("{}|{}", item.message.raw(), item.code.as_ref().map_or("", Untrusted::raw));
        let fields = lists.fields.iter().flat_map(|(path, items)| items.iter().map(move |item| format!("{path}|{}", shown(item))));
        (fields.collect(), lists.items.iter().map(shown).collect())
    }

    #[test]
    fn fields_are_named_by_elements_and_attributes() {
        for text in [
            "<errors><error><field>qty</field><code>MIN</code><message>is too small</message></error></errors>",
            "<errors><error field=\"qty\" code=\"MIN\">is too small</error></errors>",
            "<x:r xmlns:x=\"urn:x\"><x:violation x:path=\"qty\" code=\"MIN\" message=\"is too small\"/></x:r>",
            "<details><field name=\"qty\"><code>MIN</code><message>is too small</message></field></details>",
        ] {
            assert_eq!(read(text), (vec!["qty|is too small|MIN".to_owned()], vec![]), "{text}");
        }
        for text in ["<error><path>/orders/7</path><message>is not there</message></error>", "<a><field>qty</field></a>"] {
            assert_eq!(read(text).0, Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn items_without_a_field_are_listed() {
        let two = vec!["It is full.|".to_owned(), "It is late.|".to_owned()];
        for text in [
            "<errors><error>It is full.</error><error>It is late.</error></errors>",
            "<p><reasons><reason>It is full.</reason><reason>It is late.</reason></reasons></p>",
            "<p><text>No trip today.</text><error><message>It is full.</message></error><error><message>It is late.</message></error></p>",
        ] {
            assert_eq!(read(text), (vec![], two.clone()), "{text}");
        }
        for text in [
            "<error><code>7</code><message>It is full.</message></error>",
            "<r><message lang=\"en\">It is full.</message><message lang=\"de\">Es ist voll.</message></r>",
        ] {
            assert_eq!(read(text), (vec![], vec![]), "{text}");
        }
    }
}
