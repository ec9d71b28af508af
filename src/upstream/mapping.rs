//! Maps what an upstream says about addresses back to the client's view: through `strip_prefix`, and away from the
//! endpoint's own authority, which no client may see.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::backend::Target;

/// How paths and authorities are mapped back. Works on bytes: a reference that no URI parser takes must not pass unseen.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// Prefix that was removed from the request's path.
    pub prefix: Option<&'a str>,
    /// All targets of the backend: a redirect to a sibling is inside too.
    pub targets: &'a [Arc<Target>],
    /// `Host` that was sent upstream.
    pub host: &'a [u8],
}

impl Mapping<'_> {
    /// Maps `Location`, `Content-Location`, `Refresh` and `Set-Cookie`.
    pub fn apply(&self, headers: &mut HeaderMap) {
        rebuild(headers, &header::LOCATION, |value| self.reference(value));
        rebuild(headers, &header::CONTENT_LOCATION, |value| self.reference(value));
        rebuild(headers, &header::REFRESH, |value| self.refresh(value));
        rebuild(headers, &header::SET_COOKIE, |value| Some(self.cookie(value)));
    }

    /// A URI reference as the client should see it; `None` when it stays as it is.
    fn reference(&self, value: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.prefix.unwrap_or_default().as_bytes();
        let Some(after_scheme) = authority_start(value) else {
            return (value.starts_with(b"/") && !prefix.is_empty()).then(|| [prefix, value].concat());
        };
        let rest = &value[after_scheme..];
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
        if !self.is_upstream(&rest[..end]) {
            return None;
        }
        // The upstream named itself: the client stays where it is.
        let slash: &[u8] = if rest[end..].starts_with(b"/") { b"" } else { b"/" };
        Some([prefix, slash, &rest[end..]].concat())
    }

    fn refresh(&self, value: &[u8]) -> Option<Vec<u8>> {
        let at = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))? + 4;
        let bare = value[at..].trim_ascii();
        let bare = bare.strip_prefix(b"\"").or(bare.strip_prefix(b"'")).unwrap_or(bare);
        let bare = bare.strip_suffix(b"\"").or(bare.strip_suffix(b"'")).unwrap_or(bare);
        self.reference(bare).map(|mapped| [&value[..at], &mapped].concat())
    }

    /// Does this authority (perhaps with user information) name the upstream?
    fn is_upstream(&self, authority: &[u8]) -> bool {
        let authority = authority.rsplit(|b| *b == b'@').next().unwrap_or_default().trim_ascii();
        let (host, port) = split_port(authority);
        let own = |name: &[u8], number: Option<u16>| {
            let address = std::str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok());
            host.eq_ignore_ascii_case(name) && (port.is_none() || port == number || address)
        };
        authority.eq_ignore_ascii_case(self.host) || self.targets.iter().any(|target| own(target.host.as_bytes(), Some(target.port)))
    }

    /// `Path` gets the prefix back; a `Domain` that names the endpoint goes, which makes the cookie the client's host's.
    fn cookie(&self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len() + 16);
        for (at, part) in value.split(|b| *b == b';').enumerate() {
            let equals = part.iter().position(|b| *b == b'=');
            let (name, attribute) = equals.map_or((part, &b""[..]), |equals| (&part[..equals], &part[equals + 1..]));
            let (name, attribute) = (name.trim_ascii(), attribute.trim_ascii());
            let is = |wanted: &[u8]| at > 0 && name.eq_ignore_ascii_case(wanted);
            if is(b"domain") && self.is_upstream(attribute.strip_prefix(b".").unwrap_or(attribute)) {
                continue;
            }
            if at > 0 {
                out.push(b';');
            }
            match self.prefix {
                Some(prefix) if is(b"path") && attribute.starts_with(b"/") => {
                    let path = if attribute == b"/" { b"" } else { attribute };
                    out.extend_from_slice(&[b" Path=", prefix.as_bytes(), path].concat());
                }
                _ => out.extend_from_slice(part),
            }
        }
        out
    }
}

