//! Reads the body of a redirect, the short note that hardly any client shows. It often repeats the address that `Location` had before it was
//! mapped. Knows nothing of the mapping.

use std::sync::Arc;

use bytes::Bytes;
use http::header;

use super::outcome::{Content, ErrorOutcome, Passed};
use super::prepared::Prepared;
use super::read::reading_clocks;
use super::request::Request;
use crate::limit::reserve::Reserve;
use crate::plan::Route;
use crate::relay::{Beyond, collect};
use crate::upstream::heads::own_address;
use crate::upstream::heads::response::describes_body;

/// The largest note that passes, in bytes.
const MAX_NOTE: usize = 16 * 1024;

/// Lets the body of a redirect pass if it is short, plain and clean; otherwise the redirect has no body.
///
/// # Errors
/// Never: the head alone is a complete redirect.
pub(super) async fn read(
    mut response: Prepared,
    route: &Route,
    request: Request<'_>,
    buffers: &Arc<Reserve>,
) -> Result<Passed, ErrorOutcome> {
    let resolved = response.body.endpoint().and_then(|endpoint| endpoint.address);
    // Without memory the body is read and discarded.
    let memory = buffers.take(response.holds(MAX_NOTE));
    let most = if memory.is_some() { MAX_NOTE } else { 0 };
    let read = collect(&mut response.body, most, reading_clocks(&route.policy, response.clocks), Beyond::Drain).await;
    let is_whole = read.failure.is_none() && !read.truncated && !response.headers.contains(header::CONTENT_ENCODING);
    let targets = route.forward().map_or(&[][..], |forward| &forward.backend.targets);
    let client_host = request.host_bytes().unwrap_or_default();
    let is_named =
        |text: &[u8]| own_address::names_endpoint(text, targets, resolved) || own_address::names_internal_host(text, client_host);
    let is_clean = is_whole && !is_named(&read.bytes);
    let body = match memory.filter(|_| is_clean) {
        Some(memory) => memory.hold(read.bytes),
        None => {
            let described: Vec<_> = response.headers.names().filter(|name| describes_body(name.as_str())).cloned().collect();
            response.headers.remove_all(&described);
            Bytes::new()
        }
    };
    response.headers.remove(header::CONTENT_LENGTH);
    Ok(Passed { status: response.status, headers: response.headers, content: Content::Ready(body) })
}
