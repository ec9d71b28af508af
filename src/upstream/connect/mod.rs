//! Connections to endpoints: resolving names, TCP, TLS and HTTP, and the pool that keeps connections for reuse.
//!
//! Knows nothing of the choice among endpoints, of attempts or of retries.

pub mod connector;
pub mod first_bytes;
pub mod http;
pub mod http1;
pub mod http2;
pub mod multiplex;
pub mod per_client;
pub mod pool;
pub mod proxy_header;
pub mod resolve;
pub mod stream;
pub mod target;
pub mod tls;
pub mod usage;
pub mod verify;
