//! Tests "make a test case" of the journal's pages: what is offered is loaded and passes in `lockgate test`.

use std::path::Path;
use std::process::Command;

use lockgate::admin::page::gateway::Running;
use lockgate::admin::page::traffic::History;
use lockgate::admin::page::{Actions, Answer, Ask, Role, Sources, respond};
use lockgate::failure::Kind;
use lockgate::journal::entry::AttemptEntry;
use lockgate::journal::memory::MemoryStore;
use lockgate::journal::query::GroupState;
use lockgate::journal::{Entry, Store, StoreError};
use lockgate::redact::Redactor;

use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, get, send, until};

struct Nothing;

impl Actions for Nothing {
    fn set_state(&self, _: &str, _: GroupState) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn opened(&self, _: &str) {}
}

fn page(store: &MemoryStore, path: &str) -> Answer {
    let (running, traffic, redactor) = (Running::default(), History::default(), Redactor::default());
    let sources = Sources {
        store: Some(store),
        gateway: &running,
        traffic: &traffic,
        redactor: &redactor,
        actions: &Nothing,
        now: 1_800_000_000_000,
    };
    let ask = Ask {
        method: &http::Method::GET,
        path,
        query: None,
        form: b"",
        accept_language: None,
        cookie: None,
        role: Role::Operator,
        csrf: "",
        has_session: false,
    };
    respond(&ask, &sources).unwrap()
}

/// Runs all cases of a folder. Returns what was told.
fn test(folder: &Path, config: &Path) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_lockgate")).arg("test").arg(folder).arg("--config").arg(config).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{told}");
    told
}

/// What an upstream that causes a failure of this kind answers; `None` if it does not answer.
const fn received(kind: Kind) -> Option<u16> {
    match kind {
        Kind::UpstreamError | Kind::Duplicate | Kind::Reference => Some(500),
        Kind::UpstreamBadGateway => Some(502),
        Kind::UpstreamUnavailable => Some(503),
        Kind::UpstreamGatewayTimeout => Some(504),
        Kind::UpstreamRateLimited => Some(429),
        Kind::UpstreamClientError => Some(404),
        _ => None,
    }
}

/// The entry of a request that failed so, with an attempt at the upstream or without one.
fn entry(kind: Kind, has_attempt: bool) -> Entry {
    let (row, received) = (kind.row(), received(kind));
    let body = match kind {
        Kind::Duplicate => {
            "ERROR: duplicate key value violates unique constraint \"users_email_key\" DETAIL: Key (email)=(a@b.example) already exists."
        }
        Kind::Reference => {
            "ERROR: insert or update on table \"a\" violates foreign key constraint \"a_b_fkey\" DETAIL: Key (b)=(7) is not present in table \"b\"."
        }
        _ => "java.lang.IllegalStateException: no stock\n\tat shop.Stock.take(Stock.java:42)",
    };
    let reason = Some(row.reason.to_owned()).filter(|reason| received.is_none() && !reason.is_empty());
    let attempt = AttemptEntry { status: received, reason, ..AttemptEntry::default() };
    Entry {
        request_id: format!("{kind:?}-{has_attempt}"),
        at: 1_700_000_000_000,
        method: "POST".into(),
        host: Some("shop.example".into()),
        path: "/orders/7".into(),
        request_headers: vec![("accept".into(), "application/json".into()), ("authorization".into(), "***".into())],
        attempts: if has_attempt { vec![attempt] } else { Vec::new() },
        status: if row.status > 0 { row.status } else { received.unwrap_or(418) },
        received,
        code: if row.code.is_empty() { "NOT_FOUND".into() } else { row.code.into() },
        reason: row.reason.into(),
        upstream_headers: vec![("content-type".into(), "text/plain".into())],
        upstream_body: received.map(|_| body.to_owned()),
        title: format!("{kind:?} \u{1b}[31m \"quoted\""),
        ..Entry::default()
    }
}

