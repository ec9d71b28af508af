//! Compiles `[telemetry]`: the collector, and which traces it gets. Must not open connections; `app` does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;

use crate::config::diagnose::Problems;
use crate::config::file;
use crate::observe::trace::sampler::Sampler;
use crate::observe::trace::tracer::Choice;
use crate::text::Secret;
use crate::upstream::connect::target::{Protocol, Target};
use crate::upstream::connect::tls::{self, Tls, Trust};

/// The path of traces, below that of the collector (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
const TRACES: &str = "/v1/traces";
/// The part of the traces that is recorded by default.
const SAMPLE: f64 = 0.01;
/// The default time for a batch, from the connection to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The export of traces.
#[derive(Debug)]
pub struct Telemetry {
    /// Where the collector is.
    pub target: Arc<Target>,
    /// The path of its traces.
    pub path: PathAndQuery,
    /// Further headers of each batch.
    pub headers: Vec<(HeaderName, Secret<HeaderValue>)>,
    /// How long a batch may take.
    pub timeout: Duration,
    /// Attributes of the service.
    pub resource: Vec<(String, String)>,
    /// Which requests are traced.
    pub choice: Choice,
}

impl Telemetry {
    /// Returns true if nothing distinguishes these settings from others. TLS is compared by the contents of its files.
    pub fn is_same(&self, other: &Self) -> bool {
        let made_from = |telemetry: &Self| telemetry.target.tls.as_ref().map(|tls| tls.made_from);
        self.target.url == other.target.url
            && made_from(self) == made_from(other)
            && self.path == other.path
            && self.headers == other.headers
            && self.timeout == other.timeout
            && self.resource == other.resource
            && self.choice == other.choice
    }
}

/// Compiles the table. Returns `None` after a problem was reported.
pub(super) fn telemetry(keys: &file::Telemetry, problems: &mut Problems) -> Option<Telemetry> {
    let uri = &keys.otlp.value;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let tls = match scheme {
        "https" => Some(client_tls(keys, problems)?),
        _ => {
            if let Some(at) = &keys.ca {
                problems.add(at.span.clone(), "`ca` has no effect without https", "write https:// in `otlp`, or remove the key");
            }
            None
        }
    };
    let timeout = keys.timeout.as_ref().map_or(TIMEOUT, |at| at.value);
    if let Some(at) = keys.timeout.as_ref().filter(|at| at.value > Duration::from_secs(60)) {
        problems.add(at.span.clone(), "`timeout` is at most 60s", "what waits longer is dropped anyway, as the queue is bounded");
    }
    let name = keys.service_name.as_ref().map_or(env!("CARGO_PKG_NAME"), |at| at.value.as_str());
    let own = [("service.name", name), ("service.version", env!("CARGO_PKG_VERSION"))];
    let own = own.into_iter().filter(|(key, _)| !keys.resource.iter().any(|(other, _)| other == key));
    let resource = own.map(|(key, value)| (key.to_owned(), value.to_owned())).chain(keys.resource.iter().cloned()).collect();
    Some(Telemetry {
        target: Arc::new(Target::new(scheme, authority, (tls, Protocol::Http1), 1, false)),
        path: path(uri.path())?,
        headers: keys.headers.clone(),
        timeout,
        resource,
        choice: Choice { sampler: Sampler::of_ratio(keys.sample.unwrap_or(SAMPLE)), errors_always: keys.errors_always.unwrap_or(true) },
    })
}

/// Returns the path of traces. A URL that names it already is as good as that of the collector.
fn path(base: &str) -> Option<PathAndQuery> {
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix(TRACES).unwrap_or(base);
    format!("{base}{TRACES}").parse().ok()
}

