//! Divides a page into blocks of text, with the role and the part of the page of each. Knows elements, and nothing of messages.

use std::borrow::Cow;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use super::place::{Attribute, Place, Signs, place_of};
use crate::text::bounded;

/// The length of the part of a page that is parsed, in bytes. Errors have their message near the top.
const MAX_PAGE: usize = 64 * 1024;
/// The maximum number of blocks that are kept of a page.
const MAX_BLOCKS: usize = 2_000;
/// The maximum number of open elements that are tracked.
const MAX_OPEN: usize = 128;

/// The role of a block in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Title,
    Heading,
    Preformatted,
    Text,
    /// A cell or an item of a list, which is rarely the message.
    Item,
    /// A script, a style sheet or a template.
    Code,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) role: Role,
    pub(super) place: Place,
    pub(super) text: String,
    /// Bytes of the text that are in links.
    linked: usize,
}

impl Block {
    /// Returns true if the block is nothing but links, as navigation is.
    pub(super) fn is_links(&self) -> bool {
        self.linked > 0 && self.linked * 10 >= letters(&self.text) * 9
    }
}

fn letters(text: &str) -> usize {
    text.bytes().filter(|b| !b.is_ascii_whitespace()).count()
}

/// Returns the blocks of a page that are not empty.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let text = without_code(text);
    let text = bounded(&text, MAX_PAGE);
    let mut page = Page::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| page.handle(&event));
    emitter.naively_switch_states(true);
    // The tokenizer stops at the end of the page, or after enough blocks.
    let _ = Tokenizer::new_with_emitter(text, emitter).next();
    page.blocks.into_iter().map(normalize_space).filter(|block| !block.text.is_empty()).collect()
}

/// The name of an element; a longer one is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name([u8; 10]);

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut own = [0; 10];
        own.iter_mut().zip(name).for_each(|(own, byte)| *own = *byte);
        Self(own)
    }

    fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

/// An element that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    name: Name,
    place: Place,
    in_link: bool,
}

#[derive(Debug, Default)]
struct Page {
    blocks: Vec<Block>,
    open: Vec<Open>,
    /// The start tag whose attributes are being read.
    tag: Option<(Name, Signs)>,
    attribute: Option<Attribute>,
}

impl Page {
    fn place(&self) -> Place {
        self.open.last().map_or(Place::Body, |open| open.place)
    }

    fn start_block(&mut self, role: Role) {
        let place = self.place();
        // An empty block takes the new role.
        match self.blocks.last_mut().filter(|last| last.text.is_empty()) {
            Some(last) => (last.role, last.place) = (role, place),
            None => self.blocks.push(Block { role, place, text: String::new(), linked: 0 }),
        }
    }

    fn push(&mut self, text: &str) {
        if self.blocks.is_empty() {
            self.start_block(Role::Text);
        }
        let in_link = self.open.last().is_some_and(|open| open.in_link);
        if let Some(block) = self.blocks.last_mut().filter(|block| block.role != Role::Code) {
            block.text.push_str(text);
            block.linked += if in_link { letters(text) } else { 0 };
        }
    }

    /// Handles one event. Returns `Some` to stop the tokenizer after enough blocks.
    fn handle(&mut self, event: &CallbackEvent<'_>) -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name: b"br" } => self.push("\n"),
            CallbackEvent::OpenStartTag { name } => self.tag = Some((Name::new(name), Signs::default())),
            CallbackEvent::AttributeName { name } => {
                self.attribute = Some(Attribute::of(name)).filter(|attribute| *attribute != Attribute::Other);
                if let (Some(Attribute::Hidden), Some((_, signs))) = (self.attribute, &mut self.tag) {
                    signs.add(Attribute::Hidden, b"");
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if let (Some(attribute), Some((_, signs))) = (self.attribute.take(), &mut self.tag) {
                    signs.add(attribute, value);
                }
            }
            CallbackEvent::CloseStartTag { .. } => self.start_element(),
            CallbackEvent::EndTag { name } => self.end_element(name),
            CallbackEvent::String { value } => self.push(&String::from_utf8_lossy(value)),
            _ => {}
        }
        (self.blocks.len() > MAX_BLOCKS).then_some(())
    }

