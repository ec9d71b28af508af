//! Reads the body of a redirect, the short note that hardly any client shows. It often repeats the address that `Location` had before it was
//! mapped. Knows nothing of the mapping.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use tokio::time::Instant;

use super::outcome::{Content, Passed};
use super::prepared::Prepared;
use super::request::Request;
use crate::failure::Kind;
use crate::limit::reserve::Reserve;
use crate::plan::Route;
use crate::relay::{Beyond, BodyClocks, collect};
use crate::upstream::heads::own_address;

/// The largest note that passes, in bytes.
const MAX_NOTE: usize = 16 * 1024;
/// The longest time that the note is waited for: the head alone is a complete redirect.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets the body of a redirect pass if it is short, plain and clean; otherwise the redirect has no body.
pub(super) async fn read(mut response: Prepared, route: &Route, request: Request<'_>, buffers: &Arc<Reserve>) -> Passed {
    let resolved = response.body.endpoint().and_then(|endpoint| endpoint.address);
    // Without memory the body is read and discarded.
    let memory = buffers.take(response.holds(MAX_NOTE));
    let most = if memory.is_some() { MAX_NOTE } else { 0 };
    let clocks = BodyClocks { idle: Some(PATIENCE), deadline: Some((Instant::now() + PATIENCE, Kind::ResponseTimeout)) };
    let read = collect(&mut response.body, most, clocks, Beyond::Drain).await;
    let is_whole = read.failure.is_none() && !read.truncated && !response.headers.contains(header::CONTENT_ENCODING);
    let targets = route.forward().map_or(&[][..], |forward| &forward.backend.targets);
    let client_host = request.host_bytes().unwrap_or_default();
    let is_named = |text: &[u8]| {
        own_address::names_endpoint(text, targets, resolved, client_host) || own_address::names_internal_host(text, client_host)
    };
    let is_clean = is_whole && !is_named(&read.bytes);
    let body = match memory.filter(|_| is_clean) {
        Some(memory) => memory.hold(read.bytes),
        None => {
            // What tells of the redirect itself, such as `Cache-Control`, stays.
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::ETAG, header::ACCEPT_RANGES] {
                response.headers.remove(name);
            }
            Bytes::new()
        }
    };
    response.headers.remove(header::CONTENT_LENGTH);
    Passed { status: response.status, headers: response.headers, content: Content::Ready(body) }
}
