//! Tests the error settings of `[errors]`, backends and routes.

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, get, send};

fn says(status: u16, body: &str) -> Origin {
    Origin::says(format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn asked(origin: &Origin, more: &str) -> Response {
    get(GatewayUnderTest::in_front_of(origin.address, more).address, "/")
}

#[test]
fn the_route_before_the_backend_before_all() {
    let origin = says(409, r#"{"message":"Locked."}"#);
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{0}\"]\nerrors = {{ format = \"flat\" }}\n[backends.p]\nendpoints = [\"http://{0}\"]\n[errors]\nformat = \"problem\"\n\
         [[routes]]\npath = \"/backend/*\"\nbackend = \"o\"\n[[routes]]\npath = \"/route/*\"\nbackend = \"o\"\nerrors = {{ format = \"envelope\" }}\n[[routes]]\npath = \"/all/*\"\nbackend = \"p\"\n",
        origin.address
    ));
    assert_eq!(get(gateway.address, "/backend/x").json()["error"], "Conflict");
    assert_eq!(get(gateway.address, "/route/x").json()["error"]["code"], "CONFLICT");
    assert_eq!(get(gateway.address, "/all/x").header("content-type"), Some("application/problem+json"));
}

#[test]
fn codes_and_statuses_are_mapped() {
    let map = "[errors]\nstatus_map = { \"E1042\" = { status = 409, code = \"ORDER_LOCKED\" }, \"503\" = { status = 503, code = \"SHOP_CLOSED\" }, \"404\" = { code = \"GONE_FISHING\" } }\n";
    let locked = asked(&says(500, r#"{"code":"E1042","message":"The order is locked."}"#), map);
    assert_eq!((locked.status, assert_contract("GET", &locked)), (409, "ORDER_LOCKED".into()));
    assert_eq!(locked.json()["error"]["message"], "The order is locked.", "what a client did is told in the upstream's words");
    let closed = asked(&says(503, "{}"), map);
    assert_eq!((closed.status, assert_contract("GET", &closed)), (503, "SHOP_CLOSED".into()));
    let gone = asked(&says(404, r#"{"code":"X1"}"#), map);
    assert_eq!((gone.status, assert_contract("GET", &gone)), (404, "GONE_FISHING".into()));
    let other = asked(&says(500, r#"{"code":"E7","message":"boom"}"#), map);
    assert_eq!((other.status, assert_contract("GET", &other)), (502, "UPSTREAM_ERROR".into()));
}

#[test]
fn a_refused_constraint_is_the_clients_error_where_a_route_asks() {
    let on = "[errors]\ndatabase_errors = true\n";
    let duplicate = says(500, r#"{"message":"duplicate key value violates unique constraint \"leak-me\""}"#);
    let response = asked(&duplicate, on);
    assert_eq!((response.status, assert_contract("GET", &response)), (409, "DUPLICATE_ERROR".into()));
    let reference = says(500, r#"{"message":"insert on table violates foreign key constraint \"leak-me\""}"#);
    let response = asked(&reference, on);
    assert_eq!((response.status, assert_contract("GET", &response)), (400, "REFERENCE_ERROR".into()));
    let off = asked(&duplicate, "");
    assert_eq!((off.status, assert_contract("GET", &off)), (502, "UPSTREAM_ERROR".into()));
}

#[test]
fn pointer_rules_find_errors_in_successes() {
    let rule = "[errors]\nerrors_in_success = [{ pointer = \"/header/resultCode\", not = [\"00\", \"OK\"], code = \"/header/resultCode\", message = \"/header/resultMsg\", status = { \"E404\" = 404, \"*\" = 409 } }]\n";
    let missing = asked(&says(200, r#"{"header":{"resultCode":"E404","resultMsg":"There is no such order."}}"#), rule);
    assert_eq!((missing.status, assert_contract("GET", &missing)), (404, "E404".into()));
    assert_eq!(missing.json()["error"]["message"], "There is no such order.");
    let other = asked(&says(200, r#"{"header":{"resultCode":"E1","resultMsg":"at com.acme.OrderDao.find(OrderDao.java:3)"}}"#), rule);
    assert_eq!((other.status, assert_contract("GET", &other)), (409, "E1".into()));
    let fine = asked(&says(200, r#"{"header":{"resultCode":"00"},"body":{"n":1}}"#), rule);
    assert_eq!((fine.status, fine.text().as_str()), (200, r#"{"header":{"resultCode":"00"},"body":{"n":1}}"#));
}

#[test]
fn languages_come_from_files_too() {
    let folder = Temporary::folder("messages");
    std::fs::write(
        folder.join("de.toml"),
        "[codes]\nUPSTREAM_ERROR = \"Der Dienst hat ein Problem.\"\n[page]\nhelp = \"Bitte angeben.\"\n",
    )
    .unwrap();
    std::fs::write(folder.join("en.toml"), "[codes]\nSHOP_CLOSED = \"The shop is closed.\"\n").unwrap();
    let more = format!(
        "[errors]\nlanguages = [\"en\", \"de\"]\nmessages = {:?}\nstatus_map = {{ \"503\" = {{ code = \"SHOP_CLOSED\" }} }}\n",
        folder.display().to_string()
    );
    let broken = says(500, "{}");
    let gateway = GatewayUnderTest::in_front_of(broken.address, &more);
    let german = send(gateway.address, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: de-AT, en;q=0.5\r\nConnection: close\r\n\r\n");
    assert_contract("GET", &german);
    assert_eq!(german.json()["error"]["message"], "Der Dienst hat ein Problem.");
    assert_eq!(german.header("content-language"), Some("de"));
    let closed = asked(&says(503, "{}"), &more);
    assert_eq!(
        (closed.json()["error"]["message"].as_str(), assert_contract("GET", &closed)),
        (Some("The shop is closed."), "SHOP_CLOSED".into())
    );
}

#[test]
fn an_operators_own_patterns_and_exceptions() {
    let more = "[errors.redact]\nextra = ['(?i)ticket-\\d+']\nallow = [\"docs.internal\"]\n";
    let own = asked(&says(409, r#"{"message":"See TICKET-42 for more of it."}"#), more);
    assert_eq!(own.json()["error"]["message"], "The request conflicts with the current state.");
    let allowed = asked(&says(409, r#"{"message":"It is locked, see docs.internal for more."}"#), more);
    assert_eq!(allowed.json()["error"]["message"], "It is locked, see docs.internal for more.");
}

#[test]
fn the_clean_sentence_in_front_of_a_trace_stays() {
    let response = asked(
        &says(
            403,
            r#"{"message":"You may not see this order.\n    at OrderDao.find (/srv/app/orders.js:3:9)\n    at next (/srv/app/x.js:1:1)"}"#,
        ),
        "",
    );
    assert_contract("GET", &response);
    assert_eq!(response.json()["error"]["message"], "You may not see this order.");
}

#[test]
fn a_cut_json_body_tells_what_it_told() {
    let origin = Origin::says(
        "HTTP/1.1 409 X\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"code\":\"ORDER_LOCKED\",\"message\":\"The order is locked.\",\"trace\":\"at com.acme.OrderDao",
    );
    let response = asked(&origin, "");
    assert_eq!((response.status, assert_contract("GET", &response)), (409, "ORDER_LOCKED".into()));
    assert_eq!(response.json()["error"]["message"], "The order is locked.");
}

#[test]
fn statuses_are_mapped_by_range_and_the_most_exact_rule_counts() {
    let map = "[errors]\nstatus_map = { \"5xx\" = { status = 503, code = \"DOWN\" }, \"500-504\" = { status = 502, code = \"BROKEN\" }, \"503\" = { code = \"CLOSED\" }, \"E7\" = { status = 409, code = \"LOCKED\" } }\n";
    for (status, body, told, code) in [
        (507, "", 503, "DOWN"),
        (500, "", 502, "BROKEN"),
        (503, "", 503, "CLOSED"),
        (500, "{\"code\":\"E7\",\"message\":\"x\"}", 409, "LOCKED"),
    ] {
        let origin =
            Origin::says(format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let gateway = GatewayUnderTest::in_front_of(origin.address, map);
        let response = get(gateway.address, "/");
        assert_eq!((response.status, assert_contract("GET", &response)), (told, code.into()), "{status}");
    }
}

/// A key that can never have an effect is an error that says what was meant.
#[test]
fn what_can_never_have_an_effect_is_an_error() {
    const REST: &str = "[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let complaints = |head: &str, backend: &str| {
        let text = format!("{head}\n{}", REST.replace("9\"]\n", &format!("9\"]\n{backend}\n")));
        let problems = lockgate::plan::compile::from_text(&text, &|_| None).map(|_| ()).expect_err(&text);
        format!("{problems:?}")
    };
    for (head, backend, words) in [
        ("[errors]\nstatus_map = { \"6xx\" = { code = \"A\" } }", "", "neither an error code nor an error status"),
        ("[errors]\nstatus_map = { \"200\" = { code = \"A\" } }", "", "neither an error code nor an error status"),
        ("[errors]\nstatus_map = { \"599-500\" = { code = \"A\" } }", "", "neither an error code nor an error status"),
        ("[errors]\nstatus_map = { \"two words\" = { code = \"A\" } }", "", "neither an error code nor an error status"),
        (
            "[errors]\nstatus_map = { \"500-501\" = { code = \"A\" }, \"501-502\" = { code = \"B\" } }",
            "",
            "`500-501` and `501-502` overlap",
        ),
        ("[errors]\nerrors_in_success = [{ pointer = \"/a\", code = \"/b/*\" }]", "", "more `*`"),
        ("[errors]\nformat = \"problem\"\nnegotiate = false\ndetails = \"list\"", "", "no effect on the problem format"),
        ("", "host_header = \"preserve\"", "\\\"client\\\""),
        ("", "host_header = \"$proxy_host\"", "\\\"upstream\\\""),
        ("[defaults]\nresponse_timeout = \"never\"", "", "\\\"off\\\""),
        ("[defaults]\nidle_timeout = \"none\"", "", "\\\"off\\\""),
        ("[defaults]\ntotal_timeout = 0", "", "\\\"off\\\""),
        ("[defaults]\nrequest_body_limit = \"unlimited\"", "", "\\\"off\\\""),
        ("[defaults]\nclient_max_body_size = \"1m\"", "", "belongs to nginx; Lockgate has `request_body_limit`"),
        ("[listen]\nbind = \"*:80\"", "", "belongs to HAProxy; Lockgate has `http`"),
        ("", "passHostHeader = true", "belongs to Traefik; Lockgate has `host_header"),
        ("", "lb_policy = \"random\"", "belongs to Caddy; Lockgate has `balance`"),
        ("", "outlier_detection = {}", "belongs to Envoy; Lockgate has [backends.NAME.breaker]"),
        ("[log]\noriginal_max = \"1B\"", "", "from 256B to 1MiB"),
        ("[defaults]\nmin_rate = \"240\"", "", "240B/s"),
        ("[defaults]\nupgrades = [\"websocket\", \"h2c\"]", "", "bypass the route"),
        ("", "upgrades = [\"web socket\"]", "invalid protocol"),
        ("[defaults]\nwebsocket_idle_timeout = \"0s\"", "", "\\\"off\\\""),
    ] {
        let told = complaints(head, backend);
        assert!(told.contains(words), "{head} {backend}: {told}");
    }
    // A suggestion never misleads, and the list of keys has each once.
    let told = complaints("[defaults]\nmax_response_header_size = \"1KiB\"", "");
    assert!(!told.contains("did you mean") && told.matches("`response_timeout`").count() == 1, "{told}");
    assert!(complaints("[defaults]\nrespnse_timeout = \"1s\"", "").contains("did you mean `response_timeout`"));
}
