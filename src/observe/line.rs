//! What all forms of an access line have in common: the choice among them, their context, and the bounds of their fields.
//!
//! Must not know how a line is written; `access_log`, `selection`, `template` and `pretty` do.

use std::time::Duration;

use super::metrics::RouteMetrics;
use crate::context::RequestContext;
use crate::text::{bounded, plain_host};

/// The parts of an access line that only the recorder knows.
pub(super) struct LineContext<'a> {
    /// The route of the request, or the placeholder for requests without a route.
    pub(super) route: &'a RouteMetrics,
    /// The time from arrival to the end of the request.
    pub(super) took: Duration,
}

/// The maximum length of the path in a line, in bytes.
const MAX_PATH: usize = 1024;
/// The maximum length of the host in a line, in bytes: that of a domain name (RFC 1035 2.3.4) with a port.
const MAX_HOST: usize = 262;

/// Returns the path, bounded.
pub(super) fn path(context: &RequestContext) -> &str {
    bounded(context.path(), MAX_PATH)
}

/// Returns the host that the client named, without credentials and bounded; `None` if it named none.
pub(super) fn host(context: &RequestContext) -> Option<&[u8]> {
    context.host().map(plain_host).map(|host| &host[..host.len().min(MAX_HOST)])
}
