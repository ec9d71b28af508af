//! The redactor of short texts: decides whether a message, a code or a field name is clean, and keeps its clean part.
//!
//! `document` handles whole documents and `guard` handles streams. This file knows neither.

use std::borrow::Cow;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::encoded;
use super::engine::{self, Exhausted, Hit, RuleFilter, Steps};
use super::markup;
use super::quotation;
use super::rules::{Family, Weight};
use super::sentence;
use super::view::View;
use crate::text::{Text, Untrusted, bounded};

/// The maximum length of a message, in characters. A longer one is not a sentence for a client.
const MAX_MESSAGE: usize = 2_000;
/// The length of the part of a message that is inspected, in bytes.
const MAX_SCAN: usize = 16 * 1024;
/// The maximum number of layers of escapes, and of markup, that are removed from a message.
const MAX_LAYERS: usize = 3;

/// Whether a tag in a text is an internal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markup {
    Leaks,
    /// The text speaks of a tag.
    IsText,
}

/// The built-in rules and an operator's additions. Each `[errors.redact]` table has one, made when the plan is compiled.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// The operator's patterns, for a search that only needs to know whether one matches. Empty if there are none.
    extra_set: RegexSet,
    extra_patterns: Vec<regex::bytes::Regex>,
    /// Texts that no rule applies to.
    allow: Vec<String>,
}

/// Texts that an operator's pattern must not match.
const HARMLESS: [&[u8]; 4] = [b"", b" ", b"a", b"The request is not valid."];
/// The maximum size of the operator's compiled patterns, in bytes.
const MAX_EXTRA: usize = 8 << 20;

impl Redactor {
    /// Adds an operator's patterns and exceptions.
    ///
    /// # Errors
    /// Returns the index of the first invalid pattern and the reason.
    pub fn new(extra: &[String], allow: &[String]) -> Result<Self, (usize, String)> {
        let compile = |(at, pattern): (usize, &String)| {
            let built = regex::bytes::RegexBuilder::new(pattern).size_limit(MAX_EXTRA).build();
            built.map_err(|error| (at, error.to_string()))
        };
        let extra_patterns = extra.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
        if let Some(at) = extra_patterns.iter().position(|pattern| HARMLESS.iter().any(|text| pattern.is_match(text))) {
            return Err((at, "it matches harmless text too, so everything would be dirty".into()));
        }
        let extra_set = RegexSetBuilder::new(extra).size_limit(MAX_EXTRA).build().map_err(|error| (0, error.to_string()))?;
        Ok(Self { extra_set, extra_patterns, allow: allow.iter().filter(|text| !text.is_empty()).cloned().collect() })
    }

    /// Returns the text if it holds no internal, or else the clean sentences before the first one that does. Removes the tags of running
    /// text, and replaces white space and control characters with single spaces.
    pub fn clear(&self, text: &Untrusted) -> Option<Text> {
        // Tags of running text are removed with their attributes; everything that stays is inspected.
        let plain = markup::without_tags(bounded(text.raw().trim(), MAX_SCAN));
        let has_tags = matches!(plain, Cow::Owned(_));
        let raw = plain.trim();
        let kept = if self.sentence_leaks(raw, Markup::Leaks) {
            sentence::clean_lead(raw, |sentence| self.sentence_leaks(sentence, Markup::Leaks))?
        } else {
            raw
        };
        // A text with tags spells out its other angle brackets: `<code>&lt;html&gt;</code>` speaks of a tag.
        let (flat, markup) = if has_tags { (flatten(&markup::decoded(kept)), Markup::IsText) } else { (flatten(kept), Markup::Leaks) };
        // The client sees one line, and joined lines may match a rule that no single line matches.
        if flat != raw && self.sentence_leaks(&flat, markup) {
            return None;
        }
        let is_valid =
            !flat.is_empty() && flat.len() <= 4 * MAX_MESSAGE && (flat.len() <= MAX_MESSAGE || flat.chars().count() <= MAX_MESSAGE);
        is_valid.then(|| Text::cleared(flat))
    }

    /// Returns true if the text holds an internal, or takes too long to inspect.
    pub fn leaks(&self, text: &str) -> bool {
        self.leaks_within(text, &mut Steps::of(text.len()))
    }

    pub(super) fn leaks_within(&self, text: &str, steps: &mut Steps) -> bool {
        self.any_view_leaks(text, Markup::Leaks, steps)
    }

    /// Returns true if a message holds an internal. A quotation of words that only name an exception does not count.
    fn sentence_leaks(&self, text: &str, markup: Markup) -> bool {
        let dirty = |text: &str| self.any_view_leaks(text, markup, &mut Steps::of(text.len()));
        dirty(text) && quotation::without_names(text).is_none_or(|rest| dirty(&rest))
    }

