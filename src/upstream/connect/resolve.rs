//! Resolves names with `getaddrinfo` on a few threads of its own, behind a cache.
//!
//! hyper's resolver uses the shared blocking pool, where one slow name can starve all other work. Here a name is resolved by one thread at
//! a time, and the last good answer is kept. Requests wait only for the first answer; `background` renews it later. Knows nothing of
//! backends.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How long a failure is cached, so that a dead name is not resolved for every request.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// Maximum names that are resolved at the same time.
const MAX_THREADS: usize = 16;
/// Maximum requests that wait for one name.
const MAX_WAITING: usize = 4096;
/// Maximum addresses of one name that are used.
const MAX_ADDRESSES: usize = 64;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resolve `{name}`: {reason}")]
pub struct ResolveError {
    /// The name.
    pub name: String,
    /// The system's error.
    pub reason: String,
}

impl ResolveError {
    /// The error of a resolution that took too long for its caller.
    pub fn late(name: &str) -> Self {
        error(name, "no answer in time")
    }
}

type Answer = Result<Arc<[IpAddr]>, ResolveError>;

#[derive(Default)]
struct Entry {
    good: Option<Arc<[IpAddr]>>,
    failed: Option<ResolveError>,
    resolved_at: Option<Instant>,
    in_progress: bool,
    waiters: Vec<oneshot::Sender<Answer>>,
}

/// Resolves names; shared by all cores.
#[derive(Clone)]
pub struct Resolver {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    threads: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { entries: Arc::default(), threads: Arc::new(Semaphore::new(MAX_THREADS)) }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Resolver")
    }
}

impl Resolver {
    /// Returns the addresses of a host: the last good answer, or the first one. The caller applies a timeout.
    ///
    /// # Errors
    /// Returns the error if the system knows no address and none was known before.
    pub async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        self.answer(host, false).await
    }

    /// Resolves a host again. The caller applies a timeout.
    ///
    /// # Errors
    /// Returns the error if the system knows no address now; [`Self::resolve`] keeps returning the earlier answer.
    pub async fn renew(&self, host: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        self.answer(host, true).await
    }

    async fn answer(&self, host: &str, refresh: bool) -> Answer {
        let mut permit = None;
        loop {
            match self.lookup(host, refresh, permit.take()) {
                Lookup::Known(answer) => return answer,
                Lookup::Wait(receiver) => return receiver.await.unwrap_or_else(|_| Err(error(host, "the resolver is busy"))),
                // Waits until another name is resolved.
                Lookup::Full => permit = Arc::clone(&self.threads).acquire_owned().await.ok(),
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup(&self, host: &str, refresh: bool, permit: Option<OwnedSemaphorePermit>) -> Lookup {
        let mut entries = self.entries();
        // Names come only from the configuration, which bounds the map.
        let entry = entries.entry(host.to_owned()).or_default();
        if let Some(good) = entry.good.as_ref().filter(|_| !refresh) {
            return Lookup::Known(Ok(Arc::clone(good)));
        }
        let fresh = entry.resolved_at.is_some_and(|resolved_at| resolved_at.elapsed() < FAILURE_TTL);
        if let Some(failed) = entry.failed.as_ref().filter(|_| fresh && !refresh) {
            return Lookup::Known(Err(failed.clone()));
        }
        if !entry.in_progress {
            let Some(permit) = permit.or_else(|| Arc::clone(&self.threads).try_acquire_owned().ok()) else { return Lookup::Full };
            entry.in_progress = self.spawn_lookup(host, permit);
        }
        if !entry.in_progress || entry.waiters.len() >= MAX_WAITING {
            return Lookup::Known(Err(error(host, "the resolver is busy")));
        }
        let (sender, receiver) = oneshot::channel();
        entry.waiters.retain(|waiters| !waiters.is_closed());
        entry.waiters.push(sender);
        Lookup::Wait(receiver)
    }

    /// Starts a thread that resolves a name. Returns false if no thread could be started.
    fn spawn_lookup(&self, host: &str, permit: OwnedSemaphorePermit) -> bool {
        let (resolver, host) = (self.clone(), host.to_owned());
        let work = move || {
            let answer = system_lookup(&host);
            resolver.complete(&host, answer);
            drop(permit);
        };
        std::thread::Builder::new().name("resolve".into()).stack_size(256 * 1024).spawn(work).is_ok()
    }

    fn complete(&self, host: &str, answer: Answer) {
        let mut entries = self.entries();
        let entry = entries.entry(host.to_owned()).or_default();
        entry.in_progress = false;
        entry.resolved_at = Some(Instant::now());
        match &answer {
            Ok(good) => (entry.good, entry.failed) = (Some(Arc::clone(good)), None),
            Err(failed) => entry.failed = Some(failed.clone()),
        }
        for waiters in entry.waiters.drain(..) {
            let _ = waiters.send(answer.clone());
        }
    }
}

enum Lookup {
    Known(Answer),
    Wait(oneshot::Receiver<Answer>),
    /// The maximum number of names is being resolved.
    Full,
}

fn error(host: &str, reason: impl Into<String>) -> ResolveError {
    ResolveError { name: host.to_owned(), reason: reason.into() }
}

fn system_lookup(host: &str) -> Answer {
    let found = (host, 0).to_socket_addrs().map_err(|e| error(host, e.to_string()))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.len() > MAX_ADDRESSES {
        // The order of a DNS answer rotates; sorting selects the same addresses each time.
        addresses.sort_unstable();
        addresses.truncate(MAX_ADDRESSES);
    }
    if addresses.is_empty() { Err(error(host, "no addresses")) } else { Ok(addresses.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_names_than_threads_are_all_resolved() {
        let resolver = Resolver::default();
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..3 * MAX_THREADS {
            let resolver = resolver.clone();
            asked.spawn(async move { resolver.renew(&format!("127.0.0.{}", n + 1)).await });
        }
        while let Some(answer) = asked.join_next().await {
            assert!(answer.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn literals_names_and_unknown_names() {
        let resolver = Resolver::default();
        assert_eq!(*resolver.resolve("127.0.0.1").await.unwrap(), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(resolver.resolve("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(resolver.renew("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(resolver.resolve("does-not-exist.invalid").await.is_err());
    }
}
