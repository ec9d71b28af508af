//! Sends a request to one of a backend's endpoints, over pooled connections and within the timeouts, and returns the response or a
//! [`Failure`].
//!
//! Start reading at `dispatch`. Knows nothing of routes, error formats or logs. Imports point downward in this table:
//!
//! | module | what it does |
//! |---|---|
//! | `dispatch` | gets the response head for a request |
//! | `retry` | what follows an attempt: a retry (`follow`, `policy`), a hedged attempt (`hedge`), or nothing |
//! | `attempt` | one attempt: endpoint, connection, `exchange`; the request (`outgoing`, `replay`) and the `response` |
//! | `background` | re-resolves names and probes endpoints |
//! | `choose` | the `backend` and its `endpoint`s, `balance`, `health`, `load`, the retry `budget` |
//! | `heads` | request and response heads: what is removed, added and mapped |
//! | `connect` | `connector` (`resolve`, TCP, `tls`), the connection (`http`: `http1` or `http2`), `pool` and `multiplex` |
//! | `upload` | the request body: size limit, timeout, progress |
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
