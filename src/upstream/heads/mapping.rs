//! Maps references in response headers to the client's view: adds the prefix that `strip_prefix` removed, and removes the authorities of
//! endpoints and internal hosts.
//!
//! Knows nothing of bodies.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header;

use super::internal::is_internal;
use crate::header::{Edit, HeaderList};
use crate::upstream::connect::target::Target;

/// How paths and authorities are mapped. Works on bytes, so that a reference that no URI parser accepts is mapped too.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// The prefix that was removed from the request's path.
    pub prefix: Option<&'a str>,
    /// The prefix that was put before the path after that.
    pub added: Option<&'a str>,
    /// All targets of the backend, because a redirect to another endpoint must be mapped too.
    pub targets: &'a [Arc<Target>],
    /// The `Host` that was sent upstream.
    pub host: &'a [u8],
    /// The client's `Host`. It is no secret, even if it is an internal name.
    pub client_host: &'a [u8],
    /// Whether the `Path` of cookies is mapped, and a `Domain` that names the upstream is removed.
    pub cookies: bool,
    /// Whether references to other internal hosts are forwarded, as in development mode.
    pub shows_internals: bool,
}

impl Mapping<'_> {
    /// Maps `Location`, `Content-Location`, `Refresh`, `Link` and `Set-Cookie`.
    pub fn apply(&self, headers: &mut HeaderList) {
        headers.edit(&header::LOCATION, |value| self.reference(value));
        headers.edit(&header::CONTENT_LOCATION, |value| self.reference(value));
        headers.edit(&header::REFRESH, |value| self.refresh(value));
        headers.edit(&header::LINK, |value| self.links(value));
        headers.edit(&header::SET_COOKIE, |value| Edit::Replace(self.cookie(value)));
    }

    /// Maps a URI reference. Browsers remove tabs from it first (URL standard).
    fn reference(&self, value: &[u8]) -> Edit {
        if memchr::memchr(b'\t', value).is_some() {
            let without: Vec<u8> = value.iter().copied().filter(|b| *b != b'\t').collect();
            return match self.reference(&without) {
                Edit::Keep => Edit::Replace(without),
                other => other,
            };
        }
        let prefix = self.prefix.unwrap_or_default().as_bytes();
        let Some(after_scheme) = authority_start(value) else {
            let own = self.without_added(value);
            let is_cut = own.len() < value.len();
            let path = if is_cut { one_slash(own) } else { Cow::Borrowed(own) };
            let is_path = path.starts_with(b"/") && !prefix.is_empty() && !has_prefix(&path, prefix);
            let prefix = if is_path { prefix } else { b"" };
            return if is_path || is_cut { Edit::Replace([prefix, &path].concat()) } else { Edit::Keep };
        };
        let rest = &value[after_scheme..];
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
        let is_clients = rest[..end].eq_ignore_ascii_case(self.client_host);
        if !is_clients && !self.is_upstream(&rest[..end]) {
            return if self.may_show(&rest[..end]) { Edit::Keep } else { Edit::Remove };
        }
        // The upstream referred to itself, so the client stays on its own authority.
        let slash: &[u8] = if rest[end..].starts_with(b"/") { b"" } else { b"/" };
        let path = [slash, &rest[end..]].concat();
        // Without the authority, a path that begins with two slashes would name another host.
        let path = one_slash(self.without_added(&one_slash(&path))).into_owned();
        let path = if has_prefix(&path, prefix) { path } else { [prefix, &path].concat() };
        // A reference to the authority that the client used keeps its scheme, so that a redirect from http to https works.
        if is_clients { Edit::Replace([&value[..after_scheme + end], &path].concat()) } else { Edit::Replace(path) }
    }

    /// Removes the prefix that was put before the path of the request.
    fn without_added<'v>(&self, path: &'v [u8]) -> &'v [u8] {
        match self.added {
            // What is left has to begin with a slash.
            Some(added) if has_prefix(path, added.as_bytes()) && path.get(added.len()) == Some(&b'/') => &path[added.len()..],
            Some(added) if path == added.as_bytes() => b"/",
            Some(_) | None => path,
        }
    }

    /// Maps `0; url=/x`, where `url`, its whitespace and its `=` are optional (HTML standard, the refresh pragma).
    fn refresh(&self, value: &[u8]) -> Edit {
        let Some(at) = refresh_target(value) else { return Edit::Keep };
        let bare = value[at..].trim_ascii();
        let bare = bare.strip_prefix(b"\"").or(bare.strip_prefix(b"'")).unwrap_or(bare);
        let bare = bare.strip_suffix(b"\"").or(bare.strip_suffix(b"'")).unwrap_or(bare);
        match self.reference(bare) {
            Edit::Replace(mapped) => Edit::Replace([&value[..at], &mapped].concat()),
            other => other,
        }
    }

    /// Maps the targets of the links of one line (RFC 8288 3), and removes links to internal hosts.
    fn links(&self, value: &[u8]) -> Edit {
        let kept: Vec<Vec<u8>> = split_links(value)
            .filter_map(|link| {
                let open = link.iter().position(|b| *b == b'<');
                let close = link.iter().position(|b| *b == b'>');
                let Some((open, close)) = open.zip(close).filter(|(open, close)| open < close) else { return Some(link.to_vec()) };
                // The `anchor` parameter is removed, because it is rarely needed and may name an internal host.
                let parameters = without_anchor(&link[close..]);
                match self.reference(&link[open + 1..close]) {
                    Edit::Keep => Some([&link[..close], &parameters].concat()),
                    Edit::Replace(mapped) => Some([&link[..=open], &mapped, &parameters].concat()),
                    Edit::Remove => None,
                }
            })
            .collect();
        if kept.is_empty() { Edit::Remove } else { Edit::Replace(kept.join(&b", "[..])) }
    }

    /// Returns true if a client may see this authority: it is not internal, or the client itself used it.
    fn may_show(&self, authority: &[u8]) -> bool {
        let authority = authority.rsplit(|b| *b == b'@').next().unwrap_or_default().trim_ascii();
        let (host, own) = (split_port(authority).0, split_port(self.client_host).0);
        self.shows_internals || host.eq_ignore_ascii_case(own) || !is_internal(host)
    }

    /// Returns true if this authority (possibly with user information) names the upstream.
    fn is_upstream(&self, authority: &[u8]) -> bool {
        let authority = authority.rsplit(|b| *b == b'@').next().unwrap_or_default().trim_ascii();
        let (host, port) = split_port(authority);
        let own = |name: &[u8], number: Option<u16>| {
            let address = std::str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok());
            host.eq_ignore_ascii_case(name) && (port.is_none() || port == number || address)
        };
        authority.eq_ignore_ascii_case(self.host) || self.targets.iter().any(|target| own(target.host.as_bytes(), Some(target.port)))
    }

    /// Adds the prefix to `Path`, and removes a `Domain` that names the upstream, which makes the cookie host-only. Cookies named `__Host-`
    /// or `__Secure-` are not changed in this way: a browser rejects a `__Host-` cookie whose path is not `/` (RFC 6265bis 4.1.3). A
    /// `Domain` that names another internal host is removed in any case.
    fn cookie(&self, value: &[u8]) -> Vec<u8> {
        let has_cookie_prefix =
            [&b"__host-"[..], b"__secure-"].iter().any(|name| value.len() >= name.len() && value[..name.len()].eq_ignore_ascii_case(name));
        let maps = self.cookies && !has_cookie_prefix;
        let mut out = Vec::with_capacity(value.len() + 16);
        for (at, part) in value.split(|b| *b == b';').enumerate() {
            let equals = part.iter().position(|b| *b == b'=');
            let (name, attribute) = equals.map_or((part, &b""[..]), |equals| (&part[..equals], &part[equals + 1..]));
            let (name, attribute) = (name.trim_ascii(), attribute.trim_ascii());
            let is = |wanted: &[u8]| at > 0 && name.eq_ignore_ascii_case(wanted);
            let domain = attribute.strip_prefix(b".").unwrap_or(attribute);
            if is(b"domain") && ((maps && self.is_upstream(domain)) || !self.may_show(domain)) {
                continue;
            }
            if at > 0 {
                out.push(b';');
            }
            let mapped = (maps && is(b"path") && attribute.starts_with(b"/")).then(|| self.cookie_path(attribute)).flatten();
            match mapped {
                Some(path) => out.extend_from_slice(&[b" Path=", &path[..]].concat()),
                None => out.extend_from_slice(part),
            }
        }
        out
    }
}

