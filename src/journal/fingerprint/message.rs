//! A message without what differs between occurrences of one fault: numbers, ids, quoted values, addresses, dates.
//!
//! Pure functions of a text.

/// The most of a text that is read, in bytes.
const MAX: usize = 8 * 1024;
/// The most of the result that matters, in bytes. Cut at the end: values of other lengths must not move the cut.
const MAX_NORMAL: usize = 400;
/// What stands for a quoted value.
const QUOTED: &str = "\"\u{2026}\"";
/// So many words in quotes are a sentence, which stays, and no value.
const SENTENCE: usize = 5;

/// The words of dates: a number beside them makes them part of it.
const DATES: [&str; 19] =
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the message without its values. Whitespace is one blank.
pub(super) fn normal(text: &str) -> String {
    let text = crate::text::bounded(text, MAX);
    let unquoted = without_quotes(text);
    let mut out = String::with_capacity(unquoted.len());
    for word in unquoted.split_whitespace() {
        let word = normal_word(word);
        // A list of numbers is as one.
        if !(out.ends_with('#') && (word == "#" || is_date(&word))) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(&word);
        }
        if out.len() > MAX_NORMAL {
            break;
        }
    }
    crate::text::bounded(&out, MAX_NORMAL).to_owned()
}

/// Returns true for a word of a date, such as `Nov,`.
fn is_date(word: &str) -> bool {
    let word = word.trim_end_matches([',', '.']);
    DATES.contains(&word)
}

/// Takes quoted values out. A quote opens where no word is before it, and closes where none is after it, so that `can't` has none.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let close = match c {
            '"' => Some('"'),
            '\'' => Some('\''),
            '`' => Some('`'),
            '\u{201c}' => Some('\u{201d}'),
            '\u{2018}' => Some('\u{2019}'),
            '\u{ab}' => Some('\u{bb}'),
            _ => None,
        };
        let inner = &rest[c.len_utf8()..];
        let end = close.filter(|_| !before.is_alphanumeric()).and_then(|close| end_of_quote(inner, close));
        if let Some(end) = end.filter(|end| inner[..*end].split_whitespace().nth(SENTENCE - 1).is_none()) {
            out.push_str(QUOTED);
            rest = &inner[end..];
            before = '"';
        } else {
            out.push(c);
            rest = inner;
            before = c;
        }
    }
    out
}

/// Returns the length of a quoted value with its closing quote. Ruby closes a backtick with an apostrophe.
fn end_of_quote(text: &str, close: char) -> Option<usize> {
    let closes = |c: char| c == close || (close == '`' && c == '\'');
    let mut found = text.char_indices().filter(|(_, c)| closes(*c)).map(|(at, c)| at + c.len_utf8());
    found.find(|end| !text[*end..].starts_with(char::is_alphanumeric))
}

/// Returns a word without numbers and ids.
fn normal_word(word: &str) -> String {
    let core = word.trim_matches(|c: char| "()[]{}<>,;:.!?=\"".contains(c));
    if core.is_empty() {
        return word.to_owned();
    }
    if is_address(core) {
        return word.replace(core, "#");
    }
    // `[fe80::1]:80`
    if core.parse::<std::net::SocketAddrV6>().is_ok() || word.trim_end_matches([',', '.', ';']).parse::<std::net::SocketAddrV6>().is_ok() {
        return "#".to_owned();
    }
    if core.contains('@') && core.rsplit('@').next().is_some_and(|host| host.contains('.')) {
        return word.replace(core, "\u{2026}@");
    }
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if length == 0 {
            let separator = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..separator]);
            rest = &rest[separator..];
            continue;
        }
        out.push_str(&normal_run(&rest[..length]));
        rest = &rest[length..];
    }
    joined(&out)
}

/// Returns letters and digits without what is a number or an id. A name such as `reconcileV7` stays.
fn normal_run(run: &str) -> String {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let letters = run.chars().count() - digits;
    let is_hex = run.bytes().all(|byte| byte.is_ascii_hexdigit()) && run.len() >= 8;
    // A name has its digits at its end; an id has them anywhere.
    let inner = run.trim_end_matches(|c: char| c.is_ascii_digit());
    let mixed = letters > 0 && inner.bytes().any(|byte| byte.is_ascii_digit());
    let is_unit = mixed && run.starts_with(|c: char| c.is_ascii_digit());
    if digits > 0 && letters == 0 || is_hex || mixed && (run.len() >= 8 || is_unit) || digits > 0 && digits >= letters {
        return "#".to_owned();
    }
    // `order4711`: a long number is no part of a name.
    if run.len() - inner.len() >= 3 { format!("{inner}#") } else { run.to_owned() }
}

/// Joins numbers between which there is only punctuation, as in dates, versions, addresses and UUIDs.
fn joined(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c == '#' {
            let before = out.trim_end_matches(['-', '.', ':', '/', ',', '+', '_']);
            if before.ends_with('#') {
                out.truncate(before.len());
                continue;
            }
        }
        out.push(c);
    }
    out
}

/// Returns true for an address: IPv4, IPv6, or hexadecimal with `0x`.
fn is_address(word: &str) -> bool {
    let hexadecimal = word.strip_prefix("0x").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || word.parse::<std::net::IpAddr>().is_ok() || word.parse::<std::net::SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_out() {
        let same = [
            ("no order 17 for kim@example.test", "no order 4 for lee.a@mail.example.test"),
            ("user 3f2b8c9e-0d1a-4b6c-8e7f-112233445566 is gone", "user 00000000-1111-2222-3333-aaaaaaaaaaaa is gone"),
            ("at 2026-11-28T13:00:00Z: closed", "at 2025-01-02T03:04:05Z: closed"),
            ("since Sat, 28 Nov 2026 13:00:00 GMT", "since Sat, 1 Jan 2025 01:02:03 GMT"),
            ("Key (sku)=('Z-9') exists", "Key (sku)=('A b c') exists"),
            ("connect to 10.20.30.4:5432 failed", "connect to 10.20.31.77:5433 failed"),
            ("connect to [fe80::1]:80 failed", "connect to [2001:db8::9]:81 failed"),
            ("object at 0x7f3a12 died", "object at 0xffee died"),
            ("GET /orders/17/items/ab12cd34ef56 failed", "GET /orders/18/items/99ffaa001122 failed"),
            ("took 12.5 ms", "took 7 ms"),
            ("id ord_8f3kx92mzz unknown", "id ord_1a2b3c4d5e unknown"),
        ];
        for (one, other) in same {
            assert_eq!(normal(one), normal(other));
        }
    }

    #[test]
    fn faults_stay_apart() {
        let different = [
            ("can't read the order's lines", "can't write the order's lines"),
            ("ledgerReconcileV7 failed", "ledgerReconcileV8 failed"),
            ("column a is missing", "table a is missing"),
            ("division by zero", "index out of range"),
            ("(1062, \"Duplicate entry 'a' for key 'b'\")", "(1062, \"Cannot add a row to the table\")"),
        ];
        for (one, other) in different {
            assert_ne!(normal(one), normal(other));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_normal_form(text in "\\PC{0,200}") {
            let once = normal(&text);
            proptest::prop_assert!(!once.contains('\n'));
        }
    }
}
