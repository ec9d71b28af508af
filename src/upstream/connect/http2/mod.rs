//! HTTP/2 connections to endpoints, which the requests of a core share, one stream each. The library `h2` does the framing.
//!
//! `open` opens a connection and starts its task, `drive` is that task, `connection` is what its requests and its task share, and `stream`
//! is one request. Knows nothing of pools or endpoints.

mod connection;
mod drive;
mod open;
mod stream;

pub use self::connection::{Http2Connection, OnChange};
pub use self::open::{Opening, open};
pub use self::stream::{Http2Head, Http2Stream, MAX_KEPT};