/// Maps every value of a header; those that `map` leaves stay as they are.
fn rebuild(headers: &mut HeaderMap, name: &HeaderName, map: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    if values.is_empty() {
        return;
    }
    headers.remove(name);
    for value in values {
        match map(value.as_bytes()) {
            None => drop(headers.append(name, value)),
            // Bytes of a header value, cut and joined with ASCII, are a header value again.
            Some(mapped) => drop(HeaderValue::from_bytes(&mapped).map(|mapped| headers.append(name, mapped))),
        }
    }
}

/// Where the authority of an absolute or scheme-relative reference begins.
fn authority_start(value: &[u8]) -> Option<usize> {
    let begins = |word: &[u8]| value.len() >= word.len() && value[..word.len()].eq_ignore_ascii_case(word);
    [&b"http://"[..], b"https://", b"//"].into_iter().find(|word| begins(word)).map(<[u8]>::len)
}

/// Host without brackets, and the port if there is one.
fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let inner = authority.strip_prefix(b"[").and_then(|rest| Some((rest, rest.iter().position(|b| *b == b']')?)));
    let (host, rest) = match inner {
        Some((rest, end)) => (&rest[..end], &rest[end + 1..]),
        None => authority.iter().position(|b| *b == b':').map_or((authority, &b""[..]), |colon| authority.split_at(colon)),
    };
    let port = rest.strip_prefix(b":").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    (host, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Arc<Target>> {
        let target = |authority: &str| Arc::new(Target::new("http", &authority.parse().unwrap(), None, 1, false));
        vec![target("10.0.0.11:8080"), target("sibling.internal:81")]
    }

    fn mapped(name: &'static str, value: &'static str) -> String {
        let targets = targets();
        let mapping = Mapping { prefix: Some("/orders"), targets: &targets, host: b"10.0.0.11:8080" };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        mapping.apply(&mut headers);
        String::from_utf8(headers[name].as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn addresses_become_the_clients() {
        assert_eq!(mapped("location", "/7?x=1"), "/orders/7?x=1");
        assert_eq!(mapped("location", "http://10.0.0.11:8080/7#f"), "/orders/7#f");
        assert_eq!(mapped("location", "http://10.0.0.11/7"), "/orders/7");
        assert_eq!(mapped("location", "//10.0.0.11:8080/7"), "/orders/7");
        assert_eq!(mapped("location", "https://elsewhere.example/7"), "https://elsewhere.example/7");
        assert_eq!(mapped("location", "next"), "next");
        assert_eq!(mapped("location", "http://u:pw@10.0.0.11:8080/a b"), "/orders/a b");
        assert_eq!(mapped("location", "http://10.0.0.11:9999/café"), "/orders/café");
        assert_eq!(mapped("location", "http://sibling.internal:81?x"), "/orders/?x");
        assert_eq!(mapped("location", "https://sibling.internal:444/x"), "https://sibling.internal:444/x");
        assert_eq!(mapped("refresh", "0; url=http://10.0.0.11:8080/a"), "0; url=/orders/a");
    }

    #[test]
    fn cookies_keep_working_behind_a_prefix() {
        assert_eq!(mapped("set-cookie", "a=b; Path=/; HttpOnly"), "a=b; Path=/orders; HttpOnly");
        assert_eq!(mapped("set-cookie", "a=b; path=/x; Domain=10.0.0.11"), "a=b; Path=/orders/x");
        assert_eq!(mapped("set-cookie", "a=b; Domain=example.com"), "a=b; Domain=example.com");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(value in "[ -~]{0,60}") {
            let targets = targets();
            let mapping = Mapping { prefix: Some("/p"), targets: &targets, host: b"h" };
            let mut headers = HeaderMap::new();
            for name in ["location", "refresh", "set-cookie"] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            mapping.apply(&mut headers);
        }
    }
}
