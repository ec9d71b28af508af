//! Masks credentials in texts for the operator, such as log lines, and leaves the rest of the text unchanged. Knows no other family of
//! internals.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use super::search::{Exhausted, Progress, Search, Steps};
use crate::text::bounded;

/// The extent of a secret after the text that introduces it.
#[derive(Clone, Copy, Debug)]
enum Secret {
    /// The match itself.
    Whole,
    /// The password of a URL: up to the `@`, or to the end of a truncated text.
    Userinfo,
    /// The value of a header: the rest of the line.
    LineValue,
    /// A token of at least eight characters.
    Token,
    /// A value in quotes, or up to the end of the word.
    WordValue,
    /// The content of an element, up to its end tag. A `<` that no end tag follows is none of markup, such as in `List<Token> all`.
    Element,
    /// A PEM key, up to its end line, or to the end of a truncated text.
    Key,
}

/// The patterns that introduce a secret.
const CREDENTIALS: &[(Secret, &str)] = &[
    (Secret::Userinfo, r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:"),
    (Secret::LineValue, r"(?i)\b(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key)(?:\\?[\x22'])?\s*[:=]\s*[\x22']?"),
    (Secret::Token, r"(?i)\b(?:bearer|basic|negotiate|ntlm)\s+"),
    (
        Secret::WordValue,
        r"(?i)\b\w*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|private[_-]?key|passphrase|session[_-]?id)\w*(?:\\?[\x22'])?\]?\s*(?:=>?|:|</(?:t[dh]|dt)>\s*<(?:td|dd)\b[^<>]*>)\s*(?:<[^<>]*>\s*)*\[?(?:\\?[\x22'])?",
    ),
    // Names that are common words are those of credentials only if they are quoted.
    (
        Secret::WordValue,
        r"(?i)[\x22'](?:pass|user_?pass|pin|otp|otp_?code|totp|cvv2?|cvc|jwt|sid|session|auth|card|credit_?card|card_?(?:no|number)|ssn|iban)\\?[\x22']\]?\s*(?:=>|:)\s*\[?(?:\\?[\x22'])?",
    ),
    // Variables of an environment, as shells, dumps and tables of error pages show them.
    (
        Secret::WordValue,
        r"\b[A-Z][A-Z0-9_]*_(?:PASS|KEY|PW|CREDENTIALS?|DSN|AUTH|SALT|SIGNATURE)(?:=>?|\\?[\x22']\]?\s*(?:=>|:)|</(?:t[dh]|dt)>\s*<(?:td|dd)\b[^<>]*>)\s*(?:<[^<>]*>\s*)*(?:\\?[\x22'])?",
    ),
    (
        Secret::Element,
        r"(?i)[<:](?:[\w.-]*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|private[_-]?key|passphrase|session[_-]?id|signature|credential)[\w.-]*|pin|otp|cvv|cvc|jwt|sid|session|card|authorization|cookie)(?:\s[^<>]*)?>(?:\s*<!\[CDATA\[)?",
    ),
    (
        Secret::Element,
        r"(?i)\b(?:name|key)=[\x22'][\w.\[\]-]*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|passphrase)[\w.\[\]-]*[\x22'][^<>]*>",
    ),
    (
        Secret::WordValue,
        r"(?i)\bname=[\x22']?[\w.\[\]-]*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|passphrase)[\w.\[\]-]*[\x22']?\s[^<>]*\bvalue=[\x22']?",
    ),
    (
        Secret::Whole,
        r"(?i)\bvalue=[\x22'][^<>\x22']*[\x22'][^<>]*\bname=[\x22']?[\w.\[\]-]*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|passphrase)",
    ),
    // Arguments of commands.
    (Secret::WordValue, r"(?i)--[\w-]*(?:password|passwd|pwd|secret|token|passphrase|api-?key|access-?key|private-?key)\s+[\x22']?"),
    (Secret::WordValue, r" (?:-u|--user|--proxy-user)[ =][\x22']?[\w.@-]+:"),
    // The address of a database in Go.
    (Secret::Whole, r"\b[\w.-]+:[^\s\x22'<>]+@(?:tcp|unix|udp)\("),
    (
        Secret::WordValue,
        r"(?i)[?&;](?:sig|signature|code|key|auth|pass|pin|otp|jwt|sid|session)=|\bx-(?:amz|goog)-(?:signature|credential)=",
    ),
    (Secret::WordValue, r"(?i)\b(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/)"),
    (Secret::Whole, r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),
    (
        Secret::Whole,
        r"\b(?:AKIA[0-9A-Z]{12,}|gh[pousr]_\w{16,}|github_pat_\w+|[sr]k_(?:live|test)_\w+|xox[abprs]-[\w-]+|AIza[\w-]{20,}|glpat-[\w-]+)",
    ),
    (
        Secret::Whole,
        r"\b(?:ASIA[0-9A-Z]{12,}|whsec_\w{8,}|ya29\.[\w-]{10,}|npm_\w{20,}|pypi-[\w-]{20,}|dop_v1_\w{16,}|SG\.[\w-]{10,}\.[\w-]{10,}|hv[sbr]\.[\w-]{12,}|dckr_pat_[\w-]+|shp(?:at|ss|ca|pa)_\w{16,}|sk-(?:proj|ant|svcacct)-[\w-]{8,}|sk-[A-Za-z0-9]{20,}|hf_\w{16,}|gsk_\w{20,}|xkeysib-\w+|bot\d{5,}:[\w-]{5,})",
    ),
    (Secret::Key, r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
];

/// Returns the compiled patterns. A pattern that does not compile is a bug that every test run finds.
#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
fn compiled() -> &'static Search<Secret> {
    static ALL: LazyLock<Search<Secret>> =
        LazyLock::new(|| Search::new(CREDENTIALS.iter().map(|(secret, source)| (*secret, (*source).to_owned()))).expect("constants"));
    &ALL
}

thread_local! {
    static PROGRESS: RefCell<Progress> = RefCell::default();
}

/// Returns the text with credentials masked, truncated to at most `max` bytes. Line ends remain, because the log writer escapes them.
pub fn mask(text: &str, max: usize) -> String {
    let masked = masked(text);
    bounded(&masked, max).to_owned()
}

/// Does what [`mask`] does to a text that the caller owns. Most texts stay as they are.
pub fn mask_own(text: Box<str>, max: usize) -> Box<str> {
    let is_clean = text.len() <= max && secrets(text.as_bytes()).is_ok_and(|secrets| secrets.is_empty());
    if is_clean { text } else { mask(&text, max).into_boxed_str() }
}

/// Returns the text with credentials replaced by `***`. A text that takes too long to inspect becomes `***`.
pub fn masked(text: &str) -> Cow<'_, str> {
    let Ok(mut secrets) = secrets(text.as_bytes()) else { return Cow::Borrowed("***") };
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| (secret.start, secret.end));
    let mut masked = String::with_capacity(text.len());
    let mut kept = 0;
    for secret in secrets {
        if secret.start >= kept && (secret.start > kept || !masked.ends_with("***")) {
            masked.push_str(text.get(kept..secret.start).unwrap_or_default());
            masked.push_str("***");
        }
        kept = kept.max(secret.end);
    }
    masked.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(masked)
}

