//! The redactor: decides whether a short text is clean, and keeps the part of it that is.
//!
//! Documents are the subject of `document`, streams of `guard`.

use std::borrow::Cow;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::encoded;
use super::engine::{self, Exhausted, Hit, RuleFilter, Steps};
use super::rules::{Family, Weight};
use super::sentence;
use super::view::View;
use crate::text::{Text, Untrusted, bounded};

/// The longest message that is passed on, in characters. A longer one is no sentence for a client.
const MAX_MESSAGE: usize = 2_000;
/// How much of a message is looked at, in bytes.
const MAX_LOOK: usize = 16 * 1024;

/// The rules of this room with those of an operator. One is made per `[errors.redact]` when the plan is compiled.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// More patterns; empty when there are none.
    extra: RegexSet,
    each: Vec<regex::bytes::Regex>,
    /// Texts that are harmless wherever they stand.
    allow: Vec<String>,
}

/// Texts that no pattern may match.
const HARMLESS: [&[u8]; 4] = [b"", b" ", b"a", b"The request is not valid."];
/// Bytes that an operator's patterns may take.
const MAX_EXTRA: usize = 8 << 20;

impl Redactor {
    /// Adds an operator's patterns and exceptions.
    ///
    /// # Errors
    /// The index of the pattern that is not valid, and why.
    pub fn new(extra: &[String], allow: &[String]) -> Result<Self, (usize, String)> {
        let compile = |(at, pattern): (usize, &String)| {
            let built = regex::bytes::RegexBuilder::new(pattern).size_limit(MAX_EXTRA).build();
            built.map_err(|error| (at, error.to_string()))
        };
        let each = extra.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
        if let Some(at) = each.iter().position(|pattern| HARMLESS.iter().any(|text| pattern.is_match(text))) {
            return Err((at, "it matches harmless text too, so everything would be dirty".into()));
        }
        let set = RegexSetBuilder::new(extra).size_limit(MAX_EXTRA).build().map_err(|error| (0, error.to_string()))?;
        Ok(Self { extra: set, each, allow: allow.iter().filter(|text| !text.is_empty()).cloned().collect() })
    }

    /// The text, if nothing in it looks like an internal of the upstream, or the sentences before the first that does.
    /// Control characters become spaces.
    pub fn clear(&self, text: &Untrusted) -> Option<Text> {
        let raw = bounded(text.raw().trim(), MAX_LOOK);
        let kept = if self.leaks(raw) { sentence::clean_lead(raw, |sentence| self.leaks(sentence))? } else { raw };
        let flat = flatten(kept);
        // What is shown is one line: lines that say nothing by themselves may say it together.
        if flat != raw && self.leaks(&flat) {
            return None;
        }
        let sound = !flat.is_empty() && flat.len() <= 4 * MAX_MESSAGE && flat.chars().count() <= MAX_MESSAGE;
        sound.then(|| Text::cleared(flat))
    }

    /// True when the text holds something that must not reach a client, or takes too long to judge.
    pub fn leaks(&self, text: &str) -> bool {
        self.leaks_within(text, &mut Steps::of(text.len()))
    }

    pub(super) fn leaks_within(&self, text: &str, steps: &mut Steps) -> bool {
        let mut dirty = |text: &str| self.leaks_as_written(text, steps) != Ok(false);
        dirty(text) || unmasked(text).is_some_and(|plain| dirty(&plain)) || encoded::texts(text).any(|text| dirty(&text))
    }

    /// True when a page shows a reader something that must not reach a client, or holds what only a failing program writes.
    pub fn page_leaks(&self, page: &str) -> bool {
        let visible = View::of(page.as_bytes()).visible();
        self.any(&visible.text, RuleFilter::BUT_MARKUP, &mut Steps::of(page.len())) != Ok(false) || self.document_leaks(page)
    }

