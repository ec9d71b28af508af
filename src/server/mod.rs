//! Client connections: bytes in, requests to the gateway, answers out.
//!
//! hyper does the HTTP; what it leaves to us stands below it (`guard`): strict request heads, framing that cannot be read in
//! two ways, clocks, and answers for requests that hyper would refuse without a word.
//!
//! | file | what it does |
//! |---|---|
//! | `listen` | sockets, one per core and address, accept with back-off |
//! | `connection` | drives one connection to its end: HTTP/1.1 or HTTP/2, parked while idle, drain |
//! | `service` | the gateway's entry, counted |
//! | `shared` | what these know of each other |
//! | `clock` | what a connection waits for, and for how long |
//! | `early` | the envelope for what never became a request |
//! | `guard` | the I/O that hyper reads from: releases only validated bytes |
//! | `gate` | the request stream as a state machine (pure) |
//! | `head` | one request head: RFC 9112, strictly (pure) |
//! | `chunks` | chunked framing, strictly (pure) |

mod chunks;
mod clock;
mod connection;
mod early;
mod gate;
mod guard;
pub mod head;
pub mod listen;
mod service;
mod settings;
mod shared;
