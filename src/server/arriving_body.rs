//! The part of a request's body that a client still sends.
//!
//! Plain data: `http1` reads it.

use super::request_body::BodyFeed;
use crate::http1::framing::Framing;

/// Bytes of a body that are discarded after its request was answered, so that the connection can serve another request.
pub(super) const MAX_DISCARDED: u64 = 256 * 1024;

/// The part of a request's body that still arrives.
pub(super) struct ArrivingBody {
    pub(super) framing: Framing,
    pub(super) feed: Option<BodyFeed>,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// The framing was violated: nothing behind it can be read.
    pub(super) broken: bool,
}

impl ArrivingBody {
    pub(super) const NONE: Self = Self { framing: Framing::EMPTY, feed: None, expects_continue: false, broken: false };

    /// Returns true if the connection can serve another request once the rest of the body is read.
    pub(super) fn can_be_discarded(&self) -> bool {
        let is_short = self.framing.remaining().is_none_or(|left| left <= MAX_DISCARDED);
        !self.broken && (!self.expects_continue || self.framing.is_end()) && is_short
    }
}
