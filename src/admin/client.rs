//! Who asks: the client of a request to the admin listener, found by its token or its session.
//!
//! Must not know pages.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::attempts::{Attempts, Verdict};
use super::guard;
use super::role::Role;
use super::session::{Session, Sessions, Tokens};
use crate::plan::Plan;
use crate::upstream::heads::scan::{client_behind, is_trusted};

/// The cookie of a session. The prefix keeps other hosts and plain connections from setting it, and needs `Secure`.
const COOKIE: [&str; 2] = ["lockgate-session", "__Host-lockgate-session"];
/// The cookie of a form to log in.
const FORM_COOKIE: [&str; 2] = ["lockgate-login", "__Host-lockgate-login"];

/// How a client has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// It has reached the listener, and no token is configured.
    Reach,
    /// A token with the request.
    Token,
    /// A session, by its name.
    Session(String),
}

/// A client that may use pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) role: Role,
    pub(super) by: By,
    pub(super) address: IpAddr,
    /// The token that its forms repeat; `None` for that of the site.
    pub(super) csrf: Option<String>,
}

/// Why a request has no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It has no token and no session.
    Unknown,
    /// Its token is wrong. With `is_last`, the next one will not be looked at.
    Wrong {
        /// The address has used up its attempts.
        is_last: bool,
    },
    /// Its token was not looked at, and will not be for this long.
    Limited(Duration),
}

/// What a request says of its client.
pub(super) struct Signs<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) address: IpAddr,
}

impl<'r> Signs<'r> {
    /// Reads a request that came from this peer.
    pub(super) fn of(headers: &'r HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let direct = peer.to_canonical();
        let text = |value: &'r HeaderValue| value.to_str().unwrap_or("?");
        let address = match is_trusted(direct, trusted) {
            false => direct,
            true => {
                let lines = headers.get_all("x-forwarded-for").iter().map(text);
                client_behind(direct, lines, headers.get(header::FORWARDED).map(text).unwrap_or_default(), trusted)
            }
        };
        Self { headers, address }
    }

    /// Returns true if the client reached the gateway by HTTPS, as a proxy says. Anyone may say so: it only makes cookies stricter.
    pub(super) fn is_https(&self) -> bool {
        let has = |name: header::HeaderName, wanted: &str| {
            let value = self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
            value.split([',', ';']).next_back().is_some_and(|last| last.trim().trim_matches('"') == wanted)
                || value.split([',', ';']).any(|part| part.trim() == wanted)
        };
        has(header::HeaderName::from_static("x-forwarded-proto"), "https") || has(header::FORWARDED, "proto=https")
    }

    fn cookie(&self, names: [&str; 2]) -> Option<&'r str> {
        let name = names[usize::from(self.is_https())];
        let pairs = self.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the id of the session.
    pub(super) fn session(&self) -> Option<&'r str> {
        self.cookie(COOKIE)
    }

    /// Returns the random text that belongs to the form.
    pub(super) fn form(&self) -> Option<&'r str> {
        self.cookie(FORM_COOKIE)
    }

    /// Returns `Set-Cookie` of a session; without a value, one that removes the cookie.
    pub(super) fn set_session(&self, value: Option<&str>, lifetime: Duration) -> Option<HeaderValue> {
        self.set_cookie(COOKIE, value, lifetime)
    }

    /// Returns `Set-Cookie` of a form; without a value, one that removes the cookie.
    pub(super) fn set_form(&self, value: Option<&str>, lifetime: Duration) -> Option<HeaderValue> {
        self.set_cookie(FORM_COOKIE, value, lifetime)
    }

    fn set_cookie(&self, names: [&str; 2], value: Option<&str>, lifetime: Duration) -> Option<HeaderValue> {
        let is_https = self.is_https();
        let (name, secure) = (names[usize::from(is_https)], if is_https { "; Secure" } else { "" });
        let age = value.map_or(0, |_| lifetime.as_secs());
        HeaderValue::from_str(&format!("{name}={}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", value.unwrap_or_default()))
            .ok()
    }
}

/// Returns the tokens of a configuration, if clients need one.
pub(super) fn tokens(plan: &Plan) -> Option<Tokens<'_>> {
    let operator = plan.listen.admin_token.as_ref()?.reveal();
    Some(Tokens { operator, viewer: plan.listen.admin_viewer_token.as_ref().map(|token| token.reveal().as_str()) })
}

/// Finds the client of a request. A token in `Authorization` counts before a session.
pub(super) fn find(signs: &Signs<'_>, plan: &Plan, sessions: &Sessions, attempts: &Attempts, now: Instant) -> Result<Client, Stranger> {
    let client = |role, by, csrf| Client { role, by, address: signs.address, csrf };
    let Some(tokens) = tokens(plan) else { return Ok(client(Role::Operator, By::Reach, None)) };
    if let Some(authorization) = signs.headers.get(header::AUTHORIZATION) {
        let compare = || guard::token_of(authorization).and_then(|given| tokens.role_of(&given));
        return match attempts.judge(signs.address, now, compare) {
            Verdict::Right(role) => Ok(client(role, By::Token, None)),
            Verdict::Wrong { is_last } => Err(Stranger::Wrong { is_last }),
            Verdict::Limited(wait) => Err(Stranger::Limited(wait)),
        };
    }
    let session = signs.session().and_then(|id| sessions.find(id, tokens, now, plan.listen.admin_session));
    let Some(Session { role, csrf, name, .. }) = session else { return Err(Stranger::Unknown) };
    Ok(client(role, By::Session(name), Some(csrf)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(pairs: &[(&'static str, &'static str)], peer: &str) -> (HeaderMap, IpAddr) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        (headers, peer.parse().unwrap())
    }

    #[test]
    fn a_proxy_speaks_for_its_clients_only_if_it_is_trusted() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let (headers, peer) = signs(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2")], "10.0.0.1");
        assert_eq!(Signs::of(&headers, peer, &trusted).address.to_string(), "2.2.2.2");
        let (headers, peer) = signs(&[("x-forwarded-for", "1.1.1.1")], "::ffff:192.0.2.1");
        assert_eq!(Signs::of(&headers, peer, &trusted).address.to_string(), "192.0.2.1");
    }

    #[test]
    fn cookies_are_strict_and_stricter_over_https() {
        let hour = Duration::from_secs(3600);
        let set = |pairs| {
            let (headers, peer) = signs(pairs, "127.0.0.1");
            Signs::of(&headers, peer, &[]).set_session(Some("a"), hour).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(set(&[]), "lockgate-session=a; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict");
        let strict = "__Host-lockgate-session=a; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(set(&[("x-forwarded-proto", "https")]), strict);
        assert_eq!(set(&[("forwarded", "for=1.1.1.1;proto=https")]), strict);
        // A cookie that a plain connection or another host could have set is not one of HTTPS.
        let (headers, peer) = signs(&[("x-forwarded-proto", "https"), ("cookie", "lockgate-session=a; b=c")], "127.0.0.1");
        assert_eq!(Signs::of(&headers, peer, &[]).session(), None);
        let (headers, peer) = signs(&[("cookie", "b=c"), ("cookie", "xlockgate-session=b; lockgate-session=a")], "127.0.0.1");
        assert_eq!(Signs::of(&headers, peer, &[]).session(), Some("a"));
    }
}