    fn leaks_as_written(&self, text: &str, steps: &mut Steps) -> Result<bool, Exhausted> {
        let text = self.without_allowed(text.as_bytes());
        let mut hidden = |view: View<'_>| self.any(&view.text, RuleFilter::ALL, steps);
        let raw = View::of(&text);
        if hidden(View::of(&text))? {
            return Ok(true);
        }
        let plain = if raw.has_escapes() { Some(raw.unescaped()) } else { None };
        if let Some(plain) = &plain
            && hidden(View::of(&plain.text))?
        {
            return Ok(true);
        }
        let shown = plain.as_ref().unwrap_or(&raw);
        Ok(shown.has_markup() && (hidden(shown.visible())? || hidden(shown.attributes())?))
    }

    /// The same for a cookie: tokens are what cookies are for.
    pub fn cookie_leaks(&self, cookie: &str) -> bool {
        self.any_once(cookie, RuleFilter::but(&[Family::Secret, Family::Environment]))
    }

    /// A machine code that may be shown (contract section 3): `[A-Za-z0-9_.:-]{1,64}` and not a qualified class name.
    pub fn clear_code(&self, code: &str) -> Option<String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        let speaks = code.bytes().any(|b| b.is_ascii_alphanumeric());
        let sound = speaks
            && (1..=64).contains(&code.len())
            && code.bytes().all(allowed)
            && !is_class_name(code)
            && !self.any_once(code, RuleFilter::but(&[Family::Class]));
        sound.then(|| code.to_owned())
    }

    /// A name of a field that may be shown: bounded, without control characters, and not an internal.
    pub fn clear_field(&self, path: &str) -> Option<String> {
        // `Data.Initiation.Account` is a path of a document as well as the name of a class.
        let dirty = || self.any_once(path, RuleFilter::but(&[Family::Class]));
        let sound = (1..=128).contains(&path.len()) && !path.chars().any(char::is_control) && !dirty();
        sound.then(|| path.to_owned())
    }

    /// True when a rule that is asked, or one of the operator's, matches.
    fn any(&self, text: &[u8], asked: RuleFilter, steps: &mut Steps) -> Result<bool, Exhausted> {
        Ok(engine::any(text, asked, steps)? || (!self.each.is_empty() && self.extra.is_match(text)))
    }

    /// The same for a short text that has one view.
    fn any_once(&self, text: &str, asked: RuleFilter) -> bool {
        self.any(text.as_bytes(), asked, &mut Steps::of(text.len())) != Ok(false)
    }

    /// The matches of the rules that are asked and of the operator's, in the order of the text.
    pub(super) fn hits(&self, text: &[u8], asked: RuleFilter, steps: &mut Steps) -> Result<Vec<Hit>, Exhausted> {
        let mut hits = engine::hits(text, asked, steps)?;
        for pattern in &self.each {
            hits.extend(pattern.find_iter(text).map(|hit| Hit { family: Family::Extra, weight: Weight::Sure, span: hit.range() }));
        }
        if !self.each.is_empty() {
            hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
        }
        Ok(hits)
    }

    /// The text with blanks in the place of what is known to be harmless; the length stays.
    pub(super) fn without_allowed<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut blanked = Cow::Borrowed(text);
        for allowed in &self.allow {
            let mut from = 0;
            while let Some(at) = memchr::memmem::find(&blanked[from..], allowed.as_bytes()) {
                let start = from + at;
                from = start + allowed.len();
                blanked.to_mut()[start..from].fill(b' ');
            }
        }
        blanked
    }
}

/// A text as a reader sees it, where letters are dressed up: full-width forms, unusual spaces and characters without width
/// (Unicode 17 chapter 6.2 and 23.2), percent escapes. `None` when it is plain already.
fn unmasked(text: &str) -> Option<String> {
    let percent = text.as_bytes().windows(3).any(|part| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit());
    if text.is_ascii() && !percent {
        return None;
    }
    let decoded = if percent { Cow::Owned(crate::rpc::percent_decode(text.as_bytes())) } else { Cow::Borrowed(text) };
    let plain = |c: char| match c {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => None,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        c if c.is_whitespace() && c != '\n' => Some(' '),
        c => Some(c),
    };
    Some(decoded.chars().filter_map(plain).collect())
}

