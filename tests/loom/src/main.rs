//! The breaker's and the limiter's steps on several threads, in every order that there is.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "files of the crate, of which only a part is used here")]

#[path = "../../../src/breaker.rs"]
mod breaker;

#[path = "../../../src/limit/store.rs"]
mod store;

/// The checker's own, where the crate has those of the standard library.
mod sync {
    pub use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};
    pub use std::sync::PoisonError;
}

use std::time::Duration;

use breaker::{Breaker, Outcome, Rule, Settings, State};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use loom::sync::Arc;
use loom::thread;
use tokio::time::Instant;

const SETTINGS: Settings =
    Settings { rule: Rule::Consecutive(1), open_for: Duration::from_secs(1), open_at_most: Duration::from_secs(1), trials: 1 };

/// A breaker that was opened, and the moment from which it lets one try.
fn opened() -> (Arc<Breaker>, Instant) {
    let now = Instant::now();
    let breaker = Arc::new(Breaker::new(SETTINGS, now));
    let ticket = breaker.enter(now).0.expect("it is closed");
    breaker.record(ticket, Outcome::Bad, now);
    assert!(!breaker.is_closed());
    (breaker, now + Duration::from_secs(1))
}

fn main() {
    println!("breaker: one trial, whoever asks first");
    loom::model(|| {
        let (breaker, later) = opened();
        let ask = |breaker: Arc<Breaker>| thread::spawn(move || breaker.enter(later).0);
        let (a, b) = (ask(Arc::clone(&breaker)), ask(Arc::clone(&breaker)));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        assert!(a.is_some() != b.is_some(), "one and only one");
    });
    println!("breaker: what is told beside the lock is what the lock holds, whatever happens at once");
    loom::model(|| {
        let (breaker, later) = opened();
        let one = |breaker: Arc<Breaker>, outcome| {
            thread::spawn(move || {
                if let Some(ticket) = breaker.enter(later).0 {
                    breaker.record(ticket, outcome, later);
                }
            })
        };
        let (a, b) = (one(Arc::clone(&breaker), Outcome::Good), one(Arc::clone(&breaker), Outcome::Bad));
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(breaker.is_closed(), breaker.state() == State::Closed);
    });
    println!("breaker: an outcome of before it opened has no weight after");
    loom::model(|| {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::new(SETTINGS, now));
        let (early, bad) = (breaker.enter(now).0.unwrap(), breaker.enter(now).0.unwrap());
        let other = Arc::clone(&breaker);
        let opens = thread::spawn(move || {
            other.record(bad, Outcome::Bad, now);
        });
        breaker.record(early, Outcome::Good, now);
        opens.join().unwrap();
        assert_eq!((breaker.state(), breaker.is_closed()), (State::Open, false));
    });
    println!("limiter: two requests of one key are two");
    loom::model(|| {
        let store = Arc::new(store::BoundedStore::new(4));
        let count = |store: &store::BoundedStore| {
            let add = |state: Option<Nanos>| Ok::<_, ()>(((), Nanos::new(state.map_or(0, |state| state.as_u64()) + 1)));
            store.measure_and_replace(&7, add).unwrap();
        };
        let other = Arc::clone(&store);
        let thread = thread::spawn(move || count(&other));
        count(&store);
        thread.join().unwrap();
        let read = |state: Option<Nanos>| Ok::<_, ()>((state.unwrap().as_u64(), state.unwrap()));
        assert_eq!(store.measure_and_replace(&7, read), Ok(2));
        assert_eq!(store.len(), 1);
    });
    println!("limiter: two new keys at once do not pass the bound");
    loom::model(|| {
        let store = Arc::new(store::BoundedStore::new(1));
        let enter = |store: &store::BoundedStore, key: u64| {
            store.measure_and_replace(&key, |_| Ok::<_, ()>(((), Nanos::new(1)))).unwrap();
        };
        let other = Arc::clone(&store);
        let thread = thread::spawn(move || enter(&other, 1));
        enter(&store, 2 << 58);
        thread.join().unwrap();
        assert_eq!(store.len(), 1, "the other one is in the shared bucket");
    });
    println!("checked");
}
