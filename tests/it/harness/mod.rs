//! The test harness: a gateway, origins, a client, Redis and PostgreSQL servers and the contract of error responses.

pub mod client;
pub mod contract;
pub mod gateway;
pub mod origin;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod temporary;
pub mod wait;

pub use client::{Client, Response, get, send};
pub use gateway::GatewayUnderTest;
pub use origin::Origin;
pub use process::Process;
pub use redis::free;
pub use temporary::Temporary;
pub use wait::{PATIENCE, eventually, until};
