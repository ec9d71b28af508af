//! Shortens a long error text for operators: keeps the most informative lines.
//!
//! A Python traceback has its exception in the last line, a Java trace has its cause in the middle, and a debug page has its error after
//! the style sheets. So lines are ranked: exceptions and causes, the last lines, frames of the application, then lines from the beginning,
//! as many as fit. The kept lines stay in order, and gaps are marked, except in the middle of a text of very many lines. Knows lines, and
//! no format of a report.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use memchr::memmem;

/// The maximum length that is kept of one line, in bytes: its beginning and its end.
const MAX_LINE: usize = 1024;
/// The number of last lines that take precedence over frames.
const TAIL_LINES: usize = 8;
/// The maximum number of lines that are ranked. Of a longer text, these are the first and the last lines.
const MAX_LINES: usize = 4_096;

/// The approximate length of a line, in bytes.
const TYPICAL_LINE: usize = 40;

/// What is known of a line while lines are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Kept,
    /// A stack frame.
    Frame,
    /// Any other line.
    Plain,
}

/// Returns the text if it has at most `max` bytes, or else its most informative lines. Gaps and shortened lines are marked, and the marks
/// count towards `max`.
pub fn excerpt(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let page = is_page(text);
    let (text, parts) = if page { visible_parts(text) } else { (Cow::Borrowed(text), std::iter::once(0..text.len()).collect()) };
    let lines = lines(&text, &parts, page);
    let whole = || {
        let mut all = String::with_capacity(max);
        lines.iter().for_each(|line| append_lines(&mut all, &text[line.clone()]));
        all
    };
    if page && lines.iter().map(|line| line.len() + 1).sum::<usize>() <= max {
        return Cow::Owned(whole());
    }
    let chosen = join_lines(&text, &lines, &choose(&text, &lines, max), max);
    Cow::Owned(match chosen.is_empty() {
        true if page => elide_middle(&whole(), max),
        true => elide_middle(&text, max),
        false => chosen,
    })
}

/// Chooses the lines that are kept, rank by rank. What is costly to know of a line is found out only while there is room for it.
fn choose(text: &str, lines: &[Range<usize>], max: usize) -> Vec<State> {
    // Reserves the mark of a gap at the end.
    let mut room = Room(max.saturating_sub(MARK));
    let first = |line: &Range<usize>| match place(text, line) {
        Some(_) => State::Frame,
        None if is_cause(text[line.clone()].trim_start()) && room.take(line) => State::Kept,
        None => State::Plain,
    };
    let mut states: Vec<State> = lines.iter().map(first).collect();
    let tail = lines.len().saturating_sub(TAIL_LINES);
    for (line, state) in lines[tail..].iter().zip(&mut states[tail..]) {
        if *state != State::Kept && room.take(line) {
            *state = State::Kept;
        }
    }
    let mut places = Places::new(text);
    for (line, state) in lines.iter().zip(&mut states) {
        if *state == State::Frame && room.has(line) && !places.is_library(line) && room.take(line) {
            *state = State::Kept;
        }
    }
    for (line, state) in lines.iter().zip(&mut states) {
        if *state != State::Kept && room.take(line) {
            *state = State::Kept;
        }
    }
    states
}

/// The bytes that are left for lines. They only become less, so a line that did not fit never will.
struct Room(usize);

impl Room {
    /// Each kept line may need a line end and the mark of a gap.
    fn cost(line: &Range<usize>) -> usize {
        line.len().min(MAX_LINE + MARK) + 1 + MARK
    }

    fn has(&self, line: &Range<usize>) -> bool {
        Self::cost(line) <= self.0
    }

