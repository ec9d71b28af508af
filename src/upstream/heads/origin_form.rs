//! Builds a request in origin form, the only form that is sent to an endpoint (RFC 9112 3.2.1).
//!
//! Knows nothing of the headers.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri};

use crate::failure::{Failure, Kind};

/// Builds a request in origin form.
///
/// # Errors
/// Returns [`Kind::BadRequest`] if the parts do not make a valid request.
pub fn origin_form<B>(method: Method, target: PathAndQuery, headers: HeaderMap, body: B) -> Result<Request<B>, Failure> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).map_err(|error| Failure::because(Kind::BadRequest, error.to_string()))?;
    *request.headers_mut() = headers;
    Ok(request)
}
