//! Guarded routes (`leak_guard`): removes from successes what only a failing program writes.
//!
//! A short body is cleaned as a whole: JSON stays JSON, and errors inside are found too. A longer one streams through a window of bounded
//! size, where leaks are overwritten, so that its length does not change.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use super::heads::guard_headers;
use super::outcome::{Content, ErrorOutcome, Passed, Watch};
use super::prepared::Prepared;
use super::read::{Decoded, broken_off, decoded, header_text, inside, reading_clocks};
use super::traced;
use crate::body::Incoming as _;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::language::Languages;
use crate::limit::reserve::{MemoryPermit, Reserve};
use crate::plan::Route;
use crate::relay::{Beyond, Collected, collect};
use crate::upstream::heads::response::describes_body;

/// The largest body that is cleaned as a whole, in bytes.
const WHOLE: usize = 64 * 1024;

/// Guards a success: cleans it as a whole, or lets it stream through the window.
pub(super) async fn guard(
    mut response: Prepared,
    route: &Route,
    buffers: &Arc<Reserve>,
    languages: Languages<'_>,
    masked: Option<&AtomicBool>,
) -> Result<Passed, ErrorOutcome> {
    guard_headers(&mut response.headers, &route.presenter.redactor);
    let content_type = header_text(&response.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    let texts = ["json", "xml", "html", "text/", "javascript", "graphql", "yaml", "x-www-form", "multipart"];
    if !content_type.is_empty() && !texts.iter().any(|word| content_type.contains(word)) {
        return response.begin().await;
    }
    // A body with a content coding can only be read as a whole, and so can one that may report an error.
    let coded = response.headers.contains(header::CONTENT_ENCODING);
    let must = coded || !route.policy.errors.errors_in_success.is_empty();
    let bound = if must { route.policy.errors.max_body.max(WHOLE) } else { WHOLE };
    let events = content_type.contains("event-stream");
    // Only a body that declares a short length is waited for: any other may stream for hours.
    let short = response.body.size_hint().exact().is_some_and(|length| length <= bound as u64);
    if events || !(short || must) {
        return Ok(guarded(response.begin().await?));
    }
    let memory = match buffers.take(response.holds(bound)) {
        Some(memory) => memory,
        None if must => return Err(unguardable("listen.buffer_memory is used up")),
        None => return Ok(guarded(response.begin().await?)),
    };
    let read = collect(&mut response.body, bound, reading_clocks(&route.policy, response.clocks), Beyond::Keep).await;
    if let Some(failure) = read.failure {
        return Err(broken_off(failure).into());
    }
    if read.truncated && coded {
        return Err(unguardable("a coded body over errors.max_body cannot be guarded"));
    }
    if read.truncated {
        return Ok(guarded(response.stream_after(memory.hold(read.bytes).into())));
    }
    let Prepared { status, headers, .. } = response;
    whole(status, headers, &read, (route, masked), (memory, languages))
}

/// Headers with digests of the body, which may change.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

fn unguardable(why: &str) -> ErrorOutcome {
    Failure::because(Kind::UpstreamError, why).into()
}

fn guarded(mut passed: Passed) -> Passed {
    if let Content::Stream { watch, .. } = &mut passed.content {
        *watch = Watch::Leaks;
        // These describe a body that may change.
        for name in [header::ETAG].into_iter().chain(DIGESTS.map(HeaderName::from_static)) {
            passed.headers.remove(name);
        }
    }
    passed
}

/// Cleans a body that was read as a whole.
fn whole(
    status: StatusCode,
    mut headers: HeaderList,
    read: &Collected,
    (route, masked): (&Route, Option<&AtomicBool>),
    (mut memory, languages): (MemoryPermit, Languages<'_>),
) -> Result<Passed, ErrorOutcome> {
    let policy = &route.policy;
    let content_type = header_text(&headers, "content-type");
    let bytes = Cow::Borrowed(&*read.bytes);
    let most = policy.errors.max_body.max(WHOLE);
    let Decoded { text, whole: true, .. } = decoded(&headers, content_type.as_deref(), bytes, read.truncated, most) else {
        return Err(unguardable("a coding that cannot be undone to its end cannot be guarded"));
    };
    if let Some(outcome) = inside(&text, status.as_u16(), &mut headers, policy, languages) {
        return Err(outcome);
    }
    // A decoded body takes more memory than was reserved for its coded form.
    if !memory.grow(text.len().saturating_sub(read.bytes.len())) {
        return Err(unguardable("listen.buffer_memory is used up"));
    }
    // Text of two or four bytes per letter, without a byte order mark and not declared, is judged by its low bytes.
    let narrow = text.contains('\0').then(|| text.replace('\0', ""));
    let bytes = match narrow.as_deref().or(Some(text.as_str())).and_then(|text| route.presenter.redactor.document(text)) {
        Some(clean) => {
            traced::count_masked(route, masked);
            replaced(&mut headers, clean)
        }
        None => Bytes::copy_from_slice(&read.bytes),
    };
    Ok(Passed { status, headers, content: Content::Ready(memory.hold(bytes)) })
}

/// Corrects the headers of a body that was rewritten as UTF-8.
fn replaced(headers: &mut HeaderList, text: String) -> Bytes {
    let kept = [
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::CONTENT_LANGUAGE,
        header::CONTENT_DISPOSITION,
        header::X_CONTENT_TYPE_OPTIONS,
        header::AGE,
    ];
    headers.retain(|name| !(describes_body(name.as_str()) || *name == header::CONTENT_RANGE) || kept.contains(name));
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or("text/plain");
    let media = format!("{}; charset=utf-8", media.trim());
    // A part of a valid value is one.
    let _ = headers.try_insert(header::CONTENT_TYPE, media.as_bytes());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    text.into()
}
