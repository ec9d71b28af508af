//! Prints to the terminal.
//!
//! A reader that closes the pipe has seen enough: nothing more is written then, and that is no error. Every other failure to write to standard
//! output is reported once, and [`end`] makes the command fail: what was to be printed is lost.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};

/// The width of an output that is no terminal, in characters.
const WIDTH: usize = 100;

/// Whether standard output takes what is written.
static STATE: AtomicU8 = AtomicU8::new(OPEN);
const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const FAILED: u8 = 2;

/// Writes to standard output, and flushes it. Returns false if it takes nothing any more.
pub(super) fn write(bytes: &[u8]) -> bool {
    if STATE.load(Ordering::Relaxed) == OPEN {
        let mut out = io::stdout().lock();
        note(out.write_all(bytes).and_then(|()| out.flush()));
    }
    STATE.load(Ordering::Relaxed) == OPEN
}

/// Notes how a write to standard output ended, and reports a failure.
pub(super) fn note(written: io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => STATE.store(CLOSED, Ordering::Relaxed),
        Err(error) => {
            STATE.store(FAILED, Ordering::Relaxed);
            print_error(&format!("error: cannot write to standard output: {error}"));
        }
    }
}

/// Returns the exit code of a command that has ended with `code`: what could not be printed makes a success a failure.
pub(super) fn end(code: ExitCode) -> ExitCode {
    let has_failed = STATE.load(Ordering::Relaxed) == FAILED;
    if has_failed && code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
}

/// Prints a line to standard output.
pub(super) fn print(text: &str) {
    write(format!("{text}\n").as_bytes());
}

/// Prints a value as JSON with line breaks.
pub(super) fn print_json(value: &serde_json::Value) {
    print(&format!("{value:#}"));
}

/// Prints a line to standard error.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Returns true for what could steer a terminal, or turn the direction of what follows (Unicode UAX 9 2).
pub(super) fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of others on one line, without what could steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// Returns true if diagnostics on standard error may have colors.
pub(super) fn color() -> bool {
    color_of(&std::io::stderr())
}

/// Returns true if an output is a terminal that may have colors (<https://no-color.org>).
pub(super) fn color_of(output: &impl IsTerminal) -> bool {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    output.is_terminal() && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Returns the width of the terminal at standard output, in characters. `COLUMNS` overrides it.
pub(super) fn width() -> usize {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    named.or_else(measured).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

/// Styles of a text on standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether the output may have colors.
    pub(super) color: bool,
}

impl Style {
    /// The styles that standard output can show.
    pub(super) fn of_output() -> Self {
        Self { color: color_of(&std::io::stdout()) }
    }

    fn styled(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.styled("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// A text in the color of a status; a text without a status is dim.
    pub(super) fn status(self, status: u16, text: &str) -> String {
        match status {
            0 => self.dim(text),
            500.. => self.styled("1;31", text),
            400.. => self.styled("33", text),
            _ => self.green(text),
        }
    }
}
