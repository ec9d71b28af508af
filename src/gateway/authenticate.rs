//! Finds out who the user of a request is, where its route wants to know.
//!
//! The limits of the route were checked before, so that they also bound how often a client may try. Knows nothing of how a service is
//! asked; `forward_auth` does.

use http::{HeaderValue, header};
use tokio::time::Instant;

use super::forward_auth;
use super::identity::{Entry, Identity};
use super::request::Request;
use super::state::{Client, Gateway};
use crate::auth::credentials::Credentials;
use crate::auth::verifier::Verdict;
use crate::failure::{Failure, Kind};
use crate::header::{HeaderList, Value};
use crate::plan::{Auth, AuthMethod, BasicAuth, Route};

/// Finds out who the user is.
///
/// # Errors
/// The request may not enter, or nobody can tell.
pub(super) async fn authenticate(
    gateway: &Gateway,
    client: &Client,
    (route, auth): (&Route, &Auth),
    request: Request<'_>,
    headers: &HeaderList,
    deadline: Option<Instant>,
) -> Result<Entry, Failure> {
    let entry = match &auth.method {
        AuthMethod::Basic(basic) => by_password(basic, headers, deadline).await.map(Entry::Admitted),
        AuthMethod::Service(service) => forward_auth::ask(gateway, client, (route, service), request, headers, deadline).await,
    };
    match &entry {
        Ok(Entry::Admitted(_)) => auth.counted.admitted.inc(),
        Ok(Entry::Redirected(_)) => auth.counted.redirected.inc(),
        Err(failure) if matches!(failure.kind, Kind::Unauthorized | Kind::AuthRefused) => auth.counted.refused.inc(),
        Err(_) => auth.counted.failed.inc(),
    };
    entry
}

/// Verifies the name and the password of a request.
async fn by_password(basic: &BasicAuth, headers: &HeaderList, deadline: Option<Instant>) -> Result<Identity, Failure> {
    let refused = |why: &str| Failure { challenge: Some(Box::new(basic.challenge.clone())), ..Failure::because(Kind::Unauthorized, why) };
    let mut lines = headers.get_all(header::AUTHORIZATION).map(Value::as_bytes);
    let value = match (lines.next(), lines.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(refused("the request has no credentials")),
        (Some(_), Some(_)) => return Err(refused("the request has several credentials")),
    };
    let credentials = Credentials::of_basic(value).ok_or_else(|| refused("the credentials are not a name and a password"))?;
    let user = HeaderValue::from_bytes(credentials.user.as_bytes()).map_err(|_| refused("the name has control characters"))?;
    let verdict = match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, basic.verifier.verify(credentials)).await.map_err(|_| Kind::TotalTimeout)?,
        None => basic.verifier.verify(credentials).await,
    };
    match verdict {
        Verdict::Right => Ok(Identity(basic.user_header.iter().map(|name| (name.clone(), user.clone())).collect())),
        Verdict::Wrong => Err(refused("wrong name or password")),
        Verdict::Overloaded => Err(Failure::because(Kind::Overloaded, "too many passwords wait for their verification")),
    }
}
