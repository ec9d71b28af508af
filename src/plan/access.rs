//! Compiles `auth` of a route: the file of users, or the service that decides.
//!
//! Must not verify anything or open connections; `auth` and `upstream` do.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri, header};
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;

use super::auth::{Auth, AuthMethod, AuthService, BasicAuth};
use super::live::LiveState;
use crate::auth::htpasswd::{BadLine, HashError, LineProblem, Users};
use crate::auth::verifier::{Verifier, permits};
use crate::config::access::{AuthKeys, BasicKeys, ForwardKeys, PasswordFile};
use crate::config::diagnose::Problems;
use crate::config::section::At;
use crate::observe::auth_metrics::AuthCounters;
use crate::policy::Timeouts;
use crate::upstream::choose::backend::{Backend, HostHeader};
use crate::upstream::choose::balance::Balance;
use crate::upstream::choose::settings::BackendSettings;
use crate::upstream::connect::pool::PoolSettings;
use crate::upstream::connect::target::{Protocol, Target};
use crate::upstream::connect::tls::{self, Tls, Trust};
use crate::upstream::heads::forwarding::is_odd;

/// What routes share: one verifier per file, one backend per service.
#[derive(Debug)]
pub(super) struct Auths {
    permits: Arc<Semaphore>,
    /// `None` after a problem was reported.
    verifiers: HashMap<String, Option<Arc<Verifier>>>,
    services: HashMap<String, Option<Arc<Backend>>>,
}

/// The default of `realm`.
const REALM: &str = "Restricted";
/// The default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The most bad lines of a file that are reported.
const MAX_REPORTED: usize = 5;

impl Auths {
    pub(super) fn new() -> Self {
        Self { permits: permits(), verifiers: HashMap::new(), services: HashMap::new() }
    }

    /// Compiles `auth` of a route. `None` if it cannot be used, which is reported.
    pub(super) fn compile(
        &mut self,
        keys: &AuthKeys,
        counted: Arc<AuthCounters>,
        (live, cores): (&LiveState, usize),
        problems: &mut Problems,
    ) -> Option<Auth> {
        let (method, withheld) = match keys {
            AuthKeys::Basic(keys) => self.basic(keys, problems)?,
            AuthKeys::Forward(keys) => self.service(keys, (live, cores), problems)?,
        };
        let has_odd_names = withheld.iter().any(|name| is_odd(name.as_str()));
        Some(Auth { method, withheld, has_odd_names, counted })
    }

    /// Returns the backends of all services.
    pub(super) fn into_services(self) -> Vec<Arc<Backend>> {
        self.services.into_values().flatten().collect()
    }

    fn basic(&mut self, keys: &BasicKeys, problems: &mut Problems) -> Option<(AuthMethod, Vec<HeaderName>)> {
        let path = keys.file.value.path.clone();
        let verifier = self.verifiers.entry(path).or_insert_with(|| verifier(&keys.file, &self.permits, problems)).clone()?;
        let realm = keys.realm.as_ref().map_or(REALM, |at| at.value.as_str());
        let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).ok()?;
        let user_header = keys.user_header.as_ref().map(|at| at.value.clone());
        let forwards = keys.forward_credentials.as_ref().is_some_and(|at| at.value);
        let withheld = user_header.clone().into_iter().chain((!forwards).then_some(header::AUTHORIZATION)).collect();
        Some((AuthMethod::Basic(BasicAuth { verifier, challenge, user_header }), withheld))
    }

    fn service(
        &mut self,
        keys: &ForwardKeys,
        (live, cores): (&LiveState, usize),
        problems: &mut Problems,
    ) -> Option<(AuthMethod, Vec<HeaderName>)> {
        let url = &keys.url.value;
        let origin = format!("{}://{}", url.scheme_str()?, url.authority()?);
        let key = format!("{origin} {}", keys.ca.as_ref().map_or("", |at| at.value.as_str()));
        let backend = self.services.entry(key).or_insert_with(|| backend(keys, &origin, (live, cores), problems)).clone()?;
        let target = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let timeout = keys.timeout.unwrap_or(TIMEOUT);
        let each = Some(timeout);
        let timeouts = Timeouts { connect: each, response: each, idle: each, total: None, request_body: None, tunnel: None };
        let copied: Vec<HeaderName> = keys.copy.iter().map(|at| at.value.clone()).collect();
        Some((AuthMethod::Service(AuthService { backend, target, timeouts, timeout, copied: copied.clone() }), copied))
    }
}

