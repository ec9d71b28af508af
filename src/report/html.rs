//! HTML errors: the page as a list of blocks, and the one sentence among them that a person is meant to read.
//!
//! No framework is named here. A page tells its message beside a label ("Message ..."), in the preformatted line, in the first
//! sentence below a heading that only repeats the status, or in the heading itself.

use std::borrow::Cow;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

use super::found::Report;
use super::phrases::{LABELS, is_status_phrase, labelled, without_status};
use crate::text::Untrusted;

/// Bytes of a page that are read; errors say what they say at the top.
const MAX_PAGE: usize = 64 * 1024;
/// Blocks of a page that are kept.
const MAX_BLOCKS: usize = 2_000;
/// Sentences of one page that are offered beside the best.
const MAX_ALTERNATIVES: usize = 3;
/// Longest message, in bytes.
const MAX_MESSAGE: usize = 600;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Title,
    Heading,
    Preformatted,
    Text,
    /// A cell or an item of a list: rarely the sentence.
    Item,
    /// A signature, navigation.
    Aside,
    /// What nobody reads.
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
    fn begin(&mut self, role: Role) {
        // A block in which nothing was said yet is the new one.
        match self.blocks.last_mut().filter(|last| last.text.is_empty()) {
            Some(last) => last.role = role,
            None => self.blocks.push(Block { role, text: String::new() }),
        }
    }

    fn push(&mut self, text: &str) {
        if self.blocks.is_empty() {
            self.begin(Role::Text);
        }
        if let Some(block) = self.blocks.last_mut().filter(|block| block.role != Role::Code) {
            block.text.push_str(text);
        }
    }

    /// Takes one event; something when enough was seen.
    fn take(&mut self, event: &CallbackEvent<'_>) -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name: b"br" } => self.push("\n"),
            CallbackEvent::OpenStartTag { name } => role_of(name).into_iter().for_each(|role| self.begin(role)),
            // Text behind the end belongs to whatever is around, not to this block.
            CallbackEvent::EndTag { name } if role_of(name).is_some() => self.begin(Role::Text),
            CallbackEvent::String { value } => self.push(&String::from_utf8_lossy(value)),
            _ => {}
        }
        (self.blocks.len() > MAX_BLOCKS).then_some(())
    }
}

/// Reads a page.
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

/// The role that an element gives its text; `None` for one within a line.
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

/// The page without its styles and scripts, which nobody reads and which may be longer than the page.
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
    let mut end = text.len().min(MAX_PAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut page = Page::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| page.take(&event));
    emitter.naively_switch_states(true);
    // It ends with the page, or when enough was seen.
    let _ = Tokenizer::new_with_emitter(&text[..end], emitter).next();
    page.blocks.into_iter().map(tidy).filter(|block| !block.text.is_empty()).collect()
}

/// White space folded, line ends kept where they mean something.
fn tidy(block: Block) -> Block {
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

/// Sentences that may be the message, best first: behind a label, a heading that is a sentence, the preformatted line, the
/// first sentence, any heading, a cell.
fn candidates(blocks: &[Block]) -> Vec<String> {
    let of = |roles: &'static [Role]| blocks.iter().filter(move |block| roles.contains(&block.role)).map(|block| block.text.as_str());
    let body: &[Role] = &[Role::Text, Role::Preformatted, Role::Item];
    let mut found: Vec<String> = Vec::new();
    let labels = LABELS.iter().filter_map(|label| of(body).flat_map(str::lines).find_map(|line| usable(labelled(line, label)?)));
    let strong = of(&[Role::Heading]).filter(|text| is_full_sentence(text)).filter_map(sentence);
    let preformatted = of(&[Role::Preformatted]).filter_map(first_line);
    let plain = of(&[Role::Text]).filter_map(sentence);
    let heading = of(&[Role::Heading, Role::Title]).filter_map(sentence);
    let items = of(&[Role::Item]).filter(|text| is_full_sentence(text)).filter_map(sentence);
    for candidate in labels.chain(strong).chain(preformatted).chain(plain).chain(heading).chain(items) {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
        if found.len() > MAX_ALTERNATIVES {
            break;
        }
    }
    found
}

/// A heading that speaks to a person: several words, written as a sentence.
fn is_full_sentence(text: &str) -> bool {
    let bare = without_status(text);
    let small = bare.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_lowercase())).count();
    bare.split_whitespace().count() >= 4 && small >= 2
}

/// The first line of preformatted text, without the name of the error before it.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let bare = ["Error: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
    usable(bare)
}

/// A text that says something: more than one word, not an announcement, a signature or a list of links.
fn sentence(text: &str) -> Option<String> {
    if text.len() > 2 * MAX_MESSAGE {
        return None;
    }
    let words = text.split_whitespace().count();
    let announces = text.ends_with(':')
        || text.to_ascii_lowercase().contains("the following")
        || text.split_whitespace().next_back().is_some_and(|last| last.contains("://"));
    // `code: ORDER_PAID` is a label for the machine.
    let pair = words == 2 && text.split_whitespace().next().is_some_and(|first| first.ends_with(':'));
    let says = words >= 2 || (!text.is_ascii() && text.chars().count() >= 5);
    (says && !announces && !pair && !is_signature(text)).then(|| usable(text)).flatten()
}

/// The name of a server and its version, or thanks to it.
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
    let bare = without_status(text);
    // A comment, a shell prompt or a snippet is code, not a sentence.
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

/// A headline that says no more than that it is a page of an error.
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

/// Preformatted text of several lines, for development mode.
fn stack(blocks: &[Block]) -> Option<Untrusted> {
    let block = blocks.iter().find(|block| block.role == Role::Preformatted && block.text.lines().count() > 1)?;
    Some(Untrusted::new(block.text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(page: &str) -> Option<String> {
        read(page).message.map(|message| message.raw().to_owned())
    }

    #[test]
    fn pages_tell_one_sentence() {
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
            assert_eq!(told(page).as_deref(), Some(message), "{page}");
        }
    }

    #[test]
    fn a_page_that_repeats_its_status_tells_nothing() {
        assert_eq!(
            told(
                "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1><hr><address>Apache/2.4 Server at x Port 80</address></body></html>"
            ),
            None
        );
        assert_eq!(told("<script>alert('hello you')</script><style>p { color: red }</style>"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_read(page in "[<>/a-z =\"&;pre1h\\n]{0,200}") {
            read(&page);
        }
    }
}
