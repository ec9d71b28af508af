//! The queue of observations and the thread that writes them.
//!
//! A request never waits: what does not fit into the queue is dropped and counted. The thread looks into the queue at an interval instead of
//! being woken, because waking it would cost a request more than everything else. Must not know what a store does.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::entry::{Entry, now};
use super::judged::JudgedNames;
use super::mask;
use super::observation::Observation;
use super::query::GroupEvent;
use super::recent::Recent;
use super::rules::Rules;
use super::sample::Sampler;
use super::store::{Store, StoreError};

/// How often the thread looks into the queue. Entries that are not written are lost if the process is killed.
const EVERY: Duration = Duration::from_millis(50);
/// The most observations in the queue.
const MAX_QUEUED: usize = 16 * 1024;
/// The most bytes in the queue, and of entries that wait for the store.
const MAX_BYTES: usize = 64 << 20;
/// The observations that are written at once, which takes about a millisecond, and the pause before the next ones. The system lets a thread
/// run on for some milliseconds, whoever waits for its processor, so the thread gives it back by itself.
const BATCH: usize = 16;
const BETWEEN_BATCHES: Duration = Duration::from_millis(1);
/// The length of the queue from which the thread hurries: without a pause, and with larger batches, which cost less for each observation.
const LONG: usize = 1024;
const MAX_BATCH: usize = 512;
/// The places that an empty queue keeps.
const SPARE: usize = 1024;
/// How much less urgent the thread is than those that serve (nice(2)). It still gets its share of a busy processor, so that the queue does
/// not fill.
const NICER: i32 = 10;
/// The most entries that wait for a store that cannot be used. They also wait within `MAX_BYTES`.
const MAX_KEPT: usize = 16 * 1024;
/// The pause between two steps of removing what is too old.
const BETWEEN_STEPS: Duration = Duration::from_millis(5);
/// How often what is too old is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(30);
/// The longest pause after a store has failed.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The counters of a journal.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Entries that were written.
    pub written: Arc<AtomicU64>,
    /// Observations that were dropped because the queue was full.
    pub dropped: Arc<AtomicU64>,
    /// Entries that could not be written.
    pub failed: Arc<AtomicU64>,
    /// Entries that were counted and not kept.
    pub sampled: Arc<AtomicU64>,
    /// Entries that were purged.
    pub purged: Arc<AtomicU64>,
}

/// Hears of what was written. Must return at once.
pub type Listener = Box<dyn Fn(&[Entry], &[GroupEvent]) + Send>;

/// The journal of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<VecDeque<Observation>>,
    bytes: AtomicUsize,
    store: Arc<dyn Store>,
    counters: Counters,
    recent: Recent,
    closing: AtomicBool,
    /// True while the thread has nothing to write.
    idle: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// How a journal writes.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The most of a body of the upstream that is kept, in bytes.
    pub body_limit: usize,
    /// The share of entries that is kept, from 0 to 1.
    pub sample: f64,
    /// Names of further headers that are masked, in lower case.
    pub redact_headers: Vec<String>,
    /// Further patterns that are masked.
    pub redact: Vec<regex::Regex>,
    /// The name of this gateway.
    pub gateway: String,
    /// Where entries are counted.
    pub counters: Counters,
}

