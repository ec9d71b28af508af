//! Writes log lines to standard output on a thread of its own, so that a stalled or full output never makes a request wait.
//!
//! Lines that cannot be queued or written are dropped and counted. Must not know what a line says.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// The maximum number of queued chunks; a chunk is one event or several access lines.
const QUEUE: usize = 1024;
/// The maximum number of queued bytes.
const MAX_QUEUED: usize = 16 * 1024 * 1024;

enum Message {
    Lines(Vec<u8>),
    Flush(SyncSender<()>),
}

/// A handle to the writer thread, which is cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Message>,
    queued: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Starts a thread that writes to `out`. `dropped` counts the lines that are dropped.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn start(out: impl Write + Send + 'static, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(0));
        let (waiting, lost) = (Arc::clone(&queued), Arc::clone(&dropped));
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(out, &lines, &waiting, &lost))?;
        Ok(Self { queue, queued, dropped })
    }

    /// Queues lines. Drops them if the queue is full.
    pub fn send(&self, lines: Vec<u8>) {
        let size = lines.capacity();
        if self.queued.fetch_add(size, Ordering::Relaxed) + size > MAX_QUEUED {
            return self.count_dropped(&lines);
        }
        if let Err(TrySendError::Full(Message::Lines(lost)) | TrySendError::Disconnected(Message::Lines(lost))) =
            self.queue.try_send(Message::Lines(lines))
        {
            self.count_dropped(&lost);
        }
    }

    fn count_dropped(&self, lines: &Vec<u8>) {
        self.queued.fetch_sub(lines.capacity(), Ordering::Relaxed);
        self.dropped.fetch_add(count(lines), Ordering::Relaxed);
    }

    /// Waits until all queued lines are written, at most `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(timeout);
        }
    }
}

/// Counts the lines of a chunk; a chunk without a line end counts as one line.
fn count(lines: &[u8]) -> u64 {
    (lines.iter().filter(|byte| **byte == b'\n').count() as u64).max(1)
}

fn write_all(mut out: impl Write, lines: &Receiver<Message>, queued: &AtomicUsize, dropped: &AtomicU64) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Lines(lines) => {
                // A closed or full output must not stop the gateway, so the lines are dropped and counted.
                if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                    dropped.fetch_add(count(&lines), Ordering::Relaxed);
                }
                queued.fetch_sub(lines.capacity(), Ordering::Relaxed);
            }
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

/// The writer of `tracing-subscriber`; each event becomes one chunk.
#[derive(Clone, Debug)]
pub struct EventWriter(pub Sink);

/// Collects the bytes of one event and queues them when it is dropped.
#[derive(Debug)]
pub struct Event {
    sink: Sink,
    line: Vec<u8>,
}

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.sink.send(std::mem::take(&mut self.line));
        }
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for EventWriter {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        Event { sink: self.0.clone(), line: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// An output that blocks until it is opened.
    struct Stuck(Arc<(Mutex<bool>, Condvar)>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut open = self.0.0.lock().unwrap();
            while !*open {
                open = self.0.1.wait(open).unwrap();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output on a full disk.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let dropped = Arc::new(AtomicU64::new(0));
        let sink = Sink::start(Full, Arc::clone(&dropped)).unwrap();
        sink.send(b"a\nb\n".to_vec());
        sink.send(b"c\n".to_vec());
        sink.flush(Duration::from_secs(20));
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_stuck_output_blocks_no_sender_and_dropped_lines_are_counted() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let dropped = Arc::new(AtomicU64::new(0));
        let sink = Sink::start(Stuck(Arc::clone(&gate)), Arc::clone(&dropped)).unwrap();
        for _ in 0..QUEUE + 10 {
            sink.send(b"a\nb\n".to_vec());
        }
        assert!(dropped.load(Ordering::Relaxed) >= 2 * 9);
        let few = dropped.load(Ordering::Relaxed);
        sink.send(vec![b'\n'; MAX_QUEUED]);
        assert!(dropped.load(Ordering::Relaxed) >= few + MAX_QUEUED as u64, "bytes are bounded too");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        sink.flush(Duration::from_secs(5));
    }
}
