//! The gate before a backend, or before all of them: so many requests at once, a few more in a short queue, the rest refused at once.
//!
//! While the queue is now and then empty it is served in order. When it has not been empty for a while, or somebody was refused, there
//! is more than can be served: the newest is served first, because the oldest has hardly any time left, and nobody waits longer
//! than a moment, so that who must be refused hears it soon.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::gradient::Gradient;
use crate::sync::Counted;

/// A queue that was not empty for so long is under pressure, and for so long after a refusal.
const PRESSURE: Duration = Duration::from_millis(100);
/// The longest wait under pressure.
const MOMENT: Duration = Duration::from_millis(2);

/// What a gate is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Requests at once; where the gate adapts, the most it may find.
    pub max: usize,
    /// Finds out how many are good, by the latency of answers.
    pub adaptive: bool,
    /// Requests that may wait.
    pub queue: usize,
    /// How long they may wait.
    pub wait: Duration,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    now: AtomicUsize,
    limit: AtomicUsize,
    /// How many wait, or are about to: spares the lock where nobody does.
    waiters: AtomicUsize,
    queue: Mutex<Queue>,
    gradient: Option<Mutex<Gradient>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<oneshot::Sender<Permit>>,
    /// Since when somebody has been waiting.
    busy: Option<Instant>,
    /// When somebody was last refused.
    refused: Option<Instant>,
}

/// One place taken; it is free again when this is dropped, however the request ended.
#[derive(Debug)]
pub struct Permit(Option<Arc<Gate>>);

/// Why nobody passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full, or the wait was in vain.
    Full,
    /// The request's own deadline came first.
    TooLate,
}

/// The least that an adaptive gate admits, and what it begins with.
const LEAST: usize = 4;

impl Gate {
    /// An open gate.
    pub fn new(settings: GateSettings) -> Self {
        let start = if settings.adaptive { settings.max.min(LEAST) } else { settings.max };
        let gradient = settings.adaptive.then(|| Mutex::new(Gradient::new(start, settings.max, Instant::now())));
        Self {
            settings,
            now: AtomicUsize::new(0),
            limit: AtomicUsize::new(start),
            waiters: AtomicUsize::new(0),
            queue: Mutex::default(),
            gradient,
        }
    }

    /// What it was made from.
    pub const fn settings(&self) -> GateSettings {
        self.settings
    }

