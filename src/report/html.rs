//! The parser of HTML errors: divides the page into blocks, and finds the one sentence that is written for a person.
//!
//! The message of a page is after a label ("Message ..."), in preformatted text, in the first sentence below a heading that only repeats
//! the status, or in the heading itself. Knows no framework.

use std::borrow::Cow;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use super::found::Report;
use super::phrases::{LABELS, after_label, is_status_phrase, strip_status};
use crate::text::{Untrusted, bounded};

/// The length of the part of a page that is parsed, in bytes. Errors have their message near the top.
const MAX_PAGE: usize = 64 * 1024;
/// The maximum number of blocks that are kept of a page.
const MAX_BLOCKS: usize = 2_000;
/// The maximum number of alternatives beside the best sentence.
const MAX_ALTERNATIVES: usize = 3;
/// The maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 600;

/// The role of a block in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Title,
    Heading,
    Preformatted,
    Text,
    /// A cell or an item of a list, which is rarely the message.
    Item,
    /// A signature or navigation.
    Aside,
    /// A script, a style sheet or a template.
    Code,
}

#[derive(Debug)]
struct Block {
    role: Role,
    text: String,
}

#[derive(Debug, Default)]
struct Page {
    blocks: Vec<Block>,
}

impl Page {
    fn start_block(&mut self, role: Role) {
        // An empty block takes the new role.
        match self.blocks.last_mut().filter(|last| last.text.is_empty()) {
            Some(last) => last.role = role,
            None => self.blocks.push(Block { role, text: String::new() }),
        }
    }

    fn push(&mut self, text: &str) {
        if self.blocks.is_empty() {
            self.start_block(Role::Text);
        }
        if let Some(block) = self.blocks.last_mut().filter(|block| block.role != Role::Code) {
            block.text.push_str(text);
        }
    }

    /// Handles one event. Returns `Some` to stop the tokenizer after enough blocks.
    fn handle(&mut self, event: &CallbackEvent<'_>) -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name: b"br" } => self.push("\n"),
            CallbackEvent::OpenStartTag { name } => role_of(name).into_iter().for_each(|role| self.start_block(role)),
            // The text after the end tag is not part of this block.
            CallbackEvent::EndTag { name } if role_of(name).is_some() => self.start_block(Role::Text),
            CallbackEvent::String { value } => self.push(&String::from_utf8_lossy(value)),
            _ => {}
        }
        (self.blocks.len() > MAX_BLOCKS).then_some(())
    }
}

/// Parses a page.
pub(super) fn read(text: &str) -> Report {
    let blocks = blocks(text);
    let mut candidates = candidates(&blocks).into_iter().map(Untrusted::new);
    Report {
        message: candidates.next(),
        alternatives: candidates.take(MAX_ALTERNATIVES).collect(),
        stack: stack(&blocks),
        ..Report::default()
    }
}

/// Returns the role that an element gives its text, or `None` for an inline element.
fn role_of(name: &[u8]) -> Option<Role> {
    match name {
        b"title" => Some(Role::Title),
        b"h1" | b"h2" | b"h3" | b"h4" => Some(Role::Heading),
        b"pre" | b"textarea" => Some(Role::Preformatted),
        b"li" | b"td" | b"th" | b"dt" | b"dd" | b"option" | b"button" | b"label" => Some(Role::Item),
        b"address" | b"nav" => Some(Role::Aside),
        b"script" | b"style" | b"template" => Some(Role::Code),
        b"p" | b"div" | b"tr" | b"center" | b"body" | b"section" | b"main" | b"article" | b"header" | b"footer" | b"blockquote" | b"ul"
        | b"ol" | b"table" | b"hr" | b"form" | b"head" | b"html" => Some(Role::Text),
        _ => None,
    }
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

fn blocks(text: &str) -> Vec<Block> {
    let text = without_code(text);
    let text = bounded(&text, MAX_PAGE);
    let mut page = Page::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| page.handle(&event));
    emitter.naively_switch_states(true);
    // The tokenizer stops at the end of the page, or after enough blocks.
    let _ = Tokenizer::new_with_emitter(text, emitter).next();
    page.blocks.into_iter().map(normalize_space).filter(|block| !block.text.is_empty()).collect()
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
    Block { role: block.role, text }
}

/// Returns the sentences that may be the message, best first: after a label, a heading that is a sentence, the preformatted line, the first
/// sentence, any heading, a cell.
fn candidates(blocks: &[Block]) -> Vec<String> {
    let of = |roles: &'static [Role]| blocks.iter().filter(move |block| roles.contains(&block.role)).map(|block| block.text.as_str());
    let body: &[Role] = &[Role::Text, Role::Preformatted, Role::Item];
    let mut found: Vec<String> = Vec::new();
    let labels = LABELS.iter().filter_map(|label| of(body).flat_map(str::lines).find_map(|line| usable(after_label(line, label)?)));
    let full_sentences = of(&[Role::Heading]).filter(|text| is_full_sentence(text)).filter_map(sentence);
    let preformatted = of(&[Role::Preformatted]).filter_map(first_line);
    let plain = of(&[Role::Text]).filter_map(sentence);
    let heading = of(&[Role::Heading, Role::Title]).filter_map(sentence);
    let items = of(&[Role::Item]).filter(|text| is_full_sentence(text)).filter_map(sentence);
    for candidate in labels.chain(full_sentences).chain(preformatted).chain(plain).chain(heading).chain(items) {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
        if found.len() > MAX_ALTERNATIVES {
            break;
        }
    }
    found
}

/// Returns true for a text of several words that is written as a sentence.
fn is_full_sentence(text: &str) -> bool {
    let bare = strip_status(text);
    let small = bare.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_lowercase())).count();
    bare.split_whitespace().count() >= 4 && small >= 2
}