    /// Takes the room of a line. Returns false if there is not enough.
    fn take(&mut self, line: &Range<usize>) -> bool {
        let left = self.0.checked_sub(Self::cost(line));
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// The maximum length of the mark of a gap, in bytes.
const MARK: usize = 24;
/// The length of the part of a line that is searched for a cause, in bytes.
const MAX_LABEL: usize = 240;

/// Returns the code location in a line that is a stack frame.
fn place<'t>(text: &'t str, line: &Range<usize>) -> Option<&'t [u8]> {
    // Most frames begin like this, which bytes tell without the checks of a slice of text.
    let frame_of_java = || text.as_bytes()[line.clone()].trim_ascii_start().strip_prefix(b"at ");
    frame_of_java().or_else(|| frame(text[line.clone()].trim_start()).map(str::as_bytes))
}

/// Joins the kept lines, with the number of missing lines between them.
fn join_lines(text: &str, lines: &[Range<usize>], states: &[State], max: usize) -> String {
    let (mut out, mut missing) = (String::with_capacity(max), 0);
    // Lines that follow each other in the text are copied at once.
    let mut run = 0..0;
    for (line, state) in lines.iter().zip(states) {
        let follows = !run.is_empty() && line.start == run.end + 1 && text.as_bytes()[run.end] == b'\n';
        if *state == State::Kept && follows && line.len() <= MAX_LINE {
            run.end = line.end;
            continue;
        }
        if !run.is_empty() {
            append_lines(&mut out, &text[std::mem::take(&mut run)]);
        }
        if *state != State::Kept {
            missing += 1;
            continue;
        }
        if missing > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "[{missing} lines]");
            missing = 0;
        }
        match line.len() > MAX_LINE {
            true => append_lines(&mut out, &elide_middle(&text[line.clone()], MAX_LINE)),
            false => run = line.clone(),
        }
    }
    append_lines(&mut out, &text[run]);
    if missing > 0 && !out.is_empty() {
        let _ = write!(out, "[{missing} lines]");
    }
    out.truncate(out.trim_end().len());
    out
}

/// Appends lines, of which the last one has no end yet.
fn append_lines(out: &mut String, lines: &str) {
    if !lines.is_empty() {
        out.push_str(lines);
        out.push('\n');
    }
}

/// Returns the beginning and the end of a line, together at most `max` bytes.
fn elide_middle(line: &str, max: usize) -> String {
    let (mut begin, mut end) = (max.saturating_sub(MARK) / 2, line.len() - max.saturating_sub(MARK) / 2);
    while !line.is_char_boundary(begin) {
        begin -= 1;
    }
    while !line.is_char_boundary(end) {
        end += 1;
    }
    format!("{}[{} bytes]{}", &line[..begin], end - begin, &line[end..])
}

/// Returns the lines of parts of the text that are not blank. Also splits at `\n` in JSON strings. The lines of a page have no white space
/// at their ends.
fn lines(text: &str, parts: &[Range<usize>], page: bool) -> Vec<Range<usize>> {
    // Most texts have no escapes, and one byte is found faster than one of two.
    let end = if memchr::memchr(b'\\', text.as_bytes()).is_some() { end_or_escape } else { end_of_line };
    let mut found = Vec::with_capacity(text.len() / TYPICAL_LINE);
    for part in parts {
        let mut start = part.start;
        while start < part.end {
            let rest = &text.as_bytes()[start..part.end];
            let (length, separator) = end(rest);
            let line = &rest[..length];
            // Only white space beyond ASCII needs more than a look at a byte.
            let is_text = match line.trim_ascii_start().first() {
                Some(first) => first.is_ascii_graphic() || !text[start..start + length].trim_start().is_empty(),
                None => false,
            };
            let is_trimmed = !page || line.last().is_some_and(u8::is_ascii_graphic);
            if is_text {
                found.push(start..if is_trimmed { start + length } else { start + text[start..start + length].trim_end().len() });
            }
            start += length + separator;
        }
    }
    if found.len() > MAX_LINES {
        found.drain(MAX_LINES / 2..found.len() - MAX_LINES / 2);
    }
    found
}

