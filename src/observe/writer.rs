//! Writes log lines and events on a thread of its own, so that a stalled or full output never makes a request wait.
//!
//! Lines that cannot be queued or written are dropped and counted. Must not know what a line says.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::log_file::LogFile;

/// The maximum number of queued chunks; a chunk is one event or several access lines.
const QUEUE: usize = 1024;
/// The maximum number of queued bytes.
const MAX_QUEUED: usize = 16 * 1024 * 1024;

enum Message {
    Lines(Vec<u8>),
    Event(Vec<u8>),
    /// Something is to be done for which the queue may have no room.
    Look,
    Flush(SyncSender<()>),
}

/// Where lines or events are written.
pub enum Output {
    /// A file.
    File(LogFile),
    /// Anything else, such as standard output.
    Stream(Box<dyn Write + Send>),
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(out),
            Self::Stream(_) => out.write_str("Stream"),
        }
    }
}

/// Where everything is written.
#[derive(Debug)]
pub struct Outputs {
    /// The output of access lines.
    pub lines: Output,
    /// The output of events, if it is another one.
    pub events: Option<Output>,
}

/// What the thread is told besides its queue, which may be full.
#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    outputs: Mutex<Option<Outputs>>,
}

/// A handle to the writer thread, which is cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Message>,
    queued: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    orders: Arc<Orders>,
}

impl Sink {
    /// Starts a thread that writes everything to `out`. `dropped` counts the lines that are dropped.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn start(out: impl Write + Send + 'static, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        Self::start_with(Outputs { lines: Output::Stream(Box::new(out)), events: None }, dropped)
    }

    /// Starts a thread that writes lines and events to these outputs.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn start_with(outputs: Outputs, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let sink = Self { queue, queued: Arc::default(), dropped, orders: Arc::default() };
        let (queued, lost, orders) = (Arc::clone(&sink.queued), Arc::clone(&sink.dropped), Arc::clone(&sink.orders));
        let writer = Writer { lines: Writing::new(outputs.lines), events: outputs.events.map(Writing::new), lost };
        std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&messages, &queued, &orders))?;
        Ok(sink)
    }

    /// Queues access lines. Drops them if the queue is full.
    pub fn send(&self, lines: Vec<u8>) {
        self.enqueue(lines, Message::Lines);
    }

    /// Queues an event. Drops it if the queue is full.
    pub fn send_event(&self, event: Vec<u8>) {
        self.enqueue(event, Message::Event);
    }

    fn enqueue(&self, lines: Vec<u8>, message: fn(Vec<u8>) -> Message) {
        let size = lines.capacity();
        if self.queued.fetch_add(size, Ordering::Relaxed) + size > MAX_QUEUED {
            return self.count_dropped(&lines);
        }
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = self.queue.try_send(message(lines)) {
            match lost {
                Message::Lines(lines) | Message::Event(lines) => self.count_dropped(&lines),
                Message::Look | Message::Flush(_) => {}
            }
        }
    }

    fn count_dropped(&self, lines: &Vec<u8>) {
        self.queued.fetch_sub(lines.capacity(), Ordering::Relaxed);
        self.dropped.fetch_add(count(lines), Ordering::Relaxed);
    }

    /// Lets the thread open the file of lines again, after something else has moved it away. Does not wait for it.
    pub fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        // If the queue is full, the thread sees the order when it takes the next message.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Lets the thread write to other outputs. What is queued already may be written to either. Does not wait for it.
    pub fn redirect(&self, outputs: Outputs) {
        *self.orders.outputs.lock().unwrap_or_else(PoisonError::into_inner) = Some(outputs);
        let _ = self.queue.try_send(Message::Look);
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

/// The state of the thread.
struct Writer {
    lines: Writing,
    events: Option<Writing>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>, queued: &AtomicUsize, orders: &Orders) {
        while let Ok(message) = messages.recv() {
            self.obey(orders);
            match message {
                Message::Lines(lines) => {
                    self.lines.write(&lines, &self.lost);
                    queued.fetch_sub(lines.capacity(), Ordering::Relaxed);
                }
                Message::Event(event) => {
                    self.events.as_mut().unwrap_or(&mut self.lines).write(&event, &self.lost);
                    queued.fetch_sub(event.capacity(), Ordering::Relaxed);
                }
                Message::Look => {}
                Message::Flush(done) => drop(done.send(())),
            }
        }
    }

    fn obey(&mut self, orders: &Orders) {
        if let Some(outputs) = orders.outputs.lock().unwrap_or_else(PoisonError::into_inner).take() {
            (self.lines, self.events) = (Writing::new(outputs.lines), outputs.events.map(Writing::new));
        }
        if orders.reopen.swap(false, Ordering::Acquire) {
            match &self.lines.out {
                Output::File(_) => self.lines.reopen(),
                Output::Stream(_) => tracing::warn!("the log has no file that could be opened again"),
            }
        }
    }
}

/// An output, and how the last attempt to write to it ended.
struct Writing {
    out: Output,
    /// The output ends within a line, because its rest could not be written.
    is_torn: bool,
    has_failed: bool,
}

impl Writing {
    const fn new(out: Output) -> Self {
        Self { out, is_torn: false, has_failed: false }
    }

    fn reopen(&mut self) {
        let Output::File(file) = &mut self.out else { return };
        match file.reopen() {
            Ok(()) => tracing::info!(file = %file.path().display(), "the log file was opened again"),
            Err(error) => tracing::error!(file = %file.path().display(), %error, "the log file cannot be opened again"),
        }
        self.is_torn = false;
    }

    /// Writes lines. A closed or full output must not stop the gateway, so what cannot be written is counted in `lost`.
    fn write(&mut self, lines: &[u8], lost: &AtomicU64) {
        if let Output::File(file) = &mut self.out {
            file.prepare(lines.len());
        }
        let mut written = 0;
        let result = self.write_all(lines, &mut written);
        if result.is_err() {
            // The line that is torn is lost too.
            lost.fetch_add(count(&lines[written.min(lines.len().saturating_sub(1))..]), Ordering::Relaxed);
        }
        self.tell(result.err());
    }

    fn write_all(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        let out: &mut dyn Write = match &mut self.out {
            Output::File(file) => file,
            Output::Stream(stream) => stream,
        };
        // What follows a torn line begins a line of its own.
        if self.is_torn {
            out.write_all(b"\n")?;
            self.is_torn = false;
        }
        while let rest @ [_, ..] = &lines[*written..] {
            match out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => *written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_torn = lines[..*written].last().is_some_and(|last| *last != b'\n');
                    return Err(error);
                }
            }
        }
        out.flush()
    }

    /// Tells the operator once that a file cannot be written, and once that it can be written again.
    fn tell(&mut self, error: Option<io::Error>) {
        if let Output::File(file) = &self.out {
            let file = file.path().display();
            match error {
                Some(ref error) if !self.has_failed => tracing::error!(%file, %error, "log lines cannot be written and are dropped"),
                None if self.has_failed => tracing::warn!(%file, "log lines can be written again"),
                Some(_) | None => {}
            }
        }
        self.has_failed = error.is_some();
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
            self.sink.send_event(std::mem::take(&mut self.line));
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
