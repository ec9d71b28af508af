//! The requests that a rule matches. Knows nothing of the look-up.

use http::Method;

use super::conditions::Conditions;
use super::pattern::Pattern;

/// The requests that a rule matches.
#[derive(Clone, Debug)]
pub struct Match {
    /// Lower case, without port; `*.example.com` is a wildcard; `None` matches any host.
    pub host: Option<String>,
    /// The paths.
    pub path: Pattern,
    /// `None` matches any method. `GET` implies `HEAD`.
    pub methods: Option<Vec<Method>>,
    /// What else must hold.
    pub conditions: Conditions,
}

/// Two rules of which none is more specific, although a request can match both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The index of the earlier rule.
    pub first: usize,
    /// The index of the later rule.
    pub second: usize,
}
