//! The pages of the journal on the admin listener, as `admin::page` answers for them. `tests/page` looks at them in a browser.

#[path = "../page/seed.rs"]
mod seed;

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use html5gum::{Token, Tokenizer};
use http::{Method, StatusCode};

use lockgate::admin::page::gateway::Running;
use lockgate::admin::page::traffic::{History, Sample};
use lockgate::admin::page::{Actions, Answer, Ask, Role, Sources, respond};
use lockgate::admin::{RunningConfig, Status};
use lockgate::journal::entry::Millis;
use lockgate::journal::memory::MemoryStore;
use lockgate::journal::query::{
    Count, CountQuery, Group, GroupEvent, GroupQuery, GroupState, ListQuery, Page, Pruned, Purge, Summary, Usage,
};
use lockgate::journal::{Entry, Store, StoreError};
use lockgate::observe::exposition::Format;
use lockgate::redact::Redactor;

const CSRF: &str = "token";

/// Sets states, and remembers which originals were shown.
struct Acts<'s>(&'s MemoryStore, Mutex<Vec<String>>);

impl Actions for Acts<'_> {
    fn set_state(&self, fingerprint: &str, state: GroupState) -> Result<bool, StoreError> {
        self.0.set_state(fingerprint, state, now())
    }

    fn opened(&self, request_id: &str) {
        self.1.lock().unwrap().push(request_id.to_owned());
    }
}

