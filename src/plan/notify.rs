//! Compiles `[[notify]]`: who is told, when, and where messages are sent. Must not open connections; `app` does.
//!
//! No problem shows the URL of a webhook, which opens it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri};
use rustls::pki_types::ServerName;

use super::matching::route_rules;
use crate::config::diagnose::Problems;
use crate::config::file::{self, File, NotifyKind, NotifyRule, NotifyTemplateType};
use crate::config::section::At;
use crate::config::words::nearest;
use crate::notify::settings::{Filter, Form, Settings};
use crate::notify::template::Template;
use crate::observe::metrics::Metrics;
use crate::observe::notify_metrics::NotifierCounters;
use crate::text::Secret;
use crate::upstream::connect::target::{Protocol, Target};
use crate::upstream::connect::tls::{self, Tls, Trust};

/// The default time in which further events of a subject wait for a digest.
const WINDOW: Duration = Duration::from_secs(600);
/// The bounds of that time.
const WINDOWS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// The default number of messages in a minute.
const PER_MINUTE: u32 = 20;
/// The default time for one message.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The rules that apply if none is named.
const RULES: [NotifyRule; 7] = [
    NotifyRule::NewGroup,
    NotifyRule::Regression,
    NotifyRule::BackendDown,
    NotifyRule::BackendUp,
    NotifyRule::BreakerOpen,
    NotifyRule::Certificate(Duration::from_secs(14 * 86_400)),
    NotifyRule::ReloadFailed,
];

/// A notifier.
#[derive(Debug)]
pub struct Notify {
    /// When it speaks and in which form. The name of the gateway is empty.
    pub settings: Settings,
    /// Where its messages go.
    pub target: Arc<Target>,
    /// The path, which opens it.
    pub path: Secret<PathAndQuery>,
    /// Headers of each message.
    pub headers: Vec<(HeaderName, Secret<HeaderValue>)>,
    /// How long one message may take.
    pub timeout: Duration,
    /// What became of its messages.
    pub counters: Arc<NotifierCounters>,
}

impl Notify {
    /// Returns true if nothing distinguishes this notifier from another. TLS is compared by the contents of its files.
    pub fn is_same(&self, other: &Self) -> bool {
        let made_from = |notify: &Self| notify.target.tls.as_ref().map(|tls| tls.made_from);
        self.settings == other.settings
            && self.target.url == other.target.url
            && made_from(self) == made_from(other)
            && self.path == other.path
            && self.headers == other.headers
            && self.timeout == other.timeout
    }
}

/// Compiles all tables. Those with a problem are left out.
pub(super) fn compile(file: &File, metrics: &Metrics, problems: &mut Problems) -> Vec<Arc<Notify>> {
    if let (Some(at), true) = (&file.listen.admin_public_url, file.notify.is_empty()) {
        problems.add(at.span.clone(), "`admin_public_url` has no effect without [[notify]]", "remove it, or add a [[notify]]");
    }
    let routes: HashSet<String> = match file.notify.iter().any(|keys| keys.routes.is_some()) {
        true => route_rules(file).into_iter().map(|route| route.name).collect(),
        false => HashSet::new(),
    };
    let mut names = HashSet::new();
    let mut compiled = Vec::new();
    for keys in &file.notify {
        let name = keys.name.as_ref().map_or(keys.kind.word(), |at| at.value.as_str());
        let span = keys.name.as_ref().map_or(&keys.span, |at| &at.span).clone();
        if name.trim().is_empty() {
            problems.add(span, "a notifier with an empty `name`", "remove the key, or write a name");
        } else if !names.insert(name) {
            problems.add(span, format!("there is another notifier with the name `{name}`"), "add: name = \"...\", such as the team's");
        }
        let compiler = Compiler { file, keys, routes: &routes };
        compiled.extend(compiler.notify(name, metrics, problems).map(Arc::new));
    }
    compiled
}

struct Compiler<'f> {
    file: &'f File,
    keys: &'f file::Notify,
    routes: &'f HashSet<String>,
}

