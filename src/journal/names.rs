//! Names whose values are credentials: of members of bodies, fields of forms, headers and parameters of queries.
//!
//! Pure functions of a name. Must not know what the name is part of.

use super::judged::Judged;
use super::rules::Rules;

/// Parts of names whose values are credentials, without punctuation and in lower case.
const SECRET_PARTS: [&str; 31] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "authentication",
    "cookie",
    "session",
    "signature",
    "assertion",
    "clientcert",
    "connectionstring",
    "samlresponse",
    "codeverifier",
    "csrf",
    "xsrf",
    "creditcard",
    "cardnumber",
    "userpass",
    "dbpass",
    "otpcode",
    "pincode",
    "subscriptionkey",
    "bearer",
];
/// Words of names whose values are credentials, or that nobody should find in a journal.
const SECRET_WORDS: [&str; 14] = ["otp", "totp", "mfa", "cvv", "cvc", "csc", "jwt", "ssn", "iban", "sid", "sig", "dpop", "dsn", "hmac"];
/// Words that are names of numbers of cards and their codes, and of much else: `card_type`, `pin_count`. They make a name one of a credential
/// if they end it, or if only words of [`NUMBERS`] or further secret words follow.
const AMBIGUOUS: [&str; 3] = ["pin", "pan", "card"];
/// Words that a number or a code is called by.
const NUMBERS: [&str; 28] = [
    "code",
    "codes",
    "number",
    "numbers",
    "num",
    "no",
    "nr",
    "value",
    "values",
    "val",
    "hash",
    "digit",
    "digits",
    "data",
    "details",
    "info",
    "text",
    "input",
    "raw",
    "plain",
    "encrypted",
    "block",
    "old",
    "new",
    "current",
    "confirm",
    "confirmation",
    "repeat",
];
/// Words that make a name one of a credential if they end it.
const SECRET_ENDS: [&str; 3] = ["pass", "auth", "key"];
/// Words before `key` in names that are no credentials.
const PLAIN_KEYS: [&str; 20] = [
    "idempotency",
    "surrogate",
    "cache",
    "websocket",
    "public",
    "primary",
    "foreign",
    "partition",
    "routing",
    "sort",
    "message",
    "translation",
    "error",
    "index",
    "duplicate",
    "unique",
    "row",
    "object",
    "issue",
    "i18n",
];
/// Words that say that a value is none itself, but is told beside its name: `{"name": "password", "value": "x"}`.
const LABELS: [&str; 12] =
    ["name", "key", "field", "param", "parameter", "header", "property", "attribute", "path", "loc", "pointer", "variable"];
/// Words of the names of such values.
const VALUES: [&str; 7] = ["value", "values", "val", "input", "content", "given", "actual"];
/// Words of the names of lists that hold names: `{"required": ["password", "email"]}`.
const NAME_LISTS: [&str; 16] = [
    "required",
    "fields",
    "field",
    "missing",
    "columns",
    "column",
    "names",
    "unknown",
    "unexpected",
    "invalid",
    "allowed",
    "properties",
    "scopes",
    "roles",
    "loc",
    "path",
];
/// The longest text that may be the name of a member, in bytes.
const MAX_LABEL: usize = 128;

/// Returns what a name says of its value.
pub(super) fn judged(name: &str, rules: &Rules) -> Judged {
    let judge = |name: &str| {
        let is_credential = is_credential(name, rules);
        let is_secret = is_credential || matches!(plain(name).as_str(), "key" | "code");
        Judged { is_credential, is_secret, is_label: is_label(name), is_value: is_value(name), lists_names: lists_names(name) }
    };
    rules.names.of(name, judge)
}

/// Returns true if the value of a name in a request is a credential.
pub(super) fn is_secret(name: &str, rules: &Rules) -> bool {
    judged(name, rules).is_secret
}

/// Returns true if the value of a name is a credential wherever it stands. In an error, `code` and `key` alone name what went wrong.
fn is_credential(name: &str, rules: &Rules) -> bool {
    let plain = plain(name);
    if SECRET_PARTS.iter().any(|part| plain.contains(part)) || rules.headers.contains(&name.to_lowercase()) {
        return true;
    }
    let words = words(name);
    let ends = words.last().is_some_and(|last| SECRET_ENDS.contains(&last.as_str()));
    let is_plain_key = || match words.as_slice() {
        [.., before, last] if last == "key" => PLAIN_KEYS.contains(&before.as_str()),
        [only] => only == "key",
        _ => false,
    };
    has_secret_word(&words) || ends && !is_plain_key()
}

