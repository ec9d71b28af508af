//! The keys of `[telemetry]`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use crate::config::section::At;
use crate::text::Secret;

/// `[telemetry]`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct Telemetry {
    pub otlp: At<Uri>,
    pub sample: Option<f64>,
    pub errors_always: Option<bool>,
    pub headers: Vec<(HeaderName, Secret<HeaderValue>)>,
    pub service_name: Option<At<String>>,
    pub resource: Vec<(String, String)>,
    pub timeout: Option<At<Duration>>,
    pub ca: Option<At<String>>,
}
