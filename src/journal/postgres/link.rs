//! The connections to the database: one that writes and one that reads, opened again after a failure, with a pause that grows.
//!
//! Runs on a thread of its own, so that callers may wait in any way. Must not know what is asked.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Config};

use super::schema;
use super::tls::Tls;
use super::write::Error;

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest time of a statement, which the database itself keeps, in milliseconds.
const STATEMENT: u32 = 10_000;
/// The longest time of an answer, and of a batch of many statements. A database that has fallen silent does not keep its own.
const ANSWER: Duration = Duration::from_secs(12);
const BATCH: Duration = Duration::from_secs(30);
/// The first and the longest pause after a connection has failed.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A connection, or what is known of the last attempt.
#[derive(Debug)]
struct Slot {
    client: Option<Client>,
    /// No attempt is made before then.
    not_before: Option<Instant>,
    pause: Duration,
}

impl Slot {
    fn new() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { client: None, not_before: None, pause: PAUSE }))
    }

    async fn client(&mut self, config: &Config, tls: &Tls) -> Result<&mut Client, Error> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
        if self.client.is_none() {
            if self.not_before.is_some_and(|time| Instant::now() < time) {
                return Err("the last attempt to connect has failed".into());
            }
            match timeout(CONNECT, connect(config, tls)).await.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(client) => self.client = Some(client),
                Err(error) => {
                    self.not_before = Some(Instant::now() + self.pause);
                    self.pause = (self.pause * 2).min(MAX_PAUSE);
                    return Err(error);
                }
            }
            self.pause = PAUSE;
        }
        self.client.as_mut().ok_or_else(|| "no connection".into())
    }
}

async fn connect(config: &Config, tls: &Tls) -> Result<Client, Error> {
    let (mut client, connection) = config.connect(tls.clone()).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection of the journal ended");
        }
    });
    let timeouts = format!(
        "SET statement_timeout = {STATEMENT}; SET lock_timeout = {STATEMENT}; SET idle_in_transaction_session_timeout = {STATEMENT}"
    );
    client.batch_execute(&timeouts).await?;
    if !schema::migrate(&mut client).await? {
        return Err("the tables of the journal were made by a later version".into());
    }
    Ok(client)
}

/// The connections and their thread. The thread ends with this value.
pub(super) struct Link {
    runtime: Handle,
    config: Config,
    tls: Tls,
    writer: Arc<Mutex<Slot>>,
    reader: Arc<Mutex<Slot>>,
    end: Arc<Notify>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration has a password.
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end.notify_one();
    }
}

/// Work with a connection.
pub(super) type Work<'c, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

impl Link {
    /// Starts the thread. Does not connect.
    pub(super) fn start(config: Config) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let end = Arc::new(Notify::new());
        let ended = Arc::clone(&end);
        std::thread::Builder::new().name("journal-db".into()).spawn(move || runtime.block_on(ended.notified()))?;
        Ok(Self { runtime: handle, config, tls: Tls::new()?, writer: Slot::new(), reader: Slot::new(), end })
    }

    /// Writes with the connection that writes, which is opened if there is none.
    pub(super) fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Client) -> Work<'_, T> + Send + 'static) -> Result<T, Error> {
        self.run(&self.writer, BATCH, work)
    }

    /// The same with the connection that reads.
    pub(super) fn read<T: Send + 'static>(&self, work: impl FnOnce(&mut Client) -> Work<'_, T> + Send + 'static) -> Result<T, Error> {
        self.run(&self.reader, ANSWER, work)
    }

    fn run<T: Send + 'static>(
        &self,
        slot: &Arc<Mutex<Slot>>,
        longest: Duration,
        work: impl FnOnce(&mut Client) -> Work<'_, T> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let (slot, config, tls) = (Arc::clone(slot), self.config.clone(), self.tls.clone());
        self.runtime.spawn(async move {
            let whole = async {
                let mut slot = slot.lock().await;
                let result = timeout(longest, work(slot.client(&config, &tls).await?)).await;
                result.unwrap_or_else(|_| {
                    // What was sent may still be answered: nothing else is asked of this connection.
                    slot.client = None;
                    Err("the database does not answer in time".into())
                })
            };
            // Whoever asked may have given up.
            let _ = answer.send(whole.await);
        });
        // Longer than everything that is waited for above, twice: another question may be before this one.
        answered.recv_timeout((CONNECT + longest) * 2).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
