//! `[errors]`, and `errors = {...}` of a backend or a route: every key with its place in the file. Must not know defaults.

use std::time::Duration;

use crate::config::section::At;
use crate::policy::{Details, Format, Protocol, StatusRule, SuccessRule, Upstream429};

/// `[errors]` and `errors = {...}` of a backend or a route.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct ErrorKeys {
    pub format: Option<Format>,
    pub details: Option<Details>,
    pub negotiate: Option<bool>,
    pub languages: Option<Vec<At<String>>>,
    pub max_body: Option<At<u64>>,
    pub upstream_429: Option<Upstream429>,
    pub retry_after: Option<Duration>,
    pub retry_after_max: Option<Duration>,
    pub protocol: Option<Protocol>,
    pub template: Option<At<String>>,
    pub template_type: Option<At<String>>,
    pub messages: Option<At<String>>,
    pub page: Option<At<String>>,
    pub status_map: Option<Vec<StatusRule>>,
    pub database_errors: Option<bool>,
    pub redact: Option<RedactKeys>,
    pub errors_in_success: Option<Vec<SuccessRule>>,
    pub proxy_status: Option<bool>,
    pub edge_safe: Option<bool>,
}

/// `[errors.redact]`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct RedactKeys {
    pub extra: Vec<At<String>>,
    pub allow: Vec<At<String>>,
}
