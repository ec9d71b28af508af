//! Compiles a configuration file into a [`Plan`]: the entry point, and `[listen]`.
//!
//! Applies defaults, checks every rule that involves more than one key, and reports all problems at once. Must not parse values; `config`
//! does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::access::Auths;
use super::advice::advise;
use super::gauges::Observed;
use super::limits;
use super::live::LiveState;
use super::log;
use super::policies::Layers;
use super::presenters::ErrorPresenters;
use super::routes::Builder;
use super::targets::{self, Target};
use super::{Listen, Plan};
use crate::config::diagnose::{Problem, Problems};
use crate::config::expand::Surroundings;
use crate::config::file::{self, File};
use crate::config::section::At;
use crate::observe::metrics::NO_ROUTE;

/// The default address of the data listener.
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);
/// The default address of the admin listener.
pub const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);
/// The longest login at the admin listener.
const MAX_SESSION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Reads and compiles the text of a configuration file. `lookup` returns the values of environment variables. Relative names of files are
/// relative to the working directory.
///
/// # Errors
/// Returns all problems, in the order of the file.
pub fn from_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Vec<Problem>> {
    successor(text, &Surroundings::of_text(lookup), None)
}

/// Reads and compiles the text of a configuration file that is in `folder`. Relative names of files are relative to it.
///
/// # Errors
/// Returns all problems, in the order of the file.
pub fn from_folder(text: &str, folder: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Vec<Problem>> {
    successor(text, &Surroundings::in_folder(lookup, folder), None)
}

/// Compiles a configuration that replaces a running one. Whatever is unchanged keeps its state: endpoints keep their connections, health
/// and circuit breakers, limits their counts, and metrics their values.
///
/// # Errors
/// Returns all problems, in the order of the file; the running plan is not changed.
pub fn successor(text: &str, around: &Surroundings<'_>, running: Option<&Plan>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    let file = crate::config::read(text, &mut problems, around);
    let mut listen = listen(&file.listen, running.map(|running| &running.listen), &mut problems);
    let mut needs_restart = running.map_or_else(Vec::new, |running| keep_what_needs_a_restart(&mut listen, &running.listen));
    let live = running.map_or_else(|| LiveState::new(listen.workers), LiveState::of);
    let mut plan = compile(&file, listen, &live, &mut problems);
    check_log_file(&file.log, text, around, &mut problems);
    if !problems.has_errors() {
        advise(&file, &plan.listen.http, plan.listen.tls.as_ref().map(|tls| tls.address), &mut problems);
    }
    if problems.has_errors() {
        return Err(problems.sorted());
    }
    needs_restart.extend(running.and_then(|running| plan.keep_journal_of(running)));
    Ok(Plan { warnings: problems.sorted(), needs_restart, ..plan })
}

/// Compiles everything that is valid; the plan is usable only if no problem was added.
fn compile(file: &File, listen: Listen, live: &LiveState, problems: &mut Problems) -> Plan {
    let metrics = &live.metrics;
    let body_timeout = file.listen.body_timeout.as_ref().map_or(Some(Duration::from_secs(30)), |at| at.value);
    let targets: HashMap<&str, Option<Target>> =
        file.backends.iter().map(|keys| (keys.name.value.as_str(), targets::backend(keys, listen.workers, live, problems))).collect();
    let buffers = live.buffers(file.listen.buffer_memory.as_ref().map_or(256 << 20, |at| at.value) as usize);
    let limits = limits::limits(file, live, problems);
    let store = limits::store(file.redis.as_ref(), metrics, problems);
    let mut presenters = ErrorPresenters::default();
    let layers = Layers { keys: vec![&file.defaults], errors: vec![&file.errors], body_timeout, mode: file.mode };
    let mut fallback = layers.policy(problems);
    let (fallback_presenter, languages) = presenters.compile(&layers, problems);
    fallback.errors.languages = languages;
    let mut auths = Auths::new();
    let builder = Builder {
        file,
        problems,
        targets: &targets,
        limits: &limits,
        metrics,
        body_timeout,
        presenters,
        auths: &mut auths,
        live,
        cores: listen.workers,
    };
    let routes = builder.routes();
    let auth_services = auths.into_services();
    let gate = file.listen.max_in_flight.map(|max| live.process_gate(targets::gate_settings(max, false, &file::QueueKeys::default())));
    let observed = Observed::new(targets.values().flatten(), &auth_services, gate.clone(), &buffers, listen.max_connections);
    Plan {
        mode: file.mode,
        listen,
        trusted: file.listen.trusted_proxies.clone(),
        routes,
        fallback,
        fallback_presenter,
        gate,
        buffers,
        auth_services,
        names_clients: targets.values().flatten().any(|(backend, _)| backend.names_clients()),
        backends: targets.into_values().flatten().map(|(backend, _)| backend).collect(),
        limits: limits.into_values().map(|applied| applied.limit).collect(),
        store,
        log: log::compile(&file.log, problems),
        telemetry: file.telemetry.as_ref().and_then(|keys| super::telemetry::telemetry(keys, problems)).map(Arc::new),
        journal: super::journal::compile(&file.journal, problems),
        notify: super::notify::compile(file, metrics, problems),
        no_route: metrics.route(NO_ROUTE, NO_ROUTE.into()),
        metrics: Arc::clone(metrics),
        observed: Arc::new(observed),
        shown: Arc::clone(&live.shown),
        warnings: Vec::new(),
        needs_restart: Vec::new(),
        version: "".into(),
        watch: file.watch.unwrap_or(true),
    }
}

/// Reports a log file that the gateway also reads: its lines would destroy a key, or a configuration that is loaded again and again.
fn check_log_file(log: &file::Log, text: &str, around: &Surroundings<'_>, problems: &mut Problems) {
    let Some(at) = &log.file else { return };
    let path = Path::new(&at.value);
    let own = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
    let is_same = |named: &Path| {
        let other = own.as_ref().and_then(|own| Some((own, std::fs::metadata(named).ok()?)));
        named == path || other.is_some_and(|(own, other)| (own.dev(), own.ino()) == (other.dev(), other.ino()))
    };
    // The name of the configuration is not known here, but its text is.
    let is_configuration =
        || own.as_ref().is_some_and(|own| own.len() == text.len() as u64) && std::fs::read(path).is_ok_and(|read| read == text.as_bytes());
    let title = match around.files().iter().find(|named| is_same(named)) {
        Some(named) => format!("`log.file` is a file that the gateway reads: {}", named.display()),
        None if !text.is_empty() && is_configuration() => "`log.file` is the configuration itself".to_owned(),
        None => return,
    };
    problems.add(
        at.span.clone(),
        title,
        "log lines would destroy it; write the name of a file of its own, such as \"/var/log/lockgate/access.log\"",
    );
}

/// Keeps the settings that cannot change while the gateway runs. Returns the keys whose new value needs a restart.
fn keep_what_needs_a_restart(listen: &mut Listen, running: &Listen) -> Vec<&'static str> {
    let wanted = std::mem::replace(&mut listen.workers, running.workers);
    if wanted == running.workers { Vec::new() } else { vec!["listen.workers"] }
}