/// A code that is the qualified name of a class: `com.acme.LockedException`, `Acme::LockedError`.
fn is_class_name(code: &str) -> bool {
    let parts: Vec<&str> = code.split(['.', ':']).filter(|part| !part.is_empty()).collect();
    let camel = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && part.contains(|c: char| c.is_ascii_lowercase());
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() < 2 {
        return false;
    }
    // SOAP's own prefixes say whose fault it was.
    let soap = matches!(*first, "Client" | "Server" | "Sender" | "Receiver" | "soap" | "env");
    let thrown = last.ends_with("Exception") || last.ends_with("Throwable") || (last.ends_with("Error") && camel(last));
    let package = first.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && parts.len() > 2;
    let domain =
        matches!(*first, "com" | "org" | "net" | "io" | "java" | "javax" | "jakarta" | "kotlin" | "scala" | "dev" | "de" | "kr" | "jp");
    let digits = (2..=5).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit()) && !last.starts_with('0');
    let port = digits && code.contains(':') && first.starts_with(|c: char| c.is_ascii_lowercase());
    (thrown && !soap) || (package && (domain || parts.iter().any(|part| camel(part)))) || (code.contains("::") && camel(last)) || port
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
    use super::super::mask;
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
        "SELECT\u{a0}*\u{a0}FROM\u{a0}users\u{a0}WHERE\u{a0}id=1",
        "SELECT u.id,\n  u.email,\n  u.pw\nFROM users u\nWHERE u.id = 7",
        "\u{ff43}\u{ff4f}\u{ff4d}.acme.orders.\u{ff2f}rderDao",
        "Not valid here. password\n= hunter2secret\nat com.acme.Foo.bar(Foo.java:3)",
        "see %2Fsrv%2Fapp%2Fdao.py",
        "POST http://orders-service:8080/api failed",
        // base64 of `Traceback (most recent call last):\n  File "/srv/app/x.py", line 3`
        "VHJhY2ViYWNrIChtb3N0IHJlY2VudCBjYWxsIGxhc3QpOgogIEZpbGUgIi9zcnYvYXBwL3gucHkiLCBsaW5lIDM=",
        "see VHJhY2ViYWNrIChtb3N0IHJlY2VudCBjYWxsIGxhc3QpOgogIEZpbGUgIi9zcnYvYXBwL3gucHkiLCBsaW5lIDM for more",
        "<b title=\"at&#32;com.acme.Order.find(Order.java&colon;42)\">Not valid</b>",
        r"failed in \x2fsrv\x2fapp\x2fdao.py",
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
        "The receipt MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo is not known",
        "The value SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0IG9mIGJhc2U2NC4= is not allowed",
    ];

    #[test]
    fn internals_are_found() {
        for text in DIRTY {
            assert!(Redactor::default().clear(&Untrusted::new(*text)).is_none(), "{text}");
        }
    }

    #[test]
    fn human_sentences_pass() {
        for text in CLEAN {
            assert_eq!(Redactor::default().clear(&Untrusted::new(*text)).map(|t| t.as_str().to_owned()).as_deref(), Some(*text));
        }
    }

    #[test]
    fn codes_are_tokens() {
        let clear_code = |code| Redactor::default().clear_code(code);
        assert_eq!(clear_code("E1042").as_deref(), Some("E1042"));
        assert_eq!(clear_code("order.locked").as_deref(), Some("order.locked"));
        for code in ["Shop:010046", "Client.ValidationError", "AWS.SimpleQueueService.NonExistentQueue", "ConditionalCheckFailedException"]
        {
            assert_eq!(clear_code(code).as_deref(), Some(code));
        }
        for code in ["com.acme.LOCKED.ORDERDAO", "System.NullReferenceException", "Acme.OrderNotFoundException", "orders:8080", "..", "-"] {
            assert_eq!(clear_code(code), None, "{code}");
        }
        assert!(clear_code("com.acme.orders.LockedException").is_none());
        assert!(clear_code("two words").is_none());
        assert!(clear_code("").is_none());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_bounds_hold(text in "\\PC{0,200}", max in 0usize..64) {
            let redactor = Redactor::default();
            let _ = redactor.clear(&Untrusted::new(text.clone()));
            mask(&text, max);
            let _ = redactor.clear_code(&text);
            let _ = redactor.document(&text);
        }
    }
}
