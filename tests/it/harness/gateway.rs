//! Runs a gateway in the test process, on free ports and with its log in memory.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use lockgate::app::App;
use lockgate::observe::level::Level;
use lockgate::observe::recorder::Terminal;
use lockgate::observe::writer::Sink;
use lockgate::plan::compile;
use tokio::sync::oneshot;

use super::until;

pub struct GatewayUnderTest {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    tls: Option<SocketAddr>,
    log: Log,
    stop: Option<oneshot::Sender<bool>>,
    thread: Option<JoinHandle<bool>>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl GatewayUnderTest {
    /// Starts with this configuration. `[listen]` addresses are replaced by free ones of loopback, and the log is in memory.
    pub fn start(toml: &str) -> Self {
        let mut plan = compile::from_text(toml, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let is_v6 = plan.listen.http.iter().all(|address| address.is_ipv6());
        plan.listen.http = vec![if is_v6 { "[::1]:0" } else { "127.0.0.1:0" }.parse().unwrap()];
        plan.listen.admin = "127.0.0.1:0".parse().unwrap();
        if !toml.contains("workers") {
            plan.listen.workers = 1;
        }
        let log = Log::default();
        let lines = plan.log.lines(&Level::new(plan.log.level), Terminal::default());
        let sink = Sink::start(log.clone(), Arc::new(AtomicU64::new(0))).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let drained = runtime.block_on(async move {
                let app = App::start(plan, sink, lines).unwrap();
                started.send((app.addresses[0], app.admin, app.tls)).unwrap();
                let in_order = stopped.await.unwrap_or(false);
                if in_order { app.shutdown(std::future::pending()).await } else { app.shutdown(std::future::ready(())).await }
            });
            runtime.shutdown_background();
            drained
        });
        let (address, admin, tls) = starting.recv().unwrap();
        Self { address, admin, tls, log, stop: Some(stop), thread: Some(thread) }
    }

    /// One backend, everything routed to it; `more` is appended.
    pub fn in_front_of(origin: SocketAddr, more: &str) -> Self {
        Self::start(&format!(
            "[backends.o]\nendpoints = [\"http://{origin}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{more}"
        ))
    }

    /// The address of the listener for TLS.
    pub fn tls(&self) -> SocketAddr {
        self.tls.expect("a listener for TLS")
    }

    /// How many lines the log has by now.
    pub fn log_lines(&self) -> usize {
        self.log.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count()
    }

    /// Begins an orderly shutdown; [`Self::stopped`] waits for its end.
    pub fn begin_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(true);
    }

    /// Waits for the end; true when every request finished.
    pub fn stopped(mut self) -> bool {
        self.thread.take().unwrap().join().unwrap()
    }

    /// All that was logged by now.
    pub fn log_text(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// The first log line that contains all of `words`. Lines are written by another thread: waits for it.
    pub fn raw_log_line(&self, words: &[&str]) -> String {
        until(|| {
            let text = self.log_text();
            let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned).ok_or_else(|| format!("no line with {words:?} in\n{text}"))
        })
    }

    /// The same as JSON.
    pub fn log_line(&self, words: &[&str]) -> serde_json::Value {
        let line = self.raw_log_line(words);
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// A metric's value, once it has it: counters follow the last byte by a moment.
    pub fn wait_for_metric(&self, line: &str) {
        until(|| {
            let text = super::get(self.admin, "/metrics").text();
            if text.lines().any(|found| found == line) { Ok(()) } else { Err(format!("no `{line}` in\n{text}")) }
        });
    }
}

impl Drop for GatewayUnderTest {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(false);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
