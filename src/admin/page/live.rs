//! The stream that tells an open page of changes (Server-Sent Events, WHATWG HTML 9.2). The page then asks for itself again.
//!
//! Sends no content: what changed is rendered for the role of each client. Knows no page.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tokio::time::Sleep;

/// The least time between two events of a stream.
const PAUSE: Duration = Duration::from_secs(2);
/// The time after which a stream without events says that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// Tells all streams of changes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Changes(Arc<watch::Sender<u64>>);

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Changes {
    /// Says that something changed. Returns at once.
    pub fn notify(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns a stream as the body of a response of type `text/event-stream`. Ends when nothing can change any more.
    pub fn stream(&self) -> Stream {
        let mut changes = self.0.subscribe();
        changes.mark_unchanged();
        Stream { state: State::Begin(changes), alive: Box::pin(tokio::time::sleep(ALIVE)) }
    }
}

/// Waits for the next change; `None` if there will be none.
type Waiting = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send + Sync>>;

enum State {
    Begin(watch::Receiver<u64>),
    Waiting(Waiting),
    Ended,
}

/// The body of a response.
pub struct Stream {
    state: State,
    alive: Pin<Box<Sleep>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Stream").finish_non_exhaustive()
    }
}

async fn next(mut changes: watch::Receiver<u64>, pause: Duration) -> Option<watch::Receiver<u64>> {
    tokio::time::sleep(pause).await;
    changes.changed().await.ok().map(|()| changes)
}

impl Stream {
    fn send(&mut self, text: &'static str) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.alive = Box::pin(tokio::time::sleep(ALIVE));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        match std::mem::replace(&mut this.state, State::Ended) {
            State::Ended => return Poll::Ready(None),
            State::Begin(changes) => {
                this.state = State::Waiting(Box::pin(next(changes, Duration::ZERO)));
                return this.send("retry: 3000\n\n");
            }
            State::Waiting(mut waiting) => match waiting.as_mut().poll(context) {
                Poll::Ready(Some(changes)) => {
                    this.state = State::Waiting(Box::pin(next(changes, PAUSE)));
                    return this.send("event: changed\ndata: 1\n\n");
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => this.state = State::Waiting(waiting),
            },
        }
        match this.alive.as_mut().poll(context) {
            Poll::Ready(()) => this.send(": alive\n\n"),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(stream: &mut Stream) -> String {
        let frame = stream.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_one_event() {
        let changes = Changes::default();
        let mut stream = changes.stream();
        assert_eq!(text(&mut stream).await, "retry: 3000\n\n");
        changes.notify();
        changes.notify();
        assert_eq!(text(&mut stream).await, "event: changed\ndata: 1\n\n");
        assert_eq!(text(&mut stream).await, ": alive\n\n");
        drop(changes);
        assert!(stream.frame().await.is_none());
    }
}
