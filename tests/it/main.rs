//! The integration tests: a real gateway on free ports, real sockets, and origins with scripted faults.
//!
//! The tests check error responses with [`harness::contract::assert_contract`].
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests say what must hold by unwrapping it")]

mod harness;

mod access;
mod access_lines;
mod admin_access;
mod architecture;
mod binary;
mod catalogue;
mod diagnostics;
mod early;
mod faults;
mod formats;
mod forward_auth;
mod forwarding;
mod grpc;
mod grpc_web;
mod guard;
mod h2c;
mod hostages;
mod http1;
mod http2_upstream;
mod journal;
mod journal_answers;
mod journal_cases;
mod journal_commands;
mod journal_pages;
mod journaled;
mod legacy;
mod limits;
mod listen_tls;
mod log_files;
mod log_level;
mod logs;
mod metrics;
mod notify;
mod pages;
mod parking;
mod passing;
mod policies;
mod proxy_protocol;
mod reading;
mod references;
mod reload;
mod resilience;
mod responses;
mod robustness;
mod routes;
mod routing;
mod send_proxy;
mod service;
mod several_gateways;
mod shapes;
mod slow_readers;
mod telemetry;
mod timeouts;
mod traces;
mod upgrade;
mod upstream_tls;
