//! Parses XML text into a bounded tree, and keeps the part before an error, so that a truncated document still has its first elements.
//! Knows no names.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::super::names::normalize_name;

/// The maximum number of elements that are kept. An error has few.
const MAX_NODES: usize = 400;
/// The maximum depth of elements.
const MAX_DEPTH: usize = 64;
/// The maximum number of attributes of one element.
const MAX_ATTRIBUTES: usize = 16;
/// The maximum length of the text that an element passes on to the one around it, in bytes.
const MAX_INNER: usize = 2 * 1024;

/// An element.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The normalized name, without a prefix.
    pub(super) name: String,
    /// The attributes by their normalized names.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) parent: usize,
    pub(super) children: Vec<usize>,
    /// The text of a leaf, or of an element with both text and elements in it. Otherwise empty.
    pub(super) text: String,
}

impl Node {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the language of the text.
    pub(super) fn language(&self) -> &str {
        self.attribute("lang").unwrap_or_default()
    }
}

/// The elements of a document in the order of their start tags. The first stands for the document.
#[derive(Debug)]
pub(super) struct Tree(Vec<Node>);

impl Tree {
    pub(super) fn read(text: &str) -> Self {
        let mut builder = Builder { nodes: vec![Node::default()], open: vec![(0, Content::default())] };
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = false;
        while let Ok(event) = reader.read_event() {
            let is_bounded = builder.open.len() <= MAX_DEPTH && builder.nodes.len() < MAX_NODES;
            match event {
                Event::Start(start) if is_bounded => builder.start(&start),
                Event::Empty(empty) if is_bounded => {
                    builder.start(&empty);
                    builder.end();
                }
                Event::Start(_) | Event::Empty(_) | Event::Eof => break,
                Event::Text(text) => builder.push(text.as_ref()),
                Event::CData(text) => builder.push(text.as_ref()),
                Event::GeneralRef(entity) => {
                    let name: &str = entity.as_ref();
                    builder.push(&html_escape::decode_html_entities(&format!("&{name};")));
                }
                Event::End(_) => builder.end(),
                _ => {}
            }
        }
        while builder.open.len() > 1 {
            builder.end();
        }
        Self(builder.nodes)
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.0[at.min(self.0.len() - 1)]
    }

    /// Returns all elements with their numbers.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.0.iter().enumerate().skip(1)
    }

    pub(super) fn children(&self, at: usize) -> impl Iterator<Item = (usize, &Node)> + Clone {
        self.node(at).children.iter().map(|child| (*child, self.node(*child)))
    }

    /// Returns the first child with this name.
    pub(super) fn child(&self, at: usize, name: &str) -> Option<(usize, &Node)> {
        self.children(at).find(|(_, child)| child.name == name)
    }

    /// Returns true if the element is within `outer`, or is it.
    pub(super) fn is_within(&self, mut at: usize, outer: usize) -> bool {
        while at > outer {
            at = self.node(at).parent;
        }
        at == outer
    }

    /// Returns true if an element around this one has the name.
    pub(super) fn has_ancestor(&self, at: usize, name: &str) -> bool {
        let mut outer = self.node(at).parent;
        while outer != 0 {
            if self.node(outer).name == name {
                return true;
            }
            outer = self.node(outer).parent;
        }
        false
    }
}

/// The text of an open element.
#[derive(Debug, Default)]
struct Content {
    text: String,
    /// Not all of the text is that of elements in it.
    has_own: bool,
}

struct Builder {
    nodes: Vec<Node>,
    /// The open elements, from the outermost.
    open: Vec<(usize, Content)>,
}

impl Builder {
    fn start(&mut self, start: &BytesStart<'_>) {
        let (at, parent) = (self.nodes.len(), self.open.last().map_or(0, |(at, _)| *at));
        let attribute = |attribute: quick_xml::events::attributes::Attribute<'_>| {
            let value = html_escape::decode_html_entities(AsRef::<str>::as_ref(&attribute.value)).into_owned();
            (normalize_name(attribute.key.local_name().as_ref()), value)
        };
        let attributes = start.attributes().with_checks(false).flatten().take(MAX_ATTRIBUTES).map(attribute).collect();
        let name = normalize_name(start.local_name().as_ref());
        self.nodes.push(Node { name, attributes, parent, ..Node::default() });
        self.nodes[parent].children.push(at);
        self.open.push((at, Content::default()));
    }

    fn push(&mut self, text: &str) {
        if let Some((_, content)) = self.open.last_mut() {
            content.text.push_str(text);
            content.has_own |= !text.trim().is_empty();
        }
    }

    fn end(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let Some((at, content)) = self.open.pop() else { return };
        if let Some((_, outer)) = self.open.last_mut().filter(|_| content.text.len() <= MAX_INNER) {
            outer.text.push_str(&content.text);
        }
        let node = &mut self.nodes[at];
        if node.children.is_empty() || content.has_own {
            node.text = content.text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }
}
