//! One direction of a tunnel: copies bytes from a source to a sink with back-pressure, and ends the sink where the source has ended.
//!
//! A direction that waits for its source holds no buffer. Knows nothing of the other direction.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::frames::Frames;
use crate::socket::Receive;

/// Size of a read, and so the most that is held for a sink that takes nothing.
const READ: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// How far a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bytes are copied.
    Open,
    /// What is held is still written, then the sink is told the end.
    Ending,
    /// The sink has been told the end, or takes nothing any more.
    Ended,
}

/// The side of a direction that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// The source has sent its last byte.
    Source,
    /// The source broke, so it takes nothing either.
    BrokenSource,
    /// The sink takes nothing any more.
    Sink,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    /// Bytes that the sink has not taken.
    held: Vec<u8>,
    /// Bytes of `held` that it has taken.
    taken: usize,
    /// The sink may hold written bytes back until it is flushed.
    unflushed: bool,
    stage: Stage,
    /// The frames, if the tunnel carries WebSocket.
    frames: Option<Frames>,
    ended_by: Option<EndedBy>,
    /// Bytes that the sink has taken.
    written: u64,
    /// Something was read or written since this was last asked.
    moved: bool,
}

impl Way {
    pub(super) fn new(is_websocket: bool) -> Self {
        Self {
            held: Vec::new(),
            taken: 0,
            unflushed: false,
            stage: Stage::Open,
            frames: is_websocket.then(Frames::new),
            ended_by: None,
            written: 0,
            moved: true,
        }
    }

    /// Begins with bytes that were read from the source before.
    pub(super) fn after(mut self, bytes: &[u8]) -> Self {
        self.hold(bytes);
        self
    }

    /// Adds bytes that were read from the source before the tunnel began.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        if let Some(frames) = &mut self.frames {
            frames.advance(bytes);
        }
        self.held.extend_from_slice(bytes);
    }

    /// Returns the number of bytes that the sink has taken.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Returns which side ended the direction, once it ends.
    pub(super) const fn ended_by(&self) -> Option<EndedBy> {
        self.ended_by
    }

    /// Returns true if everything is done.
    pub(super) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Returns true if something has moved since the last call.
    pub(super) const fn has_moved(&mut self) -> bool {
        std::mem::replace(&mut self.moved, false)
    }

    /// Drops what is held: the sink is gone.
    pub(super) fn abandon(&mut self) {
        (self.held, self.taken, self.stage) = (Vec::new(), 0, Stage::Ended);
        self.ended_by.get_or_insert(EndedBy::Sink);
    }

    /// Ends the direction here, with a last frame if one may be added.
    pub(super) fn end(&mut self, last: impl FnOnce() -> Vec<u8>) {
        if self.stage == Stage::Open {
            if self.frames.as_ref().is_some_and(Frames::may_add) {
                self.held.extend_from_slice(&last());
            }
            self.stage = Stage::Ending;
        }
    }

    /// Copies until the source or the sink makes it wait. Ready once the direction has ended.
    pub(super) fn poll_copy<R, W>(&mut self, cx: &mut Context<'_>, source: &mut R, sink: &mut W) -> Poll<()>
    where
        R: Receive,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_write_held(cx, sink));
            match self.stage {
                Stage::Open => {
                    if self.poll_read(cx, source, sink).is_pending() {
                        // A failure shows at the next write.
                        self.unflushed = self.unflushed && Pin::new(&mut *sink).poll_flush(cx).is_pending();
                        return Poll::Pending;
                    }
                }
                Stage::Ending => {
                    // Shutting down flushes. A sink that fails to end is gone.
                    let _ = ready!(Pin::new(&mut *sink).poll_shutdown(cx));
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(()),
            }
        }
    }

    /// Writes what is held.
    fn poll_write_held<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, sink: &mut W) -> Poll<()> {
        while self.taken < self.held.len() {
            match ready!(Pin::new(&mut *sink).poll_write(cx, &self.held[self.taken..])) {
                Ok(written) if written > 0 => {
                    self.taken += written;
                    self.wrote(written);
                }
                Ok(_) | Err(_) => self.abandon(),
            }
        }
        if self.taken > 0 {
            (self.held, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(())
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        (self.moved, self.unflushed) = (true, true);
    }

    /// Reads once, and writes at once what the sink takes. The rest is held.
    fn poll_read<R, W>(&mut self, cx: &mut Context<'_>, source: &mut R, sink: &mut W) -> Poll<()>
    where
        R: Receive,
        W: AsyncWrite + Unpin,
    {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let bytes = match ready!(source.poll_receive(cx, buffer)) {
                Ok(read) if read > 0 => &buffer[..read],
                end => {
                    self.stage = Stage::Ending;
                    self.ended_by = Some(if end.is_ok() { EndedBy::Source } else { EndedBy::BrokenSource });
                    return Poll::Ready(());
                }
            };
            self.moved = true;
            if let Some(frames) = &mut self.frames {
                frames.advance(bytes);
            }
            match Pin::new(sink).poll_write(cx, bytes) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.wrote(written);
                    self.held.extend_from_slice(&bytes[written..]);
                }
                Poll::Ready(Ok(_) | Err(_)) => self.abandon(),
                Poll::Pending => self.held.extend_from_slice(bytes),
            }
            Poll::Ready(())
        })
    }
}