impl Journal {
    /// Starts the thread.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn start(store: Arc<dyn Store>, settings: JournalSettings, listener: Listener) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            queue: Mutex::default(),
            bytes: AtomicUsize::new(0),
            store,
            counters: settings.counters.clone(),
            recent: Recent::default(),
            closing: AtomicBool::new(false),
            idle: AtomicBool::new(true),
            thread: Mutex::default(),
        });
        let JournalSettings { body_limit, sample, redact_headers, redact, gateway, counters: _ } = settings;
        let rules = Rules { body_limit, headers: redact_headers, patterns: redact, gateway, names: JudgedNames::default() };
        let writing = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || Writer::new(writing, rules, Sampler::new(sample), listener).run())?;
        *inner.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.thread().clone());
        Ok(Self(inner))
    }

    /// Hands over an observation. Drops it if the queue is full.
    pub fn observe(&self, observed: Observation) {
        let size = observed.size();
        let queued = self.0.bytes.fetch_add(size, Ordering::Relaxed);
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queued + size > MAX_BYTES || queue.len() >= MAX_QUEUED {
            self.0.bytes.fetch_sub(size, Ordering::Relaxed);
            self.0.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.push_back(observed);
    }

    /// Returns the store, for questions.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Returns the latest entries.
    pub fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Waits until everything that was handed over is written, at most `timeout`. Returns true if it is.
    pub fn flush(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        loop {
            let empty = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            if empty && self.0.idle.load(Ordering::Acquire) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            self.wake();
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Ends the thread after what is in the queue was written. Later observations are not written.
    pub fn close(&self, timeout: Duration) {
        self.flush(timeout);
        self.0.closing.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &*self.0.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }
}

/// A batch out of the queue, and the number of observations that are left in it.
struct Taken {
    taken: Vec<Observation>,
    left: usize,
}

impl Inner {
    /// Takes the oldest observations out of the queue, at most a batch.
    fn take(&self) -> Taken {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len().min(if queue.len() < LONG { BATCH } else { MAX_BATCH });
        let taken = queue.drain(..count).collect();
        if queue.is_empty() {
            queue.shrink_to(SPARE);
        }
        Taken { taken, left: queue.len() }
    }
}

/// The thread.
struct Writer {
    journal: Arc<Inner>,
    rules: Rules,
    sampler: Sampler,
    listener: Listener,
    /// Entries that the store has not taken yet.
    kept: Vec<Entry>,
    pruned: Instant,
    /// There is more to remove, which is done in steps between batches.
    prunes: bool,
    pause: Duration,
}

impl Writer {
    fn new(journal: Arc<Inner>, rules: Rules, sampler: Sampler, listener: Listener) -> Self {
        Self { journal, rules, sampler, listener, kept: Vec::new(), pruned: Instant::now(), prunes: false, pause: EVERY }
    }

    fn run(mut self) {
        // On Linux this changes the calling thread alone. A failure costs nothing but the courtesy.
        let _ = rustix::process::nice(NICER);
        while !self.journal.closing.load(Ordering::Acquire) {
            std::thread::park_timeout(if self.prunes { self.pause.min(BETWEEN_STEPS) } else { self.pause });
            self.write();
            if self.prunes || self.pruned.elapsed() >= PRUNE_EVERY {
                self.pruned = Instant::now();
                self.prune();
            }
        }
    }

    /// Removes a step of what is too old or too much.
    fn prune(&mut self) {
        match self.journal.store.prune(now()) {
            Ok(step) => self.prunes = step.more,
            Err(error) => {
                self.prunes = false;
                tracing::warn!(%error, "the journal could not remove old entries");
            }
        }
    }

    /// Writes what is in the queue, a batch at a time. A store that fails is asked once for all of it.
    fn write(&mut self) {
        let journal = Arc::clone(&self.journal);
        journal.idle.store(false, Ordering::Release);
        loop {
            let Taken { taken, left } = journal.take();
            let is_last = left == 0;
            let bytes: usize = taken.iter().map(Observation::size).sum();
            for observed in taken {
                // Whoever waits for this processor goes first: the system would let this thread run on.
                std::thread::yield_now();
                let mut entry = mask::entry(observed, &self.rules);
                entry.counted_only = !self.sampler.keeps(&entry);
                self.kept.push(entry);
            }
            journal.bytes.fetch_sub(bytes, Ordering::Relaxed);
            if self.pause > EVERY && !is_last {
                self.shed();
            } else if !self.kept.is_empty() {
                self.offer();
            }
            if is_last {
                break;
            }
            if left < LONG && !journal.closing.load(Ordering::Acquire) {
                std::thread::park_timeout(BETWEEN_BATCHES);
            }
        }
        journal.idle.store(self.kept.is_empty(), Ordering::Release);
    }

    /// Drops the oldest entries that are too many to wait.
    fn shed(&mut self) {
        self.journal.counters.failed.fetch_add(shed(&mut self.kept) as u64, Ordering::Relaxed);
    }

    /// Offers the entries to the store. They are kept if it cannot be used at the moment.
    fn offer(&mut self) {
        match self.journal.store.write(&self.kept) {
            Ok(events) => {
                if self.pause > EVERY {
                    tracing::info!("the journal is written again");
                }
                self.pause = EVERY;
                let sampled = self.kept.iter().filter(|entry| entry.counted_only).count();
                self.journal.counters.written.fetch_add((self.kept.len() - sampled) as u64, Ordering::Relaxed);
                self.journal.counters.sampled.fetch_add(sampled as u64, Ordering::Relaxed);
                self.journal.recent.note(&self.kept);
                (self.listener)(&self.kept, &events);
                self.kept.clear();
            }
            Err(StoreError::Unavailable { what, source }) => {
                if self.pause == EVERY {
                    tracing::error!(what, error = %source, "the journal cannot be written; entries are kept in memory as far as they fit");
                }
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                self.shed();
            }
            Err(error @ StoreError::Full(_)) => {
                if self.pause == EVERY {
                    tracing::error!(%error, "entries of the journal are lost");
                }
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                self.journal.counters.failed.fetch_add(self.kept.len() as u64, Ordering::Relaxed);
                self.kept.clear();
            }
        }
    }
}

/// Drops the oldest entries that are too many to wait. Returns their number.
fn shed(kept: &mut Vec<Entry>) -> usize {
    let mut bytes = 0;
    let fit = kept.iter().rev().take(MAX_KEPT).take_while(|entry| {
        bytes += entry.size();
        bytes <= MAX_BYTES
    });
    let lost = kept.len() - fit.count();
    kept.drain(..lost);
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_wait_for_the_store_are_bounded_in_number_and_bytes() {
        let mut small: Vec<Entry> = (0..MAX_KEPT as u64 + 3).map(|at| Entry { at, ..Entry::default() }).collect();
        assert_eq!((shed(&mut small), small.len(), small[0].at), (3, MAX_KEPT, 3));
        let body = "x".repeat(1 << 20);
        let mut large: Vec<Entry> = (0..70).map(|at| Entry { at, upstream_body: Some(body.clone()), ..Entry::default() }).collect();
        assert_eq!((shed(&mut large), large.len(), large[0].at), (7, 63, 7));
    }
}
