//! Finds the route of a request.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::plan::Route;
use crate::route::{Found, Table, is_ambiguous};

/// Finds the route of a request. A route that does not allow the method is returned with the failure, because it decides the format of the
/// error.
///
/// # Errors
/// No route matches, or the path is ambiguous.
pub(super) fn find<'p>(table: &'p Table<Arc<Route>>, request: Request<'_>) -> Result<(&'p Arc<Route>, Option<Failure>), Failure> {
    let path = request.context.uri.path();
    let host = request.host();
    let whole_server = path == "*" && request.context.method == Method::OPTIONS;
    if !path.starts_with('/') && !whole_server {
        return Err(Failure::because(Kind::BadRequest, "the target is not a path"));
    }
    if is_ambiguous(table, host, path) {
        return Err(Failure::because(Kind::BadRequest, "the path can be read in more than one way"));
    }
    // A preflight is routed by the method that it asks about, not by OPTIONS (Fetch standard 3.2.2).
    let preflight = request.preflight_method();
    match table.find(host, path, preflight.as_ref().unwrap_or(&request.context.method)) {
        Found::Target(route) => Ok((route, None)),
        Found::Nothing => Err(Kind::RouteNotFound.into()),
        Found::OtherMethods(methods, route) => {
            let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let refused = Failure { allow: HeaderValue::from_str(&list).ok(), ..Failure::new(Kind::MethodNotAllowed) };
            Ok((route, Some(refused)))
        }
    }
}
