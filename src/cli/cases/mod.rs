//! Cases of the error contract: what a client asks, what the upstream answers or which fault it has, and what the client must get.
//!
//! A case runs through the gateway itself. Only the network is replaced: connections to endpoints lead to a script, no name is resolved, and
//! no time passes where a timeout is the fault. `test` and `record` use this.
//!
//! | file | what it does |
//! |---|---|
//! | `case` | the types |
//! | `fault` | the faults of an upstream, by the words of the catalog |
//! | `read` | reads a file of cases |
//! | `values` | JSON, headers and bodies in TOML |
//! | `script` | the upstream of a case |
//! | `bench` | the gateway of a case: sends its requests and collects what comes back |
//! | `told` | code, message and fields in a response of any format |
//! | `judge` | compares what came back with what must |
//! | `write` | writes a case as TOML |

pub(super) mod bench;
pub(super) mod case;
pub(super) mod fault;
pub(super) mod judge;
pub(super) mod read;
mod script;
mod told;
mod values;
pub(super) mod write;