/// Reads the users of a file, and reports each line that cannot be used by its number and its user. Shows no hash.
fn verifier(file: &At<PasswordFile>, permits: &Arc<Semaphore>, problems: &mut Problems) -> Option<Arc<Verifier>> {
    let PasswordFile { path, text } = &file.value;
    let users = match Users::parse(text.reveal()) {
        Ok(users) => users,
        Err(bad) => {
            if bad.is_empty() {
                problems.add(file.span.clone(), format!("`{path}` has no user"), format!("add one: {}", make(path, None)));
            }
            for line in bad.iter().take(MAX_REPORTED) {
                let (title, help) = told(line, path);
                problems.add(file.span.clone(), title, help);
            }
            return None;
        }
    };
    match Verifier::new(users, Arc::clone(permits)) {
        Ok(verifier) => Some(Arc::new(verifier)),
        Err(error) => {
            problems.add(file.span.clone(), "passwords cannot be verified", error.to_string());
            None
        }
    }
}

/// A bad line as the title and the help of a problem.
fn told(line: &BadLine, path: &str) -> (String, String) {
    let user = line.user.as_ref().map(|user| format!(", user `{user}`")).unwrap_or_default();
    let place = format!("`{path}`, line {}{user}", line.number);
    let anew = || format!("make a new one: {}", make(path, line.user.as_deref()));
    match line.problem {
        LineProblem::NoHash => (format!("{place}: not a name and a hash"), format!("a line is NAME:HASH; {}", anew())),
        LineProblem::Name => (format!("{place}: not a name"), format!("a line is NAME:HASH; {}", anew())),
        LineProblem::Twice => (format!("{place}: the name was on a line before"), "remove one of the lines".to_owned()),
        LineProblem::Hash(HashError::Weak(kind)) => (format!("{place}: the password is stored as {kind}, which is too weak"), anew()),
        LineProblem::Hash(HashError::Costly) => {
            (format!("{place}: the hash takes too long or too much memory"), format!("bcrypt up to a cost of 15; {}", anew()))
        }
        LineProblem::Hash(HashError::Invalid) => {
            (format!("{place}: not a bcrypt or Argon2 hash"), format!("expected $2y$, $2b$, $2a$, $argon2id$ or $argon2i$; {}", anew()))
        }
    }
}

/// The command that makes a line.
fn make(path: &str, user: Option<&str>) -> String {
    format!("htpasswd -B -C 12 {path} {}", user.unwrap_or("NAME"))
}

/// Makes the backend of a service: the same connections as to any other, without probes and breaker.
fn backend(keys: &ForwardKeys, origin: &str, (live, cores): (&LiveState, usize), problems: &mut Problems) -> Option<Arc<Backend>> {
    let (scheme, authority) = (keys.url.value.scheme_str()?, keys.url.value.authority()?);
    let tls = match (scheme, &keys.ca) {
        ("https", ca) => Some(client_tls(&keys.url, ca.as_ref(), problems)?),
        (_, Some(at)) => {
            problems.add(at.span.clone(), "`ca` has no effect without https", "write https:// in `forward`, or remove the key");
            None
        }
        (_, None) => None,
    };
    let target = Arc::new(Target::new(scheme, authority, (tls, Protocol::Auto), 1, false));
    let settings = BackendSettings {
        balance: Balance::LeastRequests,
        pool: PoolSettings { max_connections: 256, max_idle: 64, idle_timeout: Duration::from_secs(4) },
        probe: None,
        breaker: None,
        slow_start: Duration::ZERO,
        panic_below: 0,
        dns_refresh: Duration::from_secs(30),
        base_path: String::new(),
        cores,
    };
    Some(Arc::new(Backend::new(origin.into(), vec![target], HostHeader::Upstream, settings, live.backend(origin))))
}

/// Makes the TLS settings of a service, which is known by the name in its URL.
fn client_tls(url: &At<Uri>, ca: Option<&At<String>>, problems: &mut Problems) -> Option<Tls> {
    let host = url.value.host().unwrap_or_default().trim_matches(['[', ']']);
    // Addresses are names here, too.
    let Ok(server_name) = ServerName::try_from(host.to_owned()) else {
        problems.add(url.span.clone(), "invalid server name", "expected a DNS name or an address, as in the certificate");
        return None;
    };
    let trust = Trust { ca: ca.map(|at| Path::new(&at.value)), pins: &[], verify: true };
    match tls::client_config(trust, None, &[b"h2", b"http/1.1"]) {
        Ok((config, made_from)) => Some(Tls { config, made_from, unverified: false, server_name }),
        Err(complaint) => {
            problems.add(ca.map_or(&url.span, |at| &at.span).clone(), "cannot set up TLS for this service", complaint);
            None
        }
    }
}
