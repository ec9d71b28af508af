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

/// The rank of a line, most informative first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// An exception or its cause.
    Exception,
    /// One of the last lines.
    Tail,
    /// A frame of the application's own code.
    Application,
    /// Any other line; the first lines take precedence.
    Other,
}

/// Returns the text if it has at most `max` bytes, or else its most informative lines. Gaps and shortened lines are marked, and the marks
/// count towards `max`.
pub fn excerpt(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let page = is_page(text).then(|| visible_text(text));
    let text = page.as_deref().unwrap_or(text);
    if text.len() <= max {
        return Cow::Owned(text.to_owned());
    }
    let lines = lines(text);
    let ranks: Vec<Rank> = (0..lines.len()).map(|at| rank(&text[lines[at].clone()], lines.len() - at)).collect();
    let mut kept = vec![false; lines.len()];
    // Reserves the mark of a gap at the end.
    let mut left = max.saturating_sub(MARK);
    for wanted in [Rank::Exception, Rank::Tail, Rank::Application, Rank::Other] {
        for at in (0..lines.len()).filter(|at| ranks[*at] == wanted) {
            // Each kept line may need a line end and the mark of a gap.
            let cost = lines[at].len().min(MAX_LINE + MARK) + 1 + MARK;
            if cost <= left {
                kept[at] = true;
                left -= cost;
            }
        }
    }
    let chosen = join_lines(text, &lines, &kept, max);
    Cow::Owned(if chosen.is_empty() { elide_middle(text, max) } else { chosen })
}

/// The maximum length of the mark of a gap, in bytes.
const MARK: usize = 24;

/// Joins the kept lines, with the number of missing lines between them.
fn join_lines(text: &str, lines: &[Range<usize>], kept: &[bool], max: usize) -> String {
    let (mut out, mut missing) = (String::with_capacity(max), 0);
    for (line, kept) in lines.iter().zip(kept) {
        if !kept {
            missing += 1;
            continue;
        }
        if missing > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "[{missing} lines]");
            missing = 0;
        }
        let line = &text[line.clone()];
        match line.len() > MAX_LINE {
            true => out.push_str(&elide_middle(line, MAX_LINE)),
            false => out.push_str(line),
        }
        out.push('\n');
    }
    if missing > 0 && !out.is_empty() {
        let _ = write!(out, "[{missing} lines]");
    }
    out.trim_end().to_owned()
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

/// Returns the lines of the text that are not blank. Also splits at `\n` in JSON strings.
fn lines(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut found, mut start, mut at) = (Vec::with_capacity(text.len() / TYPICAL_LINE), 0, 0);
    while let Some(next) = memchr::memchr2(b'\n', b'\\', &bytes[at..]).map(|next| at + next) {
        let ends = match (bytes[next], bytes.get(next + 1)) {
            (b'\n', _) => 1,
            (_, Some(b'n')) => 2,
            _ => 0,
        };
        at = next + if ends == 0 { 2 } else { ends };
        if ends > 0 {
            found.push(start..next);
            start = next + ends;
        }
        if at > bytes.len() {
            break;
        }
    }
    found.push(start..bytes.len());
    found.retain(|line| !text[line.clone()].trim().is_empty());
    if found.len() > MAX_LINES {
        found.drain(MAX_LINES / 2..found.len() - MAX_LINES / 2);
    }
    found
}

/// Returns the rank of a line. `from_end` is 1 for the last line.
fn rank(line: &str, from_end: usize) -> Rank {
    let line = line.trim_start();
    let is_application = match frame(line) {
        Some(place) => !is_library(place),
        None if names_cause(line.get(..240).unwrap_or(&line[..floor_char_boundary(line, line.len().min(240))])) => return Rank::Exception,
        None => false,
    };
    match is_application {
        _ if from_end <= TAIL_LINES => Rank::Tail,
        true => Rank::Application,
        false => Rank::Other,
    }
}

/// Returns true if the line names an exception or a cause.
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

/// Returns true for a location in a runtime, a framework or a package, which many traces share.
fn is_library(place: &str) -> bool {
    const PACKAGES: [&str; 15] = [
        "java.",
        "javax.",
        "jakarta.",
        "jdk.",
        "sun.",
        "kotlin",
        "scala.",
        "org.springframework",
        "org.apache",
        "org.hibernate",
        "org.eclipse",
        "com.fasterxml",
        "io.netty",
        "System.",
        "Microsoft.",
    ];
    const FOLDERS: [&str; 7] = ["/site-packages/", "/dist-packages/", "/node_modules/", "/vendor/", "/gems/", "/lib/python", "/internal/"];
    let bytes = place.as_bytes();
    let in_folder = || memchr::memchr_iter(b'/', bytes).any(|at| FOLDERS.iter().any(|folder| place[at..].starts_with(folder)));
    let in_node = || place.starts_with("node:") || memchr::memchr_iter(b'(', bytes).any(|at| place[at..].starts_with("(node:"));
    // Most names differ in their first letter.
    let is_package = |package: &str| bytes.first() == package.as_bytes().first() && place.starts_with(package);
    PACKAGES.iter().any(|package| is_package(package)) || in_node() || in_folder()
}

fn is_page(text: &str) -> bool {
    let begin = text.get(..floor_char_boundary(text, text.len().min(1024))).unwrap_or_default().to_ascii_lowercase();
    begin.contains("<html") || begin.contains("<!doctype html")
}

/// Returns the visible text of a page, without style sheets, scripts and tags, one block per line.
fn visible_text(page: &str) -> String {
    let mut out = String::with_capacity(page.len() / 2);
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &page.as_bytes()[at..]).map(|open| at + open) {
        out.push_str(&page[at..open]);
        let rest = &page[open..];
        let begins = |name: &str| rest.len() > name.len() && rest.as_bytes()[1..=name.len()].eq_ignore_ascii_case(name.as_bytes());
        let invisible =
            [("style", "</style"), ("script", "</script"), ("svg", "</svg"), ("!--", "-->")].into_iter().find(|(name, _)| begins(name));
        let from = invisible.map_or(Some(0), |(_, end)| find_ignoring_case(rest.as_bytes(), end.as_bytes()));
        let end = from.and_then(|from| memchr::memchr(b'>', &rest.as_bytes()[from..]).map(|end| open + from + end + 1));
        at = end.unwrap_or(page.len());
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out.push_str(&page[at.min(page.len())..]);
    let text =
        if memchr::memchr(b'&', out.as_bytes()).is_some() { html_escape::decode_html_entities(&out) } else { Cow::Borrowed(out.as_str()) };
    let mut lines = String::with_capacity(text.len() + 1);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        let line = text[start..end].trim_end();
        if !line.is_empty() {
            lines.push_str(line);
            lines.push('\n');
        }
        start = end + 1;
    }
    lines
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