/// Where messages go.
struct Place {
    target: Target,
    path: PathAndQuery,
    headers: Vec<(HeaderName, Secret<HeaderValue>)>,
}

impl Compiler<'_> {
    fn notify(&self, name: &str, metrics: &Metrics, problems: &mut Problems) -> Option<Notify> {
        let keys = self.keys;
        let form = self.form(problems);
        self.check_filter(problems);
        let rules = self.rules(problems);
        let place = self.place(problems);
        let window = keys.window.as_ref().map_or(WINDOW, |at| at.value);
        if let Some(at) = keys.window.as_ref().filter(|at| !WINDOWS.contains(&at.value)) {
            problems.add(at.span.clone(), "`window` is from 1s to 1d", "");
        }
        if let Some(at) = keys.timeout.as_ref().filter(|at| at.value > Duration::from_secs(60)) {
            problems.add(at.span.clone(), "`timeout` is at most 60s", "messages wait in a bounded queue behind the one that is sent");
        }
        let values = |list: &Option<Vec<At<String>>>| list.iter().flatten().map(|at| at.value.clone()).collect();
        let codes = keys.codes.as_ref().map(|at| at.value.clone()).unwrap_or_default();
        let settings = Settings {
            name: name.to_owned(),
            form: form?,
            rules,
            filter: Filter { routes: values(&keys.routes), backends: values(&keys.backends), codes },
            window,
            per_minute: keys.per_minute.and_then(|number| u32::try_from(number).ok()).unwrap_or(PER_MINUTE),
            pages: self.file.listen.admin_public_url.as_ref().map(|at| at.value.clone()),
            gateway: String::new(),
        };
        let Place { target, path, headers } = place?;
        Some(Notify {
            settings,
            target: Arc::new(target),
            path: Secret::new(path),
            headers,
            timeout: keys.timeout.as_ref().map_or(TIMEOUT, |at| at.value),
            counters: metrics.notify.notifier(name),
        })
    }

    fn form(&self, problems: &mut Problems) -> Option<Form> {
        let keys = self.keys;
        if keys.kind != NotifyKind::Webhook {
            let spans = [
                ("secret", keys.secret.as_ref().map(|at| &at.span)),
                ("template", keys.template.as_ref().map(|at| &at.span)),
                ("headers", keys.headers.as_ref().map(|at| &at.span)),
            ];
            for (key, span) in spans.into_iter().filter_map(|(key, span)| Some((key, span?))) {
                let title = format!("`{key}` has no effect with kind = \"{}\"", keys.kind.word());
                problems.add(span.clone(), title, "write kind = \"webhook\", or remove the key");
            }
        }
        if let (Some(at), None) = (&keys.template_type, &keys.template) {
            problems.add(at.span.clone(), "`template_type` has no effect without `template`", "add a `template`, or remove the key");
        }
        Some(match keys.kind {
            NotifyKind::Slack => Form::Slack,
            NotifyKind::Teams => Form::Teams,
            NotifyKind::Discord => Form::Discord,
            NotifyKind::Sentry => Form::Sentry,
            NotifyKind::Webhook => {
                Form::Webhook { template: self.template(problems)?, secret: keys.secret.as_ref().map(|at| at.value.clone()) }
            }
        })
    }

    /// Compiles the template. The outer `None` is a problem.
    fn template(&self, problems: &mut Problems) -> Option<Option<Template>> {
        let Some(at) = &self.keys.template else { return Some(None) };
        let kind = self.keys.template_type.as_ref().map(|at| at.value).unwrap_or_default();
        match Template::compile(&at.value, kind == NotifyTemplateType::Json) {
            Ok(template) => Some(Some(template)),
            Err(complaint) => {
                problems.add(at.span.clone(), "invalid template", complaint);
                None
            }
        }
    }

    /// Reports names that do not exist, and lists that restrict nothing.
    fn check_filter(&self, problems: &mut Problems) {
        let backends: Vec<&str> = self.file.backends.iter().map(|backend| backend.name.value.as_str()).collect();
        let routes: Vec<&str> = self.routes.iter().map(String::as_str).collect();
        for (kind, list, known) in [("route", &self.keys.routes, &routes), ("backend", &self.keys.backends, &backends)] {
            for at in list.iter().flatten().filter(|at| !known.contains(&at.value.as_str())) {
                let help = nearest(&at.value, known).map_or_else(String::new, |word| format!("did you mean \"{word}\"?"));
                problems.add(at.span.clone(), format!("there is no {kind} with this name"), help);
            }
        }
    }

    /// Returns the rules that can apply, and reports others that are named.
    fn rules(&self, problems: &mut Problems) -> Vec<NotifyRule> {
        let Some(named) = &self.keys.when else {
            return RULES.into_iter().filter(|rule| self.obstacle(rule).is_none()).collect();
        };
        for at in named {
            if let Some((title, help)) = self.obstacle(&at.value) {
                problems.add(at.span.clone(), title, help);
            }
        }
        let of_journal = named.iter().any(|at| at.value.is_of_journal());
        let of_backends = named.iter().any(|at| match at.value {
            NotifyRule::BackendDown | NotifyRule::BackendUp | NotifyRule::BreakerOpen => true,
            NotifyRule::NewGroup
            | NotifyRule::Regression
            | NotifyRule::Rate(..)
            | NotifyRule::Certificate(_)
            | NotifyRule::ReloadFailed => false,
        });
        let first = |list: &Option<Vec<At<String>>>| list.as_ref().and_then(|list| list.first()).map(|at| at.span.clone());
        let lists = [
            ("routes", first(&self.keys.routes), of_journal),
            ("backends", first(&self.keys.backends), of_journal || of_backends),
            ("codes", self.keys.codes.as_ref().map(|at| at.span.clone()), of_journal),
        ];
        for (key, span, has_effect) in lists {
            if let Some(span) = span.filter(|_| !has_effect && !named.is_empty()) {
                problems.add(span, format!("`{key}` has no effect on these rules"), "add a rule such as \"new-group\", or remove the key");
            }
        }
        named.iter().map(|at| at.value).collect()
    }

    /// Returns why a rule can never apply, and what helps.
    fn obstacle(&self, rule: &NotifyRule) -> Option<(&'static str, &'static str)> {
        let has = |name: &str| self.keys.backends.as_ref().is_none_or(|list| list.iter().any(|at| at.value == name));
        let mut backends = self.file.backends.iter().filter(|backend| has(&backend.name.value));
        match rule {
            NotifyRule::NewGroup | NotifyRule::Regression | NotifyRule::Rate(..) => (!self.file.journal.enabled.unwrap_or(true))
                .then_some(("the journal finds groups of failures, and it is off", "remove `enabled = false` of [journal], or the rule")),
            NotifyRule::BackendDown | NotifyRule::BackendUp => (!backends.any(can_be_down)).then_some((
                "no backend is ever down: they have one endpoint, and neither `health` nor `breaker`",
                "add: [backends.NAME.health] with path = \"/health\"",
            )),
            NotifyRule::BreakerOpen => (!backends.any(|backend| backend.breaker.is_some()))
                .then_some(("no backend has a circuit breaker", "add: [backends.NAME.breaker], or remove the rule")),
            NotifyRule::Certificate(_) => {
                self.file.listen.tls.is_none().then_some(("there is no certificate without [listen.tls]", "remove the rule"))
            }
            NotifyRule::ReloadFailed => None,
        }
    }

    fn place(&self, problems: &mut Problems) -> Option<Place> {
        let span = &self.keys.url.span;
        let found = match self.keys.kind {
            NotifyKind::Sentry => dsn(self.keys.url.value.reveal()),
            NotifyKind::Slack | NotifyKind::Teams | NotifyKind::Discord | NotifyKind::Webhook => webhook(self.keys.url.value.reveal()),
        };
        let (uri, path, headers) = match found {
            Ok(found) => found,
            Err(complaint) => {
                problems.add(span.clone(), "the `url` cannot be used", complaint);
                return None;
            }
        };
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let tls = match scheme {
            "https" => Some(self.client_tls(authority, problems)?),
            _ => {
                if let Some(at) = &self.keys.ca {
                    problems.add(at.span.clone(), "`ca` has no effect without https", "write https:// in the `url`, or remove the key");
                }
                if !is_loopback(authority.host()) {
                    let help = "write https://, if it can be reached that way";
                    problems.warn(span.clone(), "messages and the `url` itself travel in clear text", help);
                }
                None
            }
        };
        let headers = headers.into_iter().chain(self.keys.headers.iter().flat_map(|at| at.value.iter().cloned())).collect();
        Some(Place { target: Target::new(scheme, authority, (tls, Protocol::Http1), 1, false), path, headers })
    }

    fn client_tls(&self, authority: &Authority, problems: &mut Problems) -> Option<Tls> {
        let host = authority.host().trim_matches(['[', ']']);
        let Ok(server_name) = ServerName::try_from(host.to_owned()) else {
            problems.add(self.keys.url.span.clone(), "the host in the `url` is no valid name", "expected a DNS name or an address");
            return None;
        };
        let trust = Trust { ca: self.keys.ca.as_ref().map(|at| Path::new(&at.value)), pins: &[], verify: true };
        match tls::client_config(trust, None, &[b"http/1.1"]) {
            Ok((config, made_from)) => Some(Tls { config, made_from, unverified: false, server_name }),
            Err(complaint) => {
                let span = self.keys.ca.as_ref().map_or(&self.keys.url.span, |at| &at.span);
                problems.add(span.clone(), "cannot set up TLS for the notifier", complaint);
                None
            }
        }
    }
}

