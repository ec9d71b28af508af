//! Gets a response: from a backend's endpoints, over pooled connections, within the timeouts, or a [`Failure`] that says why not.
//!
//! Read `dispatch` first. Knows nothing of routes, error formats or logs. Imports point downward in this table:
//!
//! | room | what it does |
//! |---|---|
//! | `dispatch` | from a request to a response head |
//! | `retry` | what follows an attempt: a retry (`follow`, `policy`), a hedged attempt (`hedge`), or nothing |
//! | `attempt` | one attempt: endpoint, connection, `exchange`; the request (`outgoing`, `replay`) and the `response` |
//! | `background` | resolves names again and probes endpoints |
//! | `choose` | the `backend` and its `endpoint`s, `balance`, `health`, `load`, the retry `budget` |
//! | `heads` | request and response heads: what is removed, added and mapped |
//! | `connect` | `connector` (`resolve`, TCP, `tls`), `wire` (the socket), `pool` |
//! | `upload` | the request body on its way: size limit, timeout, progress |
//!
//! [`Failure`]: crate::failure::Failure

pub mod attempt;
pub mod background;
pub mod choose;
pub mod connect;
pub mod dispatch;
pub mod heads;
pub mod retry;
pub mod upload;