impl Mapping<'_> {
    /// The path of a cookie as the client sees it, or `None` if it does not change.
    fn cookie_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.prefix.unwrap_or_default().as_bytes();
        let own = self.without_added(path);
        if prefix.is_empty() || has_prefix(own, prefix) {
            return (own.len() < path.len()).then(|| own.to_vec());
        }
        Some([prefix, if own == b"/" { b"" } else { own }].concat())
    }
}

/// Splits a line into its links, at commas outside of `<...>` and quotes.
fn split_links(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut target, mut quoted, mut escaped) = (false, false, false);
    let mut ends = move |byte: &u8| {
        let escapes = escaped;
        escaped = quoted && !escapes && *byte == b'\\';
        match byte {
            b'"' if !target && !escapes => quoted = !quoted,
            b'<' if !quoted => target = true,
            b'>' if !quoted => target = false,
            _ => {}
        }
        *byte == b',' && !target && !quoted
    };
    value.split(move |byte| ends(byte)).map(<[u8]>::trim_ascii).filter(|link| !link.is_empty())
}

/// Reduces the slashes at the beginning of a path to one. Browsers take `\` for a slash, and two of them for the beginning of a host.
fn one_slash(path: &[u8]) -> Cow<'_, [u8]> {
    match path.iter().take_while(|b| matches!(b, b'/' | b'\\')).count() {
        0 | 1 if !path.starts_with(b"\\") => Cow::Borrowed(path),
        slashes => Cow::Owned([b"/", &path[slashes..]].concat()),
    }
}