/// Returns true if the gateway can find out that a backend is down. The only endpoint of a backend is never ejected.
fn can_be_down(backend: &file::Backend) -> bool {
    let is_literal = |url: &str| {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    };
    let is_one = backend.endpoints.len() == 1 && backend.endpoints.iter().all(|endpoint| is_literal(&endpoint.url.value));
    !is_one || backend.health.is_some() || backend.breaker.is_some()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

type Found = (Uri, PathAndQuery, Vec<(HeaderName, Secret<HeaderValue>)>);

/// Reads a URL. No complaint repeats a part of it.
fn url(text: &str) -> Result<Uri, &'static str> {
    let uri = text.parse::<Uri>().map_err(|_| "what it stands for is no URL")?;
    let has_host = uri.authority().is_some_and(|authority| !authority.host().is_empty());
    let is_port = uri.port().is_none() || uri.port_u16().is_some_and(|port| port > 0);
    match uri.scheme_str() {
        Some("http" | "https") if has_host && is_port => Ok(uri),
        Some("http" | "https") => Err("what it stands for has no valid host and port"),
        Some(_) | None => Err("what it stands for does not begin with https:// or http://"),
    }
}

fn webhook(text: &str) -> Result<Found, &'static str> {
    let uri = url(text)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("what it stands for has a user: write the credentials as a header, headers = { authorization = \"${NAME}\" }");
    }
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Ok((uri, path, Vec::new()))
}

