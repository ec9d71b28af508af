//! Prints to the terminal. Errors are ignored, because a closed pipe is not an error of the program.

use std::io::{IsTerminal, Write};

/// Prints a line to standard output.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a line to standard error.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Returns true if diagnostics on standard error may have colors (<https://no-color.org>).
pub(super) fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
