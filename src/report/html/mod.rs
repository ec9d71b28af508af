//! The parser of HTML errors: divides the page into blocks, and finds the one sentence that is written for a person.
//!
//! An alert of the page comes before its main part, and that before the rest; navigation and what else stands around a page is no message.
//! Within a part, the message is after a label ("Message ..."), in preformatted text, in the first sentence below a heading that only repeats
//! the status, or in the heading itself. Knows no framework.

mod blocks;
mod place;

use super::found::Report;
use super::phrases::{LABELS, after_label, is_status_phrase, strip_status};
use crate::text::Untrusted;
use blocks::{Block, Role, blocks};
use place::Place;

/// The maximum number of alternatives beside the best sentence.
const MAX_ALTERNATIVES: usize = 3;
/// The maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 600;

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

/// Returns the sentences that may be the message, best first: those of an alert, then those of the main part, then the others. Navigation,
/// labels of forms and what else stands around a page are no messages.
fn candidates(blocks: &[Block]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for place in Place::SEARCHED {
        // A line of links is navigation, unless it is written as a sentence.
        let is_content = |block: &&Block| block.place == place && (block.text.ends_with(['.', '!']) || !block.is_links());
        let content: Vec<&Block> = blocks.iter().filter(is_content).collect();
        for candidate in candidates_in(&content, place) {
            if !found.contains(&candidate) {
                found.push(candidate);
            }
            if found.len() > MAX_ALTERNATIVES {
                return found;
            }
        }
    }
    found
}

/// Returns the sentences in one part of a page, best first: after a label, a heading that is a sentence, the preformatted line, the first
/// sentence, any heading, a cell. In an alert, a heading only introduces the sentence behind it.
fn candidates_in(blocks: &[&Block], place: Place) -> impl Iterator<Item = String> {
    let of = move |roles: &'static [Role]| blocks.iter().filter(move |block| roles.contains(&block.role)).map(|block| block.text.as_str());
    let texts: &[Role] = match place {
        Place::Alert | Place::Notice => &[Role::Text, Role::Item],
        Place::Main | Place::Body => &[Role::Text],
        Place::Header | Place::Chrome => &[],
    };
    let (body, cells): (&[Role], &[Role]) =
        if texts.is_empty() { (&[], &[]) } else { (&[Role::Text, Role::Preformatted, Role::Item], &[Role::Item]) };
    let labels = LABELS.iter().filter_map(move |label| of(body).flat_map(str::lines).find_map(|line| usable(after_label(line, label)?)));
    let full_sentences = of(&[Role::Heading]).filter(move |text| !place.is_message() && is_full_sentence(text)).filter_map(sentence);
    let preformatted = of(&[Role::Preformatted]).filter_map(first_line);
    let plain = of(texts).filter_map(sentence);
    let heading = of(&[Role::Heading, Role::Title]).filter_map(sentence);
    let items = of(cells).filter(|text| is_full_sentence(text)).filter_map(sentence);
    labels.chain(full_sentences).chain(preformatted).chain(plain).chain(heading).chain(items)
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
