//! Maps the `Destination` of `COPY` and `MOVE` (WebDAV, RFC 4918 10.3) to what the upstream calls the resource.
//!
//! A client names the target by the URL that it knows. A server that compares scheme and host with its own, behind a gateway that ends
//! TLS or removes a prefix, would refuse it or take it for another resource. Must not know connections or responses.

use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value, names};
use crate::policy::Policy;
use crate::route::{Table, is_ambiguous};

/// Refuses a `Destination` on the client's own host that leads to other rules than the request: nobody may write by way of one route to
/// where another one decides who may enter.
///
/// # Errors
/// Such a destination, one that can be read in more than one way, or several of them.
pub(super) fn check<T: Clone>(table: &Table<T>, request: Request<'_>, headers: &HeaderList) -> Result<(), Failure> {
    let refuse = |why: &'static str| Err(Failure::because(Kind::BadRequest, why));
    let Some(value) = of(request, headers) else { return Ok(()) };
    if headers.get_all(names::DESTINATION).nth(1).is_some() {
        return refuse("there are several lines of Destination");
    }
    let Some(whole) = own_path(value, request.host_bytes().unwrap_or_default()) else { return Ok(()) };
    let path = whole.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
    let Ok(path) = std::str::from_utf8(path) else { return refuse("the Destination has bytes that no path has") };
    let path = if path.is_empty() { "/" } else { path };
    let host = request.host();
    if is_ambiguous(table, host, path) {
        return refuse("the Destination can be read in more than one way");
    }
    if !table.same_rules(host, request.context.uri.path(), path) {
        return refuse("the Destination belongs to another route");
    }
    Ok(())
}

/// Makes a `Destination` on the client's own host a path, as `strip_prefix` and `add_prefix` make the target. One on another host stays as
/// it is, so that the upstream can refuse it.
///
/// # Errors
/// The destination is not below the prefix of the route, so no resource of this backend has that name.
pub(super) fn map(headers: &mut HeaderList, policy: &Policy, request: Request<'_>) -> Result<(), Failure> {
    let Some(value) = of(request, headers) else { return Ok(()) };
    let Some(path) = own_path(value, request.host_bytes().unwrap_or_default()) else { return Ok(()) };
    let Some(mapped) = mapped(path, policy.strip_prefix.as_deref(), policy.add_prefix.as_deref()) else {
        return Err(Failure::because(Kind::BadRequest, "the Destination is not below the strip_prefix of the route"));
    };
    // What was a part of a valid value is one.
    let _ = headers.try_insert(names::DESTINATION, &mapped);
    Ok(())
}

/// The destination of a request that has one.
fn of<'h>(request: Request<'_>, headers: &'h HeaderList) -> Option<&'h [u8]> {
    let has_one = matches!(request.context.method.as_str(), "COPY" | "MOVE");
    has_one.then(|| headers.get(names::DESTINATION).map(Value::as_bytes)).flatten()
}

/// The path, with its query, of a reference to a resource on this host; `None` for one on another host.
fn own_path<'v>(value: &'v [u8], host: &[u8]) -> Option<&'v [u8]> {
    if value.starts_with(b"/") && !value.starts_with(b"//") {
        return Some(value);
    }
    let (rest, default_port) = match (without_scheme(value, b"http://"), without_scheme(value, b"https://")) {
        (Some(rest), _) => (rest, &b":80"[..]),
        (None, Some(rest)) => (rest, &b":443"[..]),
        (None, None) => return None,
    };
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let bare = |authority: &'v [u8]| authority.strip_suffix(default_port).unwrap_or(authority);
    let is_own = bare(&rest[..end]).eq_ignore_ascii_case(host.strip_suffix(default_port).unwrap_or(host));
    is_own.then_some(&rest[end..])
}

fn without_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (begin, rest) = value.split_at_checked(scheme.len())?;
    begin.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The path for the upstream; `None` if it is not below the prefix that is removed.
fn mapped(path: &[u8], strip: Option<&str>, add: Option<&str>) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(strip.unwrap_or_default().as_bytes())?;
    let slash: &[u8] = match rest.first() {
        Some(b'/') => b"",
        None | Some(b'?' | b'#') => b"/",
        Some(_) => return None,
    };
    Some([add.unwrap_or_default().as_bytes(), slash, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_the_own_host_are_paths() {
        let path = |value: &str| own_path(value.as_bytes(), b"files.example").map(|path| String::from_utf8_lossy(path).into_owned());
        for own in [
            "http://files.example/a?b",
            "HTTPS://Files.Example/a?b",
            "https://files.example:443/a?b",
            "http://files.example:80/a?b",
            "/a?b",
        ] {
            assert_eq!(path(own).as_deref(), Some("/a?b"), "{own}");
        }
        for other in [
            "http://other.example/a",
            "http://files.example:8080/a",
            "http://u@files.example/a",
            "//files.example/a",
            "ftp://files.example/a",
            "a",
            "",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
        assert_eq!(own_path(b"http://h:8080/a", b"H:8080"), Some(&b"/a"[..]));
    }

    #[test]
    fn prefixes_are_mapped_as_in_the_target() {
        let text = |path: &str, strip, add| mapped(path.as_bytes(), strip, add).map(|path| String::from_utf8(path).unwrap());
        assert_eq!(text("/dav/a", Some("/dav"), None).as_deref(), Some("/a"));
        assert_eq!(text("/dav", Some("/dav"), Some("/files")).as_deref(), Some("/files/"));
        assert_eq!(text("", None, None).as_deref(), Some("/"));
        assert_eq!(text("/davos", Some("/dav"), None), None);
        assert_eq!(text("/a", Some("/dav"), None), None);
    }
}
