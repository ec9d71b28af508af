//! The table of the demo. Each case has a line with the response of the service and the response of the gateway. It fits the terminal.
//!
//! Must not send requests.

use super::super::output::Style;

/// The width of the column with the names of the cases.
const CASE: usize = 28;
/// The least width of the column of the gateway: the longest code with its status.
const LEAST_GATEWAY: usize = 28;
/// The least room for a part of a message.
const LEAST_MORE: usize = 16;
/// The space between two columns.
const GAP: usize = 2;

/// The columns of a table, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    service: usize,
    gateway: usize,
}

/// One response, in short.
#[derive(Debug)]
pub(super) struct Summary {
    /// The status; 0 without a response.
    pub(super) status: u16,
    /// The text behind the status.
    pub(super) text: String,
    /// What follows where there is room for it.
    pub(super) more: String,
    /// Whether it shows internals.
    pub(super) leaks: bool,
}

impl Columns {
    /// Divides the width of a terminal.
    pub(super) fn of(width: usize) -> Self {
        let both = width.saturating_sub(CASE + 2 * GAP).max(LEAST_GATEWAY + 20);
        // The gateway's part has the code first and then the message, so it takes more of what there is.
        let service = (both - LEAST_GATEWAY).min(both * 2 / 5);
        Self { service, gateway: both - service }
    }

    /// The head of the table.
    pub(super) fn head(self, style: Style) -> String {
        let Self { service, .. } = self;
        style.bold(&format!("{:CASE$}  {:service$}  {}", "case", "the service sends", "the gateway sends"))
    }

    /// The line of a case.
    pub(super) fn line(self, title: &str, service: &Summary, gateway: &Summary, style: Style) -> String {
        let service = cell(service, self.service, style, true);
        format!("{title:CASE$}  {service}  {}", cell(gateway, self.gateway, style, false))
    }
}

/// A summary with a width. `pads` fills it up.
fn cell(summary: &Summary, width: usize, style: Style, pads: bool) -> String {
    let status = if summary.status == 0 { "-".to_owned() } else { summary.status.to_string() };
    let text = shorten(&summary.text, width.saturating_sub(4));
    let room = width.saturating_sub(4 + text.chars().count());
    let more = match room {
        room if room > summary.more.chars().count() || room > LEAST_MORE => shorten(&summary.more, room.saturating_sub(1)),
        _ => String::new(),
    };
    let fill = if pads { " ".repeat(room) } else { String::new() };
    let shown = if summary.leaks { style.red(&text) } else { text };
    let gap = if more.is_empty() { "" } else { " " };
    format!("{} {shown}{gap}{}{fill}", style.status(summary.status, &format!("{status:3}")), style.dim(&more))
}

/// Cuts a text, with a mark at its end.
fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}\u{2026}", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_terminal() {
        let plain = Style { color: false };
        let long = |status, text: &str| Summary { status, text: text.repeat(9), more: String::new(), leaks: true };
        for width in [80, 100, 120, 200] {
            let columns = Columns::of(width);
            for line in [
                columns.head(plain),
                columns.line("404 with a trace in the body", &long(500, "<html> at com.acme "), &long(502, "UPSTREAM_ERROR: a "), plain),
                columns.line("x", &long(0, ""), &long(200, "\u{d55c} "), plain),
            ] {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        let code = Summary { status: 502, text: "UPSTREAM_CONNECTION_LOST".into(), more: "The connection was lost.".into(), leaks: false };
        let at = |width| Columns::of(width).line("x", &long(500, "y"), &code, plain);
        assert!(at(80).ends_with("502 UPSTREAM_CONNECTION_LOST"), "{}", at(80));
        assert!(at(120).ends_with("502 UPSTREAM_CONNECTION_LOST The connection was lost."), "{}", at(120));
    }
}