fn listen(keys: &file::Listen, running: Option<&Listen>, problems: &mut Problems) -> Listen {
    let seconds = Duration::from_secs;
    let duration = |at: &Option<At<Duration>>, default: u64| at.as_ref().map_or(seconds(default), |at| at.value);
    let admin = keys.admin.as_ref().map_or(DEFAULT_ADMIN, |at| at.value);
    if let Some(at) = keys.admin.as_ref().filter(|at| !at.value.ip().is_loopback() && !keys.has_admin_token) {
        problems.add(
            at.span.clone(),
            "an admin listener that is not on a loopback address needs `admin_token`",
            "add: admin_token = \"file:/run/secrets/admin\", or listen on 127.0.0.1",
        );
    }
    admin_access(keys, problems);
    if keys.http.as_ref().is_some_and(Vec::is_empty) {
        problems.add(None, "`listen.http` is empty", "remove the key to listen on 0.0.0.0:8080");
    }
    if let Some(at) = keys.http.iter().flatten().find(|at| at.value == admin && at.value.port() != 0) {
        problems.add(at.span.clone(), "the data and the admin listener have the same address", "choose another port for `admin`");
    }
    if let Some(at) = keys.max_header_size.as_ref().filter(|at| !(1 << 10..=1 << 20).contains(&at.value)) {
        problems.add(at.span.clone(), "`max_header_size` must be from 1KiB to 1MiB", "");
    }
    let proxy_protocol = keys.proxy_protocol.as_ref().filter(|at| at.value);
    if let Some(at) = proxy_protocol.filter(|_| keys.trusted_proxies.is_empty()) {
        let help = "add: trusted_proxies = [\"10.0.0.0/8\"], the networks that may send a PROXY header";
        problems.add(at.span.clone(), "`proxy_protocol` has no effect without `trusted_proxies`", help);
    }
    let tls =
        keys.tls.as_ref().and_then(|tls| super::listen_tls::compile(tls, keys, running.and_then(|running| running.tls.as_ref()), problems));
    Listen {
        strict_target: keys.strict_target.unwrap_or(false),
        tls,
        proxy_protocol: proxy_protocol.is_some(),
        http: keys.http.as_ref().map_or_else(|| vec![DEFAULT_HTTP], |list| list.iter().map(|at| at.value).collect()),
        admin,
        workers: keys.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), |n| n as usize),
        max_connections: keys.max_connections.unwrap_or(20_000) as usize,
        header_timeout: duration(&keys.header_timeout, 10),
        idle_timeout: duration(&keys.idle_timeout, 75),
        write_timeout: duration(&keys.write_timeout, 30),
        drain_delay: keys.drain_delay.as_ref().map_or(Some(seconds(5)), |at| at.value),
        drain_timeout: duration(&keys.drain_timeout, 20),
        admin_token: keys.admin_token.as_ref().map(|at| at.value.clone()),
        admin_viewer_token: keys.admin_viewer_token.as_ref().map(|at| at.value.clone()),
        admin_session: duration(&keys.admin_session, 12 * 60 * 60),
        max_header_size: keys.max_header_size.as_ref().map_or(32 << 10, |at| at.value.clamp(1 << 10, 1 << 20)) as usize,
    }
}

