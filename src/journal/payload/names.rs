//! Names whose values are credentials.
//!
//! Pure functions of a name or a value.

use crate::journal::rules::Rules;

/// Parts of names whose values are credentials, without punctuation and in lower case.
const SECRET_PARTS: [&str; 16] = [
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
    "cookie",
    "session",
    "signature",
    "assertion",
];
/// Names that are credentials as a whole, or that nobody should find in a journal.
const SECRET_NAMES: [&str; 16] =
    ["pass", "pin", "otp", "totp", "cvv", "cvv2", "cvc", "jwt", "auth", "ssn", "iban", "pan", "card", "cardnumber", "key", "code"];

/// Returns true if the value of a name is a credential.
pub(super) fn is_secret(name: &str, rules: &Rules) -> bool {
    let lower = name.to_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    SECRET_PARTS.iter().any(|part| plain.contains(part)) || SECRET_NAMES.contains(&plain.as_str()) || rules.headers.contains(&lower)
}

/// Returns a value of a member or a field, masked.
pub(super) fn value(text: &str, rules: &Rules) -> String {
    rules.text(text, usize::MAX)
}
