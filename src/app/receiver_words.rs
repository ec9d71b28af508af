//! What a receiver of notifications says, without the secrets of its notifier: it may repeat headers, the path and keys in any spelling.
//!
//! Only for the operator who sends a test. Pure functions of texts; must not know what an answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::notify::settings::Form;
use crate::plan::Notify;
use crate::redact;
use crate::text::bounded;

/// How much of the words is shown, in bytes.
const MAX_WORDS: usize = 256;
/// Shorter secrets, in bytes, may be parts of usual words: a text with one is not shown at all.
const MIN_MASKED: usize = 4;
/// What stands for a text that may have a secret.
const WITHHELD: &str = "(what it says is not shown: it may repeat a secret)";

/// Returns the beginning of what a receiver says, in one line, without the secrets.
pub(super) fn words(body: &[u8], secrets: &[String]) -> String {
    let text = String::from_utf8_lossy(body);
    // What the terminal would not show must not split a secret in two.
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() >= MIN_MASKED) {
        line = without(&line, secret);
    }
    if repeats(&line, secrets) {
        return WITHHELD.to_owned();
    }
    bounded(&redact::masked(&line), MAX_WORDS).to_owned()
}

/// Returns the text with `***` for each occurrence of a secret, in small or capital letters.
fn without(text: &str, secret: &str) -> String {
    // Offsets stay the same: only ASCII letters change.
    let (lower, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for (at, _) in lower.match_indices(&secret) {
        out.push_str(&text[kept..at]);
        out.push_str("***");
        kept = at + secret.len();
    }
    out.push_str(&text[kept..]);
    out
}

/// Returns true if the text still has a secret: a short one, or one with other escapes, separators or capital letters.
fn repeats(text: &str, secrets: &[String]) -> bool {
    let once = percent_decode_str(text).decode_utf8_lossy().into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
    let views = [text, &once, &twice].map(str::to_ascii_lowercase);
    let plain_views = views.clone().map(|view| plain(&unescaped(&view)));
    secrets.iter().any(|secret| {
        let bare = plain(secret);
        views.iter().any(|view| view.contains(&secret.to_ascii_lowercase()))
            || bare.len() >= MIN_MASKED && plain_views.iter().any(|view| view.contains(&bare))
    })
}

/// Returns the letters and digits of a text, in small letters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns a text without the escapes of HTML and JSON for signs, which [`plain`] would take for letters and digits.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['&', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').filter(|end| rest.starts_with('&') && *end <= 8 && !rest[..*end].contains(' '));
        let unicode = rest.strip_prefix("\\u").and_then(|digits| digits.get(..4));
        let code = unicode.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        rest = match (entity, code) {
            (Some(end), _) => {
                let numeric = rest[1..end].strip_prefix('#');
                let hexadecimal = numeric.and_then(|number| number.strip_prefix('x'));
                let code = match (hexadecimal, numeric) {
                    (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
                    (None, digits) => digits.and_then(|digits| digits.parse().ok()),
                };
                out.extend(code.and_then(char::from_u32));
                &rest[end + 1..]
            }
            (None, Some(code)) => {
                out.extend(char::from_u32(code));
                &rest[6..]
            }
            (None, None) => &rest[1..],
        };
    }
    out.push_str(rest);
    out
}