/// Returns true if the path starts with the prefix.
fn has_prefix(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
}

/// Returns the start of the target of a `Refresh`.
fn refresh_target(value: &[u8]) -> Option<usize> {
    let skip_whitespace = |at: usize| at + value[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let separator = value.iter().position(|b| matches!(b, b';' | b','))?;
    let begin = skip_whitespace(separator + 1);
    let word = value.get(begin..begin + 3).filter(|word| word.eq_ignore_ascii_case(b"url"));
    let equals = word.map(|_| skip_whitespace(begin + 3)).filter(|at| value.get(*at) == Some(&b'='));
    Some(equals.map_or(begin, |at| skip_whitespace(at + 1)))
}

/// Returns the parameters of a link without `anchor` (RFC 8288 3.2).
fn without_anchor(parameters: &[u8]) -> Vec<u8> {
    let is_anchor = |parameter: &[u8]| parameter.trim_ascii_start().to_ascii_lowercase().starts_with(b"anchor");
    let (mut quoted, mut escaped) = (false, false);
    let parts = parameters.split(move |byte| {
        // RFC 9110 5.6.4: within quotes a backslash takes the meaning from the byte behind it.
        let is_escaped = escaped;
        escaped = quoted && !is_escaped && *byte == b'\\';
        quoted ^= *byte == b'"' && !is_escaped;
        *byte == b';' && !quoted
    });
    parts.filter(|parameter| !is_anchor(parameter)).collect::<Vec<_>>().join(&b";"[..])
}

/// Returns the start of the authority of an absolute or scheme-relative reference, as browsers parse it: `\` counts as `/`, and any
/// scheme may precede it. Behind `http:` and `https:` any number of slashes is taken for two (URL standard).
fn authority_start(value: &[u8]) -> Option<usize> {
    let scheme = value.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-')).count();
    let has_scheme = scheme > 0 && value.get(scheme) == Some(&b':');
    let begin = if has_scheme { scheme + 1 } else { 0 };
    let slashes = value[begin..].iter().take_while(|b| matches!(b, b'/' | b'\\')).count();
    let is_http = has_scheme && (value[..scheme].eq_ignore_ascii_case(b"http") || value[..scheme].eq_ignore_ascii_case(b"https"));
    if is_http { Some(begin + slashes) } else { (slashes >= 2).then_some(begin + 2) }
}

/// Splits an authority into the host without brackets, and the port if there is one.
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
    use http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::upstream::connect::target::Protocol;

    fn targets() -> Vec<Arc<Target>> {
        let target = |authority: &str| Arc::new(Target::new("http", &authority.parse().unwrap(), (None, Protocol::Auto), 1, false));
        vec![target("10.0.0.11:8080"), target("sibling.internal:81")]
    }

    fn mapped(name: &'static str, value: &'static str) -> String {
        let targets = targets();
        let mapping = mapping(&targets);
        let mut headers = HeaderList::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        mapping.apply(&mut headers);
        headers.get(name).map_or("-".into(), |value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    fn mapping(targets: &[Arc<Target>]) -> Mapping<'_> {
        Mapping {
            added: None,
            prefix: Some("/orders"),
            targets,
            host: b"10.0.0.11:8080",
            client_host: b"shop.corp:8443",
            cookies: true,
            shows_internals: false,
        }
    }

    #[test]
    fn references_are_mapped_to_the_clients_view() {
        assert_eq!(mapped("location", "/7?x=1"), "/orders/7?x=1");
        assert_eq!(mapped("location", "http://10.0.0.11:8080/7#f"), "/orders/7#f");
        assert_eq!(mapped("location", "http://10.0.0.11/7"), "/orders/7");
        assert_eq!(mapped("location", "//10.0.0.11:8080/7"), "/orders/7");
        assert_eq!(mapped("location", "https://elsewhere.example/7"), "https://elsewhere.example/7");
        assert_eq!(mapped("location", "next"), "next");
        assert_eq!(mapped("location", "http://u:pw@10.0.0.11:8080/a b"), "/orders/a b");
        assert_eq!(mapped("location", "http://10.0.0.11:9999/café"), "/orders/café");
        assert_eq!(mapped("location", "http://sibling.internal:81?x"), "/orders/?x");
        assert_eq!(mapped("location", "/orders/7"), "/orders/7");
        assert_eq!(mapped("location", "/orders"), "/orders");
        assert_eq!(mapped("location", "/orderspage"), "/orders/orderspage");
        assert_eq!(mapped("location", "http://10.0.0.11:8080/orders/7"), "/orders/7");
        assert_eq!(mapped("refresh", "0; url=http://10.0.0.11:8080/a"), "0; url=/orders/a");
    }

    #[test]
    fn a_reference_to_the_upstream_never_becomes_one_to_another_host() {
        for (value, want) in [
            ("http://10.0.0.5:8080//evil.example/x/", "/shop/evil.example/x/"),
            ("http://10.0.0.5:8080/\\evil.example", "/shop/evil.example"),
            ("http:\\\\10.0.0.5:8080/a", "/shop/a"),
            ("http:///10.0.0.5:8080/a", "/shop/a"),
            ("http:10.0.0.5:8080/a", "/shop/a"),
            ("ht\ttp://10.0.0.5:8080/a", "/shop/a"),
            ("/\t/10.0.0.5:8080/a", "/shop/a"),
        ] {
            let mut headers = HeaderList::new();
            headers.try_insert(header::LOCATION, value.as_bytes()).unwrap();
            let targets = vec![Arc::new(Target::new("http", &"10.0.0.5:8080".parse().unwrap(), (None, Protocol::Auto), 1, false))];
            let own = Mapping { prefix: Some("/shop"), host: b"10.0.0.5:8080", ..mapping(&targets) };
            own.apply(&mut headers);
            assert_eq!(headers.get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned()).as_deref(), Some(want), "{value}");
            let added = Mapping { prefix: None, added: Some("/app"), ..mapping(&targets) };
            headers.try_insert(header::LOCATION, b"/app//evil.example/").unwrap();
            added.apply(&mut headers);
            assert_eq!(headers.get(header::LOCATION).unwrap().as_bytes(), b"/evil.example/");
        }
    }

    #[test]
    fn internal_hosts_are_removed() {
        for value in ["https://sibling.internal:444/x", "http://10.0.0.5:8080/admin", "//db/x", "http://u:p@[fd00::1]/x"] {
            assert_eq!(mapped("location", value), "-", "{value}");
            assert_eq!(mapped("content-location", value), "-", "{value}");
        }
        for value in ["0; url='http://10.0.0.5/'", "0; url = http://10.0.0.5:8080/admin", "0;http://10.0.0.5/", "5, URL=//10.0.0.5/"] {
            assert_eq!(mapped("refresh", value), "-", "{value}");
        }
        for value in ["/\\10.0.0.5:8080/x", "http:\\\\10.0.0.5/", "ws://10.0.0.5/x", "HTTP:/\\db/x"] {
            assert_eq!(mapped("location", value), "-", "{value}");
        }
        assert_eq!(mapped("location", "https://shop.corp/x"), "https://shop.corp/x", "the client named it itself");
        assert_eq!(mapped("location", "https://shop.corp:8443/x"), "https://shop.corp:8443/orders/x", "with its scheme");
        assert_eq!(mapped("set-cookie", "a=b; Domain=.internal.corp; Secure"), "a=b; Secure");
        let targets = targets();
        let open = Mapping { shows_internals: true, ..mapping(&targets) };
        assert_eq!(open.reference(b"http://10.0.0.5:8080/admin"), Edit::Keep);
    }

    #[test]
    fn links_are_mapped_one_by_one() {
        assert_eq!(
            mapped("link", "<http://10.0.0.11:8080/items?page=2>; rel=\"next\", </items?page=9>; rel=last; title=\"a, <b>\""),
            "</orders/items?page=2>; rel=\"next\", </orders/items?page=9>; rel=last; title=\"a, <b>\""
        );
        assert_eq!(
            mapped("link", "<http://10.0.0.5/x>; rel=up, <https://example.com/a,b>; rel=help"),
            "<https://example.com/a,b>; rel=help"
        );
        assert_eq!(mapped("link", "<http://10.0.0.5/x>; rel=up"), "-");
        assert_eq!(mapped("link", "</a>; rel=next; anchor=\"http://10.0.0.5/;b\"; title=c"), "</orders/a>; rel=next; title=c");
        assert_eq!(mapped("link", r#"</a>; title="a\""; anchor="http://10.0.0.5/""#), r#"</orders/a>; title="a\"""#);
    }

    #[test]
    fn cookies_keep_working_behind_a_prefix() {
        assert_eq!(mapped("set-cookie", "a=b; Path=/; HttpOnly"), "a=b; Path=/orders; HttpOnly");
        assert_eq!(mapped("set-cookie", "a=b; path=/x; Domain=10.0.0.11"), "a=b; Path=/orders/x");
        assert_eq!(mapped("set-cookie", "a=b; Domain=example.com"), "a=b; Domain=example.com");
        assert_eq!(mapped("set-cookie", "a=b; Path=/orders"), "a=b; Path=/orders");
        assert_eq!(mapped("set-cookie", "__Host-sid=1; Path=/; Secure"), "__Host-sid=1; Path=/; Secure");
        assert_eq!(mapped("set-cookie", "__Secure-sid=1; Path=/; Secure"), "__Secure-sid=1; Path=/; Secure");
        let targets = targets();
        assert_eq!(Mapping { cookies: false, ..mapping(&targets) }.cookie(b"a=b; Path=/; Domain=10.0.0.11"), b"a=b; Path=/");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(value in "[ -~]{0,60}") {
            let targets = targets();
            let mapping = mapping(&targets);
            let mut headers = HeaderList::new();
            for name in ["location", "refresh", "set-cookie", "link"] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            mapping.apply(&mut headers);
        }
    }
}
