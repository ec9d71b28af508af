//! Tests what the journal keeps of failed requests, through the admin listener and the commands.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::contract::assert_contract;
use crate::harness::postgres::Postgres;
use crate::harness::{GatewayUnderTest, Origin, Process, Response, Temporary, get, send, until};

/// What an application says when it fails, with a credential.
const TRACE: &str = "java.lang.IllegalStateException: no stock for order 4711 (password=hunter2)\n\tat shop.Stock.take(Stock.java:42)\n\tat shop.Orders.place(Orders.java:7)\n<script>alert(1)</script>\n";

fn failing() -> Origin {
    Origin::start(|c| {
        let length = TRACE.len();
        c.say(format!(
            "HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nSet-Cookie: session=cookie-value\r\nX-Node: node-7\r\nContent-Length: {length}\r\n\r\n{TRACE}"
        ));
    })
}

fn id(response: &Response) -> String {
    response.header("x-request-id").unwrap().to_owned()
}

/// The entry of a request, once it is written.
fn entry(gateway: &GatewayUnderTest, id: &str) -> Value {
    entry_at(gateway.admin, id)
}

fn entry_at(admin: SocketAddr, id: &str) -> Value {
    until(|| match get(admin, &format!("/api/errors/{id}")) {
        response if response.status == 200 => Ok(response.json()),
        response => Err(response.text()),
    })
}

#[test]
fn the_original_is_found_by_the_request_id() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let request = "POST /orders/7?token=hunter2&page=1 HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer hunter2\r\nCookie: a=hunter2\r\n\
                   X-Tenant: blue\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let response = send(gateway.address, request);
    assert_eq!(assert_contract("POST", &response), "UPSTREAM_ERROR");
    let found = entry(&gateway, &id(&response));
    let texts = ["method", "path", "query", "host", "route", "backend", "code", "exception", "answer_body"]
        .map(|name| found[name].as_str().unwrap_or_default());
    assert_eq!(texts[..7], ["POST", "/orders/7", "token=***&page=***", "shop.example", "all", "o", "UPSTREAM_ERROR"], "{found:#}");
    assert_eq!(texts[7], "java.lang.IllegalStateException", "{found:#}");
    assert!(found["message"].as_str().unwrap().starts_with("no stock for order 4711"), "{found:#}");
    assert_eq!(texts[8], response.text(), "the very answer that the client got");
    assert_eq!((&found["status"], &found["received"]), (&Value::from(502), &Value::from(500)));
    let body = found["upstream_body"].as_str().unwrap();
    assert!(body.contains("no stock for order 4711") && body.contains("Stock.java:42"), "{body}");
    assert_eq!(found["attempts"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["attempts"][0]["status"], 500);
    let times = ["connect_us", "took_us"].map(|name| found["attempts"][0][name].as_u64().unwrap());
    assert!(0 < times[0] && times[0] <= times[1], "{found:#}");
    let all = found.to_string();
    assert!(!all.contains("hunter2") && !all.contains("cookie-value"), "credentials are masked: {all}");
    for kept in ["x-tenant", "blue"] {
        assert!(all.contains(kept), "{kept} in {found:#}");
    }
}

#[test]
fn failures_of_the_gateway_itself_are_kept_and_successes_are_not() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[backends.down]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nname = \"up\"\npath = \"/*\"\nbackend = \"o\"\n[[routes]]\nname = \"down\"\npath = \"/down\"\nbackend = \"down\"\n",
        origin.address
    ));
    assert_eq!(get(gateway.address, "/fine").status, 200);
    let refused = get(gateway.address, "/down");
    let missing = get(gateway.address, "/%zz");
    let found = entry(&gateway, &id(&refused));
    assert_eq!((found["reason"].as_str(), found["route"].as_str()), (Some("connection_refused"), Some("down")));
    assert!(found["cause"].as_str().unwrap().contains("refused"), "{found:#}");
    assert_eq!(entry(&gateway, &id(&missing))["status"], 400);
    let list = get(gateway.admin, "/api/errors?limit=10").json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list:#}");
}

