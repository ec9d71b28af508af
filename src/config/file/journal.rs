//! The keys of `[journal]`.

use std::time::Duration;

use crate::config::section::At;
use crate::text::Secret;

/// `[journal]`
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Journal {
    pub enabled: Option<bool>,
    pub path: Option<At<String>>,
    pub url: Option<At<Secret<String>>>,
    pub keep: Option<At<Duration>>,
    pub max_size: Option<At<u64>>,
    pub body_limit: Option<At<u64>>,
    pub request_body: Option<At<Option<u64>>>,
    pub sample: Option<f64>,
    pub redact: Vec<regex::Regex>,
    pub redact_headers: Vec<String>,
}
