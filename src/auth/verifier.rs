//! Verifies credentials off the threads that serve requests, a few at a time, and remembers for a while which were right.
//!
//! Knows nothing of routes or responses.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::credentials::Credentials;
use super::htpasswd::Users;

/// How long right credentials are remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// The most credentials that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// The most verifications at the same time. They also are at most half of the cores: the others serve requests.
const MAX_AT_ONCE: usize = 4;
/// The most requests that wait for a verification.
const MAX_WAITING: usize = 256;
/// The longest wait for a verification to begin.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A digest of credentials, with a key that only this process has.
type Digest = [u8; 32];

/// Verifies the credentials of one file.
#[derive(Debug)]
pub struct Verifier {
    users: Users,
    key: hmac::Key,
    permits: Arc<Semaphore>,
    /// Requests that wait or are verified.
    waiting: AtomicUsize,
    right: Mutex<HashMap<Digest, Instant>>,
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is that of the user.
    Right,
    /// There is no such user, or the password is another.
    Wrong,
    /// Too many verifications wait.
    Overloaded,
}

/// The system has no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomness;

/// Returns the permits of verifications: as many as may run at the same time.
pub fn permits() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Arc::new(Semaphore::new((cores / 2).clamp(1, MAX_AT_ONCE)))
}

/// Counts a request that waits, until it is dropped.
struct Waits<'v>(&'v AtomicUsize);

impl<'v> Waits<'v> {
    fn begin(waiting: &'v AtomicUsize) -> Option<Self> {
        let waits = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Verifier {
    /// Creates a verifier that remembers nothing. It shares the permits with all others.
    ///
    /// # Errors
    /// The system has no random numbers for its key.
    pub fn new(users: Users, permits: Arc<Semaphore>) -> Result<Self, NoRandomness> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        Ok(Self { users, key, permits, waiting: AtomicUsize::new(0), right: Mutex::default() })
    }

    /// Verifies credentials.
    pub async fn verify(self: &Arc<Self>, credentials: Credentials) -> Verdict {
        let digest = self.digest(&credentials);
        if self.remembers(&digest, Instant::now()) {
            return Verdict::Right;
        }
        let Some(_waits) = Waits::begin(&self.waiting) else { return Verdict::Overloaded };
        let acquired = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = acquired else { return Verdict::Overloaded };
        // The requests of one client that waited together need one verification.
        if self.remembers(&digest, Instant::now()) {
            return Verdict::Right;
        }
        let this = Arc::clone(self);
        let verified = tokio::task::spawn_blocking(move || {
            let stand_in = this.stand_in(&credentials.user);
            let right = this.users.verify(&credentials.user, &credentials.password, stand_in);
            if right {
                this.remember(digest, Instant::now());
            }
            // A request that has gone meanwhile frees no place before its work is done.
            drop(permit);
            right
        });
        match verified.await {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            Err(_) => Verdict::Overloaded,
        }
    }

    /// The name is as long as its length says, so no other name and password have the same bytes.
    fn digest(&self, credentials: &Credentials) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(credentials.user.len() as u64).to_be_bytes());
        context.update(credentials.user.as_bytes());
        context.update(&credentials.password);
        let tag = context.sign();
        std::array::from_fn(|at| tag.as_ref().get(at).copied().unwrap_or_default())
    }

    /// Returns a number that depends on the name and on a key of this process, so that nobody else can compute it.
    fn stand_in(&self, user: &str) -> u64 {
        let tag = hmac::sign(&self.key, user.as_bytes());
        tag.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn remembers(&self, digest: &Digest, now: Instant) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(digest).is_some_and(|since| now.saturating_duration_since(*since) < REMEMBERED_FOR)
    }

    fn remember(&self, digest: Digest, now: Instant) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= MAX_REMEMBERED {
            right.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED_FOR);
        }
        if right.len() >= MAX_REMEMBERED
            && let Some(oldest) = right.iter().min_by_key(|(_, since)| **since).map(|(digest, _)| *digest)
        {
            right.remove(&oldest);
        }
        right.insert(digest, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(cost: u32) -> Arc<Verifier> {
        let users = Users::parse(&format!("alice:{}", bcrypt::hash("right", cost).unwrap())).unwrap();
        Arc::new(Verifier::new(users, permits()).unwrap())
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    #[tokio::test]
    async fn right_credentials_are_remembered_and_others_are_not() {
        let verifier = verifier(4);
        let known = || verifier.right.lock().unwrap().len();
        assert_eq!(verifier.verify(credentials("alice", "wrong")).await, Verdict::Wrong);
        assert_eq!(verifier.verify(credentials("bob", "right")).await, Verdict::Wrong);
        assert_eq!(known(), 0);
        assert_eq!(verifier.verify(credentials("alice", "right")).await, Verdict::Right);
        assert_eq!((known(), verifier.waiting.load(Ordering::Relaxed)), (1, 0));
        // A credential that was verified before is not verified again, so it takes no permit.
        verifier.permits.close();
        assert_eq!(verifier.verify(credentials("alice", "right")).await, Verdict::Right);
        assert_eq!(verifier.verify(credentials("alicer", "ight")).await, Verdict::Overloaded, "these are other credentials");
    }

    #[test]
    fn memory_ends_and_is_bounded() {
        let (verifier, now) = (verifier(4), Instant::now());
        verifier.remember([0; 32], now);
        assert!(verifier.remembers(&[0; 32], now + REMEMBERED_FOR.checked_sub(Duration::from_secs(1)).unwrap()));
        assert!(!verifier.remembers(&[0; 32], now + REMEMBERED_FOR));
        for at in 1..=MAX_REMEMBERED as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&at.to_be_bytes());
            verifier.remember(digest, now + Duration::from_millis(at));
        }
        assert_eq!(verifier.right.lock().unwrap().len(), MAX_REMEMBERED);
        assert!(!verifier.remembers(&[0; 32], now), "the oldest went");
    }

    #[tokio::test]
    async fn requests_that_would_wait_too_long_are_refused() {
        let verifier = verifier(4);
        let all: Vec<_> = (0..MAX_WAITING).map(|_| Waits::begin(&verifier.waiting).unwrap()).collect();
        assert_eq!(verifier.verify(credentials("alice", "right")).await, Verdict::Overloaded);
        drop(all);
        assert_eq!(verifier.verify(credentials("alice", "right")).await, Verdict::Right);
        tokio::time::pause();
        let held = Arc::clone(&verifier.permits).acquire_many_owned(verifier.permits.available_permits() as u32).await.unwrap();
        assert_eq!(verifier.verify(credentials("alice", "other")).await, Verdict::Overloaded);
        drop(held);
    }
}
