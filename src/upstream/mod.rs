//! Gets an answer: from a backend's endpoints, over pooled connections, within the clocks, or a [`Failure`] that says why not.
//!
//! Read `dispatch` first. Knows nothing of routes, error formats or logs.
//!
//! | file | what it does |
//! |---|---|
//! | `dispatch` | one try: endpoint, connection, exchange |
//! | `again` | what follows a try that did not do: another, one beside it, or nothing |
//! | `attempt` | one exchange on one connection, and its clocks |
//! | `retry`, `hedge` | may it be sent again, and when: decisions, budget, percentiles |
//! | `replay` | the request once more, from what was written |
//! | `backend` | the endpoints that serve now, and the choice among them |
//! | `endpoint` | one address, and what is known of it |
//! | `balance`, `health`, `load` | the pure cores of that choice; its breakers are a room of their own |
//! | `watch` | in the background: resolves names again, probes endpoints |
//! | `pool` | idle connections per core, a bound over all cores |
//! | `private` | a connection that belongs to one client |
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

mod again;
pub mod attempt;
pub mod backend;
pub mod balance;
pub mod connect;
pub mod dispatch;
pub mod endpoint;
pub mod forwarding;
pub mod health;
pub mod hedge;
mod internal;
pub mod load;
pub mod mapping;
pub mod per_client;
pub mod pool;
pub mod private;
pub mod replay;
pub mod request_head;
pub mod resolve;
pub mod response_head;
pub mod retry;
pub mod tls;
mod trace_context;
pub mod upload;
pub mod watch;
pub mod wire;
