//! Client connections: reads requests, passes them to the gateway and writes the responses.
//!
//! hyper implements HTTP. This module supplies what hyper leaves out, mostly below it (`client_socket`): strict request heads, unambiguous
//! framing, clocks, and error responses for requests that hyper would drop silently. Knows nothing of routes or upstreams.
//!
//! | file | what it does |
//! |---|---|
//! | `listen` | listening sockets, one per core and address, and the accept loop |
//! | `connection` | drives one connection to its end: HTTP/1.1 or HTTP/2, parking, drain |
//! | `service` | hyper's service: calls the gateway and counts requests and responses |
//! | `connection_state` | the state that these share |
//! | `clock` | what a connection waits for, and its timeouts |
//! | `early` | error responses to bytes that never became a request |
//! | `client_socket` | the I/O that hyper reads from: passes only validated bytes |
//! | `framer` | the request stream as a state machine (pure) |
//! | `head` | strict validation of a request head, RFC 9112 (pure) |
//! | `chunks` | strict validation of chunked framing (pure) |

mod chunks;
mod client_socket;
mod clock;
mod connection;
mod connection_state;
mod early;
mod framer;
pub mod head;
pub mod listen;
mod service;
mod settings;