#[test]
fn the_headers_of_a_rejected_request_are_kept_as_they_arrived() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nmethods = [\"GET\"]\nbackend = \"o\"\n",
        origin.address
    ));
    let request = "PATCH /x HTTP/1.1\r\nHost: a\r\nX-Tenant: blue\r\nAuthorization: Bearer hunter2\r\nConnection: close\r\n\r\n";
    let response = send(gateway.address, request);
    assert_eq!(assert_contract("PATCH", &response), "METHOD_NOT_ALLOWED");
    let found = entry(&gateway, &id(&response));
    let headers = found["request_headers"].to_string();
    assert!(headers.contains("[\"x-tenant\",\"blue\"]") && !headers.contains("hunter2"), "{found:#}");
    assert_eq!(found["attempts"].as_array().map(Vec::len), Some(0));
}

/// A request with a body.
fn post(gateway: &GatewayUnderTest, content_type: &str, body: &str) -> Response {
    let length = body.len();
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    send(gateway.address, head + body)
}

#[test]
fn the_body_of_a_request_is_kept_if_it_is_asked_for() {
    let origin = Origin::start(|c| {
        c.body();
        c.say("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    });
    let body = r#"{"sku":"Z-9","password":"hunter2","note":"customer CUST-12345678"}"#;
    let without = GatewayUnderTest::in_front_of(origin.address, "");
    let found = entry(&without, &id(&post(&without, "application/json", body)));
    assert!(found["request_body"].is_null(), "{found:#}");

    let gateway = GatewayUnderTest::in_front_of(origin.address, "[journal]\nrequest_body = \"100B\"\nredact = [\"CUST-[0-9]{8}\"]\n");
    let kept = |content_type: &str, body: &str| entry(&gateway, &id(&post(&gateway, content_type, body)));
    let found = kept("application/json", body);
    assert_eq!(found["request_body"], r#"{"sku":"Z-9","password":"***","note":"customer ***"}"#);
    assert_eq!(found["request_truncated"], false);
    let shown = browse(&gateway, &format!("/errors/{}", found["request_id"].as_str().unwrap())).text();
    assert!(shown.contains("Z-9") && !shown.contains("hunter2"), "{shown}");
    let long = format!("{{\"sku\":\"Z-9\",\"note\":\"{}\"}}", "x".repeat(500));
    let found = kept("application/json", &long);
    assert_eq!((&found["request_body"], &found["request_truncated"]), (&Value::from("{\"sku\":\"Z-9\",\"note\":"), &Value::from(true)));
    assert_eq!(kept("image/png", "hunter2")["request_body"], "[7 bytes of image/png]");
    assert_eq!(kept("application/json", "password hunter2")["request_body"], "[16 bytes of application/json]");
    assert_eq!(kept("application/x-www-form-urlencoded", "a=b&token=hunter2")["request_body"], "a=b&token=***");
    assert!(kept("text/plain", "")["request_body"].is_null());
    // The body itself passes unchanged, whatever its length.
    let echo = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(echo.address, "[journal]\nrequest_body = \"1KiB\"\n");
    let large = "y".repeat(300_000);
    assert!(post(&gateway, "text/plain", &large).text().contains(&large));
}

#[test]
fn a_share_of_a_frequent_group_is_kept_and_all_are_counted() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[journal]\nsample = 0\n");
    for n in 0..25 {
        get(gateway.address, &format!("/orders/{n}"));
    }
    until(|| match get(gateway.admin, "/api/groups").json()["items"][0]["count"].as_u64() {
        Some(25) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let kept = get(gateway.admin, "/api/errors?limit=100").json()["items"].as_array().map(Vec::len);
    // A minute may have begun in between.
    assert!(matches!(kept, Some(10..=20)), "{kept:?}");
    let metrics = get(gateway.admin, "/metrics").text();
    let sampled = metrics.lines().find_map(|line| line.strip_prefix("lockgate_journal_entries_sampled_out_total "));
    assert_eq!(sampled.and_then(|count| count.parse::<usize>().ok()), kept.map(|kept| 25 - kept));
}

#[test]
fn the_same_fault_is_one_group_whose_state_an_operator_sets() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let first = get(gateway.address, "/orders/1");
    let second = get(gateway.address, "/orders/2");
    let group = entry(&gateway, &id(&first))["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(entry(&gateway, &id(&second))["fingerprint"], group.as_str());
    let groups = get(gateway.admin, "/api/groups").json();
    assert_eq!((&groups["items"][0]["count"], &groups["items"][0]["state"]), (&Value::from(2), &Value::from("new")), "{groups:#}");
    let admin = gateway.admin;
    let set = |state: &str, more: &str| {
        send(
            admin,
            format!(
                "POST /api/groups/{group}?state={state} HTTP/1.1\r\nHost: {admin}\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
            ),
        )
    };
    assert_eq!(set("resolved", "Origin: http://evil.example\r\n").status, 403);
    assert_eq!(set("fixed", "").status, 400);
    assert_eq!(set("resolved", "").json()["state"], "resolved");
    let third = get(gateway.address, "/orders/3");
    entry(&gateway, &id(&third));
    assert_eq!(get(admin, &format!("/api/groups/{group}")).json()["state"], "regressed");
}

#[test]
fn exceptions_that_only_a_trace_tells_are_groups_of_their_own() {
    let origin = Origin::start(|c| {
        let thrown = if c.head.contains("/key") { "KeyError: 'sku'" } else { "ValueError: no price" };
        let frames = "  File \"/srv/shop/app.py\", line 7, in handle\n    return pay(order)\n  File \"/srv/shop/pay.py\", line 9, in pay\n    go()\n";
        let trace = format!("Traceback (most recent call last):\n{frames}{thrown}\n");
        let (kind, body) = match c.head.contains("page") {
            true => ("text/html", format!("<!doctype html><title>Oops</title><pre>{}</pre>", trace.replace('"', "&quot;"))),
            false => ("text/plain", trace),
        };
        c.say(format!("HTTP/1.1 500 X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let of = |path: &str| entry(&gateway, &id(&get(gateway.address, path)));
    for form in ["text", "page"] {
        let (key, value) = (of(&format!("/{form}/key")), of(&format!("/{form}/value")));
        assert_eq!((&key["exception"], &value["exception"]), (&Value::from("KeyError"), &Value::from("ValueError")), "{key:#}");
        assert_eq!((&key["title"], &value["title"]), (&Value::from("KeyError: 'sku'"), &Value::from("ValueError: no price")), "{key:#}");
        assert_ne!(key["fingerprint"], value["fingerprint"]);
        assert_eq!(key["fingerprint"], of(&format!("/{form}/key"))["fingerprint"]);
    }
    let found = get(gateway.admin, "/api/errors?exception=KeyError").json();
    assert_eq!(found["items"].as_array().unwrap().len(), 4, "{found:#}");
}

#[test]
fn a_request_that_began_before_its_group_was_resolved_does_not_bring_it_back() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        if c.head.contains("/orders/slow") {
            wait.lock().unwrap().recv_timeout(crate::harness::PATIENCE).unwrap();
        }
        c.say(format!("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{TRACE}", TRACE.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let (address, admin) = (gateway.address, gateway.admin);
    let group = entry(&gateway, &id(&get(address, "/orders/1")))["fingerprint"].as_str().unwrap().to_owned();
    let slow = std::thread::spawn(move || get(address, "/orders/slow"));
    origin.wait_for_requests(2);
    let resolve =
        format!("POST /api/groups/{group}?state=resolved HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(send(admin, resolve).json()["state"], "resolved");
    go.send(()).unwrap();
    assert_eq!(entry(&gateway, &id(&slow.join().unwrap()))["fingerprint"], group.as_str());
    let found = get(admin, &format!("/api/groups/{group}")).json();
    assert_eq!((&found["state"], &found["count"]), (&Value::from("resolved"), &Value::from(2)));
    entry(&gateway, &id(&get(address, "/orders/3")));
    assert_eq!(get(admin, &format!("/api/groups/{group}")).json()["state"], "regressed");
}

#[test]
fn groups_are_paged_by_cursors_to_their_end() {
    let origin = Origin::start(|c| {
        let name = c.head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let body = format!("java.lang.{name}Exception: no");
        c.say(format!("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut expected: Vec<String> = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon"]
        .iter()
        .map(|name| entry(&gateway, &id(&get(gateway.address, &format!("/{name}"))))["fingerprint"].as_str().unwrap().to_owned())
        .collect();
    expected.sort();
    expected.dedup();
    assert_eq!(expected.len(), 5);
    for order in ["last", "first", "count"] {
        let (mut target, mut found) = (format!("/api/groups?order={order}&limit=2&after="), Vec::new());
        for _ in 0..10 {
            let page = get(gateway.admin, &target).json();
            found.extend(page["items"].as_array().unwrap().iter().map(|group| group["fingerprint"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            target = format!("/api/groups?order={order}&limit=2&after={next}");
        }
        found.sort();
        assert_eq!(found, expected, "{order}");
    }
    assert!(get(gateway.admin, "/api/groups?limit=5").json()["next"].is_null());
    assert_eq!(get(gateway.admin, "/api/groups?offset=4").json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(get(gateway.admin, "/api/groups?after=x").status, 400);
}

#[test]
fn a_parameter_without_a_value_is_as_if_it_were_not_there() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    entry(&gateway, &id(&get(gateway.address, "/orders/1")));
    let items = |target: &str| get(gateway.admin, target).json()["items"].as_array().map(Vec::len);
    for target in [
        "/api/errors?exception=&route=&status=&since=&limit=&after=&full=",
        "/api/errors?exception=%20",
        "/api/groups?state=&since=&route=&order=&offset=&limit=&after=",
    ] {
        assert_eq!(items(target), Some(1), "{target}");
    }
    for target in ["/api/errors?before=", "/api/errors?all=", "/api/errors?group=&before="] {
        let admin = gateway.admin;
        let answer = send(admin, format!("DELETE {target} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.status, 400, "nothing is removed by {target}");
    }
    assert_eq!(items("/api/errors"), Some(1));
}

#[test]
fn the_overview_is_there_while_the_database_of_the_journal_is_away() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[journal]\nurl = \"postgres://127.0.0.1:1/none\"\n");
    get(gateway.address, "/orders/1");
    let page = browse(&gateway, "/");
    assert_eq!(page.status, 200);
    let endpoint = format!("http://{}", origin.address);
    for part in ["The journal cannot be read", &endpoint, "Rate limits"] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    assert_eq!(browse(&gateway, "/groups").status, 503);
}

#[test]
fn questions_that_are_wrong_are_told_so() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for (path, status) in [
        ("/api/errors?status=9xx", 400),
        ("/api/errors?since=yesterday", 400),
        ("/api/errors?limit=0", 400),
        ("/api/errors?colour=red", 400),
        ("/api/groups?order=worst", 400),
        ("/api/errors/unknown", 404),
        ("/api/groups/unknown", 404),
        ("/api/else", 404),
    ] {
        let response = get(gateway.admin, path);
        assert_contract("GET", &response);
        assert_eq!(response.status, status, "{path}");
    }
    let delete = send(gateway.admin, "DELETE /api/errors HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(delete.status, 400);
    let put = send(gateway.admin, "PUT /api/errors/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(put.status, 405);
}

#[test]
fn a_gateway_can_keep_nothing() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[journal]\nenabled = false\n");
    let response = get(gateway.address, "/");
    assert_eq!(response.status, 502);
    assert_eq!(get(gateway.admin, &format!("/api/errors/{}", id(&response))).status, 404);
}

#[test]
fn operators_choose_what_else_is_masked() {
    let body = "{\"error\":\"customer CUST-12345678 is unknown\"}";
    let origin = Origin::says(format!(
        "HTTP/1.1 500 X\r\nContent-Type: application/json\r\nX-Session: abcdef\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = GatewayUnderTest::in_front_of(
        origin.address,
        "[journal]\nredact = [\"CUST-[0-9]{8}\"]\nredact_headers = [\"X-Session\"]\nbody_limit = \"20B\"\n",
    );
    let found = entry(&gateway, &id(&get(gateway.address, "/")));
    let all = found.to_string();
    assert!(!all.contains("12345678") && !all.contains("abcdef"), "{found:#}");
    assert_eq!(found["upstream_truncated"], true);
}

#[test]
fn credentials_are_masked_wherever_an_entry_holds_them() {
    let body = r#"{"message":"no stock","session":"S3CR-body","fields":[{"name":"password","value":"S3CR-pair"}],"raw":"{\"pin\":\"S3CR-text\"}"}"#;
    let origin = Origin::says(format!(
        "HTTP/1.1 500 X\r\nContent-Type: application/json\r\nX-Session: S3CR-1\r\nX-Vault-Token: S3CR-2\r\nAuthentication-Info: S3CR-3\r\n\
         X-Shelf: shelf-7\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let names = "x-access-token x-session-token private-token x-goog-api-key ocp-apim-subscription-key apikey x-signature dpop cookie2";
    let headers: String = names.split(' ').map(|name| format!("{name}: S3CR-{name}\r\n")).collect();
    let request = format!(
        "GET /cb/acc%65ss_token%3DS3CR-path?sk_live_S3CR0123456789abcdef=2 HTTP/1.1\r\nHost: a\r\nReferer: https://a/b?code=S3CR-code\r\n\
         {headers}Idempotency-Key: order-7\r\nConnection: close\r\n\r\n"
    );
    let found = entry(&gateway, &id(&send(gateway.address, &request)));
    assert!(!found.to_string().contains("S3CR"), "{found:#}");
    for kept in ["no stock", "shelf-7", "order-7", "https://a/b?code=***", "/cb/access_token=***"] {
        assert!(found.to_string().contains(kept), "{kept} in {found:#}");
    }
}

#[test]
fn credentials_are_masked_beside_what_names_them() {
    let body = r#"{"message":"no stock","headers":[["cookie","S3CR"]],"raw":["Host","a","Authorization","S3CR"],"path":"/token/S3CR","card_type":"visa"}"#;
    let origin = Origin::start(move |c| {
        c.body();
        c.say(format!("HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[journal]\nrequest_body = \"4KiB\"\n");
    const FORM: &str = "application/x-www-form-urlencoded";
    for (content_type, sent, kept) in [
        (FORM, "user[pass]=S3CR&pass[user]=S3CR&user%5Bkey%5D=S3CR&a=1", "user[pass]=***&pass[user]=***&user[key]=***&a=1"),
        (FORM, "data=%7B%22password%22%3A%22S3CR%22%2C%22code%22%3A%22S3CR%22%7D", r#"data={"password":"***","code":"***"}"#),
        (
            "application/json-patch+json",
            r#"[{"op":"replace","path":"/password","value":"S3CR"}]"#,
            r#"[{"op":"replace","path":"/password","value":"***"}]"#,
        ),
        ("application/json", r#"[["cookie","S3CR"],["accept","a"]]"#, r#"[["cookie","***"],["accept","a"]]"#),
        (
            "application/json",
            r#"{"card_type":"visa","pin_count":4,"pan_european":1,"business_card_layout":"a","pin_code":"S3CR"}"#,
            r#"{"card_type":"visa","pin_count":4,"pan_european":1,"business_card_layout":"a","pin_code":"***"}"#,
        ),
    ] {
        let found = entry(&gateway, &id(&post(&gateway, content_type, sent)));
        assert_eq!(found["request_body"], kept, "{sent}");
        assert!(!found.to_string().contains("S3CR"), "{found:#}");
        assert!(found["upstream_body"].as_str().unwrap().contains(r#""card_type":"visa""#), "{found:#}");
    }
    for (path, shown) in
        [("/token/S3CR", "/token/***"), ("/reset-password/S3CR", "/reset-password/***"), ("/oauth/token/revoke", "/oauth/token/revoke")]
    {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nReferer: https://a.example{path}\r\nSec-WebSocket-Protocol: chat, qwertzuiop\r\nConnection: close\r\n\r\n"
        );
        let found = entry(&gateway, &id(&send(gateway.address, request)));
        assert_eq!(found["path"], shown);
        assert!(!found.to_string().contains("S3CR") && !found.to_string().contains("qwertzuiop"), "{found:#}");
    }
}

#[test]
fn markdown_of_an_error_steers_nothing() {
    let body = "a\u{1b}[31mb\u{202e}c````\r\nd";
    let origin = Origin::says(format!("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let id = id(&get(gateway.address, "/"));
    entry(&gateway, &id);
    let text = get(gateway.admin, &format!("/errors/{id}.md")).text();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
    assert!(text.contains("\n`````\na␛[31mb⟨U+202E⟩c````\nd\n`````\n"), "{text}");
}

#[test]
fn the_command_shows_what_the_upstream_said() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let id = id(&get(gateway.address, "/orders/1"));
    entry(&gateway, &id);
    let admin = gateway.admin.to_string();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).arg("errors").args(args).args(["--admin", &admin]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, shown) = run(&["show", &id]);
    assert!(code == Some(0) && shown.contains("Stock.java:42") && shown.contains("UPSTREAM_ERROR"), "{shown}");
    let (code, listed) = run(&["list", "--since", "5m", "--status", "5xx", "--text", "stock"]);
    assert!(code == Some(0) && listed.contains(&id), "{listed}");
    let (code, groups) = run(&["groups"]);
    assert!(code == Some(0) && groups.contains("IllegalStateException"), "{groups}");
    assert_eq!(run(&["show", "unknown"]).0, Some(1));
}

/// The file of a configuration with a journal.
fn config(name: &str, origin: SocketAddr, journal: &str) -> Temporary {
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n[journal]\n{journal}\n[backends.o]\nendpoints = [\"http://{origin}\"]\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n"
    );
    Temporary::file(&format!("{name}.toml"), &text)
}

fn in_file(path: &Path) -> String {
    format!("path = \"{}\"", path.display())
}

fn start(config: &Temporary) -> Process {
    Process::start(&["run", "--config", config.to_str().unwrap()])
}

#[test]
fn a_journal_in_a_file_survives_a_kill() {
    let (origin, folder) = (failing(), Temporary::folder("journal-kill"));
    let config = config("journal-kill", origin.address, &in_file(&folder.join("journal.db")));
    let mut killed = start(&config);
    let id = id(&get(killed.address, "/orders/1"));
    let found = entry_at(killed.admin, &id);
    killed.signal("-9");
    killed.exit_code();
    let again = start(&config);
    assert_eq!(entry_at(again.admin, &id), found);
}

#[test]
fn the_file_of_the_journal_is_no_file_of_the_configuration() {
    let (origin, folder) = (failing(), Temporary::folder("journal-watched"));
    let config = config("journal-watched", origin.address, &in_file(&folder.join("journal.db")));
    let process = start(&config);
    let id = id(&get(process.address, "/orders/1"));
    entry_at(process.admin, &id);
    let admin = process.admin;
    let ask = |method: &str, path: &str| {
        send(admin, format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).json()
    };
    // A purge writes the file itself, and not only its log.
    assert_eq!(ask("DELETE", &format!("/api/errors/{id}"))["removed"], 1);
    assert_eq!(ask("POST", "/reload")["outcome"], "unchanged");
}

#[test]
fn a_stop_writes_the_last_entries() {
    let (origin, folder) = (failing(), Temporary::folder("journal-stop"));
    let config = config("journal-stop", origin.address, &in_file(&folder.join("journal.db")));
    let mut stopped = start(&config);
    let ids: Vec<String> = (0..20).map(|n| id(&get(stopped.address, &format!("/orders/{n}")))).collect();
    stopped.signal("-TERM");
    assert_eq!(stopped.exit_code(), Some(0));
    let again = start(&config);
    for id in &ids {
        assert_eq!(get(again.admin, &format!("/api/errors/{id}")).status, 200, "{id}");
    }
}

#[test]
fn a_journal_that_cannot_be_opened_ends_the_start() {
    let (origin, folder) = (failing(), Temporary::folder("journal-unopenable"));
    let used = folder.join("used.db");
    let user = start(&config("journal-user", origin.address, &in_file(&used)));
    for (path, words) in [
        (folder.join("missing/journal.db"), "there is no folder"),
        (folder.to_path_buf(), "not a regular file"),
        ("/dev/null".into(), "not a regular file"),
        (used, "is used by another process"),
    ] {
        let config = config("journal-unopenable", origin.address, &in_file(&path));
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(["run", "--config", config.to_str().unwrap()]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("the journal cannot be opened") && told.contains(words) && told.contains("help: "), "{told}");
    }
    assert_eq!(get(user.address, "/").status, 502);
}

#[test]
fn a_gateway_serves_while_the_database_of_its_journal_is_down() {
    let origin = failing();
    // A port that was just given back refuses connections.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config("journal-down", origin.address, &format!("url = \"postgres://{closed}/journal\""));
    let mut process = start(&config);
    let response = get(process.address, "/");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_ERROR");
    let page = get(process.admin, &format!("/api/errors/{}", id(&response)));
    assert_eq!(page.status, 503, "{}", page.text());
    process.signal("-TERM");
    assert_eq!(process.exit_code(), Some(0));
}

#[test]
fn gateways_share_a_journal_in_a_database() {
    let (origin, server) = (failing(), Postgres::shared());
    let url = Temporary::file("journal-url", &server.database());
    let config = config("journal-shared", origin.address, &format!("url = \"file:{}\"", url.display()));
    let (mut one, other) = (start(&config), start(&config));
    let id = id(&get(one.address, "/orders/1"));
    one.signal("-TERM");
    assert_eq!(one.exit_code(), Some(0));
    assert_eq!(entry_at(other.admin, &id)["request_id"], id.as_str());
}

#[test]
fn what_is_wrong_with_its_place_is_told_at_its_place() {
    for (journal, words) in [
        ("path = \"/tmp/a.db\"\nurl = \"postgres://h/d\"", "either a `path` or a `url`"),
        ("url = \"postgres://u:hunter2@h/d\"", "a secret must not be written in the configuration file"),
        ("url = \"host=h password=hunter2\"", "a secret must not be written in the configuration file"),
        ("url = \"mysql://h/d\"", "invalid address of a database"),
        ("url = \"postgres:///d\"", "invalid address of a database"),
        ("max_size = \"2GiB\"", "from 1MiB to 1GiB"),
        ("path = \"/tmp/a.db\"\nmax_size = \"512KiB\"", "from 1MiB to 1024GiB"),
    ] {
        let config = config("journal-wrong", "127.0.0.1:1".parse().unwrap(), journal);
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(["check", config.to_str().unwrap()]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains(words) && told.contains("journal-wrong.toml:") && !told.contains("hunter2"),
            "{journal}: {told}"
        );
    }
}

#[test]
fn a_host_is_kept_without_credentials() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for head in [
        "GET /x HTTP/1.1\r\nHost: u:hunter2@h.example\r\n",
        "GET http://u:hunter2@h.example/x HTTP/1.1\r\nHost: h.example\r\n",
        "GET /x HTTP/1.1\r\nHost: h.example?key=hunter2\r\n",
    ] {
        let response = send(gateway.address, format!("{head}Connection: close\r\n\r\n"));
        let found = entry(&gateway, &id(&response));
        assert_eq!(found["host"], "h.example", "{found:#}");
        assert!(!found.to_string().contains("hunter2"), "{found:#}");
    }
}

/// The request of a browser that follows a link.
fn browse(gateway: &GatewayUnderTest, path: &str) -> Response {
    let admin = gateway.admin;
    send(admin, format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_browser_sees_what_the_upstream_said_and_sets_states() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let id = id(&get(gateway.address, "/orders/1"));
    let group = entry(&gateway, &id)["fingerprint"].as_str().unwrap().to_owned();
    for path in ["/", "/errors", "/groups", "/routes", "/configuration", &format!("/groups/{group}"), &format!("/errors/{id}")] {
        let page = browse(&gateway, path);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
        assert!(!page.text().contains("<script>alert"), "{path}");
    }
    let page = browse(&gateway, &format!("/errors/{id}")).text();
    assert!(page.contains("no stock for order 4711") && !page.contains("hunter2"), "{page}");

    let token = browse(&gateway, &format!("/groups/{group}")).text();
    let token = token.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let admin = gateway.admin;
    let set = |token: &str, more: &str| {
        let form = format!("csrf={token}&state=muted");
        send(
            admin,
            format!(
                "POST /groups/{group} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more}\
                 Connection: close\r\n\r\n{form}",
                form.len()
            ),
        )
    };
    assert_eq!(set("", "").status, 403);
    assert_eq!(set(&token, "Origin: http://evil.example\r\n").status, 403);
    assert_eq!(set(&token, "").status, 303);
    assert_eq!(get(admin, &format!("/api/groups/{group}")).json()["state"], "muted");
}

#[test]
fn the_pages_ask_for_the_token_and_their_assets_do_not() {
    let gateway = GatewayUnderTest::start(
        "[listen]\nadmin_token = \"file:tests/it/harness/token\"\n[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    let refused = browse(&gateway, "/");
    assert_eq!((refused.status, refused.header("location")), (303, Some("/login")), "a browser asks its user");
    let admin = gateway.admin;
    let login = |password: &str| {
        use base64::Engine as _;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("operator:{password}"));
        send(admin, format!("GET / HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(login("wrong").status, 401);
    let page = login("t0ken-of-a-test");
    assert_eq!(page.status, 200);
    let style = page.text().split("href=\"/assets/").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    assert_eq!(browse(&gateway, &format!("/assets/{style}")).status, 200);
    assert_eq!(browse(&gateway, "/live").status, 401);
}
