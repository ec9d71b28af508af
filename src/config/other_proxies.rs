//! Answers keys of other proxies with the equivalent of Lockgate and an example, for diagnostics. The answers are in `other_proxies.toml`.
//!
//! Must not know which keys a section has: a key is looked up only where it is none of its section.

use std::sync::LazyLock;

use toml::{Table, Value};

/// What Lockgate has instead of a key of another proxy.
#[derive(Debug)]
pub struct Answer {
    /// The proxy and a key of it, or `Lockgate` for a key that belongs to another section.
    pub keys: Vec<(String, String)>,
    /// The equivalent, or what Lockgate does without a key.
    pub text: String,
    /// TOML to write instead; empty if there is nothing to write.
    pub example: String,
}

/// All answers. They are read when the first one is looked for.
static ANSWERS: LazyLock<Vec<Answer>> = LazyLock::new(|| read(include_str!("other_proxies.toml")));

fn read(text: &str) -> Vec<Answer> {
    let file = text.parse::<Table>().unwrap_or_default();
    let answers = file.get("answer").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    answers.iter().filter_map(Value::as_table).map(answer).collect()
}

fn answer(table: &Table) -> Answer {
    let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let keys = table.get("keys").and_then(Value::as_table).into_iter().flatten();
    let keys = keys.flat_map(|(proxy, keys)| {
        let keys = keys.as_array().into_iter().flatten().filter_map(Value::as_str);
        keys.map(|key| (proxy.clone(), key.to_owned()))
    });
    Answer { keys: keys.collect(), text: text("text"), example: text("example") }
}

/// Returns all answers.
pub fn answers() -> &'static [Answer] {
    &ANSWERS
}

/// Returns the help for a key that its section does not have, if it is a key of another proxy or of another section. The spelling does not
/// matter: `passHostHeader`, `pass-host-header` and `pass_host_header` are one key.
pub(super) fn help(key: &str) -> Option<String> {
    let wanted = plain(key);
    let (answer, proxy) =
        ANSWERS.iter().find_map(|answer| answer.keys.iter().find(|(_, name)| plain(name) == wanted).map(|(proxy, _)| (answer, proxy)))?;
    let text = &answer.text;
    let mut help = match proxy.as_str() {
        "Lockgate" => format!("this is a key of {text}"),
        proxy if ["not ", "nothing "].iter().any(|begin| text.starts_with(begin)) => format!("this key belongs to {proxy}; {text}"),
        proxy => format!("this key belongs to {proxy}; Lockgate has {text}"),
    };
    if !answer.example.is_empty() {
        help.push_str(":\n");
        answer.example.lines().for_each(|line| help.push_str(&format!("\n    {line}")));
    }
    Some(help)
}

/// A key without case, `_`, `-` and blanks.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_answered_once() {
        let mut seen = std::collections::HashSet::new();
        for answer in answers() {
            assert!(!answer.text.is_empty() && !answer.keys.is_empty(), "{answer:?}");
            for (_, key) in &answer.keys {
                assert!(seen.insert(plain(key)), "`{key}` has two answers");
            }
        }
        assert!(seen.len() > 300, "{}", seen.len());
    }

    #[test]
    fn the_spelling_does_not_matter() {
        for key in ["passHostHeader", "pass-host-header", "pass_host_header"] {
            assert!(help(key).unwrap().contains("host_header = \"client\""), "{key}");
        }
        assert!(help("proxy_pass").unwrap().starts_with("this key belongs to nginx"));
        assert_eq!(help("strip_prefix").unwrap(), "this is a key of [[routes]]");
        assert_eq!(help("connect_timeout"), None);
    }
}
