//! The sessions of browsers that have logged in: a random id in a cookie, and what it stands for in memory.
//!
//! The token itself is never in a cookie. A session ends with its time, with a logout, with the token that it was opened with, and with the
//! process. Must not know requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::guard::is_equal;
use super::role::Role;

/// The most sessions. The oldest makes room for a new one.
const MAX_SESSIONS: usize = 256;

type Digest = [u8; 32];

/// The tokens of the configuration that runs. Without one of operators, there are no others.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'t> {
    pub(super) operator: &'t str,
    pub(super) viewer: Option<&'t str>,
}

impl<'t> Tokens<'t> {
    /// Returns what a token is right for, in a time that does not depend on its bytes.
    pub(super) fn role_of(self, given: &[u8]) -> Option<Role> {
        let is_operator = is_equal(given, self.operator.as_bytes());
        let is_viewer = self.viewer.is_some_and(|token| is_equal(given, token.as_bytes()));
        is_operator.then_some(Role::Operator).or(is_viewer.then_some(Role::Viewer))
    }

    const fn of(self, role: Role) -> Option<&'t str> {
        match role {
            Role::Operator => Some(self.operator),
            Role::Viewer => self.viewer,
        }
    }
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The rights of its token.
    pub(super) role: Role,
    /// The token that its forms repeat.
    pub(super) csrf: String,
    /// Its name in log lines, which is no secret.
    pub(super) name: String,
    /// The digest of the token that it was opened with.
    token: Digest,
    since: Instant,
}

/// The sessions. Nobody can log in if the system has no random numbers.
#[derive(Debug)]
pub(super) struct Sessions {
    key: Option<hmac::Key>,
    open: Mutex<HashMap<Digest, Session>>,
}

/// Returns random bytes as text that nobody can guess; `None` if the system has no random numbers.
pub(super) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Default for Sessions {
    fn default() -> Self {
        Self { key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(), open: Mutex::default() }
    }
}

impl Sessions {
    /// Signs a text with the key of this process; `None` if there is none.
    fn digest(&self, purpose: &str, text: &str) -> Option<Digest> {
        let mut signing = hmac::Context::with_key(self.key.as_ref()?);
        signing.update(purpose.as_bytes());
        signing.update(text.as_bytes());
        signing.sign().as_ref().try_into().ok()
    }

    /// Returns the token of a form that belongs to a random text in a cookie.
    pub(super) fn form_token(&self, nonce: &str) -> Option<String> {
        self.digest("form\0", nonce).map(|digest| hex(&digest))
    }

    /// Opens a session for a client whose token is right for a role. Returns the value of its cookie; `None` if the system has no random
    /// numbers.
    pub(super) fn open(&self, role: Role, tokens: Tokens<'_>, now: Instant) -> Option<(String, Session)> {
        let (id, csrf) = (random()?, random()?);
        let digest = self.digest("session\0", &id)?;
        let token = self.digest("token\0", tokens.of(role)?)?;
        let session = Session { role, csrf, name: hex(digest.get(..4)?), token, since: now };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MAX_SESSIONS
            && let Some(oldest) = open.iter().min_by_key(|(_, session)| session.since).map(|(digest, _)| *digest)
        {
            open.remove(&oldest);
        }
        open.insert(digest, session.clone());
        Some((id, session))
    }

    /// Finds the session of a cookie, unless it is over.
    pub(super) fn find(&self, id: &str, tokens: Tokens<'_>, now: Instant, lifetime: Duration) -> Option<Session> {
        // The digest is looked up, whose bytes tell nothing of those of the id.
        let digest = self.digest("session\0", id)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(&digest)?;
        let current = tokens.of(session.role).and_then(|token| self.digest("token\0", token));
        let is_over = now.saturating_duration_since(session.since) >= lifetime || current != Some(session.token);
        if is_over { open.remove(&digest).and(None) } else { Some(session.clone()) }
    }

    /// Ends a session. Returns false if there is none.
    pub(super) fn close(&self, id: &str) -> bool {
        let Some(digest) = self.digest("session\0", id) else { return false };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Tokens<'static> = Tokens { operator: "one", viewer: Some("two") };
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_session_ends_with_its_time_its_token_and_a_logout() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let open = |role| sessions.open(role, TOKENS, now).unwrap().0;
        let found = |id: &str, tokens, at| sessions.find(id, tokens, at, HOUR).map(|session| session.role);
        let (operator, viewer) = (open(Role::Operator), open(Role::Viewer));
        assert_eq!(found(&operator, TOKENS, now + HOUR - Duration::from_secs(1)), Some(Role::Operator));
        assert_eq!(found(&viewer, TOKENS, now), Some(Role::Viewer));
        assert_eq!(found(&operator, Tokens { operator: "other", viewer: Some("two") }, now), None);
        assert_eq!(found(&operator, TOKENS, now), None, "what is over stays over");
        assert_eq!(found(&viewer, Tokens { operator: "one", viewer: None }, now), None);
        let late = open(Role::Viewer);
        assert_eq!(found(&late, TOKENS, now + HOUR), None);
        let left = open(Role::Viewer);
        assert!(sessions.close(&left) && !sessions.close(&left));
        assert_eq!(found(&left, TOKENS, now), None);
        assert_eq!(found("", TOKENS, now), None);
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_goes_first() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let at = |n: u64| now + Duration::from_millis(n);
        let ids: Vec<_> = (0..MAX_SESSIONS as u64 + 2).map(|n| sessions.open(Role::Viewer, TOKENS, at(n)).unwrap().0).collect();
        let is_open = |id: &String| sessions.find(id, TOKENS, at(1000), HOUR).is_some();
        assert_eq!(ids.iter().filter(|id| is_open(id)).count(), MAX_SESSIONS);
        assert!(!is_open(&ids[0]) && !is_open(&ids[1]) && is_open(&ids[2]));
    }

    #[test]
    fn a_token_is_right_for_its_role_only() {
        let role = |given: &str| TOKENS.role_of(given.as_bytes());
        assert_eq!(
            [role("one"), role("two"), role("on"), role("one "), role("")],
            [Some(Role::Operator), Some(Role::Viewer), None, None, None]
        );
        assert_eq!(Tokens { operator: "one", viewer: None }.role_of(b""), None);
    }
}