/// Returns true if a word among those of a name is one of a credential.
fn has_secret_word(words: &[String]) -> bool {
    let is = |list: &[&str], word: &String| list.contains(&word.as_str());
    words.iter().enumerate().any(|(at, word)| {
        let is_followed_by_a_number = || words[at + 1..].iter().all(|next| is(&NUMBERS, next) || is(&AMBIGUOUS, next));
        is(&SECRET_WORDS, word) || is(&AMBIGUOUS, word) && is_followed_by_a_number()
    })
}

/// Returns true if the value of a field of a form is a credential: if its name or a part of it is the name of one. A part in brackets names
/// a member (`user[key]`), as in PHP and Rails.
pub(super) fn is_secret_field(name: &str, rules: &Rules) -> bool {
    let mut parts = name.split(['[', ']', '.']).filter(|part| !part.is_empty());
    is_secret(name, rules) || parts.any(|part| is_secret(part, rules))
}

/// Returns true if the value of a header is a credential.
pub(super) fn is_secret_header(name: &str, rules: &Rules) -> bool {
    // Its headers hold names and switches, such as `access-control-allow-credentials: true`.
    let is_policy = name.starts_with("access-control-");
    (!is_policy && judged(name, rules).is_credential) || rules.headers.iter().any(|header| header == name)
}

/// Returns true if a member of this name holds the name of another one.
fn is_label(name: &str) -> bool {
    words(name).last().is_some_and(|last| LABELS.contains(&last.as_str()))
}

/// Returns true if a member of this name holds the value of what another member names.
fn is_value(name: &str) -> bool {
    words(name).last().is_some_and(|last| VALUES.contains(&last.as_str()))
}

/// Returns true if a list of this name holds names, and no pairs of a name and its value.
fn lists_names(name: &str) -> bool {
    words(name).last().is_some_and(|last| NAME_LISTS.contains(&last.as_str()))
}

/// Returns true if a text can be a name and no more: letters with the punctuation of names.
pub(super) fn is_plain_name(text: &str) -> bool {
    text.len() <= MAX_LABEL && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.'))
}

/// Returns true if a text is the name of a credential.
pub(super) fn names_credential(text: &str, rules: &Rules) -> bool {
    text.len() <= MAX_LABEL && judged(text, rules).is_credential
}

/// Returns a name without punctuation, in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the words of a name in lower case and without the digits at their ends: of `card-no`, `card_no` and `cardNo2`.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut was_lower) = (Vec::new(), String::new(), false);
    for c in name.chars() {
        if (!c.is_alphanumeric() || c.is_uppercase() && was_lower) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.push(word);
    words.iter().map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { body_limit: 0, headers: vec!["x-tenant".into()], patterns: Vec::new(), gateway: String::new(), names: Default::default() }
    }

    #[test]
    fn names_are_judged_by_their_parts() {
        let names = "authorization proxy-authorization cookie cookie2 set-cookie x-api-key api-key x-auth-token x-amz-security-token \
            client-cert x-csrf-token x-access-token x-session-token x-vault-token private-token x-gitlab-token x-goog-api-key \
            ocp-apim-subscription-key apikey x-api-token x-xsrf-token x-password x-secret x-signature x-amz-signature \
            x-hub-signature-256 x-jwt-assertion dpop x-session authentication-info x-functions-key x-tenant x-pass \
            user_pass credit_card cardNo otpCode sid sessionId pin cvv2 Pass-Word userPIN PIN X_API_KEY basicAuth pin_code pinCode2 \
            card_number card_no card_pan new_pin pin_confirm cardDetails pin_hash pan card pin1";
        for name in names.split_whitespace() {
            assert!(is_credential(name, &rules()), "{name}");
        }
        let others = "host accept content-type user-agent x-request-id idempotency-key sec-websocket-key surrogate-key primaryKey key code \
            message stack exception trace error author authority errorCode path status www-authenticate keyboard monkey spinner panel \
            discard passage bypassed compass cardinal x-auth-request-email shipping pinned cause pan_european card_type pin_count \
            business_card_layout cardLayout pan-speed pin_is_set card_brand";
        for name in others.split_whitespace() {
            assert!(!is_credential(name, &rules()), "{name}");
        }
        assert!(is_secret("code", &rules()) && is_secret("key", &rules()));
        for name in ["user[pass]", "user[pass][]", "pass[user]", "user[key]", "code[0]", "a.code.b", "user[pass"] {
            assert!(is_secret_field(name, &rules()), "{name}");
        }
        assert!(!is_secret_field("user[name]", &rules()) && !is_secret_field("card_type[a]", &rules()));
        assert!(!is_secret_header("access-control-allow-credentials", &rules()));
    }
}
