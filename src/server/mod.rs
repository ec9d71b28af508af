//! Client connections: bytes in, requests to the gateway, answers out.
//!
//! hyper does the HTTP; what it leaves to us stands below it (`client_socket`): strict request heads, framing that cannot be read in
//! two ways, clocks, and answers for requests that hyper would refuse without a word.
//!
//! | file | what it does |
//! |---|---|
//! | `listen` | sockets, one per core and address, accept with back-off |
//! | `connection` | drives one connection to its end: HTTP/1.1 or HTTP/2, parked while idle, drain |
//! | `service` | the gateway's entry, counted |
//! | `connection_state` | what these know of each other |
//! | `clock` | what a connection waits for, and for how long |
//! | `early` | the envelope for what never became a request |
//! | `client_socket` | the I/O that hyper reads from: releases only validated bytes |
//! | `framer` | the request stream as a state machine (pure) |
//! | `head` | one request head: RFC 9112, strictly (pure) |
//! | `chunks` | chunked framing, strictly (pure) |

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
