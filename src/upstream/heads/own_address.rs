//! Finds the address of an endpoint in a text of its backend. A client has no use for it.
//!
//! Knows nothing of headers or bodies.

use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem;

use super::internal::is_internal;
use crate::upstream::connect::target::Target;

/// Returns true if a text names an endpoint: its host and port, or its IP address. `resolved` is the address of the endpoint that
/// responded. A name without a port is no address: it may be an ordinary word.
pub fn names_endpoint(text: &[u8], targets: &[Arc<Target>], resolved: Option<IpAddr>) -> bool {
    if memchr::memchr2(b'.', b':', text).is_none() {
        return false;
    }
    let port = targets.first().map_or(0, |target| target.port);
    let by_address = resolved.is_some_and(|address| names(text, &address.to_string(), port, true));
    by_address || targets.iter().any(|target| names(text, &target.host, target.port, target.literal().is_some()))
}

/// Returns true if a URL in a text names a host of the internal network other than the client's own.
pub fn names_internal_host(text: &[u8], client_host: &[u8]) -> bool {
    memmem::find_iter(text, b"//").any(|at| {
        let rest = &text[at + 2..];
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\') || b.is_ascii_whitespace());
        let authority = &rest[..end.unwrap_or(rest.len())];
        let host = authority.rsplit(|b| *b == b'@').next().unwrap_or_default();
        let bare = |host: &[u8]| {
            let inner = host.strip_prefix(b"[").map(|rest| rest.split(|b| *b == b']').next().unwrap_or_default());
            inner.or_else(|| host.split(|b| *b == b':').next()).unwrap_or_default().to_ascii_lowercase()
        };
        is_internal(&bare(host)) && bare(host) != bare(client_host)
    })
}

/// Returns true if the host is named with this port, or without any port if `alone`.
fn names(text: &[u8], host: &str, port: u16, alone: bool) -> bool {
    let lower;
    let text = if host.bytes().any(|b| b.is_ascii_alphabetic()) && text.iter().any(u8::is_ascii_uppercase) {
        lower = text.to_ascii_lowercase();
        lower.as_slice()
    } else {
        text
    };
    memmem::find_iter(text, host.as_bytes()).any(|at| {
        let is_part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text[at + host.len()..].strip_prefix(b"]").unwrap_or(&text[at + host.len()..]);
        let digits = after.strip_prefix(b":").map(|rest| rest.iter().take_while(|b| b.is_ascii_digit()).count()).filter(|count| *count > 0);
        match digits {
            _ if is_part(before) => false,
            Some(count) => std::str::from_utf8(&after[1..=count]).is_ok_and(|digits| digits.parse() == Ok(port)),
            // A full stop may end a sentence.
            None => alone && !is_part(after.first().filter(|b| **b != b'.')) && !(after.first() == Some(&b'.') && is_part(after.get(1))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::connect::target::Protocol;

    #[test]
    fn addresses_are_found_and_words_are_not() {
        let target = |authority: &str| Arc::new(Target::new("http", &authority.parse().unwrap(), (None, Protocol::Auto), 1, false));
        let targets = [target("10.0.0.5:8080"), target("orders:9000"), target("[fd00::5]:80")];
        let found = |text: &str| names_endpoint(text.as_bytes(), &targets, Some("10.9.9.9".parse().unwrap()));
        for text in [
            "10.0.0.5:8080",
            "http://10.0.0.5:8080/x",
            "from 10.0.0.5.",
            "10.0.0.5",
            "Orders:9000",
            "http://[fd00::5]:80/",
            "[fd00::5]",
            "10.9.9.9, x",
            "a=10.9.9.9:8080",
        ] {
            assert!(found(text), "{text}");
        }
        for text in ["", "orders", "orders:9001", "10.0.0.50", "110.0.0.5", "10.0.0.5:80", "10.0.0.5.7", "x-orders:9000", "12:30"] {
            assert!(!found(text), "{text}");
        }
    }
}
