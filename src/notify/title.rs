//! The title of a failure as it may leave the gateway: without URLs, paths, names of hosts, and words that may be credentials.
//!
//! What an upstream says decides most of a title, so that it may name internals or bring a link of its own. The journal keeps the whole
//! title. Pure functions of a text.

/// What stands for what was taken out.
const OUT: &str = "\u{2026}";
/// The ends of words whose value is a credential.
const SECRETS: [&str; 12] =
    ["token", "tokens", "password", "passwd", "passphrase", "pwd", "secret", "key", "credential", "credentials", "bearer", "authorization"];
/// Words behind these names that are no value. The first ones lead to it.
const LEADING: [&str; 6] = ["is", "was", "=", ":", "value", "not"];
const USUAL: [&str; 28] = [
    "for",
    "of",
    "in",
    "from",
    "to",
    "and",
    "or",
    "has",
    "have",
    "does",
    "do",
    "cannot",
    "could",
    "must",
    "at",
    "on",
    "with",
    "by",
    "expired",
    "invalid",
    "missing",
    "required",
    "mismatch",
    "constraint",
    "violates",
    "exists",
    "found",
    "\"\u{2026}\"",
];

/// Returns a title in one line without what must not leave the gateway.
pub fn told(title: &str) -> String {
    let seen: String = title.chars().filter(|c| !is_invisible(*c)).map(as_ascii).collect();
    let mut out: Vec<String> = Vec::new();
    let mut is_value = false;
    for word in seen.split_whitespace() {
        let core = word.trim_matches(|c: char| ",;.!?()[]{}".contains(c)).to_lowercase();
        let leads = LEADING.contains(&core.as_str()) || LEADING.contains(&word);
        if names_secret(word) {
            out.push(without_places(word));
            is_value = true;
        } else if is_value && !leads && !USUAL.contains(&core.as_str()) {
            out.push(OUT.to_owned());
            is_value = false;
        } else {
            out.push(without_places(word));
            is_value &= leads;
        }
    }
    out.join(" ")
}

/// Returns true for a sign that nobody sees, such as one without width or one that turns the direction of a text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns the sign that programs take another one for: they read a full-width dot in the name of a host as a dot.
fn as_ascii(c: char) -> char {
    match c {
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
        '\u{ff0f}' => '/',
        '\u{ff1a}' => ':',
        '\u{ff20}' => '@',
        c if c.is_control() => ' ',
        c => c,
    }
}

/// Returns true if a text ends with the name of a credential.
fn names_secret(text: &str) -> bool {
    let name = text.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    SECRETS.iter().any(|secret| name.ends_with(secret))
}

/// Takes URLs, addresses of mail, paths, values of credentials and names of hosts out of a word.
fn without_places(word: &str) -> String {
    if word.match_indices('@').any(|(at, _)| word[..at].ends_with(char::is_alphanumeric)) {
        return OUT.to_owned();
    }
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
    let url = word.find("://").map(|at| word[..at].trim_end_matches(is_scheme).len());
    // The dots of `../a` are part of the path.
    let path = absolute_path(word).map(|at| word[..at].trim_end_matches('.').len());
    let value = word.match_indices([':', '=']).map(|(at, _)| at + 1).find(|at| *at < word.len() && names_secret(&word[..*at]));
    match [url, path, value].into_iter().flatten().min() {
        Some(at) => without_relative_path(&word[..at]) + OUT,
        None => without_relative_path(word),
    }
}

/// Takes a relative path or names of hosts out of a word without an absolute path. `and/or` is no path, and `Shop\Order` a class.
fn without_relative_path(word: &str) -> String {
    let slashes = word.matches('/').count();
    let has_dot = word.trim_end_matches(|c: char| !c.is_alphanumeric()).contains('.');
    if slashes > 1 || has_dot && word.contains(['/', '\\']) { OUT.to_owned() } else { without_hosts(word) }
}