/// Returns the first line of preformatted text, without a leading `Error: `.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let bare = ["Error: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    usable(bare)
}

/// Returns the text if it is informative: more than one word, and not an introduction, a signature or a label for a code.
fn sentence(text: &str) -> Option<String> {
    if text.len() > 2 * MAX_MESSAGE {
        return None;
    }
    let words = text.split_whitespace().count();
    let is_introduction = text.ends_with(':')
        || text.to_ascii_lowercase().contains("the following")
        || text.split_whitespace().next_back().is_some_and(|last| last.contains("://"));
    // `code: ORDER_PAID` is a labelled code.
    let pair = words == 2 && text.split_whitespace().next().is_some_and(|first| first.ends_with(':'));
    let is_informative = words >= 2 || (!text.is_ascii() && text.chars().count() >= 5);
    (is_informative && !is_introduction && !pair && !is_signature(text)).then(|| usable(text)).flatten()
}

/// Returns true for the name of a server with its version, and for lines such as "Powered by".
fn is_signature(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let versioned = |word: &str| {
        word.split_once('/').is_some_and(|(name, version)| !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()))
    };
    let numbered = |word: &str| word.bytes().filter(|b| *b == b'.').count() > 1 && word.bytes().any(|b| b.is_ascii_digit());
    let version = lower.contains("version") && lower.split([' ', ':']).any(numbered);
    version
        || lower.starts_with("powered by")
        || lower.contains(" server at ")
        || lower.contains("httpd at ")
        || lower.starts_with("generated ")
        || lower.starts_with("(generated")
        || (lower.ends_with(" server") && text.split_whitespace().count() < 5)
        || text.split_whitespace().any(versioned)
}

fn usable(text: &str) -> Option<String> {
    if text.len() > 2 * MAX_MESSAGE {
        return None;
    }
    let bare = strip_status(text);
    // A comment, a shell prompt or a line of code is not a sentence.
    let code = ["def ", "class ", "function ", "import ", "from ", "return ", "raise ", "throw ", "at ", "use ", "var ", "let ", "const "];
    if bare.starts_with(['#', '$', '{', '<', '/', '@', '>', '[', '(', '|', '*']) || code.iter().any(|word| bare.starts_with(word)) {
        return None;
    }
    if [" << ", " => ", " = ", "::", "->", "();", " {"].iter().any(|sign| bare.contains(sign))
        || bare.ends_with([';', '{', '}'])
        || bare.starts_with("Traceback")
    {
        return None;
    }
    let letters = bare.chars().any(char::is_alphabetic) && !is_headline(bare);
    (letters && bare.len() <= MAX_MESSAGE && !is_status_phrase(bare)).then(|| bare.to_owned())
}

/// Returns true for a headline that any error page may have.
fn is_headline(text: &str) -> bool {
    const HEADLINES: &[&str] = &[
        "page not found",
        "resource not found",
        "the resource cannot be found",
        "the requested url could not be retrieved",
        "error: the requested url could not be retrieved",
        "error processing request",
        "application error",
        "exception",
        "something went wrong",
        "whitelabel error page",
        "issue context",
    ];
    let bare = text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '(' | ')' | '.' | '!' | ' '));
    HEADLINES.iter().any(|headline| bare.eq_ignore_ascii_case(headline))
}

/// Returns preformatted text of several lines as the stack trace.
fn stack(blocks: &[Block]) -> Option<Untrusted> {
    let block = blocks.iter().find(|block| block.role == Role::Preformatted && block.text.lines().count() > 1)?;
    Some(Untrusted::new(block.text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(page: &str) -> Option<String> {
        read(page).message.map(|message| message.raw().to_owned())
    }

    #[test]
    fn one_sentence_of_a_page_is_the_message() {
        for (page, message) in [
            ("<html><body><h1>403 Forbidden</h1>\nNo entry on Sundays.\n</body></html>", "No entry on Sundays."),
            ("<title>410 Gone</title><h1>Gone</h1><p>Order archived.</p>", "Order archived."),
            ("<title>Error</title><pre>Cannot GET /nope</pre>", "Cannot GET /nope"),
            (
                "<h1>Error: 401 Unauthorized</h1><p>Sorry, this <tt>/x</tt> caused an error:</p><pre>Sorry, access denied.</pre>",
                "Sorry, access denied.",
            ),
            (
                "<h1>HTTP Status 409 – Conflict</h1><p><b>Type</b> Report</p><p><b>Message</b> Order 5 is paid.</p><p><b>Description</b> Long.</p>",
                "Order 5 is paid.",
            ),
            ("<html><title>409: Order Already Paid</title><body>409: Order Already Paid</body></html>", "Order Already Paid"),
            ("<pre>Error: You cannot edit this<br> &nbsp; at /srv/app.js:7:42</pre>", "You cannot edit this"),
            ("<div><div>403</div><div>Not for your plan &amp; you.</div></div>", "Not for your plan & you."),
            (
                "<center><h1>400 Bad Request</h1></center><center>Header Too Large</center><hr><center>srv/1.22.1</center>",
                "Header Too Large",
            ),
        ] {
            assert_eq!(message_of(page).as_deref(), Some(message), "{page}");
        }
    }

    #[test]
    fn a_page_that_repeats_its_status_has_no_message() {
        assert_eq!(
            message_of(
                "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1><hr><address>Apache/2.4 Server at x Port 80</address></body></html>"
            ),
            None
        );
        assert_eq!(message_of("<script>alert('hello you')</script><style>p { color: red }</style>"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_parsed_without_panic(page in "[<>/a-z =\"&;pre1h\\n]{0,200}") {
            read(&page);
        }
    }
}
