//! Opens HTTP/2 connections, with bounds on what an endpoint can make the gateway hold.
//!
//! Knows nothing of requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connection::{Http2Connection, MAX_STREAMS, OnChange};
use super::drive::{Clock, drive};
use crate::failure::{Failure, classify};
use crate::upstream::connect::stream::Stream;

/// Bytes of a response that may arrive before its client has taken any.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The same for all streams of a connection. Clients that read slowly must not take the window of the others, so it is the sum.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// Maximum size of a header list. Above `upstream::heads::response`, which tells what is too large.
const MAX_HEADER_LIST: u32 = 256 * 1024;
/// Maximum bytes of a stream's request body that wait for the socket.
const SEND_BUFFER: usize = 64 * 1024;

/// What a connection is opened with.
pub struct Opening {
    /// The connection closes when it had no request for so long.
    pub idle_timeout: Duration,
    /// Called when the number of free streams grows, and when the connection takes no more requests.
    pub on_change: OnChange,
    /// Held until the connection is closed.
    pub permit: Box<dyn Send>,
}

/// Opens a connection over a stream that was just opened, and starts its task on this core's runtime. The task ends with the connection:
/// when it was idle for too long, when it answers no PING, when the endpoint closes it, and when nothing refers to it any more.
///
/// # Errors
/// The connection broke.
pub async fn open(stream: Stream, opening: Opening) -> Result<Arc<Http2Connection>, Failure> {
    let Opening { idle_timeout, on_change, permit } = opening;
    let scheme = if stream.is_tls() { "https" } else { "http" };
    let (sender, mut driven) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(1)
        .enable_push(false)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|error| classify::http2_head(&error).failure)?;
    let connection = Arc::new(Http2Connection::new(sender, scheme, Arc::clone(&on_change)));
    let clock = Clock::new(driven.ping_pong(), idle_timeout);
    let weak = Arc::downgrade(&connection);
    tokio::spawn(async move {
        drive(driven, clock, &weak).await;
        if let Some(connection) = weak.upgrade() {
            connection.retire();
        }
        drop(permit);
        on_change();
    });
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, DuplexStream};

    use super::*;
    use crate::upstream::connect::http2::Http2Stream;

    const IDLE: Duration = Duration::from_secs(60);

    /// A connection, the endpoint's end of it, and the number of permits that were returned.
    async fn opened() -> (Arc<Http2Connection>, DuplexStream, Arc<AtomicUsize>) {
        struct Permit(Arc<AtomicUsize>);
        impl Drop for Permit {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (gateway, endpoint) = tokio::io::duplex(64 * 1024);
        let returned = Arc::new(AtomicUsize::new(0));
        let opening = Opening { idle_timeout: IDLE, on_change: Arc::new(|| {}), permit: Box::new(Permit(Arc::clone(&returned))) };
        (super::open(Stream::Other(Box::new(gateway)), opening).await.unwrap(), endpoint, returned)
    }

    /// Reads until the gateway closes. Where it stays open, the paused clock runs to the end of the wait at once.
    async fn closes_within(endpoint: &mut DuplexStream, time: Duration) -> bool {
        let mut sink = Vec::new();
        tokio::time::timeout(time, endpoint.read_to_end(&mut sink)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_closes_in_its_time() {
        let (connection, mut endpoint, returned) = opened().await;
        assert!(!closes_within(&mut endpoint, IDLE - Duration::from_secs(1)).await);
        assert!(closes_within(&mut endpoint, IDLE).await);
        assert!(Http2Stream::on(&connection).is_none() && returned.load(Ordering::SeqCst) == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_requests_that_answers_no_ping_closes() {
        let (connection, mut endpoint, returned) = opened().await;
        let stream = Http2Stream::on(&connection).unwrap();
        assert!(closes_within(&mut endpoint, Duration::from_secs(31)).await);
        assert_eq!((connection.is_closing(), returned.load(Ordering::SeqCst)), (true, 1));
        drop(stream);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_has_any_more_closes() {
        let (connection, mut endpoint, returned) = opened().await;
        drop(connection);
        assert!(closes_within(&mut endpoint, Duration::from_secs(1)).await);
        tokio::task::yield_now().await;
        assert_eq!(returned.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn before_settings_there_is_one_stream() {
        let (connection, _endpoint, _) = opened().await;
        let stream = Http2Stream::on(&connection);
        assert!(stream.is_some() && Http2Stream::on(&connection).is_none());
        drop(stream);
        assert!(Http2Stream::on(&connection).is_some());
    }
}
