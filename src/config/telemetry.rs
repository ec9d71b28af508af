//! Reads `[telemetry]`: the collector of traces, and which traces it gets. Must not know how traces are recorded or sent.

use http::{HeaderName, HeaderValue, Uri};
use toml::Spanned;

use super::file::Telemetry;
use super::section::{At, Section};
use super::units;
use super::values::secret_headers;
use crate::text::Secret;

/// Headers that the exporter writes itself.
const OWN: [&str; 8] =
    ["host", "content-type", "content-encoding", "content-length", "transfer-encoding", "connection", "user-agent", "te"];

/// Reads the table. `None` if it has no usable collector, which is reported.
pub(super) fn telemetry(s: &mut Section<'_, '_>) -> Option<Telemetry> {
    s.require("otlp", "otlp = \"http://127.0.0.1:4318\"");
    let otlp = s.parsed("otlp", collector);
    let sample = s.share("sample").map(|at| at.value);
    let errors_always = s.boolean("errors_always");
    let service_name =
        s.parsed("service_name", |text| if text.is_empty() { Err("a name is not empty".into()) } else { Ok(text.to_owned()) });
    let timeout = s.parsed("timeout", units::duration);
    let keys = (s.table("headers", headers).unwrap_or_default(), s.table("resource", resource).unwrap_or_default());
    let ca = s.file("ca");
    let (headers, resource) = keys;
    Some(Telemetry { otlp: otlp?, sample, errors_always, headers, service_name, resource, timeout, ca })
}

/// Reads the URL of a collector.
fn collector(text: &str) -> Result<Uri, String> {
    const EXAMPLE: &str = "such as \"http://collector:4318\"";
    let complaint = match text.parse::<Uri>() {
        // `collector:4318` is an authority without a scheme.
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => "it begins with http:// or https:// (OTLP over HTTP, not gRPC)",
        Ok(uri) if uri.authority().is_none_or(|authority| authority.host().is_empty()) => "it must have a host",
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            return Err("it must have no user: write the credentials as a header, headers = { authorization = \"${NAME}\" }".to_owned());
        }
        Ok(uri) if uri.port().is_some() && uri.port_u16().is_none_or(|port| port == 0) => "the port is a number from 1 to 65535",
        Ok(uri) if uri.query().is_some() => "it must have no query",
        Ok(uri) => return Ok(uri),
        Err(_) => "expected a URL",
    };
    Err(format!("{complaint}, {EXAMPLE}"))
}

/// Reads `headers`.
fn headers(s: &mut Section<'_, '_>) -> Vec<(HeaderName, Secret<HeaderValue>)> {
    secret_headers(s, &OWN)
}

/// Reads `resource`: attributes that all spans have.
fn resource(s: &mut Section<'_, '_>) -> Vec<(String, String)> {
    s.allow_any_key();
    let mut found = Vec::new();
    for name in s.names() {
        let At { value: key, span } = name;
        if key == "service.name" {
            s.problems.add(span, "`service.name` has a key of its own", "write it as `service_name`");
            continue;
        }
        let is_plain = s.named(&key).map(Spanned::get_ref).is_some_and(|value| value.as_str().is_some());
        if !is_plain {
            // In TOML, the dots of a bare key make tables of it.
            let help = "write the name in quotes and a string: resource = { \"deployment.environment.name\" = \"test\" }";
            s.problems.add(span, "an attribute of `resource` must be a string", help);
            continue;
        }
        if let Some(value) = s.named(&key).and_then(|value| s.string_of(&key, value)) {
            found.push((key, value.value));
        }
    }
    found
}
