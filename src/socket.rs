//! Reads and writes of TCP sockets by direct system calls.
//!
//! The C library makes every blocking call a cancellation point, which costs two locked instructions around it as soon as a process has two
//! threads. A socket that never blocks needs none. Knows nothing of what is sent.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A stream that is read directly, where it is a socket.
pub trait Receive {
    /// Reads into `buffer`. Ready with the number of bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// Returns the error of the stream.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;
}

/// Reads into `buffer`. Returns the number of bytes, 0 at the end of the stream.
///
/// # Errors
/// Returns the error of the socket.
pub fn poll_recv(tcp: &TcpStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_read_ready(cx))?;
        let read = tcp.try_io(Interest::READABLE, || Ok(rustix::net::recv(tcp, &mut *buffer, RecvFlags::empty())?.0));
        if let Some(read) = finished(read) {
            if read.as_ref().is_ok_and(|read| (1..buffer.len()).contains(read)) {
                set_not_ready(tcp, Interest::READABLE);
            }
            return Poll::Ready(read);
        }
    }
}

/// Writes some of `bytes`. Returns the number of bytes.
///
/// # Errors
/// Returns the error of the socket.
pub fn poll_send(tcp: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    poll_write(tcp, cx, bytes.len(), || Ok(rustix::net::send(tcp, bytes, SendFlags::NOSIGNAL)?))
}

/// Writes some of the bytes of several slices. Returns the number of bytes.
///
/// # Errors
/// Returns the error of the socket.
pub fn poll_send_vectored(tcp: &TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let bytes = slices.iter().map(|slice| slice.len()).sum();
    poll_write(tcp, cx, bytes, || Ok(rustix::io::writev(tcp, slices)?))
}

fn poll_write(tcp: &TcpStream, cx: &mut Context<'_>, bytes: usize, write: impl Fn() -> io::Result<usize>) -> Poll<io::Result<usize>> {
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        if let Some(written) = finished(tcp.try_io(Interest::WRITABLE, &write)) {
            if written.as_ref().is_ok_and(|written| (1..bytes).contains(written)) {
                set_not_ready(tcp, Interest::WRITABLE);
            }
            return Poll::Ready(written);
        }
    }
}

/// Returns how many of the bytes that were written the peer's system has not acknowledged yet, as far as this system tells; else 0.
pub fn unacknowledged(tcp: &TcpStream) -> u64 {
    let mut count: std::ffi::c_int = 0;
    // SAFETY: the operation is the one of Linux for sockets (tcp(7), SIOCOUTQ), which writes one `int` and reads nothing.
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[allow(unsafe_code, reason = "this operation has no safe wrapper")]
    let told = unsafe { rustix::ioctl::ioctl(tcp, rustix::ioctl::Updater::<SIOCOUTQ, std::ffi::c_int>::new(&mut count)) };
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let told = Ok::<_, io::Error>(drop((tcp, &mut count)));
    told.map_or(0, |()| u64::try_from(count).unwrap_or(0))
}

/// The operation that returns the number of bytes in the send queue.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;

/// Returns `None` for a call that must be repeated.
fn finished(result: io::Result<usize>) -> Option<io::Result<usize>> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
        result => Some(result),
    }
}

/// Tells the reactor that the socket is used up: a call that moved less than it could has found its end. The next call waits for an event,
/// which spares one that would move nothing.
fn set_not_ready(tcp: &TcpStream, interest: Interest) {
    let _ = tcp.try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    /// Reads until the stream ends, in reads of `size` bytes.
    async fn read_all(tcp: &TcpStream, size: usize) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            let read = poll_fn(|cx| poll_recv(tcp, cx, &mut buffer)).await.unwrap();
            if read == 0 {
                return all;
            }
            all.extend_from_slice(&buffer[..read]);
        }
    }

    #[tokio::test]
    async fn all_bytes_arrive_whatever_the_sizes() {
        let sent: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
        for size in [7, 1000, 65536] {
            let (client, server) = pair().await;
            let write = async {
                let mut at = 0;
                while at < sent.len() {
                    let end = (at + 5000).min(sent.len());
                    // Both ways of writing, in turns.
                    at += match at % 2 {
                        0 => poll_fn(|cx| poll_send(&client, cx, &sent[at..])).await.unwrap(),
                        _ => poll_fn(|cx| poll_send_vectored(&client, cx, &[IoSlice::new(&sent[at..end]), IoSlice::new(&sent[end..])]))
                            .await
                            .unwrap(),
                    };
                }
                drop(client);
            };
            let (received, ()) = tokio::join!(read_all(&server, size), write);
            assert!(received == sent, "{size}");
        }
    }

    #[tokio::test]
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    async fn what_a_peer_has_not_taken_is_known() {
        let (client, server) = pair().await;
        assert_eq!(unacknowledged(&client), 0);
        let mut sent = 0;
        while let Ok(Poll::Ready(Ok(more))) =
            tokio::time::timeout(std::time::Duration::from_millis(50), poll_fn(|cx| Poll::Ready(poll_send(&client, cx, &[7; 65536])))).await
        {
            sent += more as u64;
        }
        let waits = unacknowledged(&client);
        assert!((1..sent).contains(&waits), "{waits} of {sent}");
        drop(client);
        assert_eq!(read_all(&server, 65536).await.len() as u64, sent);
    }

    #[tokio::test]
    async fn a_closed_peer_is_an_error_and_no_signal() {
        let (client, server) = pair().await;
        drop(server);
        let error = loop {
            if let Err(error) = poll_fn(|cx| poll_send(&client, cx, b"x")).await {
                break error;
            }
        };
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
    }
}
