//! Gets an answer: from a backend's endpoints, over pooled connections, within the clocks, or a [`Failure`] that says why not.
//!
//! Read `dispatch` first. Knows nothing of routes, error formats or logs.
//!
//! | file | what it does |
//! |---|---|
//! | `dispatch` | permit, endpoint, attempt, the retry of what was never sent |
//! | `attempt` | one exchange on one connection, and its clocks |
//! | `pool` | idle connections per core, a bound over all cores |
//! | `connect` | DNS, TCP, TLS, HTTP handshake |
//! | `resolve` | names to addresses, off the runtime |
//! | `tls` | rustls configuration of a backend |
//! | `upload` | the request body on its way: bound, idle clock, progress |
//! | `request_head`, `response_head` | what is removed and added, in one scan each |
//! | `forwarding` | headers by which somebody speaks for somebody else |
//! | `trace_context` | the trace a request belongs to |
//! | `wire` | the socket, counting what arrives |
//! | `mapping` | `Location`, `Refresh` and cookies back through `strip_prefix`, where a head has any |
//!
//! [`Failure`]: crate::failure::Failure

pub mod attempt;
pub mod backend;
pub mod connect;
pub mod dispatch;
mod forwarding;
pub mod mapping;
pub mod pool;
pub mod request_head;
pub mod resolve;
pub mod response_head;
pub mod tls;
mod trace_context;
pub mod upload;
pub mod wire;
