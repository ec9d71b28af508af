//! Reads the name of a header that an operator may set or remove. Must not know what for.

use http::HeaderName;

use super::section::{At, Section};

/// Reads the name of a header that an operator may edit: any header that the gateway does not manage itself.
pub(super) fn header_name(s: &mut Section<'_, '_>, name: &At<String>) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
        s.problems.add(name.span.clone(), "invalid header name", "a header name has letters, digits and `-`");
        return None;
    };
    const MANAGED: &[&str] =
        &["connection", "content-length", "transfer-encoding", "trailer", "upgrade", "te", "host", "x-request-id", "proxy-status"];
    if MANAGED.contains(&header.as_str()) {
        let title = format!("`{header}` is managed by the gateway and cannot be edited");
        s.problems.add(
            name.span.clone(),
            title,
            if header == "host" { "use `host_header` of the backend" } else { "remove it from the list" },
        );
        return None;
    }
    Some(header)
}
