//! Detects paths that the gateway and an upstream may interpret differently.
//!
//! The gateway forwards the path bytes that it routed by, unchanged. A path with dot segments, control characters or a broken escape is
//! rejected. Any other alternative spelling (`%2f`, `//`, `;x`, `\`) is rejected if its most lenient interpretation belongs to another
//! route. Knows nothing of targets.

use super::table::Table;

/// Returns true if the path must be rejected with 400.
pub fn is_ambiguous<T: Clone>(table: &Table<T>, host: Option<&str>, path: &str) -> bool {
    if is_plain(path.as_bytes()) {
        return false;
    }
    match lenient_reading(path) {
        None => true,
        Some(read) => read != path && !table.same_rules(host, path, &read),
    }
}

/// Returns true in the common case: the path has only one interpretation.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'.' | b'/' if before == b'/' => return false,
            _ => before = byte,
        }
    }
    true
}

/// Returns the path as the most lenient upstream would interpret it, or `None` if no interpretation is safe.
fn lenient_reading(path: &str) -> Option<String> {
    let decoded = decode(path.as_bytes())?;
    if decoded.contains(&0) || decoded.iter().any(|b| *b < 0x20 || *b == 0x7f) {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(decoded.len());
    for (at, segment) in decoded.split(|b| matches!(b, b'/' | b'\\')).enumerate() {
        // Servlet containers remove path parameters before they resolve dot segments.
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return None;
        }
        if at > 0 && !name.is_empty() {
            out.push(b'/');
            out.extend_from_slice(name);
        }
    }
    if out.is_empty() || decoded.ends_with(b"/") {
        out.push(b'/');
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Percent-decodes the path, and once more if the result still contains a `%`. Returns `None` for a broken escape in the first pass. In the
/// second pass a broken escape stays as it is, as a lenient upstream reads it.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let (once, broken) = decode_once(path);
    if broken {
        return None;
    }
    Some(if once.contains(&b'%') { decode_once(&once).0 } else { once })
}

/// Percent-decodes a path. Broken escapes stay, and are reported.
fn decode_once(path: &[u8]) -> (Vec<u8>, bool) {
    let hex = |at: usize| path.get(at).and_then(|byte| (*byte as char).to_digit(16)).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(path.len());
    let (mut at, mut broken) = (0, false);
    while at < path.len() {
        match (path[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                broken |= byte == b'%';
                out.push(byte);
                at += 1;
            }
        }
    }
    (out, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Conditions, Match, Pattern};

    fn table() -> Table<&'static str> {
        let path = |text| Pattern::of_path(text).unwrap();
        let rule = |text| Match { host: None, path: path(text), methods: None, conditions: Conditions::default() };
        Table::build(vec![(rule("/public/*"), "public"), (rule("/admin/*"), "admin"), (rule("/*"), "all")]).0
    }

    #[test]
    fn alternative_spellings_that_reach_another_route_are_rejected() {
        let table = table();
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..;/admin",
            "/public%2f..%2fadmin",
            "/%61dmin/x",
            "//admin/x",
            "/x/..%5cadmin",
            "/admin;x=1/y",
            "/a%00b",
            "/a%zz",
            "/%2561dmin/%25",
            "/%2561dmin/%25zz",
            "/%252e%252e/admin",
            "/.",
        ] {
            assert!(is_ambiguous(&table, None, path), "{path}");
        }
    }

    #[test]
    fn ordinary_spellings_pass() {
        let table = table();
        for path in [
            "/",
            "/public/a.b",
            "/public/.well-known/x",
            "/public/a%20b",
            "/public/a%2Fb",
            "/public/fetch/http://x/y",
            "/public/m;v=1",
            "/caf%C3%A9",
            "/100%25",
        ] {
            assert!(!is_ambiguous(&table, None, path), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn an_accepted_path_has_no_dot_segments(path in "/[ad/.;%25ef\\\\min]{0,20}") {
            let table = table();
            if !is_ambiguous(&table, None, &path) {
                proptest::prop_assert!(!path.split('/').any(|s| s == ".." || s == "."));
            }
        }
    }
}
