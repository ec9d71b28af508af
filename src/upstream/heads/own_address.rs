//! Finds the address of an endpoint in a text of its backend. A client has no use for it.
//!
//! Knows nothing of headers or bodies.

use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem;

use super::internal::is_internal;
use crate::upstream::connect::target::Target;

/// Returns true if a text names an endpoint: its host and port, or its IP address unless the client itself used that. `resolved` is the
/// address of the endpoint that responded. A name without a port is no address: it may be an ordinary word. Escapes of URLs are read.
pub fn names_endpoint(text: &[u8], targets: &[Arc<Target>], resolved: Option<IpAddr>, client_host: &[u8]) -> bool {
    if memchr::memchr3(b'.', b':', b'%', text).is_none() {
        return false;
    }
    let used = |host: &str| host_of(client_host).eq_ignore_ascii_case(host.as_bytes());
    let named = |text: &[u8]| {
        let by_address = resolved.map(|address| address.to_string()).is_some_and(|address| {
            let alone = !used(&address);
            targets.iter().any(|target| names(text, &address, target.port, alone))
        });
        by_address || targets.iter().any(|target| names(text, &target.host, target.port, target.literal().is_some() && !used(&target.host)))
    };
    named(text) || (memchr::memchr(b'%', text).is_some() && named(&decoded(text)))
}

/// Undoes percent-encoding twice, because a URL within a URL is encoded twice.
fn decoded(text: &[u8]) -> Vec<u8> {
    let once: Vec<u8> = percent_encoding::percent_decode(text).collect();
    percent_encoding::percent_decode(&once).collect()
}

/// Returns the host of an authority, without brackets and port.
fn host_of(authority: &[u8]) -> &[u8] {
    let inner = authority.strip_prefix(b"[").map(|rest| rest.split(|b| *b == b']').next().unwrap_or_default());
    inner.or_else(|| authority.split(|b| *b == b':').next()).unwrap_or_default()
}

/// Returns true if a URL in a text names a host of the internal network other than the client's own.
pub fn names_internal_host(text: &[u8], client_host: &[u8]) -> bool {
    memmem::find_iter(text, b"//").any(|at| {
        // A URL begins with a scheme, or at the beginning of a value. Other slashes are no URL, as in the name of a document type.
        let begins = at == 0 || matches!(text[at - 1], b':' | b'"' | b'\'' | b'=' | b'(' | b'>') || text[at - 1].is_ascii_whitespace();
        let rest = &text[at + 2..];
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\') || b.is_ascii_whitespace());
        let authority = &rest[..end.unwrap_or(rest.len())];
        let host = host_of(authority.rsplit(|b| *b == b'@').next().unwrap_or_default());
        begins && is_internal(host) && !host.eq_ignore_ascii_case(host_of(client_host))
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
    fn a_client_that_uses_the_address_does_not_learn_the_port() {
        let targets = [Arc::new(Target::new("http", &"127.0.0.1:8000".parse().unwrap(), (None, Protocol::Auto), 1, false))];
        let found = |text: &str| names_endpoint(text.as_bytes(), &targets, None, b"127.0.0.1:3000");
        assert!(found("http://127.0.0.1:8000/") && !found("127.0.0.1") && !found("http://127.0.0.1:3000/"));
    }

    #[test]
    fn names_of_document_types_are_no_hosts() {
        let found = |text: &str| names_internal_host(text.as_bytes(), b"shop.example");
        assert!(!found("<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\"> <a href=\"https://www.example/\">"));
        assert!(found("<a href=\"http://app:8080/\">") && found("<a href='//app.internal/'>") && found("http://10.0.0.1/"));
    }

    #[test]
    fn addresses_are_found_and_words_are_not() {
        let target = |authority: &str| Arc::new(Target::new("http", &authority.parse().unwrap(), (None, Protocol::Auto), 1, false));
        let targets = [target("10.0.0.5:8080"), target("orders:9000"), target("[fd00::5]:80")];
        let found = |text: &str| names_endpoint(text.as_bytes(), &targets, Some("10.9.9.9".parse().unwrap()), b"shop.example");
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
            "/login?next=http%3A%2F%2F10.0.0.5%3A8080%2Fx",
        ] {
            assert!(found(text), "{text}");
        }
        for text in ["", "orders", "orders:9001", "10.0.0.50", "110.0.0.5", "10.0.0.5:80", "10.0.0.5.7", "x-orders:9000", "12:30"] {
            assert!(!found(text), "{text}");
        }
    }
}
