//! Maps what an upstream says about addresses back to the client's view: through `strip_prefix`, and away from the
//! endpoint's own authority, which no client may see.

use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// How paths and authorities are mapped back.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// Prefix that was removed from the request's path.
    pub prefix: Option<&'a str>,
    /// Authority of the endpoint (`host:port`).
    pub authority: &'a str,
    /// `Host` that was sent upstream.
    pub host: &'a str,
}

impl Mapping<'_> {
    /// A mapping that changes nothing.
    pub const fn none() -> Self {
        Self { prefix: None, authority: "", host: "" }
    }

    /// Maps `Location`, `Content-Location`, `Refresh` and `Set-Cookie`.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            self.replace(headers, name, |mapping, value| mapping.reference(value));
        }
        self.replace(headers, header::REFRESH, |mapping, value| {
            let at = value.to_ascii_lowercase().find("url=")? + 4;
            let quoted = value[at..].trim();
            let bare = quoted.trim_matches(['"', '\'']);
            mapping.reference(bare).map(|mapped| format!("{}{mapped}", &value[..at]))
        });
        if headers.contains_key(header::SET_COOKIE) {
            let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().map(|value| self.cookie(value)).collect();
            headers.remove(header::SET_COOKIE);
            for cookie in cookies {
                headers.append(header::SET_COOKIE, cookie);
            }
        }
    }

    fn replace(&self, headers: &mut HeaderMap, name: HeaderName, map: impl Fn(&Self, &str) -> Option<String>) {
        let mapped = headers.get(&name).and_then(|value| value.to_str().ok()).and_then(|value| map(self, value));
        if let Some(value) = mapped.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }

    /// A URI reference as the client should see it; `None` when it stays as it is.
    fn reference(&self, value: &str) -> Option<String> {
        if value.starts_with('/') && !value.starts_with("//") {
            return self.prefix.map(|prefix| format!("{prefix}{value}"));
        }
        let absolute = value.strip_prefix("//").map(|rest| format!("http://{rest}"));
        let uri: Uri = absolute.as_deref().unwrap_or(value).parse().ok()?;
        let authority = uri.authority()?;
        if !self.is_upstream(authority.as_str()) {
            return None;
        }
        // The upstream named itself: the client stays where it is.
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let fragment = value.find('#').map_or("", |at| &value[at..]);
        Some(format!("{}{path}{fragment}", self.prefix.unwrap_or_default()))
    }

    fn is_upstream(&self, authority: &str) -> bool {
        let without_port = |text: &str| text.rsplit_once(':').map_or(text.to_owned(), |(host, _)| host.to_owned()).to_ascii_lowercase();
        let host = without_port(authority);
        authority.eq_ignore_ascii_case(self.authority)
            || authority.eq_ignore_ascii_case(self.host)
            || (!self.authority.is_empty() && host == without_port(self.authority))
    }

    /// `Path` gets the prefix back; a `Domain` that names the endpoint goes, which makes the cookie the client's host's.
    fn cookie(&self, value: &HeaderValue) -> HeaderValue {
        let Ok(text) = value.to_str() else { return value.clone() };
        let mut out = String::with_capacity(text.len() + 16);
        for (at, part) in text.split(';').enumerate() {
            let (name, attribute) = part.split_once('=').unwrap_or((part, ""));
            let attribute = attribute.trim();
            let name = name.trim();
            if at > 0 && name.eq_ignore_ascii_case("domain") && self.is_upstream(attribute.trim_start_matches('.')) {
                continue;
            }
            if at > 0 {
                out.push(';');
            }
            match self.prefix {
                Some(prefix) if at > 0 && name.eq_ignore_ascii_case("path") && attribute.starts_with('/') => {
                    let path = if attribute == "/" { "" } else { attribute };
                    out.push_str(&format!(" Path={prefix}{path}"));
                }
                _ => out.push_str(part),
            }
        }
        HeaderValue::from_str(&out).unwrap_or_else(|_| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(name: &'static str, value: &'static str) -> String {
        let mapping = Mapping { prefix: Some("/orders"), authority: "10.0.0.11:8080", host: "10.0.0.11:8080" };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        mapping.apply(&mut headers);
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn addresses_become_the_clients() {
        assert_eq!(mapped("location", "/7?x=1"), "/orders/7?x=1");
        assert_eq!(mapped("location", "http://10.0.0.11:8080/7#f"), "/orders/7#f");
        assert_eq!(mapped("location", "http://10.0.0.11/7"), "/orders/7");
        assert_eq!(mapped("location", "//10.0.0.11:8080/7"), "/orders/7");
        assert_eq!(mapped("location", "https://elsewhere.example/7"), "https://elsewhere.example/7");
        assert_eq!(mapped("location", "next"), "next");
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
            let mapping = Mapping { prefix: Some("/p"), authority: "h:1", host: "h" };
            let mut headers = HeaderMap::new();
            for name in ["location", "refresh", "set-cookie"] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            mapping.apply(&mut headers);
        }
    }
}
