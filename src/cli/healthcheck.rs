//! `lockgate healthcheck`: checks whether the gateway on this machine is ready.
//!
//! Sends one request without an async runtime, because containers run it every few seconds.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::args::{EX_CONFIG, HealthArgs};
use super::run::fail;
use super::source::{Source, locate};
use crate::plan::compile::DEFAULT_ADMIN;

/// The timeout of each step of the request.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn healthcheck(args: &HealthArgs) -> ExitCode {
    let address = match args.admin {
        Some(address) => address,
        // Without a configuration file, as with `run --to`, the admin listener has its default address. An image may name a file in its
        // environment that nobody mounted.
        None if args.config.is_none() && locate(None).is_none_or(|path| !path.exists()) => DEFAULT_ADMIN,
        None => match Source::find(args.config.as_deref()).and_then(|source| source.compile()) {
            Ok(plan) => plan.listen.admin,
            Err(_) => return ExitCode::from(EX_CONFIG),
        },
    };
    match readiness(reachable(address)) {
        Ok(200) => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("the gateway is not ready: /readyz on {address} responded with {status}")),
        Err(error) => fail(&format!("cannot reach {address}: {error}")),
    }
}

/// Returns an address on which a listener can be reached: the loopback address if it listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Requests `/readyz` and returns the status.
fn readiness(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 64];
    let read = stream.read(&mut head)?;
    let status = std::str::from_utf8(&head[..read]).ok().and_then(|text| text.get(9..12)?.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the response is not HTTP"))
}