/// Returns the ranges of secrets, in the order in which they were found.
fn secrets(text: &[u8]) -> Result<Vec<Range<usize>>, Exhausted> {
    let (mut steps, mut secrets, mut covered) = (Steps::of(text.len()), Vec::new(), 0..0);
    let ended = PROGRESS.with_borrow_mut(|progress| {
        compiled().for_each_candidate(
            text,
            progress,
            |_| true,
            |branch, range| {
                let report = |lead: Range<usize>| {
                    if let Some(secret) = branch.tag.range(text, lead, &covered) {
                        if secret.end > covered.end {
                            covered = secret.clone();
                        }
                        secrets.push(secret);
                    }
                };
                match branch.for_each_match(text, range, &mut steps, report) {
                    Ok(until) => ControlFlow::Continue(until),
                    Err(exhausted) => ControlFlow::Break(exhausted),
                }
            },
        )
    });
    ended.break_value().map_or(Ok(secrets), Err)
}

impl Secret {
    /// Returns the bytes to mask after `lead`, if there are any. Does not read `covered` again, so that the cost stays linear.
    fn range(self, text: &[u8], lead: Range<usize>, covered: &Range<usize>) -> Option<Range<usize>> {
        let start = if covered.contains(&lead.end) { covered.end } else { lead.end };
        let rest = text.get(start..)?;
        let run = |ends: fn(u8) -> bool| rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
        let length = match self {
            Self::Whole => return Some(lead),
            Self::Key => {
                let last = memchr::memmem::find(rest, b"-----END ").map(|at| at + b"-----END ".len());
                let end = last.and_then(|last| memchr::memmem::find(&rest[last..], b"-----").map(|at| last + at + 5));
                return Some(lead.start..start + end.unwrap_or(rest.len()));
            }
            Self::Userinfo => {
                let length = run(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'@'));
                let is_port = length <= 5 && rest[..length].iter().all(u8::is_ascii_digit);
                let cut = length == rest.len() && !is_port;
                if rest.get(length) == Some(&b'@') || cut { length } else { 0 }
            }
            Self::Element => {
                let length = run(|byte| matches!(byte, b'<' | b'>'));
                if rest[length..].starts_with(b"</") || rest[..length].ends_with(b"]]") { length } else { 0 }
            }
            Self::LineValue => run(|byte| matches!(byte, b'\r' | b'\n' | b'"')),
            Self::Token => {
                let length = run(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b'-')));
                if length >= 8 { length } else { 0 }
            }
            Self::WordValue => run(|byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'&' | b',' | b';' | b'<' | b'>' | b')' | b']' | b'}')
            }),
        };
        (length > 0).then(|| start..start + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_credentials_and_keeps_the_rest() {
        let masked = mask("postgres://app:s3cr3t@db/x password=hunter2 Authorization: Bearer abcdefghijklmnop\ndone", 4096);
        for secret in ["s3cr3t", "hunter2", "abcdefghijklmnop"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.contains("@db/x") && masked.ends_with("done"), "{masked}");
        assert_eq!(mask("\u{e4}\u{f6}\u{fc}", 3), "\u{e4}");
        for (text, max) in [("password=hunter2", 99), ("plain", 99), ("plain", 3), ("", 9)] {
            assert_eq!(*mask_own(text.into(), max), *mask(text, max), "{text}");
        }
        assert_eq!(mask("at http://orders:8080/x and http://orders:8080", 99), "at http://orders:8080/x and http://orders:8080");
        let key = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE+x-y==\nabc\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(mask(key, 999), "a\n***\nb");
        assert_eq!(mask(&key[..50], 999), "a\n***");
        assert_eq!(mask("api_key: 'x y', \"token\":\"abc\", secret => q;", 999), "api_key: '*** y', \"token\":\"***\", secret => ***;");
    }

    #[test]
    fn markup_between_a_name_and_its_value_hides_nothing() {
        for text in [
            "password=<b>hunter2</b>",
            "<tr><th>DB_PASSWORD</th><td class=\"v\">hunter2</td></tr>",
            "<dt>api_key</dt>\n  <dd><code>&quot;</code>x</dd> <td>secret</td> <td><pre class=x>\"hunter2\"</pre></td>",
        ] {
            assert!(!mask(text, 999).contains("hunter2"), "{}", mask(text, 999));
        }
        assert_eq!(mask("<p>The password</p> <p>is wrong</p>", 99), "<p>The password</p> <p>is wrong</p>");
    }

    #[test]
    fn credentials_of_many_shapes_are_masked() {
        for text in [
            "<password>S3CR</password>",
            "<ns:user-password type=\"x\">S3 CR S3CR</ns:user-password>",
            "<Token><![CDATA[S3CR]]></Token>",
            "<session>S3CR</session><pin>S3CR</pin>",
            "<entry key=\"db.password\">S3CR</entry>",
            "<input name=\"password\" type=text value=\"S3CR\">",
            "<input type=hidden name='user[csrf_token]' value='S3CR'>",
            "<input value=\"S3CR\" name=\"password\">",
            "['password'] => 'S3CR'",
            "array('password' => 'S3CR', 'pin' => 'S3CR')",
            "{'session': 'S3CR', 'pin': 'S3CR', 'Cookie': 'S3CR'}",
            "POST /x params[password]=S3CR&user[api_key]=S3CR",
            "body {\\\"password\\\":\\\"S3CR\\\"} {\"token\":[\"S3CR\"]}",
            "{\"authorization\":\"S3CR\",\"Cookie\":\"S3CR\"}",
            "MAIL_PASS=S3CR AWS_KEY=S3CR 'APP_KEY' => 'S3CR'",
            "<tr><td>APP_KEY</td><td><pre>S3CR</pre></td></tr>",
            "run x --token S3CR --api-key 'S3CR'",
            "curl -u admin:S3CR http://h/ --proxy-user=a:S3CR",
            "shop:S3CR/S3CR@tcp(db:3306)/x",
            "GET http://h/a?sv=1&sig=S3CR&code=S3CR X-Amz-Signature=S3CR",
            "https://hooks.slack.com/services/T0/B0/S3CR failed",
            "/bot123456:AAS3CR/sendMessage",
            "npm_S3CRabcdefghijklmnopqrstuvwxyz SG.S3CRabcdefgh.S3CRabcdefgh hvs.S3CRabcdefghijk dop_v1_S3CRabcdefghijklm sk-proj-S3CRabcdef",
        ] {
            assert!(!mask(text, 999).contains("S3CR"), "{}", mask(text, 999));
        }
        for text in [
            "cannot convert List<Token> to Map<String, AccessToken>\n\tat a.B.c(B.java:1)",
            "ER_DUP_KEY: cannot write; PRIMARY_KEY of orders, ERR_INVALID_ARG",
            "the password field is required; 'pin' must be a number",
            "<p>Your session</p> <label>Token</label>",
            "see http://orders:8080/a?page=2&size=1 and --verbose x -u www-data",
            "at bot (bot.js:12:3), desk-0123456789abcdefghijkl, x@tcp",
        ] {
            assert_eq!(mask(text, 999), text);
        }
    }

    #[test]
    fn a_secret_before_another_one_is_masked_too() {
        for text in
            ["sqlserver://db1;user=sa;password=hunter2;opt:on", "x://c;password=hunter2;a:b@h", "password=hunter2 x://a:b@c token=hunter2"]
        {
            assert!(!mask(text, 999).contains("hunter2"), "{}", mask(text, 999));
        }
    }

    #[test]
    fn text_is_masked_before_it_is_truncated() {
        let text = format!("{} postgres://shop:Secret99@db/x", "x".repeat(90));
        for max in 90..text.len() {
            assert!(!mask(&text, max).contains("Secr"), "{}", mask(&text, max));
        }
        // A truncated text lacks the `@` that ends the password.
        assert!(!mask("connect postgres://shop:Secret", 99).contains("Secret"));
    }

    /// Returns what the search finds of all patterns.
    fn leads(text: &[u8]) -> Vec<Range<usize>> {
        let (mut steps, mut found) = (Steps::of(100 * text.len()), Vec::new());
        let ended: ControlFlow<()> = compiled().for_each_candidate(
            text,
            &mut Progress::default(),
            |_| true,
            |branch, range| ControlFlow::Continue(branch.for_each_match(text, range, &mut steps, |lead| found.push(lead)).unwrap()),
        );
        assert!(ended.is_continue());
        found
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 400, ..Default::default() })]

        /// The search finds every match that each pattern alone finds, wherever in the text it begins.
        #[test]
        fn search_agrees_with_each_pattern(shift in 0usize..9, chosen in proptest::collection::vec((0usize..10_000, proptest::bool::ANY), 0..14)) {
            let shapes = ["=", ": ", "://", "@", "\n", " ", "x", "er", "be", "\"", "a.b", "abcdefgh", "\u{e9}", "http", "0123456789ABCDEFghijklmnop", "-----"];
            let pieces: Vec<&[u8]> = compiled().strings().chain(shapes.map(str::as_bytes)).collect();
            let mut text = vec![b'.'; shift];
            for (at, upper) in chosen {
                let piece = pieces[at % pieces.len()];
                text.extend(if upper { piece.to_ascii_uppercase() } else { piece.to_vec() });
            }
            let found = leads(&text);
            for (_, source) in CREDENTIALS {
                let plain = regex::bytes::RegexBuilder::new(source).unicode(false).build().unwrap();
                for hit in plain.find_iter(&text) {
                    let covered = hit.range().all(|at| found.iter().any(|lead| lead.contains(&at)));
                    proptest::prop_assert!(covered, "{hit:?} by {source}: {found:?}");
                }
            }
        }
    }
}
