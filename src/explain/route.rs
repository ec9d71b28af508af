//! What the gateway would do with a request: its route, backend, limits, timeouts and errors, each with its place in the file.
//!
//! The decisions are those of the gateway; this collects them. Shows no secret of the configuration or the request.

use std::net::IpAddr;

use http::{HeaderName, Method, Uri};
use serde_json::Value;

use super::effective::{Content, Effective, Origin, Part, Setting};
use super::rejected::{self, Rejected};
use crate::config::limits::KeySource;
use crate::config::schema::value;
use crate::failure::{Failure, Kind};
use crate::gateway::preview::Preview;
use crate::header::HeaderList;
use crate::limit::ListMatch;
use crate::plan::{Action, AppliedLimit, Forward, Plan, Route, RouteRules};
use crate::policy::{Format, Scheme};
use crate::render::negotiate::Shape;
use crate::route::{Found, Table};
use crate::text::plain_host;

/// A request to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// A URL, or a path with a query for the host of the headers or `localhost`.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The address of the client.
    pub client: IpAddr,
}

/// What the gateway would do.
#[derive(Debug)]
pub struct Explanation {
    /// The request, without its query.
    pub request: String,
    /// What happens, in a few words.
    pub outcome: String,
    /// The route, with its place; `None` if no route matches.
    pub route: Option<Fact>,
    /// All further facts, in the order in which they apply.
    pub facts: Vec<Fact>,
    /// Other routes with this path that do not get the request.
    pub rejected: Vec<Rejected>,
}

/// A fact and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, such as `upstream` or `retry.attempts`.
    pub name: String,
    /// What applies.
    pub text: String,
    /// Where it comes from; empty if it comes from the request.
    pub origin: String,
}

/// The host of a request that names none.
const DEFAULT_HOST: &str = "localhost";

/// The keys of the effective configuration that are told as they are.
const TIMEOUTS: [&str; 7] =
    ["connect_timeout", "response_timeout", "idle_timeout", "total_timeout", "request_body_limit", "buffer_request", "min_rate"];

impl Question {
    /// Reads the query `method=GET&url=/path&header=Name: value&client=10.1.2.3`, percent-encoded. Only `url` is required, and `header` may
    /// occur more than once.
    ///
    /// # Errors
    /// A parameter is missing, unknown or not valid.
    pub fn from_query(query: &str) -> Result<Self, String> {
        let (mut method, mut url, mut headers, mut client) = (Method::GET, None, Vec::new(), IpAddr::from([127, 0, 0, 1]));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "method" => method = Method::from_bytes(value.as_bytes()).map_err(|_| format!("`{value}` is not a method"))?,
                "url" => url = Some(value.into_owned()),
                "header" => headers.push(header(&value)?),
                "client" => client = value.parse().map_err(|_| format!("`{value}` is not an address"))?,
                _ => return Err(format!("`{name}` is not a parameter; expected method, url, header and client")),
            }
        }
        Ok(Self { method, url: url.ok_or("the parameter `url` is missing")?, headers, client })
    }
}

/// Reads a header as curl writes it: `Name: value`.
///
/// # Errors
/// There is no colon.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected a header such as 'Accept: text/html'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Explains a request. `rules` are those of the configuration from which plan and values were made.
///
/// # Errors
/// The URL or a header is not valid.
pub fn explain(plan: &Plan, effective: &Effective, rules: &[RouteRules], question: &Question) -> Result<Explanation, String> {
    let (preview, host, path) = preview(question)?;
    let request = format!("{} {}://{host}{path} from {}", question.method, preview.asked().scheme.as_str(), preview.client());
    if let Err(failure) = preview.checked().and_then(|()| without_user(&question.url)) {
        return Ok(Explanation { request, outcome: told(&failure), route: None, facts: Vec::new(), rejected: Vec::new() });
    }
    let (table, _) =
        Table::build(rules.iter().enumerate().flat_map(|(at, of)| of.rules.iter().map(move |rule| (rule.clone(), at))).collect());
    let asked = preview.asked();
    let index = match table.find(&asked) {
        Found::Target(at) | Found::OtherMethods(_, at) => Some(*at),
        Found::Nothing => None,
    };
    let part = index.and_then(|index| effective.route(index));
    let mut explanation = Explanation {
        request,
        outcome: String::new(),
        route: None,
        facts: Vec::new(),
        rejected: rejected::rejected(rules, index, &asked, effective),
    };
    let found = preview.route(plan);
    if let Some(to) = preview.secure_location(plan) {
        explanation.outcome = format!("308 to {}, before any route", without_query(&to));
        return Ok(explanation);
    }
    let Some(part) = part else {
        explanation.outcome = found.err().map_or_else(|| "no route".to_owned(), |failure| told(&failure));
        return Ok(explanation);
    };
    let teller = Teller { effective, part, preview: &preview };
    let line = part.line.map_or_else(|| "default".to_owned(), |line| format!("{}:{line}", effective.file));
    explanation.route = Some(Fact { name: "route".into(), text: part.name.clone().unwrap_or_default(), origin: line });
    let (route, refused) = match found {
        Ok(found) => found,
        Err(failure) => {
            explanation.outcome = told(&failure);
            return Ok(explanation);
        }
    };
    let admitted = preview.admitted(route);
    teller.all(route, admitted.as_ref().err(), &mut explanation.facts);
    explanation.outcome = match admitted.err().or(refused) {
        Some(failure) => told(&failure),
        None => outcome(route, part, &preview),
    };
    Ok(explanation)
}

