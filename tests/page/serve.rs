//! Serves the pages over made-up content for `tests/page/run`: `serve ADDRESS`. Prints the address, then the time of each rendering with
//! `serve --time`.
//!
//! Cookies choose what is shown: `role=viewer`, `content=empty` (no entries), `content=off` (no journal).

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a tool for tests")]

mod seed;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use lockgate::admin::page::gateway::{
    BackendState, Configuration, EndpointHealth, EndpointState, LimitRow, Part, Reload, ReloadProblem, RouteAction, RouteRow, Running,
    Setting,
};
use lockgate::admin::page::live::Changes;
use lockgate::admin::page::traffic::{History, Sample};
use lockgate::admin::page::{Actions, Ask, Role, Sources, respond};
use lockgate::journal::entry::Millis;
use lockgate::journal::memory::MemoryStore;
use lockgate::journal::query::GroupState;
use lockgate::journal::{Store, StoreError};
use lockgate::redact::Redactor;

const CONFIGS: [&str; 2] = ["9f3c2ab81d04", "c41e07d2aa95"];
const CSRF: &str = "token-of-this-session";

fn now() -> Millis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

struct Content {
    full: MemoryStore,
    empty: MemoryStore,
    running: Running,
    nothing: Running,
    traffic: History,
    silence: History,
    redactor: Redactor,
    changes: Changes,
}

struct Acts<'s>(&'s dyn Store, &'s Changes);

impl Actions for Acts<'_> {
    fn set_state(&self, fingerprint: &str, state: GroupState) -> Result<bool, StoreError> {
        let done = self.0.set_state(fingerprint, state, now());
        self.1.notify();
        done
    }

    fn opened(&self, _: &str) {}
}

fn endpoint(label: &str, health: EndpointHealth, in_flight: usize) -> EndpointState {
    EndpointState { label: label.to_owned(), health, in_flight }
}

fn backends() -> Vec<BackendState> {
    use EndpointHealth::{BreakerOpen, Ejected, Trial, Unhealthy, Up};
    let backend = |name: &str, endpoints, permits| BackendState { name: name.to_owned(), endpoints, permits };
    vec![
        backend(
            "orders-db-api",
            vec![
                endpoint("http://10.0.0.11:8080", Up, 12),
                endpoint("http://10.0.0.12:8080", BreakerOpen, 0),
                endpoint("http://10.0.0.13:8080", Trial, 1),
            ],
            None,
        ),
        backend("legacy-reports", vec![endpoint("http://reports.internal:8080 (10.0.2.5)", Up, 38)], Some((38, 40, 6))),
        backend(
            "shop",
            vec![endpoint("http://shop-1.internal:8000 (10.0.1.21)", Up, 22), endpoint("http://shop-2.internal:8000 (10.0.1.22)", Up, 19)],
            Some((41, 200, 0)),
        ),
        backend(
            "billing",
            vec![
                endpoint("https://billing.internal:8443 (10.0.4.2)", Unhealthy, 0),
                endpoint("https://billing-2.internal:8443 (10.0.4.3)", Ejected, 0),
            ],
            None,
        ),
        backend("accounts", vec![endpoint("https://accounts.internal (10.0.3.4)", Up, 3)], None),
        backend(
            "exporter-with-a-very-long-name-that-nobody-would-choose-but-somebody-did-anyway-0123456789",
            vec![endpoint(
                "http://exporter-with-a-very-long-name.production.eu-central-1.compute.internal.acme.example:18080 (2001:db8:85a3:8d3:1319:8a2e:370:7348)",
                Up,
                1,
            )],
            None,
        ),
    ]
}

fn routes() -> Vec<RouteRow> {
    let route = |name: &str, matches: &str, target: &str, limits: &[&str], line| RouteRow {
        name: name.to_owned(),
        matches: matches.to_owned(),
        action: RouteAction::Forward,
        target: target.to_owned(),
        limits: limits.iter().map(|limit| (*limit).to_owned()).collect(),
        line: Some(line),
    };
    vec![
        route("orders", "GET, PUT, POST shop.acme.example/orders/*", "orders-db-api", &["per_client"], 41),
        route("checkout", "POST shop.acme.example/checkout", "shop", &["per_client", "checkout"], 52),
        route("search", "GET /search", "catalog", &["per_client", "search"], 60),
        route("signup", "POST /users", "accounts", &["login"], 68),
        route("reports", "GET /reports/*", "legacy-reports", &[], 75),
        route("invoices", "GET /invoices/*", "billing, billing-next", &[], 83),
        route("payments", "POST /결제/*", "payments", &[], 90),
        RouteRow { action: RouteAction::Redirect, ..route("old-shop", "old.acme.example/*", "https://shop.acme.example/{path}", &[], 97) },
        RouteRow { action: RouteAction::Respond, ..route("maintenance", "/admin/*", "503", &[], 103) },
        route(
            "export",
            "GET /export/*",
            "exporter-with-a-very-long-name-that-nobody-would-choose-but-somebody-did-anyway-0123456789",
            &[],
            110,
        ),
    ]
}