    fn any_view_leaks(&self, text: &str, markup: Markup, steps: &mut Steps) -> bool {
        let mut dirty = |text: &str| self.leaks_in_views(text, markup, steps) != Ok(false);
        dirty(text) || normalized(text).is_some_and(|plain| dirty(&plain)) || encoded::decoded_texts(text).any(|text| dirty(&text))
    }

    /// Returns true if the visible text of a page holds an internal, or the page holds output that only a failing program writes.
    pub fn page_leaks(&self, page: &str) -> bool {
        let visible = View::of(page.as_bytes()).visible();
        self.any(&visible.text, RuleFilter::EXCEPT_MARKUP, &mut Steps::of(page.len())) != Ok(false) || self.document_leaks(page)
    }

    fn leaks_in_views(&self, text: &str, markup: Markup, steps: &mut Steps) -> Result<bool, Exhausted> {
        let text = self.without_allowed(text.as_bytes());
        let filter = if markup == Markup::Leaks { RuleFilter::ALL } else { RuleFilter::EXCEPT_MARKUP };
        let mut view = View::of(&text);
        if self.any(&view.text, filter, steps)? {
            return Ok(true);
        }
        // JSON may hold JSON as a string, and markup may spell out markup.
        for _ in 0..MAX_LAYERS {
            let next = if view.has_escapes() { Some(view.unescaped()) } else { view.unprefixed() };
            let Some(next) = next else { break };
            view = next;
            if self.any(&view.text, filter, steps)? {
                return Ok(true);
            }
        }
        for _ in 0..MAX_LAYERS {
            if !view.has_markup() {
                return Ok(false);
            }
            let shown = view.visible();
            if self.any(&shown.text, RuleFilter::EXCEPT_MARKUP, steps)?
                || self.any(&view.attributes().text, RuleFilter::EXCEPT_MARKUP, steps)?
            {
                return Ok(true);
            }
            if shown.text == view.text {
                return Ok(false);
            }
            view = shown;
        }
        // More layers than any text has that a person reads.
        Ok(view.has_markup())
    }

    /// Returns true if the cookie holds an internal. Secrets and assignments do not count, because cookies consist of them.
    pub fn cookie_leaks(&self, cookie: &str) -> bool {
        self.matches_as_is(cookie, RuleFilter::except(&[Family::Secret, Family::Environment]))
    }

    /// Returns the code if it may be shown: `[A-Za-z0-9_.:-]{1,64}` with a letter or digit, and not a qualified class name.
    pub fn clear_code(&self, code: &str) -> Option<String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        let has_alphanumeric = code.bytes().any(|b| b.is_ascii_alphanumeric());
        let is_valid = has_alphanumeric
            && (1..=64).contains(&code.len())
            && code.bytes().all(allowed)
            && !is_class_name(code)
            && !self.matches_as_is(code, RuleFilter::except(&[Family::Class]));
        is_valid.then(|| code.to_owned())
    }

    /// Returns the path of a field if it may be shown: 1 to 128 bytes, without control characters and internals.
    pub fn clear_field(&self, path: &str) -> Option<String> {
        // `Data.Initiation.Account` looks like a class name, but is a valid path of a field.
        let dirty = || self.matches_as_is(path, RuleFilter::except(&[Family::Class]));
        let is_valid = (1..=128).contains(&path.len()) && !path.chars().any(char::is_control) && !dirty();
        is_valid.then(|| path.to_owned())
    }

    /// Returns true if a rule within `filter`, or one of the operator's, matches.
    fn any(&self, text: &[u8], filter: RuleFilter, steps: &mut Steps) -> Result<bool, Exhausted> {
        Ok(engine::any(text, filter, steps)? || (!self.extra_patterns.is_empty() && self.extra_set.is_match(text)))
    }

    /// Returns true if a rule matches the text as it is, or it takes too long to inspect. For short texts that need no other view.
    fn matches_as_is(&self, text: &str, filter: RuleFilter) -> bool {
        self.any(text.as_bytes(), filter, &mut Steps::of(text.len())) != Ok(false)
    }

    /// Returns the matches of the rules within `filter` and of the operator's, in the order of the text.
    pub(super) fn hits(&self, text: &[u8], filter: RuleFilter, steps: &mut Steps) -> Result<Vec<Hit>, Exhausted> {
        let mut hits = engine::hits(text, filter, steps)?;
        for pattern in &self.extra_patterns {
            hits.extend(pattern.find_iter(text).map(|hit| Hit { family: Family::Extra, weight: Weight::Sure, span: hit.range() }));
        }
        if !self.extra_patterns.is_empty() {
            hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
        }
        Ok(hits)
    }

    /// Replaces the allowed texts with spaces, so that the length and all offsets stay the same.
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

