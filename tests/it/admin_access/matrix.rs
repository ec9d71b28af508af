//! Every page of the table for every kind of client.

use lockgate::admin::role::Role;
use lockgate::admin::table::{Open, Page, People, Program, ROWS, Row};

use super::{Ask, Guarded, OPERATOR, ORIGINALS, VIEWER, hidden, log_in, session};
use crate::harness::{Process, Response, Temporary, eventually, until};

/// A kind of client: what it sends, the role that it has, and whether it has a session.
struct Kind {
    name: &'static str,
    ask: Ask,
    role: Option<Role>,
    has_session: bool,
}

/// The token that the forms of a client repeat; none if it sees no form.
fn csrf(guarded: &Guarded, ask: &Ask) -> String {
    let page = ask.get(guarded.admin, &format!("/groups/{}", guarded.group)).text();
    if page.contains("name=\"csrf\"") { hidden(&page, "csrf") } else { String::new() }
}

fn ask(guarded: &Guarded, row: &Row, ask: &Ask, csrf: &str) -> Response {
    // The stream of changes has no end.
    let method = if row.path == "/live" { "HEAD" } else { row.method };
    let (mut path, mut body) = (guarded.path(row.path), String::new());
    match row.page {
        Page::People(People::SetState, _) => body = format!("csrf={csrf}&state=known"),
        Page::People(People::LogOut, _) => body = "csrf=".to_owned(),
        // The entry is needed for the other pages.
        Page::Program(Program::PurgeOne, _) => path = "/api/errors/none".to_owned(),
        Page::Program(Program::Purge, _) => path.push_str("?before=1h"),
        _ if row.path == "/api/groups/{fingerprint}" && method == "POST" => path.push_str("?state=known"),
        _ if method == "PUT" => body = "info".to_owned(),
        _ => {}
    }
    ask.send(guarded.admin, method, &path, &body)
}

/// What a client of this role must get: a refusal of its role, one of a stranger, or neither.
fn judge(row: &Row, kind: &Kind, response: &Response) -> Result<(), String> {
    let got = response.status;
    let holds = match (row.role(), kind.role) {
        // Without the token of the form it is shown again.
        (None, _) => got < 400 || (row.page == Page::Open(Open::LogIn) && got == 403),
        (Some(_), None) => {
            matches!(got, 401 | 303) && (got == 401 || response.header("location").is_some_and(|to| to.starts_with("/login")))
        }
        (Some(needed), Some(role)) if !role.may_use(needed) => got == 403,
        (Some(_), Some(_)) if matches!(row.page, Page::Program(..)) && row.method != "GET" && kind.has_session => got == 403,
        // A gateway of a test has no file to load again.
        (Some(_), Some(_)) if row.path == "/reload" => matches!(got, 200 | 422),
        (Some(_), Some(_)) if row.page == Page::Program(Program::PurgeOne, Role::Operator) => got == 404,
        (Some(_), Some(_)) => got < 400 && response.header("location") != Some("/login"),
    };
    if holds { Ok(()) } else { Err(format!("{}: {} {}: {got} {}", kind.name, row.method, row.path, response.text())) }
}

