//! The choice of an endpoint: load balancing, health, circuit breakers and load of a backend's endpoints.
//!
//! Sends nothing: `background` probes the endpoints, `attempt` reports how requests ended.

pub mod backend;
pub mod balance;
pub mod budget;
pub mod counts;
pub mod endpoint;
pub mod health;
pub mod latencies;
pub mod load;
pub mod settings;