/// Returns the length of the line at the start of a text, and that of its end.
fn end_of_line(text: &[u8]) -> (usize, usize) {
    (memchr::memchr(b'\n', text).unwrap_or(text.len()), 1)
}

/// Returns the length of the line at the start of a text, and that of its end, which may be an escape.
fn end_or_escape(text: &[u8]) -> (usize, usize) {
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr2(b'\n', b'\\', rest)).map(|next| at + next) {
        match (text[next], text.get(next + 1)) {
            (b'\n', _) => return (next, 1),
            (_, Some(b'n')) => return (next, 2),
            // Whatever is escaped ends no line.
            _ => at = next + 2,
        }
    }
    (text.len(), 0)
}

/// Returns true if the line names an exception or a cause.
fn is_cause(line: &str) -> bool {
    names_cause(&line[..floor_char_boundary(line, line.len().min(MAX_LABEL))])
}

fn names_cause(line: &str) -> bool {
    const WORDS: [&str; 9] =
        ["aused by", "Suppressed", "nested exception", "oot cause", "Inner Exception", "--->", "panic", "rror", "xception"];
    // A line that names a cause contains a colon, or is a single word.
    let has_label = memchr::memchr(b':', line.as_bytes()).is_some() || !line.contains(' ');
    has_label
        && WORDS.iter().any(|word| line.contains(word))
        && (names_exception(line) || WORDS[..7].iter().any(|word| line.contains(word)))
}

fn floor_char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Returns true for the name of an exception with its message: `com.acme.OrderException: ...`, `KeyError: 'x'`, `Fatal error: ...`.
fn names_exception(line: &str) -> bool {
    let Some((name, _)) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|name| (name, ""))) else {
        return line.split_whitespace().count() == 1 && (line.ends_with("Exception") || line.ends_with("Error"));
    };
    let last = name.rsplit([' ', '.', ':', '\\', '"']).next().unwrap_or_default();
    name.len() <= 160
        && (["Exception", "Error", "Throwable", "Failure", "Fault"].iter().any(|end| last.ends_with(end))
            || name.to_ascii_lowercase().ends_with("error"))
}

/// Returns the code location in a stack frame, or `None` for another line.
fn frame(line: &str) -> Option<&str> {
    let numbered = || line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    line.strip_prefix("at ").or_else(|| line.strip_prefix("File \"")).or_else(numbered).or_else(|| {
        let ends = [".rb:", ".php:", ".py:", ".go:", ".ex:"];
        line.split_once(' ')
            .map_or(line, |(place, _)| place)
            .contains(':')
            .then_some(line)
            .filter(|line| ends.iter().any(|end| line.contains(end)))
    })
}

/// A stack frame of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'t> {
    /// The code location, as the text writes it.
    pub place: &'t str,
    /// It is in a runtime, a framework or a package.
    pub is_library: bool,
}

/// Returns the stack frames of a text in their order: of a very long text, those at its beginning and its end.
pub fn frames(text: &str) -> Vec<Frame<'_>> {
    let whole = 0..text.len();
    let mut places = Places::new(text);
    let frame = |line: &Range<usize>| {
        let place = std::str::from_utf8(place(text, line)?).ok()?;
        Some(Frame { place, is_library: places.is_library(line) })
    };
    lines(text, std::slice::from_ref(&whole), false).iter().filter_map(frame).collect()
}

/// Tells locations in a runtime, a framework or a package, which many traces share, from those of an application. Lines are asked for in
/// their order: what is rare in a text is searched for once, not in each of its lines.
struct Places<'t> {
    text: &'t str,
    /// The next slash, and the next frame of Node.js itself.
    slash: usize,
    node: usize,
}

impl<'t> Places<'t> {
    const fn new(text: &'t str) -> Self {
        Self { text, slash: 0, node: 0 }
    }

