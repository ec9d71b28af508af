//! Requests to the admin listener of a running gateway, for commands.
//!
//! Works without an async runtime: containers run such a command every few seconds.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::args::{AdminArgs, ListenerArgs};
use super::output;
use super::source::{Reported, Source, locate};
use crate::config::expand::{self, Surroundings};
use crate::plan::compile::DEFAULT_ADMIN;
use crate::text::Secret;

/// The most that is read of a response, in bytes.
const MAX_RESPONSE: u64 = 64 << 20;

/// The admin listener of a gateway.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) address: SocketAddr,
    pub(super) token: Option<Secret<String>>,
}

/// The response to a request.
#[derive(Debug)]
pub(super) struct AdminResponse {
    pub(super) status: u16,
    pub(super) body: String,
    /// Whether it has the headers that the admin listener gives to each response, so that it is no response of a service.
    pub(super) is_of_admin: bool,
}

impl Admin {
    /// Finds the admin listener: the given address, that of the configuration file, or the default one. The token is that of the
    /// file that is named, or that of the configuration file. A file with problems serves as well, because the gateway may run with the one from before.
    pub(super) fn find(args: &AdminArgs) -> Result<Self, Reported> {
        Self::find_with_journal(args).map(|(found, _)| found)
    }

    /// The same with the file of the journal, if the configuration file was read and names one.
    pub(super) fn find_with_journal(args: &AdminArgs) -> Result<(Self, Option<PathBuf>), Reported> {
        let (found, journal) = Self::of(&args.listener)?;
        let Some(path) = &args.token_file else { return Ok((found, journal)) };
        let around = Surroundings::of_text(&|_| None);
        let token = expand::secret(&format!("file:{}", path.display()), &around).and_then(|token| {
            let can_be_sent = token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if can_be_sent {
                Ok(Secret::new(token))
            } else {
                Err(format!("`{}` has more than printable ASCII on one line", path.display()))
            }
        });
        let token = token.map_err(|complaint| {
            output::print_error(&format!("error: {complaint}"));
            Reported
        })?;
        Ok((Self { token: Some(token), ..found }, journal))
    }

    /// Finds the admin listener for a page that needs no token.
    pub(super) fn without_token(args: &ListenerArgs) -> Result<Self, Reported> {
        Self::of(args).map(|(found, _)| Self { token: None, ..found })
    }

    /// Returns what an operator can do if the gateway refuses the request for its token (status 401).
    pub(super) const fn refused(&self) -> &'static str {
        match self.token {
            Some(_) => "the gateway runs with another admin_token: name a file with that one, --token-file FILE",
            None => {
                "the gateway asks for its admin_token: name its configuration, --config FILE, or a file with the token, --token-file FILE"
            }
        }
    }

    fn of(args: &ListenerArgs) -> Result<(Self, Option<PathBuf>), Reported> {
        let (address, config) = (args.admin, args.config.as_deref());
        // Without a configuration file, as with `run --to`, the admin listener has its default address. An image may name a file in its
        // environment that nobody mounted.
        let has_file = config.is_some() || locate(None).is_some_and(|path| path.exists());
        match address {
            Some(address) if config.is_none() => Ok((Self { address, token: None }, None)),
            None if !has_file => Ok((Self { address: DEFAULT_ADMIN, token: None }, None)),
            address => {
                let keys = Source::find(config)?.keys();
                let (listen, journal) = (keys.listen, keys.journal.path.map(|at| at.value.into()));
                let of_file = listen.admin.map_or(DEFAULT_ADMIN, |at| at.value);
                Ok((Self { address: address.unwrap_or(of_file), token: listen.admin_token.map(|at| at.value) }, journal))
            }
        }
    }

    /// Sends a request without a body. `timeout` bounds each read and write.
    pub(super) fn request(&self, method: &str, path: &str, timeout: Duration) -> std::io::Result<AdminResponse> {
        let address = reachable(self.address);
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n");
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {}\r\n", token.reveal()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        let mut response = Vec::new();
        stream.take(MAX_RESPONSE).read_to_end(&mut response)?;
        let text = String::from_utf8_lossy(&response);
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        let (status, body) = status.zip(text.split_once("\r\n\r\n")).ok_or_else(|| std::io::Error::other("the response is not HTTP"))?;
        let (head, body) = body;
        Ok(AdminResponse { status, body: body.to_owned(), is_of_admin: is_of_admin(head) })
    }
}

/// Returns true for the head of a response of the admin listener. Services behind the data listener hardly have both headers, and the
/// gateway adds `via` to what it forwards.
fn is_of_admin(head: &str) -> bool {
    let has = |line: &str| head.lines().any(|found| found.eq_ignore_ascii_case(line));
    let is_forwarded = head.lines().any(|line| line.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("via:")));
    has("x-frame-options: DENY") && has("cross-origin-opener-policy: same-origin") && !is_forwarded
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
