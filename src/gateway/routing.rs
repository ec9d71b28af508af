//! Finds the route of a request.

use http::{HeaderValue, Method};

use super::destination;
use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::header::HeaderList;
use crate::plan::{Chosen, RouteTarget, Split};
use crate::policy::Scheme;
use crate::route::{Asked, Found, Query, Table, is_ambiguous};

/// Finds the route of a request. A route that does not allow the method is returned with the failure, because it decides the format of the
/// error.
///
/// # Errors
/// No route matches, the target is not a path, or the path is ambiguous.
pub(super) fn find<'p>(
    table: &'p Table<RouteTarget>,
    request: Request<'_>,
    headers: &HeaderList,
    scheme: Scheme,
) -> Result<(Chosen<'p>, Option<Failure>), Failure> {
    find_by(table, request, headers, scheme, |split| split.choose(headers, request.context.client))
}

/// Finds the route of a request that is only asked about, so that it takes no turn of others.
///
/// # Errors
/// As for a request.
pub(super) fn peek<'p>(
    table: &'p Table<RouteTarget>,
    request: Request<'_>,
    headers: &HeaderList,
    scheme: Scheme,
) -> Result<(Chosen<'p>, Option<Failure>), Failure> {
    find_by(table, request, headers, scheme, |split| split.peek(headers, request.context.client))
}

fn find_by<'p>(
    table: &'p Table<RouteTarget>,
    request: Request<'_>,
    headers: &HeaderList,
    scheme: Scheme,
    choose_of: impl Fn(&'p Split) -> Chosen<'p>,
) -> Result<(Chosen<'p>, Option<Failure>), Failure> {
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
    let method = preflight.as_ref().unwrap_or(&request.context.method);
    let (client, query) = (request.context.client, Query::new(request.context.uri.query()));
    let choose = |target: &'p RouteTarget| match target {
        RouteTarget::One(route) => Chosen { route, cookie: None },
        RouteTarget::Split(split) => choose_of(split),
    };
    match table.find(&Asked { host, path, query, method, headers, client, scheme }) {
        Found::Target(target) => Ok((choose(target), destination::check(table, request, headers).err())),
        Found::Nothing => Err(Kind::RouteNotFound.into()),
        Found::OtherMethods(methods, target) => {
            let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            let refused = Failure { allow: HeaderValue::from_str(&list).ok(), ..Failure::new(Kind::MethodNotAllowed) };
            Ok((choose(target), Some(refused)))
        }
    }
}