/// Returns all that opens the receiver or proves who sends: values of headers, the key of signatures, and the parts of path and query. The
/// longest is first, so that no part of a secret is masked before the whole.
pub(super) fn secrets(notify: &Notify) -> Vec<String> {
    let mut secrets = Vec::new();
    for (_, value) in &notify.headers {
        let value = String::from_utf8_lossy(value.reveal().as_bytes()).into_owned();
        match &notify.settings.form {
            // What is before the key is the same for everybody.
            Form::Sentry => secrets.extend(value.rsplit('=').next().map(str::to_owned)),
            Form::Webhook { .. } | Form::Slack | Form::Teams | Form::Discord => of_header(&value, &mut secrets),
        }
    }
    if let Form::Webhook { secret: Some(key), template: _ } = &notify.settings.form {
        secrets.push(key.reveal().clone());
    }
    let path = notify.path.reveal();
    path.path().split('/').for_each(|part| of_part(part, &mut secrets));
    for parameter in path.query().unwrap_or_default().split('&') {
        match parameter.split_once('=').filter(|(_, value)| !value.trim_matches('=').is_empty()) {
            Some((name, value)) => {
                // A short name such as `key` is no secret.
                if name.len() >= MIN_MASKED {
                    of_part(name, &mut secrets);
                }
                of_part(value, &mut secrets);
            }
            None => of_part(parameter, &mut secrets),
        }
    }
    secrets.retain(|secret| !secret.trim().is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// Adds the value of a header, its parts, and the user and the password of basic authentication (RFC 7617).
fn of_header(value: &str, secrets: &mut Vec<String>) {
    secrets.push(value.to_owned());
    let Some((scheme, rest)) = value.split_once(' ') else { return };
    secrets.extend(rest.split([' ', ',', ';', '"']).map(str::to_owned));
    let decoded = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
    if let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
        secrets.extend(decoded.split_once(':').map(|(_, password)| password.to_owned()));
        secrets.push(decoded);
    }
}

/// Adds a part of a path or a query, also as a receiver may decode it.
fn of_part(part: &str, secrets: &mut Vec<String>) {
    let decoded = percent_decode_str(part).decode_utf8_lossy().into_owned();
    secrets.extend([part.to_owned(), decoded.replace('+', " "), decoded]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::from_text;

    fn secrets_of(keys: &str) -> Vec<String> {
        let lookup = |name: &str| {
            let value = match name {
                "URL" => "https://hooks.example.com/hook/se%2Fcr%65t-path?key=hunter2&dev&sig=p%2Bq%3D9",
                "DSN" => "https://abcdef0123@o1.example.com/base/42",
                "TOKEN" => "Bearer t0k\"n-of-header",
                "BASIC" => "Basic a2ltOm9wZW4tc2VzYW1l",
                "KEY" => "a-key&of signatures",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let base = "[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"a\"\n[[notify]]\n";
        let plan = from_text(&format!("{base}{keys}\n"), &lookup).unwrap();
        secrets(&plan.notify[0])
    }

    const WEBHOOK: &str =
        "kind = \"webhook\"\nurl = \"${URL}\"\nsecret = \"${KEY}\"\nheaders = { authorization = \"${TOKEN}\", x-b = \"${BASIC}\" }";

    #[test]
    fn no_spelling_of_a_secret_is_shown() {
        let secrets = secrets_of(WEBHOOK);
        for said in [
            "no hook se%2Fcr%65t-path",
            "no hook /se/cret-path",
            "SE%2FCR%65T-PATH",
            "key=hunter2",
            "Hunter2",
            "hunt\ner2",
            "hun\u{0}ter2",
            "authorization: Bearer t0k\"n-of-header",
            "{\"authorization\":\"Bearer t0k\\\"n-of-header\"}",
            "t0k&quot;n-of-header",
            "t0k\\u0022n-of-header",
            "t0k%22n-of-header",
            "t0k%2522n-of-header",
            "a2ltOm9wZW4tc2VzYW1l",
            "kim:open-sesame",
            "open-sesame",
            "a-key&of signatures",
            "a-key&amp;of signatures",
            "a-key%26of+signatures",
            "sig p%2Bq%3D9",
            "sig p+q=9",
            "&#104;unter2",
        ] {
            let shown = words(format!("sorry, {said}").as_bytes(), &secrets).to_lowercase();
            for secret in
                ["cr%65t", "cret-path", "hunter", "hunt", "t0k", "of-header", "a2lt", "sesame", "signatures", "p%2bq", "p+q", "unter2"]
            {
                assert!(!shown.contains(secret), "{said}: {shown}");
            }
        }
        assert_eq!(words(b"no /hook/se%2Fcr%65t-path", &secrets), "no /***/***");
        assert_eq!(words(b"invalid_payload\r\n\x1b[2J", &secrets), "invalid_payload [2J");
        assert_eq!(words(b"the Dev team", &secrets), WITHHELD, "`dev` is short");
    }

    #[test]
    fn the_key_of_a_dsn_is_not_shown() {
        let secrets = secrets_of("kind = \"sentry\"\nurl = \"${DSN}\"");
        assert_eq!(words(b"no project with sentry_version=7 sentry_key=ABCDEF0123", &secrets).find("ABCDEF"), None);
        assert_eq!(words(b"bad envelope for abcdef0123", &secrets), "bad *** for ***");
        assert_eq!(words(b"no project 42", &secrets), WITHHELD);
    }

    proptest::proptest! {
        #[test]
        fn any_text_around_a_secret_hides_it(before in "\\PC{0,20}", after in "\\PC{0,20}", control in "[\\x00-\\x1f\\x7f]{0,2}") {
            let said = format!("{before}t0k{control}\"n-of-header{after}");
            let shown = words(said.as_bytes(), &secrets_of(WEBHOOK));
            proptest::prop_assert!(!shown.contains("n-of-header") && !shown.chars().any(char::is_control), "{}", shown);
        }
    }
}
