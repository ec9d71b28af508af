//! Which entries belong together: the same fault with other ids, numbers and addresses.
//!
//! Entries of one group have the same route, code and exception, and the same frames of the application at the top of their stacks. Without
//! such frames they have the same message, but for its values. Pure functions of an entry.

use std::borrow::Cow;

use ring::digest::{SHA256, digest};

use self::place::Place;
use super::entry::Entry;
use crate::report::excerpt::{Frame, frames, visible};
use crate::text::bounded;

mod message;
mod place;

/// The longest title, in characters.
const MAX_TITLE: usize = 200;
/// The frames that matter. Those below them are ways to the same fault.
const FRAMES: usize = 3;
/// The most of a body in which frames or words are looked for, in bytes.
const MAX_BODY: usize = 32 * 1024;

/// Returns the fingerprint of an entry, in 32 hexadecimal digits, and the title of its group.
pub fn of(entry: &Entry) -> (String, String) {
    let exception = entry.exception.as_deref().map(message::normal).unwrap_or_default();
    let text = [entry.route.as_str(), &entry.code, &exception, &what(entry)].join("\u{0}");
    let hex: String = digest(&SHA256, text.as_bytes()).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (hex, title(entry))
}

/// Returns a title without what differs between occurrences, such as numbers and quoted values.
pub fn without_values(title: &str) -> String {
    message::normal(title)
}

/// Returns what went wrong and where, without what differs between occurrences.
fn what(entry: &Entry) -> String {
    let own = own_frames(entry);
    let said = [&entry.message, &entry.caused_by].into_iter().flatten().find(|text| !text.trim().is_empty());
    let said = said.map(|said| message::normal(said)).unwrap_or_default();
    // Functions without names say too little of where it was: most of a file may be in them.
    let is_named = own.first().is_some_and(|place| !place.function.is_empty());
    let own: Vec<String> = own.into_iter().map(|Place { file, function }| format!("{file} {function}")).collect();
    match (own.is_empty(), said.is_empty()) {
        (false, _) if is_named => return own.join("\n"),
        (true, true) => {}
        _ => return format!("{}\n{said}", own.join("\n")),
    }
    match (&entry.cause, &entry.upstream_body) {
        (Some(cause), _) => [entry.reason.as_str(), &message::normal(cause)].join("\n"),
        // What could not be read is told apart by its status and its first words.
        (None, Some(body)) => {
            let words = message::normal(bounded(body, MAX_BODY));
            [entry.reason.as_str(), &entry.received.unwrap_or_default().to_string(), &words].join("\n")
        }
        (None, None) => [entry.reason.as_str(), &entry.received.unwrap_or_default().to_string()].join("\n"),
    }
}

/// Returns the places of the application at the top of the stack.
fn own_frames(entry: &Entry) -> Vec<Place> {
    let text = match (&entry.stack, &entry.upstream_body) {
        (Some(stack), _) => Cow::Borrowed(stack.as_str()),
        (None, Some(body)) => visible(bounded(body, MAX_BODY)),
        (None, None) => return Vec::new(),
    };
    let found = frames(&text);
    // Python begins with the outermost frame.
    let is_reversed = text.contains("most recent call last") || text.trim_start().starts_with("File \"");
    let places = |frames: &mut dyn Iterator<Item = &Frame<'_>>| {
        let mut places: Vec<Place> = Vec::new();
        for frame in frames.filter(|frame| !frame.is_library) {
            if places.len() == FRAMES {
                break;
            }
            // Recursion is as deep as the data.
            places.extend(place::normal(frame.place).filter(|place| !places.contains(place)));
        }
        places
    };
    if is_reversed { places(&mut found.iter().rev()) } else { places(&mut found.iter()) }
}

/// Returns `exception: message` in one line, or what comes closest to it.
fn title(entry: &Entry) -> String {
    let line = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.split(char::is_whitespace).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let exception = line(&entry.exception);
    let said = [&entry.message, &entry.caused_by, &entry.cause].into_iter().map(line).find(|line| !line.is_empty()).unwrap_or_default();
    let title = match (exception.is_empty(), said.is_empty()) {
        // A message that begins with its exception names it already.
        (false, false) if said.starts_with(&exception) => said,
        (false, false) => format!("{exception}: {said}"),
        (false, true) => exception,
        (true, false) => said,
        (true, true) => entry.received.map_or_else(|| entry.code.clone(), |status| format!("{} ({status})", entry.code)),
    };
    title.chars().filter(|c| !c.is_control()).take(MAX_TITLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str, stack: Option<&str>) -> Entry {
        let (exception, stack) = (Some("OrderError".into()), stack.map(str::to_owned));
        Entry { route: "shop".into(), code: "upstream_error".into(), exception, message: Some(message.into()), stack, ..Entry::default() }
    }

    #[test]
    fn other_values_are_the_same_fault() {
        assert_eq!(of(&entry("order 17 is closed", None)).0, of(&entry("order 18 is closed", None)).0);
        assert_ne!(of(&entry("order 17 is closed", None)).0, of(&entry("order 17 is open", None)).0);
    }

    #[test]
    fn own_frames_decide() {
        let java = |line: u32, method: &str| {
            format!(
                "OrderError\n\tat org.apache.A.b(A.java:1)\n\tat shop.Orders.{method}(Orders.java:{line})\n\tat java.lang.Thread.run(T.java:3)"
            )
        };
        let of = |stack: &str| super::of(&entry("any message", Some(stack))).0;
        assert_eq!(of(&java(7, "pay")), of(&java(8, "pay")));
        assert_ne!(of(&java(7, "pay")), of(&java(7, "refund")));
        let python = |top: &str| {
            format!(
                "Traceback (most recent call last):\n  File \"/a/b/main.py\", line 1, in run\n  File \"/a/b/c.py\", line 2, in {top}\nX"
            )
        };
        assert_ne!(of(&python("pay")), of(&python("refund")));
    }

    #[test]
    fn titles_are_one_line() {
        let long = Entry { message: Some(format!("order\t17 is\nclosed {}", "x".repeat(500))), ..entry("", None) };
        assert_eq!(title(&long), "OrderError: order 17 is");
        assert_eq!(title(&entry("OrderError: closed", None)), "OrderError: closed");
        assert_eq!(title(&Entry { code: "not_found".into(), received: Some(404), ..Entry::default() }), "not_found (404)");
    }
}
