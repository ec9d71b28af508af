//! Refuses clients by their addresses, before anything else of a route. Knows nothing of users.

use super::request::Request;
use crate::failure::{Failure, Kind};
use crate::plan::Route;

/// Checks the address of a client.
///
/// # Errors
/// The route does not admit it.
pub(super) fn check(route: &Route, request: Request<'_>) -> Result<(), Failure> {
    let client = request.context.client;
    match &route.policy.access {
        Some(access) if !access.admits(client) => {
            Err(Failure::because(Kind::Denied, format!("`access` of the route does not admit {}", client.to_canonical())))
        }
        Some(_) | None => Ok(()),
    }
}
