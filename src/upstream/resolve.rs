//! Names to addresses, off the runtime: `getaddrinfo` on a few threads of its own, behind a cache.
//!
//! hyper's stock resolver takes the shared blocking pool, where one slow name starves all. Here a name is asked once at a
//! time, the last good answer is kept, and a refresh never makes a request wait.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long an answer is fresh.
const FRESH: Duration = Duration::from_secs(30);
/// How long a failure is remembered, so that a dead name is not asked on every request.
const FAILED: Duration = Duration::from_secs(1);
/// Names asked at the same time.
const MAX_THREADS: usize = 16;
/// Requests that may wait for one name.
const MAX_WAITING: usize = 4096;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resolve `{name}`: {reason}")]
pub struct ResolveError {
    /// The name.
    pub name: String,
    /// What the system said.
    pub reason: String,
}

type Answer = Result<Arc<[IpAddr]>, ResolveError>;

#[derive(Default)]
struct Entry {
    good: Option<Arc<[IpAddr]>>,
    failed: Option<ResolveError>,
    asked: Option<Instant>,
    asking: bool,
    waiting: Vec<oneshot::Sender<Answer>>,
}

/// Resolves names; shared by all cores.
#[derive(Clone, Default)]
pub struct Resolver {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Resolver")
    }
}

impl Resolver {
    /// Socket addresses of a host, at most eight. Address literals cost nothing. The caller sets the clock.
    ///
    /// # Errors
    /// When the system knows no address and none was known before.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let with_port = |addresses: &[IpAddr]| addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let answer = match self.lookup(host) {
            Lookup::Known(answer) => answer,
            Lookup::Wait(receiver) => receiver.await.unwrap_or_else(|_| Err(error(host, "the resolver is busy"))),
        };
        answer.map(|addresses| with_port(&addresses))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup(&self, host: &str) -> Lookup {
        let mut entries = self.entries();
        let asking = entries.values().filter(|entry| entry.asking).count();
        // Names come from the configuration only: the map is bounded by it.
        let entry = entries.entry(host.to_owned()).or_default();
        let age = entry.asked.map(|asked| asked.elapsed());
        let fresh = age.is_some_and(|age| age < if entry.failed.is_some() { FAILED } else { FRESH });
        if !fresh && !entry.asking && asking < MAX_THREADS {
            entry.asking = self.ask(host);
        }
        if let Some(good) = &entry.good {
            return Lookup::Known(Ok(Arc::clone(good)));
        }
        match &entry.failed {
            Some(failed) if fresh => Lookup::Known(Err(failed.clone())),
            _ if !entry.asking || entry.waiting.len() >= MAX_WAITING => Lookup::Known(Err(error(host, "the resolver is busy"))),
            _ => {
                let (sender, receiver) = oneshot::channel();
                entry.waiting.retain(|waiting| !waiting.is_closed());
                entry.waiting.push(sender);
                Lookup::Wait(receiver)
            }
        }
    }

    /// Starts a thread that asks the system; false when no thread could be started.
    fn ask(&self, host: &str) -> bool {
        let (resolver, host) = (self.clone(), host.to_owned());
        let work = move || {
            let answer = system(&host);
            resolver.answered(&host, answer);
        };
        std::thread::Builder::new().name("resolve".into()).stack_size(256 * 1024).spawn(work).is_ok()
    }

    fn answered(&self, host: &str, answer: Answer) {
        let mut entries = self.entries();
        let entry = entries.entry(host.to_owned()).or_default();
        entry.asking = false;
        entry.asked = Some(Instant::now());
        match &answer {
            Ok(good) => (entry.good, entry.failed) = (Some(Arc::clone(good)), None),
            Err(failed) => entry.failed = Some(failed.clone()),
        }
        for waiting in entry.waiting.drain(..) {
            let _ = waiting.send(answer.clone());
        }
    }
}

enum Lookup {
    Known(Answer),
    Wait(oneshot::Receiver<Answer>),
}

fn error(host: &str, reason: impl Into<String>) -> ResolveError {
    ResolveError { name: host.to_owned(), reason: reason.into() }
}

fn system(host: &str) -> Answer {
    let found = (host, 0).to_socket_addrs().map_err(|e| error(host, e.to_string()))?;
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).take(MAX_ADDRESSES).collect();
    if addresses.is_empty() { Err(error(host, "no addresses")) } else { Ok(addresses.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literals_names_and_unknown_names() {
        let resolver = Resolver::default();
        assert_eq!(resolver.resolve("127.0.0.1", 80).await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(resolver.resolve("::1", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
        assert!(resolver.resolve("localhost", 1).await.unwrap().iter().all(|a| a.ip().is_loopback()));
        assert!(resolver.resolve("does-not-exist.invalid", 1).await.is_err());
    }
}