#[test]
fn the_case_of_every_kind_of_failure_passes_or_is_not_offered() {
    let (store, folder) = (MemoryStore::new(1 << 30, u64::MAX), Temporary::folder("cases-kinds"));
    let entries: Vec<Entry> = Kind::ALL.iter().flat_map(|kind| [entry(*kind, true), entry(*kind, false)]).collect();
    store.write(&entries).unwrap();
    let mut offered = Vec::new();
    for Entry { request_id: id, .. } in &entries {
        let shown = String::from_utf8(page(&store, &format!("/errors/{id}")).body.to_vec()).unwrap();
        let case = page(&store, &format!("/errors/{id}.toml"));
        let text = String::from_utf8(case.body.to_vec()).unwrap();
        assert_eq!(shown.contains("Make a test case"), case.status == 200, "{id}");
        if case.status == 200 {
            std::fs::write(folder.join(format!("{id}.toml")), text).unwrap();
            offered.push(id.clone());
        } else {
            assert!(case.status == 404 && text.contains("No test case"), "{id}: {} {text}", case.status);
        }
    }
    for id in ["ConnectionRefused-true", "UpstreamError-true", "NoEndpoint-false", "TotalTimeout-false", "StreamRefused-true"] {
        assert!(offered.iter().any(|known| known == id), "{id} of {offered:?}");
    }
    for id in ["BadRequest-false", "RateLimited-false", "RouteNotFound-false", "Unauthorized-false", "Responded-false", "Internal-false"] {
        assert!(!offered.iter().any(|known| known == id), "{id}");
    }
    let config = Temporary::file(
        "cases-kinds.toml",
        "[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\nerrors = { database_errors = true }\n",
    );
    let told = test(&folder, &config);
    assert!(told.contains(&format!("{} cases: {0} passed", offered.len())), "{told}");
}

fn case(gateway: &GatewayUnderTest, failed: &Response) -> Response {
    let id = failed.header("x-request-id").unwrap();
    until(|| match get(gateway.admin, &format!("/api/errors/{id}")).status {
        200 => Ok(()),
        status => Err(format!("{status}")),
    });
    get(gateway.admin, &format!("/errors/{id}.toml"))
}

#[test]
fn cases_of_a_gateway_pass_with_its_configuration() {
    let origin = Origin::start(|c| {
        let path = c.head.split(' ').nth(1).unwrap_or_default().to_owned();
        match path.as_str() {
            "/cut" => c.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n0123456789"),
            "/closed" => c.say(""),
            "/garbage" => c.say("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n"),
            "/chunk" => c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno size\r\n"),
            "/validation" => c.say(
                "HTTP/1.1 422 X\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n{\"errors\":{\"name\":[\"The name is too long\"]}}",
            ),
            _ => c.say("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nX-Name: \u{e9}\r\nContent-Length: 20\r\n\r\nOrderError: no stock"),
        }
    });
    let text = format!(
        "[limits.few]\nrate = \"1/h\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[backends.down]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nhost = \"a\"\npath = \"/down\"\nbackend = \"down\"\nretry = {{ attempts = 2 }}\n[[routes]]\nhost = \"a\"\npath = \"/few\"\nbackend = \"o\"\nlimits = [\"few\"]\n\
         [[routes]]\nhost = \"a\"\npath = \"/only\"\nmethods = [\"POST\"]\nbackend = \"o\"\n[[routes]]\npath = \"/*\"\nhost = \"a\"\nbackend = \"o\"\n",
        origin.address
    );
    let gateway = GatewayUnderTest::start(&text);
    let ask = |path: &str| {
        send(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2\r\nConnection: close\r\n\r\n"))
    };
    let folder = Temporary::folder("cases-gateway");
    let asked = ["/down", "/orders/7?a=b", "/x/Bearer%20S3CRS3CR", "/closed", "/garbage", "/cut", "/chunk", "/validation"];
    for (at, path) in asked.into_iter().enumerate() {
        let found = case(&gateway, &ask(path));
        assert_eq!(found.status, 200, "{path}: {}", found.text());
        std::fs::write(folder.join(format!("{at}.toml")), found.text()).unwrap();
    }
    until(|| if ask("/few").status == 429 { Ok(()) } else { Err("the limit is not reached".to_owned()) });
    for path in ["/%zz", "/few", "/only"] {
        let found = case(&gateway, &ask(path));
        assert!(found.status == 404 && found.text().contains("No test case"), "{path}: {}", found.text());
    }
    let nowhere = send(gateway.address, "GET /nowhere HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    assert_eq!(case(&gateway, &nowhere).status, 404);
    let config = Temporary::file("cases-gateway.toml", &text);
    let told = test(&folder, &config);
    assert!(told.contains(&format!("{} cases: {0} passed", asked.len())), "{told}");
}