fn now() -> Millis {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

struct Desk {
    store: MemoryStore,
    running: Running,
    traffic: History,
    redactor: Redactor,
}

impl Desk {
    fn new() -> Self {
        let store = MemoryStore::new(256 << 20, 30 * 24 * 3_600_000);
        seed::fill(&store, now(), &["before", "now"]);
        Self { store, running: Running::default(), traffic: History::default(), redactor: Redactor::default() }
    }

    fn sources<'s>(&'s self, actions: &'s dyn Actions) -> Sources<'s> {
        Sources { store: Some(&self.store), gateway: &self.running, traffic: &self.traffic, redactor: &self.redactor, actions, now: now() }
    }

    /// Asks for a page, and returns it with the ids of the originals that were shown.
    fn ask(&self, target: &str, change: impl FnOnce(&mut Ask<'_>)) -> (Answer, Vec<String>) {
        let acts = Acts(&self.store, Mutex::default());
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut ask = Ask {
            method: &Method::GET,
            path,
            query,
            form: b"",
            accept_language: None,
            cookie: None,
            role: Role::Operator,
            csrf: CSRF,
            has_session: false,
        };
        change(&mut ask);
        let answer = respond(&ask, &self.sources(&acts)).unwrap();
        (answer, acts.1.into_inner().unwrap())
    }

    fn get(&self, target: &str) -> Answer {
        self.ask(target, |_| ()).0
    }

    /// Every page: the lists, and each group and one of its occurrences.
    fn all(&self) -> Vec<String> {
        let mut targets: Vec<String> =
            ["/", "/groups?state=all&order=first", "/errors", "/errors?route=attacks", "/routes", "/configuration?show=all"]
                .map(str::to_owned)
                .into();
        for group in self.store.groups(&GroupQuery { limit: 100, ..GroupQuery::default() }).unwrap() {
            targets.push(format!("/groups/{}?by=backend&range=24h", group.fingerprint));
            targets.push(format!("/errors/{}", group.last_request_id));
        }
        targets
    }

    fn occurrence(&self, title: &str) -> String {
        let all = self.store.list(&ListQuery { limit: 1000, ..ListQuery::default() }).unwrap();
        all.items.into_iter().find(|summary| summary.title.contains(title)).unwrap().request_id
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value.to_str().unwrap())
}

/// Names of elements that pages are made of.
const ELEMENTS: &str = " a b body button code dd details dialog div dl dt figure form h1 h2 h3 head header html input kbd label li line link main \
                        mark meta nav ol option p path pre rect script section select span summary svg table tbody td text th thead time \
                        title tr ul ";

/// Returns what of a page no template has written.
fn foreign(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for token in Tokenizer::new(page) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if !ELEMENTS.contains(&format!(" {name} ")) {
            found.push(name.clone());
        }
        for (attribute, value) in &tag.attributes {
            let (attribute, value) = (String::from_utf8_lossy(attribute), String::from_utf8_lossy(value));
            let leads = matches!(&*attribute, "href" | "src" | "action" | "formaction");
            if attribute.starts_with("on")
                || attribute == "style"
                || (leads && !value.starts_with(['/', '#']))
                || (leads && value.starts_with("//"))
            {
                found.push(format!("{name} {attribute}={value}"));
            }
        }
    }
    found
}

#[test]
fn text_of_upstreams_is_shown_as_text() {
    let desk = Desk::new();
    let mut pages = desk.all();
    for attack in seed::XSS {
        let query = form_urlencoded(attack);
        pages.push(format!("/errors?q={query}&route={query}&status={query}&since={query}&group={query}"));
        pages.push(format!("/groups?state={query}&order={query}"));
        pages.push(format!("/errors/{query}"));
    }
    for target in pages {
        let page = text(&desk.get(&target));
        assert_eq!(foreign(&page), [""; 0], "{target}");
    }
    let page = text(&desk.get(&format!("/errors/{}", desk.occurrence("Attack<script>"))));
    assert!(page.contains("window.xss=1") && !page.contains("<script>window"));
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn the_policy_permits_nothing_inline_and_nothing_from_elsewhere() {
    let desk = Desk::new();
    let mut pages = desk.all();
    pages.push("/errors/none".to_owned());
    for target in pages {
        let answer = desk.get(&target);
        let policy = header(&answer, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    }
}

#[test]
fn a_form_needs_its_token_and_an_operator() {
    let desk = Desk::new();
    let group = desk.store.groups(&GroupQuery { limit: 1, ..GroupQuery::default() }).unwrap().remove(0).fingerprint;
    let post = |form: &str, change: &dyn Fn(&mut Ask<'_>)| {
        let (answer, _) = desk.ask(&format!("/groups/{group}"), |ask| {
            (ask.method, ask.form) = (&Method::POST, Vec::leak(form.as_bytes().to_vec()));
            change(ask);
        });
        answer.status
    };
    let state = || desk.store.group(&group).unwrap().unwrap().state;
    let before = state();
    for form in ["state=muted", "state=muted&csrf=", "state=muted&csrf=tokem", "state=muted&csrf=token2"] {
        assert_eq!(post(form, &|_| ()), StatusCode::FORBIDDEN, "{form}");
    }
    assert_eq!(post("state=muted&csrf=token", &|ask| ask.role = Role::Viewer), StatusCode::FORBIDDEN);
    assert_eq!(post("state=muted&csrf=", &|ask| ask.csrf = ""), StatusCode::FORBIDDEN);
    assert_eq!(post("state=gone&csrf=token", &|_| ()), StatusCode::BAD_REQUEST);
    assert_eq!(state(), before);
    assert_eq!(post("state=muted&csrf=token", &|_| ()), StatusCode::SEE_OTHER);
    assert_eq!(state(), GroupState::Muted);
}

#[test]
fn a_viewer_sees_no_original() {
    let desk = Desk::new();
    let id = desk.occurrence("PSQLException");
    let as_viewer = |target: &str| desk.ask(target, |ask| ask.role = Role::Viewer);
    for target in desk.all() {
        let (answer, opened) = as_viewer(&target);
        let page = text(&answer);
        for word in ["PSQLException", "OrderDao", "orders-db.internal:5432", "SQLSTATE", "KeyError", "Werkzeug", "Jetty", "Safari"] {
            assert!(!page.contains(word), "{target} shows {word}");
        }
        assert!(opened.is_empty(), "{target}");
    }
    for form in ["json", "md", "curl", "toml"] {
        assert_eq!(as_viewer(&format!("/errors/{id}.{form}")).0.status, StatusCode::FORBIDDEN);
    }
    // What a viewer finds must not tell what an original holds.
    let found = text(&as_viewer("/errors?q=ORA-00942").0);
    let other = text(&as_viewer("/errors?q=PSQLException").0);
    assert_eq!(found.matches("data-row").count(), other.matches("data-row").count());
    // An id is not an original.
    assert_eq!(header(&as_viewer(&format!("/errors?q={id}")).0, "location"), Some(&*format!("/errors/{id}")));
}

#[test]
fn each_original_that_is_shown_is_heard_of() {
    let desk = Desk::new();
    let id = desk.occurrence("PSQLException");
    for suffix in ["", ".json", ".md", ".curl", ".toml"] {
        let (answer, opened) = desk.ask(&format!("/errors/{id}{suffix}"), |_| ());
        assert_eq!((answer.status, opened), (StatusCode::OK, vec![id.clone()]), "{suffix}");
    }
    assert!(desk.ask("/errors", |_| ()).1.is_empty());
}

#[test]
fn an_occurrence_shows_both_sides_and_what_was_kept_from_the_client() {
    let desk = Desk::new();
    let page = text(&desk.get(&format!("/errors/{}", desk.occurrence("PSQLException"))));
    for part in [
        "The service said",
        "The client got",
        "orders-db.internal:5432<span class=\"family\" data-family=\"address\">",
        "OrderDao.java:118",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("5 lines of libraries") && page.contains("Copy as cURL") && page.contains("The service has a problem."));
}

#[test]
fn pages_speak_the_language_of_the_client() {
    let desk = Desk::new();
    let page = |change: fn(&mut Ask<'_>)| text(&desk.ask("/", change).0);
    assert!(page(|_| ()).contains("<html lang=\"en\">"));
    assert!(page(|ask| ask.accept_language = Some("ko-KR,ko;q=0.9")).contains("지금 발생 중인 오류"));
    assert!(page(|ask| ask.cookie = Some("a=b; lockgate-language=ko")).contains("<html lang=\"ko\">"));
    let chosen = desk.get("/errors?route=orders&lang=ko");
    assert_eq!((chosen.status, header(&chosen, "location")), (StatusCode::SEE_OTHER, Some("/errors?route=orders")));
    assert!(header(&chosen, "set-cookie").unwrap().starts_with("lockgate-language=ko; "));
    // A language that there is not, and what is no language.
    let other = desk.get("/?lang=xx%0d%0aset-cookie:%20a=b");
    assert!(header(&other, "set-cookie").unwrap().starts_with("lockgate-language=en; "));
}

#[test]
fn what_is_not_there_is_told() {
    let desk = Desk::new();
    assert_eq!(desk.get("/errors/none").status, StatusCode::NOT_FOUND);
    assert_eq!(desk.get("/groups/none").status, StatusCode::NOT_FOUND);
    let (refused, _) = desk.ask("/errors", |ask| ask.method = &Method::POST);
    assert_eq!((refused.status, header(&refused, "allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("GET, HEAD")));
    let acts = Acts(&desk.store, Mutex::default());
    let off = Sources { store: None, ..desk.sources(&acts) };
    let ask = |path| Ask {
        method: &Method::GET,
        path,
        query: None,
        form: b"",
        accept_language: None,
        cookie: None,
        role: Role::Operator,
        csrf: CSRF,
        has_session: false,
    };
    assert!(text(&respond(&ask("/"), &off).unwrap()).contains("The journal is off"));
    assert!(respond(&ask("/metrics"), &off).is_none() && respond(&ask("/errors/a/b"), &off).is_none());
}

/// A journal whose database is away.
#[derive(Debug)]
struct Away;

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { what: "the journal cannot be read", source: "the database is away".into() })
}

impl Store for Away {
    fn write(&self, _: &[Entry]) -> Result<Vec<GroupEvent>, StoreError> {
        away()
    }

    fn find(&self, _: &str) -> Result<Option<Entry>, StoreError> {
        away()
    }

    fn list(&self, _: &ListQuery) -> Result<Page<Summary>, StoreError> {
        away()
    }

    fn groups(&self, _: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        away()
    }

    fn group(&self, _: &str) -> Result<Option<Group>, StoreError> {
        away()
    }

    fn counts(&self, _: &CountQuery) -> Result<Vec<Count>, StoreError> {
        away()
    }

    fn set_state(&self, _: &str, _: GroupState, _: Millis) -> Result<bool, StoreError> {
        away()
    }

    fn purge(&self, _: &Purge) -> Result<u64, StoreError> {
        away()
    }

    fn prune(&self, _: Millis) -> Result<Pruned, StoreError> {
        away()
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        away()
    }
}

#[test]
fn a_journal_that_cannot_be_read_takes_only_its_own_part_of_a_page() {
    let mut desk = Desk::new();
    let plan = lockgate::plan::compile::from_text(CONFIG, &|_| Some("secret-of-the-admin".into())).unwrap();
    let running = RunningConfig {
        version: "0123456789abcdef".into(),
        name: "lockgate.toml".into(),
        text: CONFIG.into(),
        folder: ".".into(),
        since: SystemTime::now(),
        needs_restart: Vec::new(),
    };
    let status = Status { running: Arc::new(running), last: None };
    desk.running = Running::of(&plan, &status, "eu-1a").with_values(&status);
    let acts = Acts(&desk.store, Mutex::default());
    let sources = Sources { store: Some(&Away), ..desk.sources(&acts) };
    let ask = |path: &str| {
        let ask = Ask {
            method: &Method::GET,
            path,
            query: None,
            form: b"",
            accept_language: None,
            cookie: None,
            role: Role::Operator,
            csrf: CSRF,
            has_session: false,
        };
        respond(&ask, &sources).unwrap()
    };
    let overview = ask("/");
    assert_eq!(overview.status, StatusCode::OK);
    let page = text(&overview);
    for part in [
        "The journal cannot be read",
        "the database is away",
        "http://127.0.0.2:9",
        "0 of 40 in flight",
        "5xx sent to clients",
        "beacon-warn",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("All is quiet") && !page.contains("Errors in the journal") && !page.contains("The journal is off"), "{page}");
    for path in ["/routes", "/configuration"] {
        assert_eq!(ask(path).status, StatusCode::OK, "{path}");
    }
    for path in ["/errors", "/groups", "/errors/x", "/groups/x"] {
        assert_eq!(ask(path).status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
}

#[test]
fn a_filter_is_shown_only_where_it_has_an_effect() {
    let desk = Desk::new();
    let as_viewer = |target: &str| text(&desk.ask(target, |ask| ask.role = Role::Viewer).0);
    let (set, all) = ("<ul class=\"set\"", desk.get("/errors"));
    let rows = |page: &str| page.matches("<tr data-row>").count();
    for target in ["/errors?exception=", "/errors?exception=+&route=&status=&since=&group=&q=", "/errors?exception=&exception="] {
        for page in [text(&desk.get(target)), as_viewer(target)] {
            assert!(!page.contains(set) && rows(&page) == rows(&text(&all)), "{target}");
        }
    }
    assert!(text(&desk.get("/errors?exception=KeyError")).contains(set));
    let page = as_viewer("/errors?exception=KeyError");
    assert!(!page.contains(set) && rows(&page) == rows(&text(&all)), "what a viewer may not ask for filters nothing, and is not said to");
    assert!(as_viewer("/errors?exception=&route=orders").contains(set));
}

#[test]
fn assets_are_kept_by_their_content() {
    let desk = Desk::new();
    let page = text(&desk.get("/"));
    let assets: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 3);
    for asset in assets {
        let answer = desk.get(asset);
        assert_eq!(answer.status, StatusCode::OK);
        assert!(header(&answer, "cache-control").unwrap().contains("immutable") && !answer.body.is_empty());
    }
}

#[test]
fn lists_are_paged_to_their_end() {
    let desk = Desk::new();
    let (mut target, mut rows) = ("/errors?route=signup".to_owned(), 0);
    for _ in 0..100 {
        let page = text(&desk.get(&target));
        rows += page.matches("<tr data-row>").count();
        let Some(next) = page.split("rel=\"next\" href=\"").nth(1) else { break };
        target = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    }
    let filter = lockgate::journal::query::Filter { route: Some("signup".into()), ..Default::default() };
    let mut all = ListQuery { filter, after: None, limit: 1000 };
    let mut expected = 0;
    loop {
        let page = desk.store.list(&all).unwrap();
        expected += page.items.len();
        match page.next {
            Some(next) => all.after = Some(next),
            None => break,
        }
    }
    assert!(rows == expected && rows > 900, "{rows} of {expected}");
}

const CONFIG: &str = r#"
[listen]
admin_token = "${ADMIN}"

[limits.login]
rate = "3/m"

[backends.shop]
endpoints = ["http://127.0.0.1:9", "http://127.0.0.2:9"]
max_in_flight = 40

[[routes]]
name = "orders"
path = "/orders/*"
methods = ["GET", "PUT"]
backend = "shop"
limits = ["login"]
"#;

#[test]
fn what_runs_is_read_from_the_plan() {
    let plan = lockgate::plan::compile::from_text(CONFIG, &|_| Some("secret-of-the-admin".into()))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let running = RunningConfig {
        version: "0123456789abcdef".into(),
        name: "lockgate.toml".into(),
        text: CONFIG.into(),
        folder: ".".into(),
        since: SystemTime::now(),
        needs_restart: Vec::new(),
    };
    let status = Status { running: Arc::new(running), last: None };
    let mut desk = Desk::new();
    desk.running = Running::of(&plan, &status, "eu-1a").with_values(&status);
    plan.metrics.limit("login").inc();
    desk.traffic.add(Sample::read(&plan.metrics.encode(Format::Plain), now() - 10_000));
    plan.metrics.limit("login").inc();
    desk.traffic.add(Sample::read(&plan.metrics.encode(Format::Plain), now()));
    let overview = text(&desk.get("/"));
    for part in [
        "2 of 2 endpoints",
        "http://127.0.0.2:9",
        "0 of 40 in flight",
        "<b>login</b><span class=\"limit-allows\">3/m",
        "<b>1</b> <span class=\"unit\">rejected / h",
    ] {
        assert!(overview.contains(part), "{part}");
    }
    let routes = text(&desk.get("/routes"));
    assert!(routes.contains("GET, PUT /orders/*") && routes.contains(">2</td>"), "{routes}");
    let configuration = text(&desk.get("/configuration?show=all"));
    for part in ["[backends.shop]", "lockgate.toml:9", "max_in_flight", "default", "0123456789abcdef"] {
        assert!(configuration.contains(part), "{part}");
    }
    assert!(!configuration.contains("secret-of-the-admin"));
}
