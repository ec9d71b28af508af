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

/// Returns true if diagnostics on standard error may have colors.
pub(super) fn color() -> bool {
    color_of(&std::io::stderr())
}

/// Returns true if an output is a terminal that may have colors (<https://no-color.org>).
pub(super) fn color_of(output: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
    output.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}
