//! How a route finds out who the user of a request is.
//!
//! Plain data that `access` fills in.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};

use crate::auth::verifier::Verifier;
use crate::observe::auth_metrics::AuthCounters;
use crate::policy::Timeouts;
use crate::upstream::choose::backend::Backend;

/// How a route finds out who the user is.
#[derive(Debug)]
pub struct Auth {
    /// How.
    pub method: AuthMethod,
    /// Headers that are removed from a client's request, because the gateway sets them or keeps them to itself.
    pub withheld: Vec<HeaderName>,
    /// One of these names has unusual characters, so that it has a plain twin.
    pub has_odd_names: bool,
    /// Counters by result.
    pub counted: Arc<AuthCounters>,
}

/// How a route finds out who the user is.
#[derive(Debug)]
pub enum AuthMethod {
    /// By a name and a password (RFC 7617).
    Basic(BasicAuth),
    /// A service decides.
    Service(AuthService),
}

/// Names and passwords.
#[derive(Debug)]
pub struct BasicAuth {
    /// Verifies them.
    pub verifier: Arc<Verifier>,
    /// `WWW-Authenticate` of a 401.
    pub challenge: HeaderValue,
    /// The header that tells the backend the name.
    pub user_header: Option<HeaderName>,
}

/// A service that decides who may enter.
#[derive(Debug)]
pub struct AuthService {
    /// Where it is.
    pub backend: Arc<Backend>,
    /// What it is asked for.
    pub target: PathAndQuery,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// The time for its whole answer.
    pub timeout: Duration,
    /// Headers of its answer that are copied into the request to the backend.
    pub copied: Vec<HeaderName>,
}