/// Refuses a URL with a user, as the gateway does if one is the target of a request (RFC 9110 4.2.4).
fn without_user(url: &str) -> Result<(), Failure> {
    let has_user = url.parse::<Uri>().is_ok_and(|url| url.authority().is_some_and(|authority| authority.as_str().contains('@')));
    if has_user { Err(Failure::because(Kind::BadRequest, "user information in the authority")) } else { Ok(()) }
}

/// What becomes of a request that enters a route.
fn outcome(route: &Route, part: &Part, preview: &Preview) -> String {
    if part.setting("maintenance", None).is_some_and(|setting| is_on(&setting.content)) {
        return "503 until the maintenance ends".to_owned();
    }
    match &route.action {
        Action::Forward(forward) => {
            let is_list = |content: &Content| matches!(content, Content::Value { shown, .. } if shown.is_array());
            let several = part.setting("backend", None).is_some_and(|setting| is_list(&setting.content));
            format!("goes to the backend {}{}", forward.backend.name, if several { ", which is one of several" } else { "" })
        }
        Action::Redirect(redirect) => match preview.redirect(redirect) {
            Ok(to) => format!("{} to {}", redirect.status.as_u16(), without_query(&to)),
            Err(failure) => told(&failure),
        },
        Action::Respond(respond) => format!("{} as the route responds", respond.status.as_u16()),
    }
}

/// The request, its host and its path.
fn preview(question: &Question) -> Result<(Preview, String, String), String> {
    let url: Uri = question.url.parse().map_err(|error| format!("`{}` is not a URL: {error}", question.url))?;
    let scheme = match url.scheme_str() {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => return Err(format!("`{other}` is not a scheme of the gateway; expected http or https")),
    };
    let target =
        url.path_and_query().filter(|target| target.as_str().starts_with('/') || *target == "*").map_or("/", |target| target.as_str());
    let target: Uri = target.parse().map_err(|error| format!("`{target}` is not a path: {error}"))?;
    let mut headers = HeaderList::new();
    if let Some(authority) = url.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        headers.try_insert(http::header::HOST, host.as_bytes()).map_err(|_| format!("`{host}` is not a host"))?;
    }
    for (name, value) in &question.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not the name of a header"))?;
        let value = http::HeaderValue::from_str(value).map_err(|_| format!("the value of `{name}` is not valid in a header"))?;
        if parsed == http::header::HOST {
            headers.remove(http::header::HOST);
        }
        headers.append(parsed, value);
    }
    if !headers.contains(http::header::HOST) {
        headers.insert(http::header::HOST, http::HeaderValue::from_static(DEFAULT_HOST));
    }
    let host = headers.get(http::header::HOST).map(|host| String::from_utf8_lossy(plain_host(host.as_bytes())).into_owned());
    let host = host.unwrap_or_default();
    let path = target.path().to_owned();
    Ok((Preview::new(question.method.clone(), target, headers, question.client, scheme), host, path))
}

fn is_on(content: &Content) -> bool {
    match content {
        Content::Value { shown, .. } => *shown != Value::Bool(false),
        Content::Absent(_) => false,
    }
}

/// A failure in a few words.
fn told(failure: &Failure) -> String {
    let row = failure.kind.row();
    let detail = failure.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{} {}{detail}", row.status, row.code)
}

/// Collects the facts of one route.
struct Teller<'a> {
    effective: &'a Effective,
    part: &'a Part,
    preview: &'a Preview,
}

