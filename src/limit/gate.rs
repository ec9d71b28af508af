//! Limits the number of requests in flight, to one backend or to all of them, with a short queue for the excess.
//!
//! A request that finds neither a permit nor room in the queue is rejected at once. The queue is served in arrival order as long as it
//! becomes empty now and then. It is under pressure when it has not been empty for a while or has rejected a request: more arrives than can
//! be served. The newest request is then served first, because the oldest has hardly any time left, and the wait is cut to
//! 2 ms, so that excess requests are rejected early.
//!
//! Knows nothing of requests, routes or responses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::gradient::Gradient;
use crate::sync::Counted;

/// The queue is under pressure when it has not been empty for this long, and for this long after a rejection.
const PRESSURE: Duration = Duration::from_millis(100);
/// The longest wait under pressure.
const MAX_WAIT_UNDER_PRESSURE: Duration = Duration::from_millis(2);

/// The settings of a [`Gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Maximum number of requests in flight. For an adaptive gate, the upper bound of the limit.
    pub max: usize,
    /// Adapts the limit to the latency of responses.
    pub adaptive: bool,
    /// Maximum number of requests in the queue.
    pub queue: usize,
    /// Longest time in the queue.
    pub wait: Duration,
}

/// A limit on requests in flight, with a queue.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    now: AtomicUsize,
    limit: AtomicUsize,
    /// Number of requests that wait or are about to; lets a released permit skip the lock when there are none.
    waiters: AtomicUsize,
    queue: Mutex<Queue>,
    gradient: Option<Mutex<Gradient>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<oneshot::Sender<Permit>>,
    /// The time since which the queue has not been empty.
    nonempty_since: Option<Instant>,
    /// The time of the last rejection.
    last_rejection: Option<Instant>,
}

/// The permit of one request in flight. Dropping it releases it, however the request ended.
#[derive(Debug)]
pub struct Permit(Option<Arc<Gate>>);

/// The reason for a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full, or no permit was released in time.
    Full,
    /// The request's own deadline passed first.
    TooLate,
}

/// The lower bound of an adaptive limit, and its initial value.
const MIN_LIMIT: usize = 4;