/// Reads a DSN, `https://KEY@HOST/PATH/PROJECT` (<https://develop.sentry.dev/sdk/foundations/transport/authentication/>).
fn dsn(text: &str) -> Result<Found, &'static str> {
    const FORM: &str = "what it stands for is no DSN, which is https://KEY@HOST/PROJECT";
    let uri = url(text)?;
    let (user, host) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')).ok_or(FORM)?;
    // Older DSNs have a second key, which nothing asks for any more.
    let key = user.split(':').next().unwrap_or_default();
    let (base, project) = uri.path().trim_end_matches('/').rsplit_once('/').ok_or(FORM)?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_word(key) || !is_word(project) || uri.query().is_some() {
        return Err(FORM);
    }
    let version = env!("CARGO_PKG_VERSION");
    let auth = format!("Sentry sentry_version=7, sentry_client=lockgate/{version}, sentry_key={key}");
    let mut auth = HeaderValue::from_str(&auth).map_err(|_| FORM)?;
    auth.set_sensitive(true);
    let path = format!("{base}/api/{project}/envelope/").parse().map_err(|_| FORM)?;
    let place = format!("{}://{host}/", uri.scheme_str().unwrap_or("https")).parse().map_err(|_| FORM)?;
    Ok((place, path, vec![(HeaderName::from_static("x-sentry-auth"), Secret::new(auth))]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::from_text;

    const GOOD: &str = "[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\nhealth = { path = \"/\" }\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"a\"\n";

    fn problems_of(text: &str) -> Vec<(String, String)> {
        let lookup = |name: &str| {
            let value = match name {
                "SLACK" => "https://hooks.example.com/services/hunter2",
                "CLEAR" => "http://hooks.example.com/hunter2",
                "DSN" => "https://hunter2@o1.example.com/base/42",
                "USER" => "https://u:hunter2@example.com/",
                "FTP" => "ftp://hunter2.example.com",
                "WORD" => "hunter2",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let found = match from_text(&format!("{GOOD}{text}"), &lookup) {
            Ok(plan) => plan.warnings,
            Err(problems) => problems,
        };
        // Every problem has a place, and none shows a secret.
        assert!(found.iter().all(|problem| problem.span.is_some() && !format!("{problem:?}").contains("hunter2")), "{found:#?}");
        found.into_iter().map(|problem| (problem.title, problem.help)).collect()
    }

    fn notify(keys: &str) -> String {
        format!("[[notify]]\n{keys}\n")
    }

    #[test]
    fn what_can_be_used_has_no_problem() {
        for keys in [
            "kind = \"slack\"\nurl = \"${SLACK}\"",
            "kind = \"sentry\"\nurl = \"${DSN}\"\nwhen = \"new-group\"",
            "kind = \"webhook\"\nurl = \"${SLACK}\"\nsecret = \"${WORD}\"\ntemplate = '{\"t\":{{title}}}'\nroutes = \"all\"\nbackends = [\"a\"]\ncodes = \"E\"",
            "kind = \"teams\"\nurl = \"${SLACK}\"\nwhen = [\"> 10/m\", \"route > 5/s\", \"backend-down\", \"backend-up\", \"reload-failed\"]",
        ] {
            assert_eq!(problems_of(&notify(keys)), [], "{keys}");
        }
        let off = notify("kind = \"slack\"\nurl = \"${SLACK}\"") + "[journal]\nenabled = false\n";
        assert_eq!(problems_of(&off), [], "rules that nobody named are left out");
    }

    #[test]
    fn keys_without_a_use_are_problems() {
        let slack = "kind = \"slack\"\nurl = \"${SLACK}\"\n";
        let webhook = "kind = \"webhook\"\nurl = \"${SLACK}\"\n";
        for (base, keys, title) in [
            ("kind = \"slack\"\n", "url = \"https://hooks.example.com/x\"", "must not be written"),
            ("kind = \"slack\"\n", "", "has no `url`"),
            ("url = \"${SLACK}\"\n", "", "has no `kind`"),
            ("kind = \"slack\"\n", "url = \"${USER}\"", "cannot be used"),
            ("kind = \"slack\"\n", "url = \"${FTP}\"", "cannot be used"),
            ("kind = \"slack\"\n", "url = \"${WORD}\"", "cannot be used"),
            ("kind = \"sentry\"\n", "url = \"${SLACK}\"", "cannot be used"),
            ("kind = \"slack\"\n", "url = \"${CLEAR}\"", "clear text"),
            (slack, "secret = \"${WORD}\"", "no effect with kind"),
            (slack, "template = 'x'", "no effect with kind"),
            (slack, "headers = { x-a = \"${WORD}\" }", "no effect with kind"),
            (webhook, "headers = { Idempotency-Key = \"${WORD}\" }", "by the gateway itself"),
            (webhook, "template_type = \"text/plain\"", "no effect without `template`"),
            (webhook, "template = '{{titel}}'", "invalid template"),
            (slack, "when = []", "never speaks"),
            (slack, "when = \"breaker-open\"", "no backend has a circuit breaker"),
            (slack, "when = \"certificate < 14d\"", "no certificate without"),
            (slack, "when = \"new-grup\"", "not a known rule"),
            (slack, "when = \"backend-down\"\nroutes = \"all\"", "`routes` has no effect"),
            (slack, "when = \"reload-failed\"\nbackends = \"a\"", "`backends` has no effect"),
            (slack, "when = \"reload-failed\"\ncodes = \"E\"", "`codes` has no effect"),
            (slack, "routes = \"al\"", "no route with this name"),
            (slack, "backends = \"b\"", "no backend with this name"),
            (slack, "window = \"2d\"", "from 1s to 1d"),
            (slack, "timeout = \"2m\"", "at most 60s"),
            (slack, "max_per_minute = 0", "must be between"),
            (slack, "name = \"\"", "empty `name`"),
            (slack, "channel = \"#a\"", "unknown key"),
        ] {
            let found = problems_of(&notify(&format!("{base}{keys}")));
            assert!(found.len() == 1 && found[0].0.contains(title), "{keys}: {found:?}");
        }
    }

    #[test]
    fn rules_that_can_never_apply_are_problems() {
        let slack = notify("kind = \"slack\"\nurl = \"${SLACK}\"\nwhen = [\"new-group\", \"regression\", \"> 1/m\"]");
        let found = problems_of(&format!("{slack}[journal]\nenabled = false\n"));
        assert!(found.len() == 3 && found.iter().all(|(title, _)| title.contains("it is off")), "{found:?}");
        let text = format!("{GOOD}{}", notify("kind = \"slack\"\nurl = \"${SLACK}\"\nwhen = \"backend-down\""));
        let text = text.replace("health = { path = \"/\" }\n", "");
        let found = from_text(&text, &|_| Some("https://a.example/".into())).err().unwrap();
        assert!(found.len() == 1 && found[0].title.contains("ever down"), "{found:?}");
        let two = format!("{}{}", notify("kind = \"slack\"\nurl = \"${SLACK}\""), notify("kind = \"slack\"\nurl = \"${SLACK}\""));
        assert!(problems_of(&two)[0].0.contains("another notifier"));
    }

    #[test]
    fn pages_are_only_for_notifications() {
        let found = problems_of("[listen]\nadmin_public_url = \"https://gw.example\"\n");
        assert!(found.len() == 1 && found[0].0.contains("no effect without [[notify]]"), "{found:?}");
        for url in ["gw.example", "https://u:p@gw.example", "https://gw.example/?a=b", "ftp://gw.example"] {
            let all = format!("[listen]\nadmin_public_url = \"{url}\"\n{}", notify("kind = \"slack\"\nurl = \"${SLACK}\""));
            let found = problems_of(&all);
            assert!(found.len() == 1 && found[0].0.contains("not valid"), "{url}: {found:?}");
        }
    }

    #[test]
    fn a_dsn_is_taken_apart() {
        let (place, path, headers) = dsn("https://abc:def@o1.ingest.example.com:8443/base/42").unwrap();
        assert_eq!((place.to_string().as_str(), path.as_str()), ("https://o1.ingest.example.com:8443/", "/base/api/42/envelope/"));
        let auth = headers[0].1.reveal().to_str().unwrap();
        assert!(auth.starts_with("Sentry sentry_version=7, ") && auth.ends_with("sentry_key=abc"), "{auth}");
        for wrong in ["https://o1.example/42", "https://abc@o1.example/", "https://abc@o1.example", "https://@o1.example/42"] {
            assert!(dsn(wrong).is_err(), "{wrong}");
        }
    }
}
