//! Message heads: what is removed from and added to requests and responses, and how references in them are mapped.
//!
//! Pure functions on header maps. Knows no connection.

pub mod forwarding;
mod internal;
pub mod mapping;
pub mod own_address;
pub mod request;
pub mod response;
pub mod scan;
pub mod trace_context;