    /// Returns true if the frame in this line is none of the application.
    fn is_library(&mut self, line: &Range<usize>) -> bool {
        const FOLDERS: [&str; 12] = [
            "/site-packages/",
            "/dist-packages/",
            "/node_modules/",
            "/vendor/",
            "/gems/",
            "/lib/python",
            "/internal/",
            "/lib/ruby/",
            "/usr/lib/",
            "/usr/share/",
            "/usr/local/go/",
            "/pkg/mod/",
        ];
        let Some(place) = place(self.text, line) else { return false };
        let rest = &self.text.as_bytes()[line.start..];
        let ahead = |known: &mut usize, find: fn(&[u8]) -> Option<usize>| {
            if *known < line.start || *known == 0 {
                *known = find(rest).map_or(usize::MAX, |at| line.start + at);
            }
            *known < line.end
        };
        let has_slash = ahead(&mut self.slash, |rest| memchr::memchr(b'/', rest));
        let in_node = ahead(&mut self.node, |rest| memmem::find(rest, b"(node:"));
        let in_folder =
            || memchr::memchr_iter(b'/', place).any(|at| FOLDERS.iter().any(|folder| place[at..].starts_with(folder.as_bytes())));
        in_package(place)
            || place.starts_with(b"node:")
            || (in_node && memmem::find(place, b"(node:").is_some())
            || (has_slash && in_folder())
    }
}

/// Returns true for a place in a package of a runtime or a framework.
fn in_package(place: &[u8]) -> bool {
    let packages: &[&str] = match place.first() {
        Some(b'j') => &["java.", "javax.", "jakarta.", "jdk."],
        Some(b's') => &["sun.", "scala."],
        Some(b'k') => &["kotlin"],
        Some(b'o') => &["org.springframework", "org.apache", "org.hibernate", "org.eclipse"],
        Some(b'c') => &["com.fasterxml"],
        Some(b'i') => &["io.netty"],
        Some(b'S') => &["System."],
        Some(b'M') => &["Microsoft."],
        _ => &[],
    };
    packages.iter().any(|package| place.starts_with(package.as_bytes()))
}

fn is_page(text: &str) -> bool {
    let begin = &text.as_bytes()[..text.len().min(1024)];
    let is = |tag: &[u8], name: &[u8]| tag.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
    memchr::memchr_iter(b'<', begin).any(|at| is(&begin[at..], b"<html") || is(&begin[at..], b"<!doctype html"))
}

/// Returns what a person sees of a page, in lines; any other text as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !is_page(text) {
        return Cow::Borrowed(text);
    }
    let (text, parts) = visible_parts(text);
    let mut seen = String::with_capacity(text.len() / 2);
    lines(&text, &parts, true).into_iter().for_each(|line| append_lines(&mut seen, &text[line]));
    Cow::Owned(seen)
}

/// Returns a text and the parts of it that a person sees of a page: without style sheets, scripts and tags, which separate lines.
fn visible_parts(page: &str) -> (Cow<'_, str>, Vec<Range<usize>>) {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(open) = memchr::memchr(b'<', &page.as_bytes()[at..]).map(|open| at + open) {
        parts.push(at..open);
        let rest = &page[open..];
        let begins = |name: &str| rest.len() > name.len() && rest.as_bytes()[1..=name.len()].eq_ignore_ascii_case(name.as_bytes());
        let invisible =
            [("style", "</style"), ("script", "</script"), ("svg", "</svg"), ("!--", "-->")].into_iter().find(|(name, _)| begins(name));
        let from = invisible.map_or(Some(0), |(_, end)| find_ignoring_case(rest.as_bytes(), end.as_bytes()));
        let end = from.and_then(|from| memchr::memchr(b'>', &rest.as_bytes()[from..]).map(|end| open + from + end + 1));
        at = end.unwrap_or(page.len());
    }
    parts.push(at..page.len());
    if memchr::memchr(b'&', page.as_bytes()).is_none() {
        return (Cow::Borrowed(page), parts);
    }
    let mut text = String::with_capacity(page.len() / 2);
    for part in parts {
        append_lines(&mut text, &page[part]);
    }
    let text = html_escape::decode_html_entities(&text).into_owned();
    let whole = 0..text.len();
    (Cow::Owned(text), std::iter::once(whole).collect())
}

