//! A route as the gateway runs it: what it does, its policy, its limits and how its errors are presented.
//!
//! Plain data that `routes` fills in. Knows nothing of the routing table.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::auth::Auth;
use crate::config::limits::KeySource;
use crate::limit::gate::Gate;
use crate::limit::{Limit, Window};
use crate::message::Messages;
use crate::observe::metrics::{BackendMetrics, Rejections, RouteMetrics};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::render;
use crate::route::{Pattern, Template};
use crate::upstream::choose::backend::Backend;

/// A route: what it does, its policy and its limits.
#[derive(Debug)]
pub struct Route {
    /// The name and the metrics of the route.
    pub metrics: Arc<RouteMetrics>,
    /// Its paths as configured, for traces.
    pub paths: Arc<str>,
    /// What it does.
    pub action: Action,
    /// The merged policy.
    pub policy: Policy,
    /// How error responses are presented.
    pub presenter: ErrorPresenter,
    /// The limits, in the order of the configuration.
    pub limits: Vec<AppliedLimit>,
    /// How it finds out who the user is; `None` admits everyone. The variants of a route share it.
    pub auth: Option<Arc<Auth>>,
}

impl Route {
    /// Returns the backend, if the route has one.
    pub fn forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }

    /// Returns the permits of the backend, if its requests in flight are limited.
    pub fn gate(&self) -> Option<&Arc<Gate>> {
        self.forward()?.gate.as_ref()
    }
}

/// What a route does with a request.
#[derive(Debug)]
pub enum Action {
    /// Sends it to a backend.
    Forward(Forward),
    /// Redirects it.
    Redirect(Redirect),
    /// Answers it.
    Respond(Respond),
}

/// The backend of a route.
#[derive(Debug)]
pub struct Forward {
    /// The backend.
    pub backend: Arc<Backend>,
    /// The metrics of the backend.
    pub backend_metrics: Arc<BackendMetrics>,
    /// The permits of the backend, if its requests in flight are limited.
    pub gate: Option<Arc<Gate>>,
    /// What takes the place of the path.
    pub rewrite: Option<PathTemplate>,
}

/// A template whose placeholders are parts of the request.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    /// The template.
    pub template: Template,
    /// The paths of the route, one of which has matched.
    pub patterns: Arc<[Pattern]>,
}

/// A redirect.
#[derive(Debug)]
pub struct Redirect {
    /// The URL.
    pub to: PathTemplate,
    /// The status.
    pub status: StatusCode,
}

/// A fixed response.
#[derive(Debug)]
pub struct Respond {
    /// The status.
    pub status: StatusCode,
    /// The body and its media type. An error without a body is told in the format of the route.
    pub body: Option<(Bytes, HeaderValue)>,
}

/// The compiled parts of a [`crate::policy::ErrorPolicy`], with which error responses are presented.
#[derive(Clone, Debug, Default)]
pub struct ErrorPresenter {
    /// The rules that remove internals.
    pub redactor: Arc<Redactor>,
    /// The messages in all languages.
    pub messages: Arc<Messages>,
    /// The operator's template, if one is configured.
    pub template: Option<Arc<render::Template>>,
    /// The operator's pages, if any are configured.
    pub pages: Option<Arc<render::Pages>>,
}

/// A limit as one route applies it.
#[derive(Clone, Debug)]
pub struct AppliedLimit {
    /// The limit; all routes that name it share it.
    pub limit: Arc<Limit>,
    /// What the key by which the limit separates its counts consists of; never empty.
    pub key: Arc<[KeySource]>,
    /// The number of requests that one request of this route counts as.
    pub cost: NonZeroU32,
    /// Counter of rejections.
    pub refused: Arc<Rejections>,
    /// The `RateLimit` headers of each window.
    pub quota_policies: Arc<[Arc<QuotaPolicy>]>,
}

/// A window of a rate limit as its `RateLimit` headers describe it.
#[derive(Debug)]
pub struct QuotaPolicy {
    /// The quoted name of the limit.
    pub label: String,
    /// Name, quota and window: `"name";q=100;w=60`.
    pub policy: String,
}

impl QuotaPolicy {
    /// Describes a window of the limit with this name.
    pub fn of(name: &str, window: &Window) -> Self {
        let label = quoted(name);
        Self { policy: format!("{label};q={};w={}", window.count, window.window.as_secs().max(1)), label }
    }
}

/// Writes a name as a string of RFC 9651 3.3.3: printable ASCII with `\` and `"` escaped, in quotes. Other characters are left out.
fn quoted(name: &str) -> String {
    let mut quoted = String::from("\"");
    for c in name.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_limits_are_structured_strings() {
        assert_eq!(quoted("a\"b\\c\u{e9}"), "\"a\\\"b\\\\c\"");
    }
}
