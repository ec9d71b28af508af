//! Words to the terminal. A closed pipe is no error of ours.

use std::io::{IsTerminal, Write};

/// A line on standard output.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// May diagnostics on standard error be coloured? (<https://no-color.org>)
pub(super) fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
