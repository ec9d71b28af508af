//! Guarded routes (`leak_guard`): successes are looked through for what only a failing program writes, and it is taken out.
//!
//! A body that ends early enough is cleaned whole: JSON stays JSON, and errors inside are found too. A longer one streams
//! through a window of bounded size, where leaks are overwritten: nothing else moves, so its length stays true.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;

use super::heads::guard_headers;
use super::outcome::{Content, ErrorOutcome, Passed};
use super::prepared::Prepared;
use super::read::{Decoded, broken_off, decoded, header_text, inside, reading_clocks};
use crate::failure::{Failure, Kind};
use crate::limit::reserve::{MemoryPermit, Reserve};
use crate::plan::Route;
use crate::relay::{Beyond, Collected, collect};
use crate::upstream::heads::response::describes_body;

/// A body up to this size is cleaned whole, in bytes.
const WHOLE: usize = 64 * 1024;

/// Begins to watch a success.
pub(super) async fn guard(mut reply: Prepared, route: &Route, buffers: &Arc<Reserve>) -> Result<Passed, ErrorOutcome> {
    guard_headers(&mut reply.headers, &route.presenter.redactor);
    let content_type = header_text(&reply.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    let texts = ["json", "xml", "html", "text/", "javascript", "graphql", "yaml", "x-www-form", "multipart"];
    if !content_type.is_empty() && !texts.iter().any(|word| content_type.contains(word)) {
        return reply.begin().await;
    }
    // A coded body can only be looked through whole; so can one in which errors are looked for.
    let coded = reply.headers.contains_key(header::CONTENT_ENCODING);
    let must = coded || !route.policy.errors.errors_in_success.is_empty();
    let bound = if must { route.policy.errors.max_body.max(WHOLE) } else { WHOLE };
    let events = content_type.contains("event-stream");
    // Only a body that says that it is short is waited for: any other may flow for hours.
    let short = reply.body.size_hint().exact().is_some_and(|length| length <= bound as u64);
    if events || !(short || must) {
        return Ok(guarded(reply.begin().await?));
    }
    let share = match buffers.take(reply.holds(bound)) {
        Some(share) => share,
        None if must => return Err(unguardable("listen.buffer_memory is used up")),
        None => return Ok(guarded(reply.begin().await?)),
    };
    let read = collect(&mut reply.body, bound, reading_clocks(&route.policy, reply.clocks), Beyond::Keep).await;
    if let Some(failure) = read.failure {
        return Err(broken_off(failure).into());
    }
    if read.truncated && coded {
        return Err(unguardable("a coded body over errors.max_body cannot be guarded"));
    }
    if read.truncated {
        return Ok(guarded(reply.stream_after(share.hold(read.bytes).into())));
    }
    let Prepared { status, headers, lease, .. } = reply;
    lease.finish(tokio::time::Instant::now());
    whole(status, headers, &read, route, share)
}

/// Digests of a body that may not stay as it is.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

fn unguardable(why: &str) -> ErrorOutcome {
    Failure::because(Kind::UpstreamError, why).into()
}

fn guarded(mut passed: Passed) -> Passed {
    if let Content::Stream { guarded, .. } = &mut passed.content {
        *guarded = true;
        // They would describe a body that may not stay as it is.
        for name in [header::ETAG].into_iter().chain(DIGESTS.map(HeaderName::from_static)) {
            passed.headers.remove(name);
        }
    }
    passed
}

/// All of the body is there.
fn whole(
    status: StatusCode,
    mut headers: HeaderMap,
    read: &Collected,
    route: &Route,
    mut share: MemoryPermit,
) -> Result<Passed, ErrorOutcome> {
    let policy = &route.policy;
    let Decoded { text, whole: true, .. } = decoded(&headers, read, policy.errors.max_body.max(WHOLE)) else {
        return Err(unguardable("a coding that cannot be undone to its end cannot be guarded"));
    };
    if let Some(outcome) = inside(&text, status.as_u16(), &mut headers, policy) {
        return Err(outcome);
    }
    // What was coded takes more than was reserved for it.
    if !share.grow(text.len().saturating_sub(read.bytes.len())) {
        return Err(unguardable("listen.buffer_memory is used up"));
    }
    // Letters of two or four bytes without a mark are no text of any charset that was declared: they are judged by their low bytes.
    let narrow = text.contains('\0').then(|| text.replace('\0', ""));
    let bytes = match narrow.as_deref().or(Some(text.as_str())).and_then(|text| route.presenter.redactor.document(text)) {
        Some(clean) => {
            route.metrics.masked();
            replaced(&mut headers, clean)
        }
        None => Bytes::copy_from_slice(&read.bytes),
    };
    Ok(Passed { status, headers, content: Content::Ready(share.hold(bytes)) })
}

/// Headers of a body that was rewritten as UTF-8.
fn replaced(headers: &mut HeaderMap, text: String) -> Bytes {
    let kept = [
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::CONTENT_LANGUAGE,
        header::CONTENT_DISPOSITION,
        header::X_CONTENT_TYPE_OPTIONS,
        header::AGE,
    ];
    let gone: Vec<_> = headers
        .keys()
        .filter(|name| (describes_body(name.as_str()) || **name == header::CONTENT_RANGE) && !kept.contains(name))
        .cloned()
        .collect();
    gone.into_iter().for_each(|name| drop(headers.remove(name)));
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or("text/plain");
    if let Ok(value) = HeaderValue::from_str(&format!("{}; charset=utf-8", media.trim())) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    text.into()
}