fn client_tls(keys: &file::Telemetry, problems: &mut Problems) -> Option<Tls> {
    let host = keys.otlp.value.host().unwrap_or_default().trim_matches(['[', ']']);
    // Addresses are names here, too.
    let Ok(server_name) = ServerName::try_from(host.to_owned()) else {
        problems.add(keys.otlp.span.clone(), "invalid server name", "expected a DNS name or an address, as in the certificate");
        return None;
    };
    let trust = Trust { ca: keys.ca.as_ref().map(|at| Path::new(&at.value)), pins: &[], verify: true };
    match tls::client_config(trust, None, &[b"http/1.1"]) {
        Ok((config, made_from)) => Some(Tls { config, made_from, unverified: false, server_name }),
        Err(complaint) => {
            let span = keys.ca.as_ref().map_or(&keys.otlp.span, |at| &at.span);
            problems.add(span.clone(), "cannot set up TLS for the collector", complaint);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::from_text;

    const GOOD: &str = "[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"a\"\n[telemetry]\n";

    fn problems_of(keys: &str) -> Vec<(String, String)> {
        let lookup = |name: &str| (name == "TOKEN").then(|| "Bearer hunter2".to_owned());
        let found = from_text(&format!("{GOOD}{keys}"), &lookup).err().unwrap_or_default();
        // Every problem has a place, and none shows a secret.
        assert!(found.iter().all(|problem| problem.span.is_some() && !format!("{problem:?}").contains("hunter2")), "{found:#?}");
        found.into_iter().map(|problem| (problem.title, problem.help)).collect()
    }

    #[test]
    fn the_path_of_traces_is_below_that_of_the_collector() {
        for (base, whole) in [("/", "/v1/traces"), ("", "/v1/traces"), ("/otlp/", "/otlp/v1/traces"), ("/a/v1/traces", "/a/v1/traces")] {
            assert_eq!(path(base).unwrap().as_str(), whole);
        }
    }

    #[test]
    fn a_collector_that_cannot_be_used_is_a_problem_with_its_place() {
        for (url, help) in [
            ("grpc://collector:4317", "begins with http://"),
            ("collector:4318", "begins with http://"),
            ("/v1/traces", "begins with http://"),
            ("http://", "expected a URL"),
            ("http://:4318", "must have a host"),
            ("http://user:hunter2@collector:4318", "must have no user"),
            ("http://collector:4318?token=hunter2", "no query"),
            ("http://collector:0", "from 1 to 65535"),
        ] {
            let found = problems_of(&format!("otlp = \"{url}\"\n"));
            assert!(found.len() == 1 && found[0].1.contains(help), "{url}: {found:?}");
        }
        assert!(problems_of("sample = 0.5\n")[0].0.contains("`telemetry` has no `otlp`"));
    }

    #[test]
    fn keys_without_a_use_are_problems() {
        let wrong = [
            ("sample = 2", "from 0 to 1"),
            ("sample = -0.1", "from 0 to 1"),
            ("sample = nan", "from 0 to 1"),
            ("sample = \"1\"", "from 0 to 1"),
            ("headers = { authorization = \"hunter2\" }", "must not be written"),
            ("headers = { content-type = \"${TOKEN}\" }", "by the gateway itself"),
            ("headers = { \"a b\" = \"${TOKEN}\" }", "invalid header name"),
            ("ca = \"/ca.pem\"", "no effect without https"),
            ("timeout = \"2m\"", "at most 60s"),
            ("resource = { \"service.name\" = \"a\" }", "key of its own"),
            ("resource = { deployment.environment = \"a\" }", "must be a string"),
            ("service_name = \"\"", "is not valid"),
            ("ratio = 1", "unknown key"),
        ];
        for (keys, title) in wrong {
            let found = problems_of(&format!("otlp = \"http://c:4318\"\n{keys}\n"));
            assert!(found.len() == 1 && found[0].0.contains(title), "{keys}: {found:?}");
        }
        for good in ["sample = 0", "sample = 1", "sample = 0.01", "headers = { authorization = \"${TOKEN}\" }", "errors_always = false"] {
            assert_eq!(problems_of(&format!("otlp = \"http://c:4318/base\"\n{good}\n")), []);
        }
    }
}