/// Normalizes full-width forms, unusual spaces and zero-width characters (Unicode 17 chapters 6.2 and 23.2), and decodes percent escapes,
/// because a person can read all of these. Returns `None` for ASCII text without percent escapes.
fn normalized(text: &str) -> Option<String> {
    let is_escape = |at: usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    let percent = memchr::memchr_iter(b'%', text.as_bytes()).any(is_escape);
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

/// Returns true if the code is the qualified name of a class (`com.acme.LockedException`, `Acme::LockedError`) or a host with a port.
fn is_class_name(code: &str) -> bool {
    let parts: Vec<&str> = code.split(['.', ':']).filter(|part| !part.is_empty()).collect();
    let camel = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && part.contains(|c: char| c.is_ascii_lowercase());
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() < 2 {
        return false;
    }
    // The fault codes of SOAP itself say which side failed.
    let soap = matches!(*first, "Client" | "Server" | "Sender" | "Receiver" | "soap" | "env");
    let thrown = last.ends_with("Exception") || last.ends_with("Throwable") || (last.ends_with("Error") && camel(last));
    let package = first.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && parts.len() > 2;
    let domain =
        matches!(*first, "com" | "org" | "net" | "io" | "java" | "javax" | "jakarta" | "kotlin" | "scala" | "dev" | "de" | "kr" | "jp");
    let digits = (2..=5).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit()) && !last.starts_with('0');
    let port = digits && code.contains(':') && first.starts_with(|c: char| c.is_ascii_lowercase());
    (thrown && !soap) || (package && (domain || parts.iter().any(|part| camel(part)))) || (code.contains("::") && camel(last)) || port
}

/// Joins the text into one line: extra_patterns run of white space and control characters becomes one space.
fn flatten(text: &str) -> String {
    let text = text.trim();
    // Most messages are one line of ASCII with single spaces.
    let is_flat = |bytes: &[u8]| {
        let mut space = false;
        bytes.iter().all(|byte| {
            let ok = (b'!'..=b'~').contains(byte) || (*byte == b' ' && !space);
            space = *byte == b' ';
            ok
        })
    };
    if text.len() <= 4 * MAX_MESSAGE && is_flat(text.as_bytes()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(4 * MAX_MESSAGE));
    let mut gap = false;
    for c in text.chars().take(4 * MAX_MESSAGE) {
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
        r"failed in \x2fsrv\x2fapp\x2fdao.py",
        "cart is not defined",
        "total.sum is not a function",
        "SELECT name FROM users",
        "select id from users u where u.id=7",
        "DROP TABLE users",
        "create table orders (id int)",
        "connect to localhost failed",
        "could not reach localhost:8080",
        "connect ECONNREFUSED",
        "ENOENT: no such file",
        "The handler \"OrderLockedException\" is not known here",
        "update or delete on table \"orders\" was refused",
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
        "Please select a size from the list.",
        "Cannot perform update statement on table \"Orders\" without a filter.",
        "Table \"Orders\" does not exist.",
        "Connection refused by the other player.",
        "Fatal error: the tournament is over.",
        "ERROR: problem creating the entry",
        "Page is not defined. Therefore, it can not be displayed.",
        "Not supported by this version of MySQL.",
        "Keep 'localhost' if you are not sure",
        "The DROP DATABASE statement is disabled.",
        "You are seeing this message because this site requires a cookie.",
        "An error occurred while updating the value.",
        "Your plan is Empty list and more",
        "The tag \"NullPointerException\" already exists.",
        "The title \"Traceback (most recent call last):\" is already used by another topic.",
        "The receipt MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo is not known",
        "The value SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0IG9mIGJhc2U2NC4= is not allowed",
    ];

    #[test]
    fn internals_are_detected() {
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
    fn tags_are_removed_and_what_they_hide_is_inspected() {
        let clear = |text: &str| Redactor::default().clear(&Untrusted::new(text)).map(|text| text.as_str().to_owned());
        assert_eq!(clear("<strong>ERROR</strong>: <a href='/lost'>Lost your password</a>?").as_deref(), Some("ERROR: Lost your password?"));
        // An attribute is not sent.
        assert_eq!(clear("<b title=\"at&#32;com.acme.Order.find(Order.java&colon;42)\">Not valid</b>").as_deref(), Some("Not valid"));
        assert_eq!(clear("at <b>com.acme.</b>Order.find(Order.java&colon;42)"), None);
        assert_eq!(clear("<code>&lt;html&gt;</code> may not stand here").as_deref(), Some("<html> may not stand here"));
        assert_eq!(clear("Choose &lt;a href='x'&gt;this&lt;/a&gt;").as_deref(), Some("Choose &lt;a href='x'&gt;this&lt;/a&gt;"));
        assert_eq!(clear("at &lt;b&gt;com.acme.&lt;/b&gt;Order.find(Order.java:42)"), None);
        assert_eq!(clear("in <b>/var/www/shop/Order.php</b> on line <b>7</b>"), None);
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
        fn arbitrary_text_does_not_panic(text in "\\PC{0,200}", max in 0usize..64) {
            let redactor = Redactor::default();
            let _ = redactor.clear(&Untrusted::new(text.clone()));
            mask(&text, max);
            let _ = redactor.clear_code(&text);
            let _ = redactor.document(&text);
        }
    }
}
