//! Client connections: reads requests, passes them to the gateway and writes the responses.
//!
//! HTTP/1 is our own (see [`http1`](crate::http1) for its parsing); hyper drives HTTP/2. Knows nothing of routes or upstreams.
//!
//! | file | what it does |
//! |---|---|
//! | `listen` | listening sockets, one per core and address, and the accept loop |
//! | `connection` | drives one connection to its end: HTTP/1 or HTTP/2, waiting while idle |
//! | `http1` | an HTTP/1 connection as a loop: head, gateway, response |
//! | `request_body` | the body of a request between the connection and the gateway |
//! | `response` | a response on its way: head, framing, body |
//! | `client_stream` | the socket, and what was read from it and not used yet |
//! | `slow_client` | whether a client that is waited for still reads |
//! | `closing` | the end of the accepting of requests |
//! | `early` | error responses to bytes that never became a request |
//! | `http2` | an HTTP/2 connection, which hyper drives |

mod arriving_body;
mod client_socket;
mod client_stream;
mod closing;
mod connection;
mod counted_tcp;
mod early;
mod http1;
mod http2;
pub mod listen;
mod proxy_header;
mod request_body;
mod response;
mod settings;
mod slow_client;
mod tls;
