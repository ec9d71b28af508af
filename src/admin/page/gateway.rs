//! What runs, as the pages show it: backends with their endpoints, routes, limits, the configuration and its last reload.
//!
//! Plain data, and how it is read from a plan. Knows no page.

use std::sync::Arc;
use std::time::SystemTime;

use crate::admin::reload::{Attempt, Outcome, Status};
use crate::breaker::State;
use crate::explain::diff::{Change, What};
use crate::explain::effective;
use crate::journal::entry::Millis;
use crate::limit::gate::Gate;
use crate::plan::Plan;
use crate::upstream::choose::backend::Backend;
use crate::upstream::choose::endpoint::Endpoint;

/// What runs.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// The name of the gateway; may be empty.
    pub name: String,
    /// The backends.
    pub backends: Vec<BackendState>,
    /// The routes, in the order of the file.
    pub routes: Vec<RouteRow>,
    /// The limits.
    pub limits: Vec<LimitRow>,
    /// The configuration.
    pub configuration: Configuration,
}

/// A backend.
#[derive(Clone, Debug, Default)]
pub struct BackendState {
    /// Its name.
    pub name: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointState>,
    /// The requests in flight and the most that are allowed, if they are limited, and how many wait.
    pub permits: Option<(usize, usize, usize)>,
}

/// Whether an endpoint gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    /// It gets requests.
    Up,
    /// Trial requests decide.
    Trial,
    /// Its circuit breaker is open.
    BreakerOpen,
    /// It does not respond, and gets no requests for a while.
    Ejected,
    /// Its probes fail.
    Unhealthy,
    /// Its name has no address yet.
    Unresolved,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// Its URL, with the address of a resolved name.
    pub label: String,
    /// Whether it gets requests.
    pub health: EndpointHealth,
    /// The requests in flight.
    pub in_flight: usize,
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct RouteRow {
    /// Its name.
    pub name: String,
    /// What it matches: methods, host, paths.
    pub matches: String,
    /// What it does.
    pub action: RouteAction,
    /// The backend, the URL or the status.
    pub target: String,
    /// The names of its limits.
    pub limits: Vec<String>,
    /// The line of the file.
    pub line: Option<usize>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteAction {
    /// Forwards.
    #[default]
    Forward,
    /// Redirects.
    Redirect,
    /// Responds.
    Respond,
}

/// A limit.
#[derive(Clone, Debug, Default)]
pub struct LimitRow {
    /// Its name.
    pub name: String,
    /// What it allows, as configured.
    pub allows: String,
    /// What is counted separately.
    pub key: String,
    /// The keys that are counted at the moment.
    pub keys: usize,
    /// It is counted in a store that several gateways share.
    pub is_shared: bool,
}

/// The configuration.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Identifies the content.
    pub version: String,
    /// The name of the file.
    pub file: String,
    /// Since when it runs.
    pub since: Millis,
    /// The last reload.
    pub reload: Option<Reload>,
    /// The keys whose new value needs a restart.
    pub needs_restart: Vec<String>,
    /// The values that are in force.
    pub parts: Vec<Part>,
}

/// A table of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its heading, such as `[backends.shop]`.
    pub heading: String,
    /// Its values.
    pub settings: Vec<Setting>,
}

/// A value that is in force.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The key below the table.
    pub key: String,
    /// The value, without secrets.
    pub value: String,
    /// Where it comes from, such as `line 7`; empty for a default.
    pub origin: String,
}

/// How a reload ended.
#[derive(Clone, Debug)]
pub struct Reload {
    /// When.
    pub at: Millis,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The word of its cause.
    pub cause: &'static str,
    /// The word of its outcome.
    pub outcome: &'static str,
    /// What changed.
    pub changes: Vec<String>,
    /// What is wrong, or what the operator should know.
    pub problems: Vec<ReloadProblem>,
}

/// A problem of a configuration.
#[derive(Clone, Debug)]
pub struct ReloadProblem {
    /// The line.
    pub line: Option<usize>,
    /// What is wrong.
    pub title: String,
    /// How to fix it.
    pub help: String,
    /// It can be used nevertheless.
    pub is_warning: bool,
}

