//! How a notifier is configured. Plain data, without where messages are sent.

use std::time::Duration;

use super::template::Template;
pub use crate::config::file::{NotifyRule as Rule, RateOf};
use crate::text::Secret;

/// The settings of a notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// The form of its messages.
    pub form: Form,
    /// When it speaks.
    pub rules: Vec<Rule>,
    /// Which failures, backends and breakers count.
    pub filter: Filter,
    /// After a message, further events of the same subject wait for a digest for this long.
    pub window: Duration,
    /// The most messages in a minute, at least 1.
    pub per_minute: u32,
    /// The URL below which the pages of the admin listener are, without a slash at its end.
    pub pages: Option<String>,
    /// The name of this gateway.
    pub gateway: String,
}

/// The form of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A message of Slack.
    Slack,
    /// An adaptive card.
    Teams,
    /// A message of Discord.
    Discord,
    /// A template, or JSON with all values.
    Webhook {
        /// The template.
        template: Option<Template>,
        /// The key of signatures.
        secret: Option<Secret<String>>,
    },
    /// An envelope of Sentry.
    Sentry,
}

/// Names of which one must match. Empty lists restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of routes.
    pub routes: Vec<String>,
    /// Names of backends.
    pub backends: Vec<String>,
    /// Codes.
    pub codes: Vec<String>,
}

impl Filter {
    /// Returns true if a backend counts.
    pub fn has_backend(&self, name: &str) -> bool {
        has(&self.backends, name)
    }

    /// Returns true if a failure counts.
    pub fn has_failure(&self, route: &str, backend: &str, code: &str) -> bool {
        has(&self.routes, route) && has(&self.backends, backend) && has(&self.codes, code)
    }
}

fn has(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == name)
}

impl Settings {
    /// Returns true if other settings are of the same notifier after a change: one with the same name and kind.
    pub fn is_successor(&self, other: &Self) -> bool {
        self.name == other.name && std::mem::discriminant(&self.form) == std::mem::discriminant(&other.form)
    }

    /// Returns true if a rule is about failures of requests.
    pub fn wants_failures(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_of_journal())
    }

    /// Returns true if a rule is about the state of backends, breakers or certificates.
    pub fn wants_states(&self) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::BackendDown | Rule::BackendUp | Rule::BreakerOpen | Rule::Certificate(_) => true,
            Rule::NewGroup | Rule::Regression | Rule::Rate(..) | Rule::ReloadFailed => false,
        })
    }
}