impl Gate {
    /// Creates a gate with no requests in flight.
    pub fn new(settings: GateSettings) -> Self {
        let start = if settings.adaptive { settings.max.min(MIN_LIMIT) } else { settings.max };
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

    /// Returns the settings that the gate was created with.
    pub const fn settings(&self) -> GateSettings {
        self.settings
    }

    /// Returns a permit if one is free.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        // SeqCst, here and where permits are released: a waiter announces itself before it looks for a permit, and a release frees the
        // permit before it looks for waiters, so at least one of the two sees the other. A failed attempt must not count itself even
        // briefly, since that would hide a free permit from a waiter; hence no `fetch_add`.
        let limit = self.limit.load(Ordering::SeqCst);
        let entered = self.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < limit).then_some(now + 1));
        entered.is_ok().then(|| Permit(Some(Arc::clone(self))))
    }

    /// Returns a permit, at once or after a wait in the queue.
    ///
    /// # Errors
    /// Returns [`Refused`] if the queue is full, no permit was released in time, or `deadline` passed.
    pub async fn acquire(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Refused> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => self.wait(deadline).await,
        }
    }

    /// Returns how many requests may be queued. An adaptive gate queues at most half of its limit (rounded up).
    fn queue_capacity(&self) -> usize {
        if self.settings.adaptive { self.settings.queue.min(self.limit().div_ceil(2)) } else { self.settings.queue }
    }

    /// Waits in the queue for a permit.
    async fn wait(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Refused> {
        let now = Instant::now();
        let (receiver, max_wait, _waiting) = {
            let _announced = Counted::enter(&self.waiters);
            let mut queue = self.lock();
            if queue.waiting.len() >= self.queue_capacity() {
                queue.waiting.retain(|waiter| !waiter.is_closed());
            }
            // There is no other waiter, so the queue holds only requests that gave up.
            if self.waiters.load(Ordering::SeqCst) == 1 {
                queue.waiting.clear();
                queue.nonempty_since = None;
            }
            if queue.waiting.len() >= self.queue_capacity() {
                queue.last_rejection = Some(now);
                return Err(Refused::Full);
            }
            if let Some(permit) = self.try_acquire() {
                return Ok(permit);
            }
            let max_wait = if queue.is_under_pressure(now) { self.settings.wait.min(MAX_WAIT_UNDER_PRESSURE) } else { self.settings.wait };
            queue.nonempty_since.get_or_insert(now);
            let (sender, receiver) = oneshot::channel();
            queue.waiting.push_back(sender);
            (receiver, max_wait, Counted::enter(&self.waiters))
        };
        let due = now + max_wait;
        let until = deadline.map_or(due, |deadline| deadline.min(due));
        match tokio::time::timeout_at(until, receiver).await {
            Ok(Ok(permit)) => Ok(permit),
            _ if until < due => Err(Refused::TooLate),
            _ => {
                // A wait that was shortened by pressure does not count as a rejection, or pressure would sustain itself.
                if max_wait == self.settings.wait {
                    self.lock().last_rejection = Some(Instant::now());
                }
                Err(Refused::Full)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands free permits to waiting requests.
    fn wake_waiters(self: &Arc<Self>) {
        let mut spare = None;
        {
            let mut queue = self.lock();
            let now = Instant::now();
            while !queue.waiting.is_empty() {
                let Some(permit) = spare.take().or_else(|| self.try_acquire()) else { break };
                let waiter = if queue.is_under_pressure(now) { queue.waiting.pop_back() } else { queue.waiting.pop_front() };
                // `send` returns the permit if the waiter has given up.
                spare = waiter.and_then(|waiter| waiter.send(permit).err());
            }
            if queue.waiting.is_empty() {
                queue.nonempty_since = None;
            }
        }
        // Dropped outside the lock, because dropping a permit may lock the queue.
        drop(spare);
    }

    /// Records the latency of a response. An adaptive gate updates its limit.
    pub fn record(self: &Arc<Self>, took: Duration, now: Instant) {
        let Some(gradient) = &self.gradient else { return };
        let limit = gradient.lock().unwrap_or_else(PoisonError::into_inner).record(took, self.now(), now);
        if let Some(limit) = limit {
            self.limit.store(limit, Ordering::SeqCst);
            if self.waiters.load(Ordering::SeqCst) > 0 {
                self.wake_waiters();
            }
        }
    }

    /// Returns the number of requests in flight.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Returns the current limit.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns the number of queued requests.
    pub fn waiting(&self) -> usize {
        self.waiters.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn is_under_pressure(&self, now: Instant) -> bool {
        let since = |moment: Option<Instant>| moment.map(|moment| now.saturating_duration_since(moment));
        since(self.nonempty_since).is_some_and(|busy| busy > PRESSURE)
            || since(self.last_rejection).is_some_and(|refused| refused < PRESSURE)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        gate.now.fetch_sub(1, Ordering::SeqCst);
        if gate.waiters.load(Ordering::SeqCst) > 0 {
            gate.wake_waiters();
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
    async fn a_released_permit_goes_to_a_waiter() {
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
    async fn a_wait_ends_at_the_timeout_or_the_deadline() {
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
    async fn under_pressure_the_newest_is_served_first_and_waits_are_short() {
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
        assert_eq!(begin.elapsed(), MAX_WAIT_UNDER_PRESSURE);
    }

    /// With many threads, no permit is lost and the limit is never exceeded.
    #[test]
    fn no_permit_is_lost_between_threads() {
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
                                    // Some give up at once, possibly while a permit is being sent to them.
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
        assert!(all.iter().all(Option::is_some), "every permit is there again");
    }
}