fn millis(at: SystemTime) -> Millis {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

impl Running {
    /// Adds the values that are in force. Reads the whole configuration again, so only the page of the configuration asks for it.
    pub fn with_values(mut self, status: &Status) -> Self {
        let effective = status.running.effective();
        self.configuration.parts = effective.parts.iter().map(|part| Part::of(part, &effective.file)).collect();
        self
    }

    /// Reads what runs. Costs about as much as a scrape of the metrics.
    pub fn of(plan: &Plan, status: &Status, name: &str) -> Self {
        let file: toml::Table = status.running.text.parse().unwrap_or_default();
        let limits = plan.limits.iter().map(|limit| {
            let settings = file.get("limits").and_then(|limits| limits.get(&limit.name));
            let keys = limit.rate.as_ref().map_or(0, |rate| rate.keys()) + limit.concurrency.as_ref().map_or(0, |each| each.keys());
            LimitRow {
                name: limit.name.clone(),
                allows: allowed(settings),
                key: settings.and_then(|settings| settings.get("key")).map(shown).unwrap_or_default(),
                keys,
                is_shared: matches!(limit.store, crate::limit::Store::Shared),
            }
        });
        Self {
            name: name.to_owned(),
            backends: plan.permits().map(|(backend, gate)| BackendState::of(backend, gate)).collect(),
            routes: routes(&file, &status.running.text),
            limits: limits.collect(),
            configuration: Configuration {
                version: status.running.version.to_string(),
                file: status.running.name.to_string(),
                since: millis(status.running.since),
                reload: status.last.as_deref().map(Reload::of),
                needs_restart: plan.needs_restart.iter().map(|key| (*key).to_owned()).collect(),
                parts: Vec::new(),
            },
        }
    }
}

impl Part {
    fn of(part: &effective::Part, file: &str) -> Self {
        let setting = |setting: &&effective::Setting| Setting {
            key: match &setting.backend {
                Some(backend) => format!("{} ({backend})", setting.path),
                None => setting.path.clone(),
            },
            value: match &setting.content {
                effective::Content::Value { shown, .. } => shown_value(shown),
                effective::Content::Absent(note) => note.to_string(),
            },
            origin: match &setting.origin {
                effective::Origin::Default => String::new(),
                effective::Origin::File { .. } => setting.origin.told(file),
            },
        };
        let heading = match (&part.name, part.table) {
            (_, "") => String::new(),
            (Some(name), table) if part.is_listed => format!("[[{table}]] {name}"),
            (Some(name), table) => format!("[{table}.{name}]"),
            (None, table) => format!("[{table}]"),
        };
        Self { heading, settings: part.settings().iter().map(setting).collect() }
    }
}

/// Writes a value of the configuration: texts without quotes.
fn shown_value(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| crate::config::schema::value::toml(value), str::to_owned)
}

/// Writes what a limit allows, as configured.
fn allowed(settings: Option<&toml::Value>) -> String {
    let part = |key: &str| settings.and_then(|settings| settings.get(key)).map(|value| (key.to_owned(), shown(value)));
    let parts: Vec<String> = [part("rate"), part("burst"), part("concurrency")]
        .into_iter()
        .flatten()
        .map(|(key, value)| if key == "rate" { value } else { format!("{key} {value}") })
        .collect();
    parts.join(", ")
}

/// Writes a value of the file: texts without quotes, lists with commas.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(truth) => truth.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| format!("{key} {}", shown(value))).collect::<Vec<_>>().join(", "),
    }
}

/// Reads the routes of the file: only keys that hold no secrets.
fn routes(file: &toml::Table, text: &str) -> Vec<RouteRow> {
    let lines: Vec<usize> = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[routes]]").map(|(at, _)| at + 1).collect();
    let all = file.get("routes").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().enumerate().map(|(at, route)| RouteRow { line: lines.get(at).copied(), ..route_row(route) }).collect()
}

fn route_row(route: &toml::Value) -> RouteRow {
    let text = |key: &str| route.get(key).map(shown).unwrap_or_default();
    let (action, target) = if let Some(redirect) = route.get("redirect") {
        (RouteAction::Redirect, redirect.get("to").map_or_else(|| shown(redirect), shown))
    } else if let Some(respond) = route.get("respond") {
        (RouteAction::Respond, respond.get("status").map(shown).unwrap_or_default())
    } else {
        let names = route.get("backends").and_then(toml::Value::as_table).map(|all| all.keys().cloned().collect::<Vec<_>>().join(", "));
        (RouteAction::Forward, names.unwrap_or_else(|| text("backend")))
    };
    let host = text("host");
    let methods = text("methods");
    let paths = [text("path"), text("paths"), text("regex")].into_iter().filter(|path| !path.is_empty()).collect::<Vec<_>>().join(", ");
    let limits = route.get("limits").and_then(toml::Value::as_array).map(|all| all.iter().map(shown).collect()).unwrap_or_default();
    let matches = format!("{methods}{}{host}{paths}", if methods.is_empty() { "" } else { " " });
    RouteRow { name: text("name"), matches, action, target, limits, line: None }
}

