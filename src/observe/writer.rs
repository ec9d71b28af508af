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
    routes: Mutex<Option<Routes>>,
}

/// A handle to the writer thread, which is cheap to clone.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Message>,
    queued: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    orders: Arc<Orders>,
}

/// The outputs of the thread. Events that have an output of their own have a thread of their own too, so that one stalled output does not
/// stop the other.
#[derive(Debug)]
struct Routes {
    lines: Output,
    events: Option<Sink>,
}

impl Routes {
    fn open(outputs: Outputs, dropped: &Arc<AtomicU64>) -> io::Result<Self> {
        let start = |lines| Sink::start_with(Outputs { lines, events: None }, Arc::clone(dropped));
        Ok(Self { lines: outputs.lines, events: outputs.events.map(start).transpose()? })
    }
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
        let Routes { lines, events } = Routes::open(outputs, &dropped)?;
        let (queue, messages) = sync_channel(QUEUE);
        let sink = Self { queue, queued: Arc::default(), dropped, orders: Arc::default() };
        let (queued, lost, orders) = (Arc::clone(&sink.queued), Arc::clone(&sink.dropped), Arc::clone(&sink.orders));
        let writer = Writer { lines: Writing::new(lines), events, lost };
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
    ///
    /// # Errors
    /// Fails if a thread for events cannot be started; nothing changes then.
    pub fn redirect(&self, outputs: Outputs) -> io::Result<()> {
        let routes = Routes::open(outputs, &self.dropped)?;
        *self.orders.routes.lock().unwrap_or_else(PoisonError::into_inner) = Some(routes);
        let _ = self.queue.try_send(Message::Look);
        Ok(())
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
    events: Option<Sink>,
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
                    queued.fetch_sub(event.capacity(), Ordering::Relaxed);
                    match &self.events {
                        Some(events) => events.send_event(event),
                        None => self.lines.write(&event, &self.lost),
                    }
                }
                Message::Look => {}
                Message::Flush(done) => match &self.events {
                    // Without room in that queue, nobody waits any longer.
                    Some(events) => drop(events.queue.try_send(Message::Flush(done))),
                    None => drop(done.send(())),
                },
            }
        }
    }

    fn obey(&mut self, orders: &Orders) {
        if let Some(Routes { lines, events }) = orders.routes.lock().unwrap_or_else(PoisonError::into_inner).take() {
            (self.lines, self.events) = (Writing::new(lines), events);
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

    /// An output that takes so many bytes before it fails once.
    struct Filling {
        room: usize,
        has: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Filling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.room = usize::MAX;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.has.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_follows_a_torn_line_begins_a_new_one() {
        // The disk is full within the second line, behind it, and before the first.
        for (room, expected, lost) in
            [(6, "one\ntw\nthree\n", 1), (8, "one\ntwo\nthree\n", 0), (4, "one\nthree\n", 1), (1, "o\nthree\n", 2)]
        {
            let (dropped, has) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
            let sink = Sink::start(Filling { room, has: Arc::clone(&has) }, Arc::clone(&dropped)).unwrap();
            sink.send(b"one\ntwo\n".to_vec());
            if room == 8 {
                sink.send_event(b"lost\n".to_vec());
            }
            sink.send(b"three\n".to_vec());
            sink.flush(Duration::from_secs(20));
            assert_eq!(String::from_utf8_lossy(&has.lock().unwrap()), expected);
            assert_eq!(dropped.load(Ordering::Relaxed), lost + u64::from(room == 8), "{room}");
        }
    }

    #[test]
    fn lines_and_events_have_outputs_that_can_change() {
        let files = [(), (), ()].map(|()| Arc::new(Mutex::new(Vec::new())));
        let [old, events, new] = files.clone().map(|has| Output::Stream(Box::new(Filling { room: usize::MAX, has })));
        let sink = Sink::start_with(Outputs { lines: old, events: Some(events) }, Arc::default()).unwrap();
        sink.send(b"one\n".to_vec());
        sink.send_event(b"event\n".to_vec());
        sink.flush(Duration::from_secs(20));
        // Events now follow the lines.
        sink.redirect(Outputs { lines: new, events: None }).unwrap();
        sink.send(b"two\n".to_vec());
        sink.send_event(b"more\n".to_vec());
        sink.flush(Duration::from_secs(20));
        let texts = files.map(|has| String::from_utf8(has.lock().unwrap().clone()).unwrap());
        assert_eq!(texts, ["one\n", "event\n", "two\nmore\n"]);
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
    fn a_stuck_output_of_events_stops_no_line() {
        let (gate, has) = (Arc::new((Mutex::new(false), Condvar::new())), Arc::new(Mutex::new(Vec::new())));
        let lines = Output::Stream(Box::new(Filling { room: usize::MAX, has: Arc::clone(&has) }));
        let events = Some(Output::Stream(Box::new(Stuck(Arc::clone(&gate)))));
        let sink = Sink::start_with(Outputs { lines, events }, Arc::default()).unwrap();
        sink.send_event(b"event\n".to_vec());
        sink.send(b"line\n".to_vec());
        // The flush also waits for the events, which are stuck.
        sink.flush(Duration::from_millis(1));
        for _ in 0..20_000 {
            if !has.lock().unwrap().is_empty() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        assert_eq!(*has.lock().unwrap(), b"line\n");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        sink.flush(Duration::from_secs(20));
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