impl Teller<'_> {
    fn all(&self, route: &Route, refused: Option<&Failure>, facts: &mut Vec<Fact>) {
        let backend = route.forward().map(|forward| forward.backend.name.to_string());
        let backend = backend.as_deref();
        for key in ["path", "path_regex", "host", "methods", "headers", "query", "scheme", "client"] {
            facts
                .extend(self.part.setting(key, None).filter(|setting| setting.origin != Origin::Default).map(|setting| self.fact(setting)));
        }
        self.access(refused, facts);
        facts.extend(route.limits.iter().map(|limit| self.limit(limit)));
        facts.extend(self.part.setting("auth", None).map(|setting| self.fact(setting)));
        for key in ["auth.basic", "auth.forward", "maintenance", "cors.origins"] {
            facts.extend(self.part.setting(key, None).filter(|setting| is_on(&setting.content)).map(|setting| self.fact(setting)));
        }
        if let Some(forward) = route.forward() {
            self.forward(route, forward, facts);
        }
        for key in TIMEOUTS {
            facts.extend(self.part.setting(key, backend).map(|setting| self.fact(setting)));
        }
        let settings = self.part.settings();
        let is_retry = |setting: &&&Setting| setting.path == "retry" || setting.path.starts_with("retry.");
        let retry = settings.iter().filter(is_retry).filter(|setting| self.is_of(setting, backend));
        facts.extend(retry.map(|setting| self.fact(setting)));
        self.errors(route, backend, facts);
    }

    /// Returns true if this is the setting for the backend: its own, or the one of all where it has none.
    fn is_of(&self, setting: &Setting, backend: Option<&str>) -> bool {
        self.part.setting(&setting.path, backend).is_some_and(|found| std::ptr::eq(found, setting))
    }

    fn fact(&self, setting: &Setting) -> Fact {
        let text = match &setting.content {
            Content::Value { shown, .. } => value::toml(shown),
            Content::Absent(text) => text.to_string(),
        };
        Fact { name: setting.path.clone(), text, origin: setting.origin.told(&self.effective.file) }
    }

    fn access(&self, refused: Option<&Failure>, facts: &mut Vec<Fact>) {
        let settings = self.part.settings();
        let list = settings.iter().filter(|setting| setting.path == "access" || setting.path.starts_with("access."));
        let origin = list.clone().next().map(|setting| setting.origin.told(&self.effective.file)).unwrap_or_default();
        let text = if refused.is_some() { "refused" } else { "admitted" };
        facts.push(Fact { name: "access".into(), text: format!("{} is {text}", self.preview.client()), origin });
        facts.extend(list.filter(|setting| setting.path != "access").map(|setting| self.fact(setting)));
    }

    /// A limit: its rates, by what it counts this request, and where the route names it.
    fn limit(&self, applied: &AppliedLimit) -> Fact {
        let name = &applied.limit.name;
        let of_limit = |key: &str| {
            let setting = self.effective.part("limits", Some(name))?.setting(key, None)?;
            match &setting.content {
                Content::Value { shown, .. } => Some(value::toml(shown).replace('"', "")),
                Content::Absent(_) => None,
            }
        };
        let in_flight = of_limit("max_in_flight").map(|most| format!("{most} in flight"));
        let counts: Vec<String> = of_limit("rate").into_iter().chain(in_flight).collect();
        let verdict = match applied.limit.listed(self.preview.client()) {
            ListMatch::Denied => "the client is denied: 403".to_owned(),
            ListMatch::Exempt => "the client is exempt".to_owned(),
            ListMatch::Counted => {
                format!("counted by {}", applied.key.iter().map(|source| self.source(source)).collect::<Vec<_>>().join(" and "))
            }
        };
        let cost = if applied.cost.get() > 1 { format!(", costs {}", applied.cost) } else { String::new() };
        let uses = self.part.setting("limits", None).map(|setting| setting.origin.told(&self.effective.file));
        let line = self.effective.part("limits", Some(name)).and_then(|part| part.line);
        let own = line.map(|line| format!("{}:{line}", self.effective.file));
        Fact {
            name: format!("limit {name}"),
            text: format!("{}, {verdict}{cost}", counts.join(" and ")),
            origin: own.into_iter().chain(uses).collect::<Vec<_>>().join(", used by "),
        }
    }

    /// What a key of a limit is for this request. Values of headers, cookies and parameters may be secrets.
    fn source(&self, source: &KeySource) -> String {
        let name = match source {
            KeySource::ClientIp => return format!("client address ({})", self.preview.client()),
            KeySource::Route => return "route".to_owned(),
            KeySource::Global => return "all requests together".to_owned(),
            KeySource::Header(name) => format!("header {name}"),
            KeySource::Cookie(name) => format!("cookie {name}"),
            KeySource::Query(name) => format!("parameter {name}"),
        };
        let present = self.preview.has_key(source);
        if present { name } else { format!("client address ({}), without the {name}", self.preview.client()) }
    }

    fn forward(&self, route: &Route, forward: &Forward, facts: &mut Vec<Fact>) {
        let name = forward.backend.name.to_string();
        facts.extend(self.part.setting("backend", None).map(|setting| self.fact(setting)));
        for key in ["sticky", "strip_prefix", "add_prefix", "rewrite"] {
            facts.extend(self.part.setting(key, None).filter(|setting| is_on(&setting.content)).map(|setting| self.fact(setting)));
        }
        let of_backend = self.effective.part("backends", Some(&name));
        let endpoints = of_backend.and_then(|part| part.setting("endpoints", None));
        let origin = endpoints.map(|setting| setting.origin.told(&self.effective.file)).unwrap_or_default();
        let target = self.preview.target(route, forward);
        for url in endpoints.into_iter().flat_map(urls) {
            let text = match &target {
                // The base path of the URL is a part of the target.
                Ok(target) => format!("{}{}", origin_of(&url), without_query(target)),
                Err(failure) => told(failure),
            };
            facts.push(Fact { name: "upstream".into(), text, origin: origin.clone() });
        }
        for key in ["host_header", "balance", "protocol", "max_in_flight"] {
            facts.extend(of_backend.and_then(|part| part.setting(key, None)).map(|setting| {
                let fact = self.fact(setting);
                Fact { name: format!("backend {key}"), ..fact }
            }));
        }
    }

    fn errors(&self, route: &Route, backend: Option<&str>, facts: &mut Vec<Fact>) {
        let policy = &route.policy.errors;
        let origin = |key: &str| self.part.setting(key, backend).map(|setting| setting.origin.told(&self.effective.file));
        let shape = self.preview.shape(policy);
        facts.push(Fact { name: "errors".into(), text: shape_name(shape).into(), origin: origin("errors.format").unwrap_or_default() });
        let language = self.preview.language(policy).to_owned();
        facts.push(Fact { name: "errors language".into(), text: language, origin: origin("errors.languages").unwrap_or_default() });
        for key in ["client_errors", "server_errors", "pass", "dry_run"] {
            let setting = self.part.setting(key, backend).filter(|setting| !matches!(setting.origin, Origin::Default));
            facts.extend(setting.map(|setting| self.fact(setting)));
        }
    }
}