fn running(now: Millis) -> Running {
    let limit = |name: &str, allows: &str, key: &str, keys, is_shared| LimitRow {
        name: name.to_owned(),
        allows: allows.to_owned(),
        key: key.to_owned(),
        keys,
        is_shared,
    };
    let setting =
        |key: &str, value: &str, origin: &str| Setting { key: key.to_owned(), value: value.to_owned(), origin: origin.to_owned() };
    let part = |heading: &str, settings| Part { heading: heading.to_owned(), settings };
    let parts = vec![
        part(
            "[listen]",
            vec![
                setting("http", "0.0.0.0:8080", "line 2"),
                setting("admin", "127.0.0.1:9090", "line 3"),
                setting("drain_timeout", "30s", ""),
                setting("max_connections", "10000", ""),
            ],
        ),
        part(
            "[errors]",
            vec![
                setting("server_errors", "rewrite", "line 9"),
                setting("languages", "en, ko", "line 10"),
                setting("max_body", "256 KiB", ""),
            ],
        ),
        part(
            "[backends.orders-db-api]",
            vec![
                setting("endpoints", "http://10.0.0.11:8080, http://10.0.0.12:8080, http://10.0.0.13:8080", "line 22"),
                setting("breaker.failures", "5 of 20", "line 24"),
                setting("timeout.response", "5s", "[defaults] line 14"),
            ],
        ),
        part(
            "[[routes]] orders",
            vec![
                setting("path", "/orders/*", "line 43"),
                setting("retry.attempts", "2", "line 45"),
                setting("limits", "per_client", "line 46"),
            ],
        ),
    ];
    Running {
        name: "eu-1a".to_owned(),
        backends: backends(),
        routes: routes(),
        limits: vec![
            limit("per_client", "100/m, burst 20", "client_ip", 1_284, false),
            limit("login", "5/m", "client_ip, header:X-Device", 91, true),
            limit("search", "20/s, concurrency 50", "header:Authorization", 340, false),
            limit("checkout", "1000/h", "route", 1, true),
        ],
        configuration: Configuration {
            version: CONFIGS[1].to_owned(),
            file: "/etc/lockgate/lockgate.toml".to_owned(),
            since: now - 27 * 60_000,
            reload: Some(Reload {
                at: now - 4 * 60_000,
                took_us: 18_400,
                cause: "files",
                outcome: "rejected",
                changes: Vec::new(),
                problems: vec![
                    ReloadProblem {
                        line: Some(24),
                        title: "unknown key `braker`".to_owned(),
                        help: "did you mean `breaker`?".to_owned(),
                        is_warning: false,
                    },
                    ReloadProblem {
                        line: Some(61),
                        title: "the limit `search` is named by no route".to_owned(),
                        help: "Remove it, or add it to `limits` of a route.".to_owned(),
                        is_warning: true,
                    },
                ],
            }),
            needs_restart: vec!["listen.workers".to_owned()],
            parts,
        },
    }
}

/// Metrics as a gateway writes them over an hour.
fn traffic(now: Millis) -> History {
    let history = History::default();
    let (mut good, mut bad, mut refused) = (0_u64, 0_u64, 0_u64);
    for at in 0..360_u64 {
        let wave = 14_200 + (at * 7919) % 1700 + if at > 180 { 900 } else { 0 };
        good += wave;
        bad += 14 + (at * 31) % 9 + at.saturating_sub(200) * 3;
        refused += (at * 13) % 7;
        let text = format!(
            "lockgate_requests_total{{route=\"orders\",code=\"200\"}} {}\nlockgate_requests_total{{route=\"orders\",code=\"502\"}} {}\n\
             lockgate_requests_total{{route=\"search\",code=\"200\"}} {}\nlockgate_requests_total{{route=\"search\",code=\"404\"}} {}\n\
             lockgate_requests_total{{route=\"checkout\",code=\"200\"}} {}\nlockgate_requests_total{{route=\"checkout\",code=\"502\"}} {}\n\
             lockgate_requests_total{{route=\"signup\",code=\"404\"}} {}\nlockgate_requests_total{{route=\"signup\",code=\"200\"}} {}\n\
             lockgate_rate_limited_total{{limit=\"per_client\"}} {refused}\nlockgate_rate_limited_total{{limit=\"login\"}} {}\nlockgate_rate_limited_total{{limit=\"search\"}} 0\n",
            good / 2,
            bad,
            good / 3,
            good / 40,
            good / 6,
            bad / 30,
            good / 50,
            good / 20,
            refused / 4
        );
        history.add(Sample::read(&text, now - (359 - at) * 10_000));
    }
    history
}

