//! Cross-origin requests (<https://fetch.spec.whatwg.org/#http-cors-protocol>): answers preflights before any limit, and adds the route's
//! headers to every response. Without them a browser could not read an error.

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};

use super::outcome::{Content, Passed};
use super::request::Request;
use crate::header::HeaderList;
use crate::plan::Route;
use crate::policy::{AllowedOrigin, Cors};

/// Headers that a browser may always read.
const EXPOSED: &str = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy";

/// Answers a preflight. `None` if the request is none, or the route leaves CORS to the upstream.
pub(super) fn preflight(route: &Route, request: Request<'_>) -> Option<Passed> {
    let cors = route.policy.cors.as_ref()?;
    if request.context.method != Method::OPTIONS || request.context.wanted.origin.is_none() {
        return None;
    }
    request.seen.rare().preflight_method.as_ref()?;
    let mut headers = HeaderList::new();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, &cors.methods);
    if let Some(allowed) = cors.headers.as_ref().or(request.seen.rare().preflight_headers.as_ref()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    if let Some(age) = &cors.max_age {
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, age);
    }
    headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"));
    Some(Passed { status: StatusCode::NO_CONTENT, headers, content: Content::Ready(bytes::Bytes::new()) })
}

/// Replaces the upstream's CORS headers by the route's.
pub(super) fn apply(cors: &Cors, origin: Option<&str>, headers: &mut HeaderList) {
    let exposed = headers.take(header::ACCESS_CONTROL_EXPOSE_HEADERS);
    for name in [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_ALLOW_CREDENTIALS] {
        headers.remove(name);
    }
    let any = cors.origins.contains(&AllowedOrigin::Any);
    if !any {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin else { return };
    let named = cors.origins.iter().any(|allowed| allowed.allows(origin));
    if !any && !named {
        return;
    }
    // The origin came in a header.
    let _ = headers.try_insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, if any { b"*" } else { origin.as_bytes() });
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    // Headers that the application exposes stay readable.
    let all = exposed.and_then(|own| HeaderValue::from_bytes(&[own.as_bytes(), b", ", EXPOSED.as_bytes()].concat()).ok());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all.unwrap_or(HeaderValue::from_static(EXPOSED)));
}