#[test]
fn every_page_asks_for_its_role() {
    let guarded = Guarded::start("matrix", "");
    let admin = guarded.admin;
    let kind = |name, ask, role, has_session| Kind { name, ask, role, has_session };
    let kinds = [
        kind("nobody", Ask::default(), None, false),
        kind("a browser without a session", Ask::default().browser(), None, false),
        kind("a wrong token", Ask::bearer("wrong"), None, false),
        kind("a wrong session", Ask::cookie(&format!("lockgate-session={}", "0".repeat(64))), None, false),
        kind("the token as a cookie", Ask::cookie(&format!("lockgate-session={OPERATOR}")), None, false),
        kind("a wrong token with a session", Ask::bearer("wrong").with("Cookie", &session(admin, OPERATOR)), None, false),
        kind("a viewer", Ask::bearer(VIEWER), Some(Role::Viewer), false),
        kind("a viewer by password", Ask::basic(VIEWER), Some(Role::Viewer), false),
        kind("a viewer by session", Ask::cookie(&session(admin, VIEWER)), Some(Role::Viewer), true),
        kind("an operator", Ask::bearer(OPERATOR), Some(Role::Operator), false),
        kind("an operator by password", Ask::basic(OPERATOR), Some(Role::Operator), false),
        kind("an operator by session", Ask::cookie(&session(admin, OPERATOR)), Some(Role::Operator), true),
    ];
    let mut wrong = Vec::new();
    for kind in &kinds {
        let csrf = kind.role.map(|_| csrf(&guarded, &kind.ask)).unwrap_or_default();
        for (at, row) in ROWS.iter().enumerate() {
            // Each from an address of its own, so that wrong tokens are looked at.
            let response = ask(&guarded, row, &kind.ask.clone().from(&format!("10.0.{}.{at}", kind.name.len())), &csrf);
            wrong.extend(judge(row, kind, &response).err());
            if kind.role != Some(Role::Operator) {
                wrong.extend(
                    ORIGINALS
                        .iter()
                        .filter(|word| response.everything().contains(*word))
                        .map(|word| format!("{}: {} shows {word}", kind.name, row.path)),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_session_ends_with_its_time() {
    let guarded = Guarded::start("expiry", "admin_session = \"1s\"\n");
    let browser = Ask::cookie(&session(guarded.admin, OPERATOR)).browser();
    eventually("the session is over", || browser.get(guarded.admin, "/").status == 303);
    for row in ROWS.iter().filter(|row| row.role().is_some()) {
        let response = ask(&guarded, row, &browser, "");
        assert!(matches!(response.status, 303 | 401), "{} {}: {}", row.method, row.path, response.status);
    }
}

#[test]
fn a_session_ends_with_its_token() {
    let folder = Temporary::folder("token-change");
    let config = folder.join("lockgate.toml");
    for (name, token) in [("operator", OPERATOR), ("viewer", VIEWER)] {
        std::fs::write(folder.join(name), token).unwrap();
    }
    let text = "watch = false\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nadmin_token = \"file:operator\"\nadmin_viewer_token = \"file:viewer\"\n\
                [backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    std::fs::write(&config, text).unwrap();
    let process = Process::start(&["run", "--config", config.to_str().unwrap()]);
    let admin = process.admin;
    let (operator, viewer) = (Ask::cookie(&session(admin, OPERATOR)).browser(), Ask::cookie(&session(admin, VIEWER)).browser());
    let reload = |token: &str| assert_eq!(Ask::bearer(token).send(admin, "POST", "/reload", "").json()["outcome"], "applied");
    let is_open = |ask: &Ask| ask.get(admin, "/configuration").status == 200;
    std::fs::write(folder.join("operator"), "another-token").unwrap();
    reload(OPERATOR);
    assert!(!is_open(&operator) && is_open(&viewer), "each session ends with its own token");
    assert_eq!(operator.get(admin, "/api/errors").status, 401);
    std::fs::write(&config, text.replace("admin_viewer_token = \"file:viewer\"\n", "")).unwrap();
    reload("another-token");
    assert!(!is_open(&viewer));
    assert_eq!(Ask::bearer(VIEWER).get(admin, "/config").status, 401, "the token of viewers is gone");
    // The old token again: what is over stays over.
    std::fs::write(folder.join("operator"), OPERATOR).unwrap();
    reload("another-token");
    assert!(!is_open(&operator));
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let guarded = Guarded::start("cross-site", "");
    let operator = Ask::cookie(&session(guarded.admin, OPERATOR));
    let csrf = csrf(&guarded, &operator);
    for row in ROWS.iter().filter(|row| row.method != "GET") {
        for foreign in
            [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
        {
            let response = ask(&guarded, row, &operator.clone().with(foreign.0, foreign.1), &csrf);
            assert_eq!(response.status, 403, "{} {} {foreign:?}", row.method, row.path);
        }
    }
    let state = Ask::bearer(OPERATOR).get(guarded.admin, &format!("/api/groups/{}", guarded.group)).json()["state"].clone();
    assert_eq!(state, "new");
}

#[test]
fn a_form_repeats_the_token_of_its_own_session() {
    let guarded = Guarded::start("own-csrf", "");
    let admin = guarded.admin;
    let (one, other) = (Ask::cookie(&session(admin, OPERATOR)), Ask::cookie(&session(admin, OPERATOR)));
    let (of_one, of_other, of_token) = (csrf(&guarded, &one), csrf(&guarded, &other), csrf(&guarded, &Ask::bearer(OPERATOR)));
    assert!(of_one.len() == 64 && of_one != of_other && of_one != of_token, "{of_one} {of_other} {of_token}");
    let set = |csrf: &str| one.send(admin, "POST", &format!("/groups/{}", guarded.group), &format!("csrf={csrf}&state=muted")).status;
    for wrong in ["", of_other.as_str(), of_token.as_str(), &of_one[1..], &format!("{of_one}0")] {
        assert_eq!(set(wrong), 403, "{wrong}");
    }
    // A viewer does not get any further with the token of its own session.
    let viewer = Ask::cookie(&session(admin, VIEWER));
    let own = hidden(&viewer.get(admin, "/").text(), "csrf");
    assert_eq!(viewer.send(admin, "POST", &format!("/groups/{}", guarded.group), &format!("csrf={own}&state=muted")).status, 403);
    assert_eq!(set(&of_one), 303);
}

#[test]
fn a_logout_ends_the_session() {
    let guarded = Guarded::start("logout", "");
    let admin = guarded.admin;
    let browser = Ask::cookie(&session(admin, VIEWER)).browser();
    let own = hidden(&browser.get(admin, "/errors").text(), "csrf");
    let kept = browser.send(admin, "POST", "/logout", "csrf=wrong");
    assert_eq!((kept.status, kept.header("location"), browser.get(admin, "/").status), (303, Some("/"), 200));
    let left = browser.send(admin, "POST", "/logout", &format!("csrf={own}"));
    assert_eq!((left.status, left.header("location")), (303, Some("/login")));
    assert!(
        left.all("set-cookie").iter().any(|cookie| cookie.starts_with("lockgate-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")),
        "{left:?}"
    );
    assert_eq!(browser.get(admin, "/").status, 303, "the cookie itself is worth nothing any more");
    // Who has no session sees no way to end one.
    assert!(!Ask::bearer(VIEWER).get(admin, "/").text().contains("/logout"));
}

/// The headers of every response, whatever it is.
#[test]
fn every_response_is_safe_in_a_browser() {
    let guarded = Guarded::start("headers", "");
    let operator = Ask::bearer(OPERATOR);
    let csrf = csrf(&guarded, &operator);
    for (name, client) in [("operator", operator), ("viewer", Ask::bearer(VIEWER)), ("stranger", Ask::default().browser())] {
        for row in ROWS {
            let response = ask(&guarded, row, &client, &csrf);
            let place = format!("{name}: {} {}: {response:?}", row.method, row.path);
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{place}");
            let is_asset = row.page == Page::Open(Open::Asset);
            assert_eq!(response.header("cache-control") == Some("no-store"), !is_asset, "{place}");
            assert!(response.header("access-control-allow-origin").is_none(), "{place}");
            assert_eq!(response.header("x-frame-options"), Some("DENY"), "{place}");
            assert_eq!(response.header("referrer-policy"), Some("same-origin"), "{place}");
            assert_eq!(response.header("cross-origin-resource-policy"), Some("same-origin"), "{place}");
            let policy = response.header("content-security-policy").unwrap_or_else(|| panic!("{place}"));
            assert!(
                policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
                "{place}"
            );
            if response.header("content-type").is_some_and(|kind| kind.contains("html")) {
                assert!(policy.contains("form-action 'self'") && policy.contains("base-uri 'none'"), "{place}");
                assert!(response.header("vary").is_some_and(|vary| vary.contains("Cookie")), "{place}");
            }
        }
    }
}

#[test]
fn without_a_token_everybody_is_an_operator() {
    let gateway = crate::harness::GatewayUnderTest::in_front_of("127.0.0.1:9".parse().unwrap(), "");
    let ask = Ask::default().browser();
    for (path, to) in [("/login", "/"), ("/login?to=/errors", "/")] {
        let response = ask.get(gateway.admin, path);
        assert_eq!((response.status, response.header("location")), (303, Some(to)), "{path}");
    }
    let page = ask.get(gateway.admin, "/");
    assert!(page.status == 200 && !page.text().contains("/logout"));
    assert_eq!(Ask::default().send(gateway.admin, "PUT", "/log", "info").status, 200);
    // A token that is not asked for does not matter.
    assert_eq!(Ask::bearer("any").get(gateway.admin, "/config").status, 200);
}

#[test]
fn a_page_that_asks_for_a_login_leads_back() {
    let guarded = Guarded::start("back", "");
    let admin = guarded.admin;
    let asked = format!("/errors/{}", guarded.id);
    let refused = Ask::default().browser().get(admin, &format!("{asked}?a=b%26c"));
    let to = refused.header("location").unwrap().to_owned();
    assert_eq!(refused.status, 303);
    let form = Ask::default().browser().get(admin, &to);
    assert_eq!(hidden(&form.text(), "to"), format!("{asked}?a=b%26c"));
    let response = log_in(admin, OPERATOR, &hidden(&form.text(), "to"), &Ask::default());
    assert_eq!(response.header("location"), Some(&*format!("{asked}?a=b%26c")));
    // Who has a session is not asked again.
    let again = Ask::cookie(&session(admin, OPERATOR)).browser().get(admin, &to);
    assert_eq!((again.status, again.header("location")), (303, Some(&*format!("{asked}?a=b%26c"))));
    until(|| if guarded.gateway.log_lines() > 0 { Ok(()) } else { Err("no line".to_owned()) });
}