    /// Passes when there is a place now.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        // SeqCst, here and where places come back: a waiter first says so and then looks for a place, a leaver first frees its
        // place and then looks for waiters, so one of them sees the other. A place that is not had is never counted, not even for
        // a moment: it would hide a free one from a waiter.
        let limit = self.limit.load(Ordering::SeqCst);
        let entered = self.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < limit).then_some(now + 1));
        entered.is_ok().then(|| Permit(Some(Arc::clone(self))))
    }

    /// Passes now or after a wait in the queue.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub async fn acquire(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Refused> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => self.wait(deadline).await,
        }
    }

    /// Requests that may wait now: where the gate adapts, no more than half of those that may pass.
    fn room(&self) -> usize {
        if self.settings.adaptive { self.settings.queue.min(self.limit().div_ceil(2)) } else { self.settings.queue }
    }

    async fn wait(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Refused> {
        let now = Instant::now();
        let (place, most, _waiting) = {
            let _announced = Counted::enter(&self.waiters);
            let mut queue = self.lock();
            if queue.waiting.len() >= self.room() {
                queue.waiting.retain(|waiter| !waiter.is_closed());
            }
            // Nobody else waits: what is there are those that gave up.
            if self.waiters.load(Ordering::SeqCst) == 1 {
                queue.waiting.clear();
                queue.busy = None;
            }
            if queue.waiting.len() >= self.room() {
                queue.refused = Some(now);
                return Err(Refused::Full);
            }
            if let Some(pass) = self.try_acquire() {
                return Ok(pass);
            }
            let most = if queue.is_pressed(now) { self.settings.wait.min(MOMENT) } else { self.settings.wait };
            queue.busy.get_or_insert(now);
            let (sender, place) = oneshot::channel();
            queue.waiting.push_back(sender);
            (place, most, Counted::enter(&self.waiters))
        };
        let due = now + most;
        let until = deadline.map_or(due, |deadline| deadline.min(due));
        match tokio::time::timeout_at(until, place).await {
            Ok(Ok(pass)) => Ok(pass),
            _ if until < due => Err(Refused::TooLate),
            _ => {
                // A short wait that was in vain is no sign of pressure: it would keep itself alive.
                if most == self.settings.wait {
                    self.lock().refused = Some(Instant::now());
                }
                Err(Refused::Full)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands free places to those who wait.
    fn serve(self: &Arc<Self>) {
        let mut spare = None;
        {
            let mut queue = self.lock();
            let now = Instant::now();
            while !queue.waiting.is_empty() {
                let Some(pass) = spare.take().or_else(|| self.try_acquire()) else { break };
                let waiter = if queue.is_pressed(now) { queue.waiting.pop_back() } else { queue.waiting.pop_front() };
                // One who left the queue takes no place.
                spare = waiter.and_then(|waiter| waiter.send(pass).err());
            }
            if queue.waiting.is_empty() {
                queue.busy = None;
            }
        }
        // Outside of the lock: to drop a place looks at the queue again.
        drop(spare);
    }

    /// An answer came after `took`: an adaptive gate learns from it.
    pub fn record(self: &Arc<Self>, took: Duration, now: Instant) {
        let Some(gradient) = &self.gradient else { return };
        let limit = gradient.lock().unwrap_or_else(PoisonError::into_inner).record(took, self.now(), now);
        if let Some(limit) = limit {
            self.limit.store(limit, Ordering::SeqCst);
            if self.waiters.load(Ordering::SeqCst) > 0 {
                self.serve();
            }
        }
    }

    /// Places taken.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Places there are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiters.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn is_pressed(&self, now: Instant) -> bool {
        let since = |moment: Option<Instant>| moment.map(|moment| now.saturating_duration_since(moment));
        since(self.busy).is_some_and(|busy| busy > PRESSURE) || since(self.refused).is_some_and(|refused| refused < PRESSURE)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        gate.now.fetch_sub(1, Ordering::SeqCst);
        if gate.waiters.load(Ordering::SeqCst) > 0 {
            gate.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: usize, queue: usize) -> Arc<Gate> {
        Arc::new(Gate::new(GateSettings { max, adaptive: false, queue, wait: Duration::from_millis(500) }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_freed_place_goes_to_who_waits() {
        let gate = gate(1, 1);
        let first = gate.try_acquire().unwrap();
        assert!(gate.try_acquire().is_none());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.acquire(None).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.acquire(None).await.err(), Some(Refused::Full), "the queue is full");
        drop(first);
        assert!(waiting.await.unwrap());
        assert_eq!((gate.now(), gate.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_time_or_at_the_deadline() {
        let gate = gate(1, 5);
        let _held = gate.try_acquire().unwrap();
        let begin = Instant::now();
        assert_eq!(gate.acquire(None).await.err(), Some(Refused::Full));
        assert_eq!(begin.elapsed(), Duration::from_millis(500));
        tokio::time::advance(PRESSURE).await;
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(gate.acquire(Some(deadline)).await.err(), Some(Refused::TooLate));
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn under_pressure_the_newest_is_served_and_nobody_waits_long() {
        let gate = gate(1, 10);
        let held = gate.try_acquire().unwrap();
        let spawn = |name: &'static str, order: &Arc<Mutex<Vec<&'static str>>>| {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(order));
            tokio::spawn(async move {
                let passed = gate.acquire(None).await;
                order.lock().unwrap().push(if passed.is_ok() { name } else { "refused" });
            })
        };
        let order = Arc::default();
        let old = spawn("old", &order);
        tokio::time::sleep(PRESSURE + Duration::from_millis(1)).await;
        let new = spawn("new", &order);
        tokio::task::yield_now().await;
        drop(held);
        let _ = (new.await, old.await);
        assert_eq!(*order.lock().unwrap(), ["new", "old"]);
        let _held = gate.try_acquire().unwrap();
        let _calm = spawn("calm", &order);
        tokio::time::sleep(PRESSURE + Duration::from_millis(1)).await;
        let begin = Instant::now();
        assert!(gate.acquire(None).await.is_err());
        assert_eq!(begin.elapsed(), MOMENT);
    }

    /// Places and waiters of many threads: none is lost, and never are more in than may be.
    #[test]
    fn threads_pass_one_another_no_place_is_lost() {
        let gate = gate(3, 1000);
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    runtime.block_on(async {
                        let mut all = tokio::task::JoinSet::new();
                        for n in 0..500u32 {
                            let (gate, inside, most) = (Arc::clone(&gate), Arc::clone(&inside), Arc::clone(&most));
                            all.spawn(async move {
                                let passed = match gate.try_acquire() {
                                    Some(permit) => Ok(permit),
                                    // Some give up at once, perhaps with a place on its way to them.
                                    None if n % 7 == 0 => {
                                        tokio::time::timeout(Duration::ZERO, gate.acquire(None)).await.unwrap_or(Err(Refused::Full))
                                    }
                                    None => gate.acquire(None).await,
                                };
                                if passed.is_ok() {
                                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                                    tokio::task::yield_now().await;
                                    inside.fetch_sub(1, Ordering::SeqCst);
                                }
                            });
                        }
                        while all.join_next().await.is_some() {}
                    });
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!((gate.now(), gate.waiting()), (0, 0));
        let all = [gate.try_acquire(), gate.try_acquire(), gate.try_acquire()];
        assert!(all.iter().all(Option::is_some), "every place is there again");
    }
}