fn content() -> Content {
    let now = now();
    let full = MemoryStore::new(256 << 20, 30 * 24 * 3_600_000);
    seed::fill(&full, now, &CONFIGS);
    let nothing = Running {
        configuration: Configuration {
            version: CONFIGS[0].to_owned(),
            file: "lockgate.toml".to_owned(),
            since: now,
            ..Configuration::default()
        },
        ..Running::default()
    };
    Content {
        full,
        empty: MemoryStore::new(1 << 20, 3_600_000),
        running: running(now),
        nothing,
        traffic: traffic(now),
        silence: History::default(),
        redactor: Redactor::default(),
        changes: Changes::default(),
    }
}

impl Content {
    fn sources<'s>(&'s self, cookies: &str, actions: &'s dyn Actions) -> Sources<'s> {
        let is = |word: &str| cookies.contains(word);
        let is_full = !is("content=empty") && !is("content=off");
        let store: Option<&dyn Store> = if is("content=off") {
            None
        } else if is_full {
            Some(&self.full)
        } else {
            Some(&self.empty)
        };
        Sources {
            store,
            gateway: if is_full { &self.running } else { &self.nothing },
            traffic: if is_full { &self.traffic } else { &self.silence },
            redactor: &self.redactor,
            actions,
            now: now(),
        }
    }
}

async fn answer(content: Arc<Content>, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    if request.uri().path() == "/live" {
        let mut response = Response::new(content.changes.stream().boxed());
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        return response;
    }
    let (head, body) = request.into_parts();
    let form = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let cookies = header("cookie").unwrap_or_default();
    let acts = Acts(&content.full, &content.changes);
    let ask = Ask {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        form: &form,
        accept_language: header("accept-language"),
        cookie: Some(cookies),
        role: if cookies.contains("role=viewer") { Role::Viewer } else { Role::Operator },
        csrf: CSRF,
        has_session: cookies.contains("session=1"),
    };
    let Some(answer) = respond(&ask, &content.sources(cookies, &acts)) else {
        return Response::builder().status(404).body(Full::from("no such page\n").boxed()).expect("a valid response");
    };
    let mut response = Response::new(Full::new(answer.body).boxed());
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    response
}

/// Renders each page many times, and prints the middle one of the times.
fn time(content: &Content) {
    let acts = Acts(&content.full, &content.changes);
    let sources = content.sources("", &acts);
    let group = content.full.groups(&lockgate::journal::query::GroupQuery {
        limit: 1,
        order: lockgate::journal::query::GroupOrder::Count,
        ..Default::default()
    });
    let group = group.unwrap_or_default().first().cloned().expect("a group");
    let paths = [
        "/".to_owned(),
        "/groups?state=all".to_owned(),
        format!("/groups/{}?range=24h", group.fingerprint),
        "/errors".to_owned(),
        format!("/errors/{}", group.last_request_id),
        "/routes".to_owned(),
        "/configuration?show=all".to_owned(),
    ];
    for path in paths {
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let ask = Ask {
            method: &Method::GET,
            path,
            query: Some(query),
            form: b"",
            accept_language: None,
            cookie: None,
            role: Role::Operator,
            csrf: CSRF,
            has_session: false,
        };
        let mut times: Vec<Duration> = Vec::new();
        let mut bytes = 0;
        for _ in 0..41 {
            let begin = Instant::now();
            bytes = respond(&ask, &sources).expect("a page").body.len();
            times.push(begin.elapsed());
        }
        times.sort();
        println!("{:>9.3} ms {bytes:>7} B  {path}", times[20].as_secs_f64() * 1000.0);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let content = Arc::new(content());
    if argument == "--time" {
        return time(&content);
    }
    let listener = tokio::net::TcpListener::bind(&argument).await.expect("the address is free");
    println!("http://{}", listener.local_addr().expect("bound"));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let content = Arc::clone(&content);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let content = Arc::clone(&content);
                async move { Ok::<_, Infallible>(answer(content, request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