/// Returns where an absolute path begins, in the way of Unix or of Windows.
fn absolute_path(word: &str) -> Option<usize> {
    let is_begin = |at: usize, c: char| {
        let is_free = !word[..at].ends_with(char::is_alphanumeric);
        is_free && at + c.len_utf8() < word.len()
    };
    word.char_indices().find(|(at, c)| matches!(c, '/' | '\\') && is_begin(*at, *c)).map(|(at, _)| at)
}

/// Takes names with dots out of a word. The name of a class stays without those around it: `java.io.IOException` is `IOException`.
fn without_hosts(word: &str) -> String {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '#' | '\u{2026}');
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        out.push_str(&without_host(&rest[..length]));
        rest = &rest[length..];
        let length = rest.find(is_of_name).unwrap_or(rest.len());
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

fn without_host(name: &str) -> String {
    let core = name.trim_matches('.');
    let labels: Vec<&str> = core.split('.').collect();
    // `e.g.` and `wait...done` are no names.
    if labels.len() < 2 || labels.iter().any(|label| label.is_empty()) || labels.iter().all(|label| label.chars().count() == 1) {
        return name.to_owned();
    }
    let last = labels[labels.len() - 1];
    let is_class = last.starts_with(char::is_uppercase) && last.contains(char::is_lowercase);
    name.replacen(core, if is_class { last } else { OUT }, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internals_are_taken_out() {
        for (title, expected) in [
            ("go to http://evil.example/phish now", "go to \u{2026} now"),
            ("see <HTTPS://evil.example|this>", "see <\u{2026}"),
            ("see http:/\u{200b}/evil.example", "see \u{2026}"),
            ("see evil.example, or evil\u{ff0e}example!", "see \u{2026}, or \u{2026}!"),
            ("No such file: /home/kim/private/salary.txt", "No such file: \u{2026}"),
            ("open(/etc/shadow): denied", "open(\u{2026} denied"),
            ("open C:\\Users\\kim\\a.txt and \\\\files\\kim", "open C:\u{2026} and \u{2026}"),
            ("open ../kim/a and src/app/main.py and docs/a.txt", "open \u{2026} and \u{2026} and \u{2026}"),
            ("cannot reach db-prod.internal.corp:#", "cannot reach \u{2026}:#"),
            ("cannot reach DB.CORP.", "cannot reach \u{2026}."),
            ("login of kim@localhost failed", "login of \u{2026} failed"),
            ("bad token hunter, password: sesame", "bad token \u{2026} password: \u{2026}"),
            ("api_key=hunter and {token:hunter}", "api_key=\u{2026} and {token:\u{2026}"),
            ("the password is sesame", "the password is \u{2026}"),
            ("Authorization: Bearer hunter failed", "Authorization: Bearer \u{2026} failed"),
        ] {
            assert_eq!(told(title), expected, "{title}");
        }
    }

    #[test]
    fn what_says_the_fault_stays() {
        for title in [
            "OrderError: order # is closed",
            "App\\Http\\OrderException: read/write of text/html failed, e.g. #.",
            "duplicate key value violates unique constraint \"\u{2026}\"",
            "the token has expired",
            "wait... no / here",
        ] {
            assert_eq!(told(title), title);
        }
        assert_eq!(told("java.lang.IllegalStateException: closed"), "IllegalStateException: closed");
    }

    proptest::proptest! {
        #[test]
        fn no_url_and_no_absolute_path_remains(title in "\\PC{0,60}|([a-z.:/\\\\@=# \u{200b}\u{ff0f}\u{ff1a}(\"\u{2026}]|://|token|C:|/home/kim){0,30}") {
            let told = told(&title);
            proptest::prop_assert!(!told.contains("://") && !told.chars().any(char::is_control), "{}", told);
            let absolute = regex::Regex::new(r"(^|[^\p{Alphabetic}\p{N}])[/\\][^\s]").unwrap();
            proptest::prop_assert!(!absolute.is_match(&told), "{}", told);
        }
    }
}