/// Finds an end tag in lower or upper case. Lower case is more common.
fn find_ignoring_case(text: &[u8], what: &[u8]) -> Option<usize> {
    memmem::find(text, what).or_else(|| memmem::find(text, &what.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python() -> String {
        let frame = |n: usize| match n % 4 {
            0 => format!("  File \"/srv/shop/orders/step{n}.py\", line {n}, in step\n    return go_on(order)\n"),
            _ => format!(
                "  File \"/usr/lib/python3/site-packages/django/core/handlers/base.py\", line {n}, in inner\n    response = get_response(request)\n"
            ),
        };
        format!(
            "Traceback (most recent call last):\n{}shop.errors.LedgerError: account 4711 is closed",
            (0..60).map(frame).collect::<String>()
        )
    }

    #[test]
    fn an_exception_at_the_end_is_kept() {
        let kept = excerpt(&python(), 2048).into_owned();
        assert!(kept.len() <= 2048 && kept.ends_with("LedgerError: account 4711 is closed"), "{kept}");
        assert!(kept.contains("/srv/shop/orders/step56.py") && kept.contains(" lines]"), "{kept}");
        let in_json = serde_json::json!({ "detail": python() }).to_string();
        assert!(excerpt(&in_json, 2048).contains("LedgerError: account 4711 is closed"));
    }

    #[test]
    fn causes_in_the_middle_are_kept() {
        let frames = |n: usize| (0..n).map(|n| format!("\tat org.springframework.web.Filter.next(Filter.java:{n})\n")).collect::<String>();
        let trace = format!(
            "java.lang.IllegalStateException: order failed\n{}\tat com.acme.Orders.pay(Orders.java:7)\nCaused by: java.sql.SQLException: deadlock\n{}Caused by: java.net.SocketException: reset\n{}",
            frames(80),
            frames(80),
            frames(40)
        );
        let kept = excerpt(&trace, 2048);
        for expected in ["IllegalStateException: order failed", "com.acme.Orders.pay", "SQLException: deadlock", "SocketException: reset"] {
            assert!(kept.contains(expected), "{expected} in {kept}");
        }
        assert!(kept.len() <= 2048);
    }

    #[test]
    fn a_page_is_kept_without_its_style() {
        let page = format!(
            "<!DOCTYPE html><html><head><style>{}</style><SCRIPT>{}</SCRIPT></head><body><h1>OperationalError at /orders</h1><pre>no such table: orders &lt;x&gt;</pre><table>{}</table></body></html>",
            "p { color: red }\n".repeat(400),
            "var x = 1;\n".repeat(400),
            "<tr><td>SETTING</td><td>value</td></tr>\n".repeat(400)
        );
        let kept = excerpt(&page, 2048);
        assert!(kept.contains("OperationalError at /orders") && kept.contains("no such table: orders <x>"), "{kept}");
        assert!(!kept.contains("color: red") && !kept.contains("var x") && kept.len() <= 2048, "{kept}");
    }

    #[test]
    fn one_long_line_keeps_both_ends() {
        let line = format!("begin{}end", "\u{e4}".repeat(5_000));
        let kept = excerpt(&line, 512);
        assert!(kept.starts_with("begin") && kept.ends_with("end") && kept.contains(" bytes]") && kept.len() <= 512, "{kept}");
    }

    proptest::proptest! {
        #[test]
        fn it_never_grows_beyond_its_bound(text in "(at |\\\\n|\\n|<style>|</style>|<html>|Error: x|\u{e4}|word ){0,200}", max in 64usize..400) {
            let kept = excerpt(&text, max);
            proptest::prop_assert!(kept.len() <= max, "{} of {max}: {kept}", kept.len());
        }
    }
}
