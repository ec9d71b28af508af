//! The sockets that a service manager has opened for this process (socket activation, `sd_listen_fds(3)`).
//!
//! A listener of the configuration whose address is that of such a socket uses it, so that a configuration is the same with and without a
//! service manager. Must not know what listeners are for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Socket, Type};

/// A listening socket of the service manager. It stays open as long as this value, also while no listener uses it.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) address: SocketAddr,
    socket: Socket,
}

impl Inherited {
    /// Returns `count` handles of the socket, which share its queue of connections.
    ///
    /// # Errors
    /// Returns the system's error.
    pub(super) fn handles(&self, count: usize) -> io::Result<Vec<TcpListener>> {
        (0..count.max(1)).map(|_| self.socket.try_clone().map(TcpListener::from)).collect()
    }
}

/// Takes the sockets that were passed to this process. Further calls return none.
///
/// # Errors
/// Fails if a descriptor is not a TCP socket that listens.
pub(super) fn take() -> io::Result<Vec<Inherited>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    sd_notify::listen_fds()?
        .map(|number| {
            // SAFETY: the service manager has passed the descriptor to this process (LISTEN_PID), so nothing else here owns it, and
            // the flag above lets it be taken once.
            #[allow(unsafe_code, reason = "the number of a descriptor becomes its owner")]
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            inherited(Socket::from(descriptor)).map_err(|error| io::Error::new(error.kind(), format!("descriptor {number}: {error}")))
        })
        .collect()
}

fn inherited(socket: Socket) -> io::Result<Inherited> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "expected a TCP socket that listens");
    let is_stream = socket.r#type()? == Type::STREAM && socket.is_listener()?;
    let address = socket.local_addr()?.as_socket().filter(|_| is_stream).ok_or_else(wrong)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    Ok(Inherited { address, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_tcp_socket_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = inherited(Socket::from(listener)).unwrap();
        assert_eq!(taken.address, address);
        assert!(taken.handles(3).unwrap().iter().all(|handle| handle.local_addr().unwrap() == address));
        assert!(inherited(Socket::from(std::net::TcpStream::connect(address).unwrap())).is_err());
        assert!(inherited(Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap())).is_err());
        assert!(inherited(Socket::from(OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0))).is_err());
    }
}