/// The URLs of endpoints.
fn urls(setting: &Setting) -> Vec<String> {
    let Content::Value { shown: Value::Array(list), .. } = &setting.content else { return Vec::new() };
    let url = |item: &Value| item.as_str().or_else(|| item.get("url")?.as_str()).map(str::to_owned);
    list.iter().filter_map(url).collect()
}

/// The scheme and authority of a URL.
fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find('/').map_or(url, |at| &url[..start + at])
}

/// A query may hold secrets, so it is only told that there is one.
fn without_query(target: &str) -> String {
    target.split_once('?').map_or_else(|| target.to_owned(), |(path, _)| format!("{path}?..."))
}

const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Json(Format::Envelope) => "JSON envelope",
        Shape::Json(Format::Problem) => "problem details (RFC 9457)",
        Shape::Json(Format::Flat) => "flat JSON",
        Shape::Json(Format::Template) => "the template",
        Shape::Html => "HTML page",
        Shape::Text => "plain text",
        Shape::Xml => "XML",
        Shape::ProblemXml => "problem details as XML",
        Shape::Soap11 => "SOAP 1.1 fault",
        Shape::Soap12 => "SOAP 1.2 fault",
        Shape::Grpc => "gRPC status",
        Shape::GrpcWeb => "gRPC-Web status",
        Shape::Graphql | Shape::GraphqlResponse => "GraphQL errors",
        Shape::Jsonrpc => "JSON-RPC error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_from_a_query() {
        let query = "method=POST&url=https%3A%2F%2Fa%2Fb%3Fc&header=Accept%3A+text%2Fhtml&header=X-A:1&client=::1";
        let question = Question::from_query(query).unwrap();
        assert_eq!((question.method, question.url.as_str(), question.client.to_string().as_str()), (Method::POST, "https://a/b?c", "::1"));
        assert_eq!(question.headers, [("Accept".into(), "text/html".into()), ("X-A".into(), "1".into())]);
        for wrong in ["", "method=GET", "url=/&client=me", "url=/&header=x", "url=/&method=a%20b", "url=/&what=1"] {
            assert!(Question::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
