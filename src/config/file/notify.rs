//! The keys of `[[notify]]`, and the rules that `when` lists.

use std::ops::Range;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::section::At;
use crate::config::units::Rate;
use crate::text::Secret;

/// Headers whose values open the receiver.
pub(super) type SecretHeaders = Vec<(HeaderName, Secret<HeaderValue>)>;

/// An entry of `[[notify]]`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Notify {
    pub span: Range<usize>,
    pub name: Option<At<String>>,
    pub kind: NotifyKind,
    pub url: At<Secret<String>>,
    pub when: Option<Vec<At<NotifyRule>>>,
    pub routes: Option<Vec<At<String>>>,
    pub backends: Option<Vec<At<String>>>,
    pub codes: Option<At<Vec<String>>>,
    pub window: Option<At<Duration>>,
    pub per_minute: Option<u64>,
    pub timeout: Option<At<Duration>>,
    pub ca: Option<At<String>>,
    pub secret: Option<At<Secret<String>>>,
    pub template: Option<At<String>>,
    pub template_type: Option<At<NotifyTemplateType>>,
    pub headers: Option<At<SecretHeaders>>,
}

/// `kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyKind {
    /// An incoming webhook of Slack, or of a program that understands its messages.
    Slack,
    /// A workflow of Microsoft Teams that begins with a webhook.
    Teams,
    /// A webhook of Discord.
    Discord,
    /// Any other program.
    Webhook,
    /// A project of Sentry.
    Sentry,
}

impl NotifyKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Slack, Self::Teams, Self::Discord, Self::Webhook, Self::Sentry];

    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Discord => "discord",
            Self::Webhook => "webhook",
            Self::Sentry => "sentry",
        }
    }
}

/// `template_type`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifyTemplateType {
    /// Values are escaped as JSON.
    #[default]
    Json,
    /// Values are written without control characters.
    Plain,
}

/// What a rate is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateOf {
    /// The failures of a group.
    Group,
    /// The failures of a route.
    Route,
}

/// When a notifier speaks: an entry of `when`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyRule {
    /// A failure began a group.
    NewGroup,
    /// A failure occurred in a group that had been resolved.
    Regression,
    /// There are more failures than this.
    Rate(RateOf, Rate),
    /// No endpoint of a backend gets requests.
    BackendDown,
    /// An endpoint gets requests again.
    BackendUp,
    /// The circuit breaker of an endpoint opened.
    BreakerOpen,
    /// A certificate of the listener ends within this time.
    Certificate(Duration),
    /// A changed configuration or certificate cannot be used.
    ReloadFailed,
}

impl NotifyRule {
    /// Returns true if the rule is about failures of requests, which the journal reports.
    pub const fn is_of_journal(self) -> bool {
        match self {
            Self::NewGroup | Self::Regression | Self::Rate(..) => true,
            Self::BackendDown | Self::BackendUp | Self::BreakerOpen | Self::Certificate(_) | Self::ReloadFailed => false,
        }
    }
}