    fn start_element(&mut self) {
        let Some((name, signs)) = self.tag.take() else { return };
        let role = role_of(name.bytes());
        let before = self.place();
        // The end tags of paragraphs and items are optional.
        let ends = |open: &Open| match open.name.bytes() {
            b"p" => role.is_some(),
            b"li" | b"td" | b"th" | b"dt" | b"dd" | b"tr" | b"option" => open.name == name,
            _ => false,
        };
        if self.open.last().is_some_and(ends) {
            self.open.pop();
        }
        if !is_void(name.bytes()) && self.open.len() < MAX_OPEN {
            let in_link = self.open.last().is_some_and(|open| open.in_link) || name.bytes() == b"a";
            self.open.push(Open { name, place: place_of(name.bytes(), &signs, self.place()), in_link });
        }
        match role {
            Some(role) => self.start_block(role),
            None if self.place() != before => self.start_block(Role::Text),
            None => {}
        }
    }

    fn end_element(&mut self, name: &[u8]) {
        let before = self.place();
        let wanted = Name::new(name);
        if let Some(at) = self.open.iter().rposition(|open| open.name == wanted) {
            self.open.truncate(at);
        }
        // The text after the end tag is not part of this block.
        if role_of(name).is_some() || self.place() != before {
            self.start_block(Role::Text);
        }
    }
}

/// Returns the role that an element gives its text, or `None` for an inline element.
fn role_of(name: &[u8]) -> Option<Role> {
    match name {
        b"title" => Some(Role::Title),
        b"h1" | b"h2" | b"h3" | b"h4" => Some(Role::Heading),
        b"pre" | b"textarea" => Some(Role::Preformatted),
        b"li" | b"td" | b"th" | b"dt" | b"dd" | b"option" | b"button" | b"label" => Some(Role::Item),
        b"script" | b"style" | b"template" | b"svg" => Some(Role::Code),
        b"p" | b"div" | b"tr" | b"center" | b"body" | b"section" | b"main" | b"article" | b"header" | b"footer" | b"blockquote" | b"ul"
        | b"ol" | b"table" | b"hr" | b"form" | b"head" | b"html" | b"address" | b"nav" => Some(Role::Text),
        _ => None,
    }
}

/// Returns true for an element without an end tag (HTML standard 13.1.2).
fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area" | b"base" | b"br" | b"col" | b"embed" | b"hr" | b"img" | b"input" | b"link" | b"meta" | b"source" | b"track" | b"wbr"
    )
}

/// Returns the page without its style sheets and scripts, which may be longer than its text.
fn without_code(text: &str) -> Cow<'_, str> {
    let lower =
        |at: usize, tag: &str| text.as_bytes().get(at..at + tag.len()).is_some_and(|part| part.eq_ignore_ascii_case(tag.as_bytes()));
    let mut kept = String::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) {
        at = next + 1;
        let Some((_, end)) = [("<style", "</style"), ("<script", "</script")].into_iter().find(|(open, _)| lower(next, open)) else {
            continue;
        };
        let closes = text[at..].match_indices("</").map(|(found, _)| at + found).find(|close| lower(*close, end));
        kept.push_str(&text[from..next]);
        from = closes.unwrap_or(text.len());
        at = from.max(at);
        if kept.len() > MAX_PAGE {
            return Cow::Owned(kept);
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Collapses white space in a block. Keeps the line ends of preformatted text.
fn normalize_space(block: Block) -> Block {
    let fold = |line: &str| {
        let mut folded = String::with_capacity(line.len());
        for word in line.split_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.push_str(word);
        }
        folded
    };
    let text = match block.role {
        Role::Preformatted => block.text.lines().map(fold).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"),
        _ => fold(&block.text),
    };
    Block { text, ..block }
}
