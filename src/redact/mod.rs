//! What must not leave: decides whether foreign text is clean, and masks credentials in what the log keeps.
//!
//! Linear-time patterns for *families* of internals (stack frames, paths, SQL, class names, credentials, addresses), never
//! for one framework's sentence. Pure; the only room that makes [`Text`] out of [`Untrusted`].

mod patterns;

use crate::text::{Text, Untrusted};

/// The longest message that is passed on, in characters. A longer one is no sentence for a client.
const MAX_MESSAGE: usize = 600;

/// The text, if nothing in it looks like an internal of the upstream. Control characters become spaces.
pub fn clear(text: &Untrusted) -> Option<Text> {
    let flat = flatten(text.raw());
    let sound = !flat.is_empty() && flat.chars().count() <= MAX_MESSAGE && !leaks(&flat);
    sound.then(|| Text::cleared(flat))
}

/// Compiles the patterns now, so that the first error need not wait for it.
pub fn prepare() {
    leaks("");
    mask("", 0);
    let _ = clear_code("E1");
}

/// True when the text holds something that must not reach a client.
pub fn leaks(text: &str) -> bool {
    patterns::internals().is_match(text.as_bytes())
}

/// The same for a page: markup itself is no internal there.
pub fn page_leaks(page: &str) -> bool {
    patterns::internals().matches(page.as_bytes()).iter().any(|index| !patterns::is_markup(index))
}

/// The same for a cookie: tokens are what cookies are for.
pub fn cookie_leaks(cookie: &str) -> bool {
    patterns::internals().matches(cookie.as_bytes()).iter().any(|index| !patterns::is_credential(index))
}

/// A machine code that may be shown (contract section 3): `[A-Za-z0-9_.:-]{1,64}` and not a qualified class name.
pub fn clear_code(code: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    let sound = (1..=64).contains(&code.len()) && code.bytes().all(allowed) && !patterns::class_names().is_match(code) && !leaks(code);
    sound.then(|| code.to_owned())
}

/// A name of a field that may be shown: bounded, without control characters, and not an internal.
pub fn clear_field(path: &str) -> Option<String> {
    let sound = (1..=128).contains(&path.len()) && !path.chars().any(char::is_control) && !leaks(path);
    sound.then(|| path.to_owned())
}

/// For the log: at most `max` bytes, credentials masked, line ends kept as text (the log writer escapes them).
pub fn mask(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut masked = std::borrow::Cow::Borrowed(&text.as_bytes()[..end]);
    for (pattern, kept) in patterns::credentials() {
        if let std::borrow::Cow::Owned(replaced) = pattern.replace_all(&masked, kept.as_bytes()) {
            masked = replaced.into();
        }
    }
    String::from_utf8_lossy(&masked).into_owned()
}

/// One line: runs of white space and control characters become one space.
fn flatten(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(4 * MAX_MESSAGE));
    let mut gap = false;
    for c in text.trim().chars().take(4 * MAX_MESSAGE) {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRTY: &[&str] = &[
        "at com.acme.Order.find(Order.java:42)",
        "Traceback (most recent call last):",
        "File \"/srv/app/main.py\", line 12, in index",
        "at Object.<anonymous> (/home/app/index.js:3:9)",
        "in C:\\inetpub\\wwwroot\\Default.aspx.cs:line 20",
        "Fatal error: Uncaught TypeError in /var/www/html/a.php:3",
        "app/models/user.rb:10:in `save'",
        "goroutine 1 [running]:",
        "thread 'main' panicked at src/main.rs:4:5",
        "java.lang.NullPointerException",
        "org.hibernate.exception.ConstraintViolationException: could not execute statement",
        "SELECT * FROM users WHERE id = 1",
        "SQLSTATE[23000]: Integrity constraint violation",
        "ORA-00001: unique constraint violated",
        "duplicate key value violates unique constraint \"users_email_key\"",
        "could not connect to postgres://app:pw@db/orders",
        "connect ECONNREFUSED 10.20.30.40:5432",
        "no such host db.corp.internal",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc",
        "password=hunter2",
        "<html><body>boom</body></html>",
        "KeyError: 'user_id'",
        "No query results for model [App\\Models\\Order] 77",
        "Key (email)=(kim@example.test) already exists.",
    ];

    const CLEAN: &[&str] = &[
        "The order is locked.",
        "email must be an email",
        "password: must be at least 8 characters",
        "Cannot GET /orders/7",
        "Please select an item from the list",
        "An error occurred at checkout; line 2 of the form is empty",
        "주문을 찾을 수 없습니다",
        "Value is not a valid integer",
        "Exceptional items cannot be returned",
        "No route matches the request",
        "Version 1.2.3 is not supported",
        "Update your profile and set a name",
    ];

    #[test]
    fn internals_are_found() {
        for text in DIRTY {
            assert!(clear(&Untrusted::new(*text)).is_none(), "{text}");
        }
    }

    #[test]
    fn human_sentences_pass() {
        for text in CLEAN {
            assert_eq!(clear(&Untrusted::new(*text)).map(|t| t.as_str().to_owned()).as_deref(), Some(*text));
        }
    }

    #[test]
    fn codes_are_tokens() {
        assert_eq!(clear_code("E1042").as_deref(), Some("E1042"));
        assert_eq!(clear_code("order.locked").as_deref(), Some("order.locked"));
        assert!(clear_code("com.acme.orders.LockedException").is_none());
        assert!(clear_code("two words").is_none());
        assert!(clear_code("").is_none());
    }

    #[test]
    fn masks_credentials_and_keeps_the_rest() {
        let masked = mask("postgres://app:s3cr3t@db/x password=hunter2 Authorization: Bearer abcdefghijklmnop\ndone", 4096);
        for secret in ["s3cr3t", "hunter2", "abcdefghijklmnop"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.contains("@db/x") && masked.ends_with("done"), "{masked}");
        assert_eq!(mask("äöü", 3), "ä");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_bounds_hold(text in "\\PC{0,200}", max in 0usize..64) {
            let _ = clear(&Untrusted::new(text.clone()));
            mask(&text, max);
            let _ = clear_code(&text);
        }
    }
}
