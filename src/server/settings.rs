//! Timeouts and limits of client connections.
//!
//! Plain data; enforces nothing.

use std::time::Duration;

use crate::context::{MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET};
use crate::http1::request::Limits;
use crate::plan::Listen;

/// How long an HTTP/1 connection is idle before it is parked.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(1);

/// Timeouts and limits of client connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) max_header_size: usize,
    pub(super) strict_target: bool,
}

impl Settings {
    pub(super) fn of(listen: &Listen) -> Self {
        Self {
            header_timeout: listen.header_timeout,
            idle_timeout: listen.idle_timeout,
            write_timeout: listen.write_timeout,
            max_header_size: listen.max_header_size,
            strict_target: listen.strict_target,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            head: self.max_header_size,
            target: MAX_REQUEST_TARGET.min(self.max_header_size),
            strict_target: self.strict_target,
            fields: MAX_REQUEST_FIELDS,
        }
    }
}
