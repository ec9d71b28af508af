//! Interim responses of upstreams (RFC 9110 15.2), such as 103 Early Hints: which of their headers a client may see.

use http::StatusCode;

use super::heads::guard_headers;
use super::state::Gateway;
use crate::header::HeaderList;
use crate::policy::Mode;
use crate::upstream::heads::response;

/// Returns the response with the headers that a client may see, or `None` if its head is not valid.
pub(super) fn cleaned(gateway: &Gateway, status: u16, mut headers: HeaderList) -> Option<(StatusCode, HeaderList)> {
    let status = StatusCode::from_u16(status).ok()?;
    let development = gateway.plan.mode == Mode::Development;
    response::prepare(&mut headers, status, development).ok()?;
    // They frame a body, and an interim response has none (RFC 9110 8.6).
    for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::TRAILER] {
        headers.remove(name);
    }
    if !development {
        guard_headers(&mut headers, &gateway.plan.fallback_presenter.redactor);
    }
    Some((status, headers))
}
