//! Finds the exception that a stack trace tells: its class and what it says. The classes are those of any language; what is looked at is
//! where traces have them: in their first line, in the last one of Python, or in front of or behind a message.
//!
//! Must not know what the text is part of.

/// The longest name of an exception, in bytes.
const MAX_NAME: usize = 160;

/// The exception of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown<'t> {
    /// The class, as the trace writes it.
    pub name: &'t str,
    /// The first line of the message; may be empty.
    pub message: &'t str,
}

/// Returns the exception of a text that is known to have stack frames.
pub fn of(text: &str) -> Option<Thrown<'_>> {
    of_python(text).or_else(|| text.lines().find_map(|line| of_line(line.trim())))
}

/// Returns the exception after the last frame of Python, which begins with the outermost one and ends with what was thrown.
fn of_python(text: &str) -> Option<Thrown<'_>> {
    let begin = text.rfind("Traceback (most recent call last)")?;
    let frames = &text[begin..];
    let last = frames.rfind("File \"").unwrap_or_default();
    // The lines of code after a frame have spaces, parentheses or operators where a class has none.
    frames[last..].lines().skip(1).find_map(|line| class_and_message(line.trim()))
}

/// Returns the exception in a line of a trace: `com.acme.OrderError: closed`, `PHP Fatal error: Uncaught OrderError: closed`,
/// `/srv/a.rb:7:in 'pay': closed (OrderError)`, `** (KeyError) no key`, `panic: no order`.
fn of_line(line: &str) -> Option<Thrown<'_>> {
    if let Some(message) = line.strip_prefix("panic: ") {
        return Some(Thrown { name: "panic", message });
    }
    if let Some((name, message)) = line.strip_prefix("** (").and_then(|rest| rest.split_once(')')) {
        return is_class(name).then(|| Thrown { name, message: message.trim() });
    }
    // What follows `Uncaught`, and the name of a thread, is as if it began the line.
    let line = line.split_once("Uncaught ").map_or(line, |(_, thrown)| thrown);
    let line = line.strip_prefix("Exception in thread \"").and_then(|rest| rest.split_once("\" ")).map_or(line, |(_, thrown)| thrown);
    let line = line.strip_prefix("Unhandled exception. ").unwrap_or(line);
    let of_ruby = || {
        let (before, name) = line.strip_suffix(')')?.rsplit_once(" (")?;
        let (_, message) = before.split_once(":in ")?.1.split_once(": ")?;
        (is_class(name) && name.starts_with(|c: char| c.is_ascii_uppercase())).then_some(Thrown { name, message })
    };
    class_and_message(line).filter(|thrown| ends_like_an_exception(thrown.name)).or_else(of_ruby)
}

/// Splits `class: message`, or a class alone.
fn class_and_message(line: &str) -> Option<Thrown<'_>> {
    let (name, message) = line.split_once(": ").unwrap_or((line.strip_suffix(':').unwrap_or(line), ""));
    is_class(name).then(|| Thrown { name, message: message.trim() })
}

/// Returns true for a name such as `KeyError`, `shop.errors.Closed`, `App\Exceptions\Closed` or `socket.timeout`.
fn is_class(name: &str) -> bool {
    let mut parts = name.split(['.', '\\', ':']).filter(|part| !part.is_empty()).peekable();
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_') && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
    };
    let is_path = name.contains(['.', '\\', ':']);
    name.len() <= MAX_NAME
        && parts.peek().is_some()
        && parts.all(|part| is_word(part) && (is_path || part.starts_with(|c: char| c.is_uppercase())))
}

/// Returns true for a class that says by its name that it is thrown.
fn ends_like_an_exception(name: &str) -> bool {
    ["Exception", "Error", "Throwable", "Failure", "Fault", "error", "Exit", "Interrupt"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_of_any_language_are_found() {
        let python =
            "Traceback (most recent call last):\n  File \"/srv/a.py\", line 7, in pay\n    price = prices[sku]\n            ~~~~~~^^^^^\n";
        for (text, name, message) in [
            (format!("{python}KeyError: 'sku'\n"), "KeyError", "'sku'"),
            (format!("{python}shop.errors.Closed: order 7: closed\nsecond line"), "shop.errors.Closed", "order 7: closed"),
            (format!("{python}AssertionError"), "AssertionError", ""),
            (format!("{python}socket.timeout: timed out"), "socket.timeout", "timed out"),
            (
                format!(
                    "{python}KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n{python}Closed: b"
                ),
                "Closed",
                "b",
            ),
            ("java.lang.IllegalStateException: no stock\n\tat a.B.c(B.java:1)".into(), "java.lang.IllegalStateException", "no stock"),
            ("java.lang.NullPointerException\n\tat a.B.c(B.java:1)".into(), "java.lang.NullPointerException", ""),
            ("Exception in thread \"main\" a.OrderError: x\n\tat a.B.c(B.java:1)".into(), "a.OrderError", "x"),
            ("TypeError: a is not a function\n    at pay (/srv/a.js:7:1)".into(), "TypeError", "a is not a function"),
            (
                "PHP Fatal error:  Uncaught App\\Closed_Error: x in /srv/a.php:7\nStack trace:\n#0 a".into(),
                "App\\Closed_Error",
                "x in /srv/a.php:7",
            ),
            ("/srv/a.rb:7:in `pay': no key: a (KeyError)\n\tfrom /srv/a.rb:9".into(), "KeyError", "no key: a"),
            ("Unhandled exception. System.InvalidOperationException: x\n   at A.B()".into(), "System.InvalidOperationException", "x"),
            ("** (KeyError) key :a not found\n    (shop 0.1.0) lib/shop.ex:7".into(), "KeyError", "key :a not found"),
            (
                "panic: runtime error: index out of range [5]\n\ngoroutine 1 [running]:".into(),
                "panic",
                "runtime error: index out of range [5]",
            ),
            ("Oops\nActiveRecord::RecordNotFoundError: x\n/srv/a.rb:7".into(), "ActiveRecord::RecordNotFoundError", "x"),
        ] {
            assert_eq!(of(&text), Some(Thrown { name, message }), "{text}");
        }
    }

    #[test]
    fn other_lines_are_no_exceptions() {
        for text in
            ["Internal Server Error: x\n\tat a", "order 7 is closed\n at x", "https://a.example/Error: b", "", "a: b", "Status: 500\nat x"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\PC|[\\n :().]|Traceback \\(most recent call last\\)|File \"|panic: |\\*\\* \\(|Error){0,40}") {
            let _ = of(&text);
        }
    }
}
