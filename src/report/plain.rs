//! The parser of plain-text errors: the message is a labelled value or the first paragraph. Knows no other format.

use super::found::{Certainty, Report};
use super::names::{self, normalize_name};
use super::phrases::{LABELS, after_label, is_status_phrase, phrase};
use crate::text::Untrusted;

/// The maximum length of a first paragraph that may be a message, in bytes.
const MAX_PARAGRAPH: usize = 2_000;

/// Parses a plain-text body. The message is the value of a label in a list of pairs, or else the first paragraph.
pub(super) fn read(text: &str) -> Report {
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Some(message) = labelled_message(text) {
        return Report { message: Some(Untrusted::new(message)), ..Report::default() };
    }
    if let Some(report) = read_pairs(text) {
        return report;
    }
    let paragraph = text.split("\n\n").next().unwrap_or(text).trim();
    let usable = !paragraph.is_empty() && paragraph.len() <= MAX_PARAGRAPH && !is_status_phrase(paragraph);
    // The message is the whole text if it is short, because the first paragraph may introduce a trace, which the redactor must see.
    let whole = if text.len() <= 2 * MAX_PARAGRAPH { text } else { paragraph };
    Report { message: usable.then(|| Untrusted::new(whole)), phrase: phrase(text), ..Report::default() }
}

/// Parses lines of `name = value` or `name: value` (INI, YAML, properties), or a form (`a=b&c=d`), that hold a message.
fn read_pairs(text: &str) -> Option<Report> {
    let form = !text.contains(['\n', ' ']) && text.contains('&') && text.contains('=');
    let pieces: Vec<&str> = if form {
        text.split('&').take(40).collect()
    } else {
        text.lines().take(40).map(str::trim).filter(|line| !line.is_empty()).collect()
    };
    let pair = |piece: &&str| {
        let (name, value) = piece.split_once(['=', ':'])?;
        let value = value.trim().trim_matches(['"', '\'']);
        let value = if form { percent_decoded(&value.replace('+', " ")) } else { value.to_owned() };
        let is_valid = !name.is_empty() && name.len() <= 64 && !name.trim().contains(' ') && !value.is_empty();
        is_valid.then(|| (normalize_name(name.trim()), value))
    };
    let pairs: Vec<(String, String)> = pieces.iter().filter_map(pair).collect();
    if pairs.len() < 2 || pairs.len() * 2 < pieces.len() {
        return None;
    }
    let find = |matches: &dyn Fn(&str) -> bool| pairs.iter().find(|(name, _)| matches(name)).map(|(_, value)| value.as_str());
    let message = find(&|name| name == "message" || name == "msg")
        .or_else(|| find(&names::is_message))
        .or_else(|| find(&|name| matches!(name, "detail" | "description" | "reason" | "text")))?;
    let code = find(&|name| name == "code" || name == "errorcode").or_else(|| find(&names::is_code)).filter(|code| !code.contains(' '));
    let status = |code: &&str| !(code.len() == 3 && code.parse::<u16>().is_ok());
    Some(Report {
        message: Some(Untrusted::new(message)).filter(|_| !is_status_phrase(message)),
        code: code.filter(status).map(Untrusted::new),
        certainty: Certainty::Likeness,
        ..Report::default()
    })
}

fn percent_decoded(text: &str) -> String {
    crate::rpc::percent_decode(text.as_bytes())
}

/// Returns the message in a list of `LABEL: value` lines.
fn labelled_message(text: &str) -> Option<&str> {
    let lines = || text.lines().take(40).map(str::trim);
    let is_pair =
        |line: &str| line.split_once(':').is_some_and(|(label, value)| !label.contains(' ') && !label.is_empty() && value.starts_with(' '));
    if lines().filter(|line| is_pair(line)).count() < 3 {
        return None;
    }
    LABELS
        .iter()
        .find_map(|label| lines().find_map(|line| after_label(line, label)))
        .filter(|message| !message.is_empty() && !is_status_phrase(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_but_not_phrases_are_messages() {
        assert_eq!(read("Order 7 is locked\n").message, Some(Untrusted::new("Order 7 is locked")));
        assert_eq!(read("Not Found").message, None);
        assert_eq!(read(&"x".repeat(5_000)).message, None);
    }
}