/// Judges who may use the admin listener. Without a token of operators, everybody who reaches it is one.
fn admin_access(keys: &file::Listen, problems: &mut Problems) {
    let help = "add: admin_token = \"file:/run/secrets/admin\"; without it, whoever reaches the admin listener is an operator";
    if !keys.has_admin_token {
        if let Some(at) = &keys.admin_viewer_token {
            problems.add(at.span.clone(), "`admin_viewer_token` has no effect without `admin_token`", help);
        }
        if let Some(at) = &keys.admin_session {
            problems.add(at.span.clone(), "`admin_session` has no effect without `admin_token`", help);
        }
    }
    if let Some((viewer, operator)) = keys.admin_viewer_token.as_ref().zip(keys.admin_token.as_ref())
        && viewer.value.reveal() == operator.value.reveal()
    {
        let help = "choose another token for viewers; whoever has this one is an operator";
        problems.add(viewer.span.clone(), "`admin_viewer_token` is the same as `admin_token`", help);
    }
    if let Some(at) = keys.admin_session.as_ref().filter(|at| !(Duration::from_secs(1)..=MAX_SESSION).contains(&at.value)) {
        problems.add(at.span.clone(), "`admin_session` must be from 1s to 30d", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> String {
        let found = from_text(text, &|_| None).err().unwrap_or_default();
        found.into_iter().map(|p| format!("{} | {}\n", p.title, p.help)).collect()
    }

    const GOOD: &str = "[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"a\"\n";

    #[test]
    fn six_lines_are_enough() {
        assert_eq!(problems_of(GOOD), "");
    }

    #[test]
    fn all_problems_are_reported_in_one_run() {
        let all = problems_of(
            r#"
[listen]
admin = "0.0.0.0:9090"
[defaults]
server_errors = "pass"
[backends.orders]
endpoints = ["ftp://x", "http://u:p@h", "http://h/path;x"]
[limits.good]
rate = "1/s"
[[routes]]
path = "orders"
backend = "orders"
[[routes]]
path = "/a/*"
backend = "order"
limits = ["god"]
strip_prefix = "/b"
methods = ["get"]
cors = { origins = ["*"], credentials = true }
[[routes]]
path = "/a/*"
backend = "orders"
errors = { languages = ["xx"] }
"#,
        );
        for part in [
            "needs `admin_token`",
            "would show upstream internals",
            "begins with http://",
            "no user",
            "has plain segments only",
            "a path begins with `/`",
            "did you mean \"orders\"",
            "did you mean \"good\"",
            "must be a prefix",
            "invalid method",
            "needs named origins",
            "this language is not available",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
    }

    #[test]
    fn ties_are_errors_whatever_their_order() {
        let all = problems_of(&format!("{GOOD}[[routes]]\npath = \"/*\"\nbackend = \"a\"\n"));
        assert!(all.contains("matches the same requests"), "{all}");
    }

    #[test]
    fn a_missing_name_has_a_suggestion() {
        assert!(problems_of(&GOOD.replace("backend = \"a\"", "backend = \"b\"")).contains("no backend with this name"));
    }

    proptest::proptest! {
        #[test]
        fn check_never_panics(text in "\\PC{0,60}", noise in "[a-z\\[\\]=\"\\.{}/* \n]{0,60}") {
            let _ = from_text(&format!("{GOOD}{noise}"), &|_| None);
            let _ = from_text(&text, &|_| None);
        }
    }
}
