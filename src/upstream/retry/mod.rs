//! What follows a failed or slow attempt: a retry, a hedged attempt, or nothing.
//!
//! Knows nothing of connections.

pub(in crate::upstream) mod follow;
pub(in crate::upstream) mod hedge;
pub mod policy;