impl BackendState {
    fn of(backend: &Backend, gate: Option<&Arc<Gate>>) -> Self {
        let endpoint = |endpoint: &Arc<Endpoint>| EndpointState {
            label: endpoint.label.to_string(),
            health: EndpointHealth::of(endpoint),
            in_flight: endpoint.load.in_flight(),
        };
        Self {
            name: backend.name.to_string(),
            endpoints: backend.endpoints().iter().map(endpoint).collect(),
            permits: gate.map(|gate| (gate.now(), gate.limit(), gate.waiting())),
        }
    }

    /// Returns the number of endpoints that get requests.
    pub fn serving(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.health.serves()).count()
    }
}

impl EndpointHealth {
    fn of(endpoint: &Endpoint) -> Self {
        let breaker = endpoint.breaker.as_ref().map_or(State::Closed, crate::breaker::Breaker::state);
        if endpoint.address.is_none() {
            return Self::Unresolved;
        }
        if !endpoint.health.is_healthy() {
            return Self::Unhealthy;
        }
        match (breaker, endpoint.ejector.state()) {
            (State::Open, _) => Self::BreakerOpen,
            (_, State::Open) => Self::Ejected,
            (State::HalfOpen, _) | (_, State::HalfOpen) => Self::Trial,
            (State::Closed, State::Closed) => Self::Up,
        }
    }

    /// Returns true if it gets requests.
    pub const fn serves(self) -> bool {
        match self {
            Self::Up | Self::Trial => true,
            Self::BreakerOpen | Self::Ejected | Self::Unhealthy | Self::Unresolved => false,
        }
    }

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Up => "endpoint_up",
            Self::Trial => "endpoint_trial",
            Self::BreakerOpen => "endpoint_breaker",
            Self::Ejected => "endpoint_ejected",
            Self::Unhealthy => "endpoint_unhealthy",
            Self::Unresolved => "endpoint_unresolved",
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Up => "good",
            Self::Trial | Self::Unresolved => "warn",
            Self::BreakerOpen | Self::Ejected | Self::Unhealthy => "bad",
        }
    }
}

impl Reload {
    fn of(attempt: &Attempt) -> Self {
        let problem = |problem: &crate::admin::reload::ShownProblem| ReloadProblem {
            line: problem.line,
            title: problem.title.clone(),
            help: problem.help.clone(),
            is_warning: problem.is_warning,
        };
        let (changes, problems) = match &attempt.outcome {
            Outcome::Applied { changes, warnings, .. } => (changes.iter().flat_map(told).collect(), warnings.iter().map(problem).collect()),
            Outcome::Unchanged => (Vec::new(), Vec::new()),
            Outcome::Rejected { problems, .. } => (Vec::new(), problems.iter().map(problem).collect()),
        };
        Self {
            at: millis(attempt.at),
            took_us: u64::try_from(attempt.took.as_micros()).unwrap_or(u64::MAX),
            cause: attempt.cause.word(),
            outcome: attempt.outcome.result().word(),
            changes,
            problems,
        }
    }
}

/// Writes what a reload has changed, one line for each key.
fn told(change: &Change) -> Vec<String> {
    let part = change.part();
    match &change.what {
        What::Added(_) => vec![format!("+ {part}")],
        What::Removed => vec![format!("- {part}")],
        What::Changed(keys) => keys.iter().map(|key| format!("{part} {key}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_from_the_file() {
        let text = "[limits.login]\nrate = \"3/m\"\nburst = 5\n\n[[routes]]\nname = \"a\"\nmethods = [\"GET\", \"POST\"]\nhost = \"x.example\"\npath = \"/a/*\"\nbackend = \"shop\"\nlimits = [\"login\"]\n\n[[routes]]\nname = \"b\"\npath = \"/b\"\nredirect = { to = \"/c\" }\n";
        let file: toml::Table = text.parse().unwrap();
        let routes = routes(&file, text);
        assert_eq!(routes[0].matches, "GET, POST x.example/a/*");
        assert_eq!((routes[0].target.as_str(), routes[0].line, routes[0].limits.as_slice()), ("shop", Some(5), &["login".to_owned()][..]));
        assert_eq!((routes[1].action, routes[1].target.as_str()), (RouteAction::Redirect, "/c"));
        assert_eq!(allowed(file["limits"].get("login")), "3/m, burst 5");
    }
}
