//! Lockgate: a reverse proxy that makes every error speak one language.
//!
//! This page is the map. Start reading at [`gateway`], the spine: one request from arrival to answer.
//!
//! ```text
//!             server ──▶ gateway ──▶ route ──▶ limit ──▶ upstream ──▶ report ──▶ relay ──▶ client
//!             (bytes)      │  any Failure leaves the walk                (an error is read,
//!                          ▼                                              a success is streamed)
//!                       answer: redact ─▶ message ─▶ Envelope ─▶ render ──▶ client
//!                          └──────────▶ observe (log, metrics) ──▶ operator
//! ```
//!
//! | level | rooms | what they are |
//! |---|---|---|
//! | 0 | [`sync`], [`text`], [`mod@write`], [`header`], [`data_rate`], [`failure`], [`policy`], [`context`], [`envelope`], [`rpc`], [`body`] | words: plain data that everybody speaks |
//! | 1 | [`breaker`], [`config`], [`report`], [`redact`], [`message`], [`render`] | pure: no I/O, no clock |
//! | 2 | [`route`], [`limit`], [`upstream`], [`relay`], [`observe`], [`memory`] | parts with state |
//! | 3 | [`plan`] | what runs: the configuration, compiled |
//! | 4 | [`gateway`] | the spine |
//! | 5 | [`server`], [`admin`] | the listeners |
//! | 6 | [`app`] | composition |
//! | 7 | [`cli`] | the command line |
//!
//! **The import rule:** a file imports only from lower levels; rooms of one level never import each other, the spine
//! joins them. Words (level 0) may build on the words before them in the table. `tests/it/architecture.rs` asserts it.

pub mod admin;
pub mod app;
pub mod body;
pub mod breaker;
pub mod cli;
pub mod config;
pub mod context;
pub mod data_rate;
pub mod envelope;
pub mod failure;
pub mod gateway;
pub mod header;
pub mod limit;
pub mod memory;
pub mod message;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod redact;
pub mod relay;
pub mod render;
pub mod report;
pub mod route;
pub mod rpc;
pub mod server;
pub mod sync;
pub mod text;
pub mod upstream;
pub mod write;
