//! Tests the commands that explain a configuration: `config`, `diff`, `route` and `schema`; and the manual pages.

use std::process::Command;

use serde_json::{Value, json};

use super::{lockgate, temp, text};
use crate::harness::Temporary;

const SMALL: &str = r#"[defaults]
response_timeout = "9s"

[backends.shop]
endpoints = ["http://127.0.0.1:8000/base"]
connect_timeout = "1s"

[backends.canary]
endpoints = ["http://127.0.0.1:8001"]

[limits.per_key]
rate = "50/s"
key = "header:X-Api-Key"
deny = ["192.0.2.0/24"]

[[routes]]
name = "orders"
host = "shop.example.com"
path = "/orders/*"
backend = "shop"
strip_prefix = "/orders"
limits = ["per_key"]
idle_timeout = "3s"

[[routes]]
name = "canary"
path = "/orders/*"
headers = { X-Canary = "1" }
backend = "canary"
access = { allow = ["10.0.0.0/8"] }

[[routes]]
name = "rest"
path = "/*"
backend = [{ name = "shop", weight = 9 }, { name = "canary", weight = 1 }]
errors = { format = "problem" }

[[routes]]
name = "old"
path = "/old/*"
methods = ["GET"]
redirect = { to = "https://{host}/orders/{rest}", status = 301 }
"#;

/// The lines of an output, with single spaces.
fn lines(output: &std::process::Output) -> Vec<String> {
    text(&output.stdout).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn has(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(lines.iter().any(|found| found == line), "{line} in\n{}", lines.join("\n"));
    }
}

#[test]
fn the_effective_configuration_names_the_origin_of_each_value() {
    let file = temp("effective", SMALL);
    let name = file.to_str().unwrap();
    let output = lockgate(&["config", name]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout).replace(name, "lockgate.toml");
    let orders: Vec<String> = shown
        .split("\n\n")
        .find(|part| part.contains("strip_prefix = \"/orders\""))
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    has(
        &orders,
        &[
            "[[routes]] # lockgate.toml:16",
            "name = \"orders\" # lockgate.toml:17",
            "response_timeout = \"9s\" # [defaults] lockgate.toml:2",
            "connect_timeout = \"1s\" # backend shop, lockgate.toml:6",
            "idle_timeout = \"3s\" # lockgate.toml:23",
            "errors.format = \"envelope\" # default",
            "# access: everyone # default",
        ],
    );
    // A redirect has no timeouts of a backend.
    let old = shown.split("\n\n").find(|part| part.contains("redirect.to")).unwrap();
    assert!(!old.contains("connect_timeout") && old.contains("redirect.status = 301"), "{old}");
    let json: Value = serde_json::from_slice(&lockgate(&["config", name, "--format", "json"]).stdout).unwrap();
    let value = |value: &str, origin: &str| json!({ "value": value, "origin": origin.replace("lockgate.toml", name) });
    assert_eq!(json["routes"][0]["response_timeout"], value("9s", "[defaults] lockgate.toml:2"));
    assert_eq!(json["routes"][2]["errors"]["format"], value("problem", "lockgate.toml:36"));
    assert_eq!(json["routes"][2]["for_backends"]["shop"]["connect_timeout"], value("1s", "backend shop, lockgate.toml:6"));
    assert_eq!(json["backends"]["shop"]["pool"]["idle_timeout"], value("4s", "default"));
    assert_eq!(json["listen"]["max_in_flight"], json!({ "value": null, "origin": "default", "note": "no limit" }));
}

/// What is printed is a configuration with the same effect, for every shipped file.
#[test]
fn the_effective_configuration_is_a_configuration() {
    for name in ["config/full.toml", "config/lockgate.toml", "config/demo.toml"] {
        let output = lockgate(&["config", name]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let printed = temp("printed", &text(&output.stdout));
        let compared = lockgate(&["diff", name, printed.to_str().unwrap()]);
        assert_eq!((compared.status.code(), text(&compared.stdout)), (Some(0), String::new()), "{name}: {}", text(&compared.stderr));
    }
}

#[test]
fn an_invalid_configuration_is_reported_and_not_explained() {
    let (bad, good) = (temp("invalid", "[listne]\n"), temp("valid", SMALL));
    let (bad, good) = (bad.to_str().unwrap(), good.to_str().unwrap());
    for command in [vec!["config", bad], vec!["diff", good, bad], vec!["diff", bad, good], vec!["route", "GET", "/", "--config", bad]] {
        let output = lockgate(&command);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0), "{command:?}");
        assert!(text(&output.stderr).contains("did you mean `listen`?"), "{command:?}");
    }
}

#[test]
fn secrets_are_shown_as_they_are_written() {
    let secret = temp("token", "hunter2\n");
    let file = temp(
        "secrets",
        &format!(
            "[listen]\nadmin_token = \"file:{}\"\n[defaults]\nrequest_headers = {{ set = {{ X-Api-Key = \"k-123456\", X-Via = \"${{LOCKGATE_TEST_SECRET}}\" }} }}\n{SMALL}",
            secret.display()
        )
        .replace("\n[defaults]\nresponse_timeout", "\nresponse_timeout"),
    );
    let run = |arguments: &[&str], value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        let output = command.args(arguments).env("LOCKGATE_TEST_SECRET", value).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let name = file.to_str().unwrap();
    for arguments in [&["config", name][..], &["config", name, "--format", "json"], &["route", "GET", "/", "--config", name]] {
        let shown = run(arguments, "hunter3");
        assert!(!["hunter2", "hunter3", "k-123456"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
    let shown = run(&["config", name], "hunter3");
    assert!(shown.contains("${LOCKGATE_TEST_SECRET}") && shown.contains(&format!("file:{}", secret.display())), "{shown}");
}

#[test]
fn a_difference_is_told_by_route_and_backend() {
    let (old, new) = (
        temp("old", SMALL),
        temp(
            "new",
            &SMALL
                .replace("response_timeout = \"9s\"", "response_timeout = \"2s\"")
                .replace("[limits.per_key]", "[backends.new]\nendpoints = [\"http://127.0.0.1:8002\"]\n[limits.per_key]")
                .replace("name = \"old\"", "name = \"older\""),
        ),
    );
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let output = lockgate(&["diff", old, new]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(
        lines(&output),
        [
            "~ defaults",
            "response_timeout: \"9s\" -> \"2s\"",
            "+ backend new",
            "endpoints: [\"http://127.0.0.1:8002\"]",
            "~ route orders",
            "response_timeout: \"9s\" -> \"2s\"",
            "~ route canary",
            "response_timeout: \"9s\" -> \"2s\"",
            "~ route rest",
            "response_timeout: \"9s\" -> \"2s\"",
            "+ route older",
            "name: \"older\"",
            "path: \"/old/*\"",
            "methods: [\"GET\"]",
            "redirect.to: \"https://{host}/orders/{rest}\"",
            "redirect.status: 301",
            "- route old",
            "",
            "defaults changed; backends: 1 added; routes: 1 added, 1 removed, 3 changed",
        ]
    );
    let json: Value = serde_json::from_slice(&lockgate(&["diff", "--format", "json", old, new]).stdout).unwrap();
    assert_eq!(json["summary"], "defaults changed; backends: 1 added; routes: 1 added, 1 removed, 3 changed");
    assert_eq!(
        json["changes"][2],
        json!({ "table": "routes", "name": "orders", "change": "changed", "keys": [{ "key": "response_timeout", "old": "\"9s\"", "new": "\"2s\"" }] })
    );
    assert_eq!(lockgate(&["diff", old, old]).status.code(), Some(0));
    assert_eq!(lockgate(&["diff", old]).status.code(), Some(2));
}

#[test]
fn a_route_is_explained_with_its_places() {
    let file = temp("route", SMALL);
    let name = file.to_str().unwrap();
    let explain = |arguments: &[&str]| {
        let output = lockgate(&[&["route"], arguments, &["--config", name]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        lines(&output).into_iter().map(|line| line.replace(name, "lockgate.toml")).collect::<Vec<_>>()
    };
    let shown = explain(&[
        "GET",
        "https://shop.example.com/orders/7?token=secret",
        "-H",
        "Accept: application/problem+json",
        "-H",
        "X-Api-Key: k-1",
    ]);
    has(
        &shown,
        &[
            "GET https://shop.example.com/orders/7 from 127.0.0.1",
            "goes to the backend shop",
            "route orders lockgate.toml:16",
            "access 127.0.0.1 is admitted default",
            "limit per_key 50/s, counted by header x-api-key lockgate.toml:11, used by lockgate.toml:22",
            "strip_prefix \"/orders\" lockgate.toml:21",
            "upstream http://127.0.0.1:8000/base/7?... lockgate.toml:5",
            "connect_timeout \"1s\" backend shop, lockgate.toml:6",
            "response_timeout \"9s\" [defaults] lockgate.toml:2",
            "idle_timeout \"3s\" lockgate.toml:23",
            "retry only requests that no backend received default",
            "errors problem details (RFC 9457) default",
            "canary (lockgate.toml:25): the header x-canary does not have the value",
            "rest (lockgate.toml:32): `/*` is less specific",
        ],
    );
    assert!(!shown.join("\n").contains("k-1") && !shown.join("\n").contains("secret"), "{shown:#?}");
    // Who may not enter, and who is denied by a limit.
    has(
        &explain(&["GET", "/orders", "-H", "X-Canary: 1"]),
        &[
            "403 FORBIDDEN: `access` of the route does not admit 127.0.0.1",
            "access 127.0.0.1 is refused lockgate.toml:30",
            "orders (lockgate.toml:16): the host is not shop.example.com",
        ],
    );
    has(
        &explain(&["GET", "http://shop.example.com/orders", "--client", "192.0.2.7"]),
        &["limit per_key 50/s, the client is denied: 403 lockgate.toml:11, used by lockgate.toml:22"],
    );
    let rest = explain(&["GET", "/x", "-H", "Accept-Language: ko"]);
    assert!(rest.iter().any(|line| line.starts_with("goes to the backend") && line.ends_with("which is one of several")), "{rest:#?}");
    has(&rest, &["errors language ko default", "errors problem details (RFC 9457) lockgate.toml:36"]);
    assert_eq!(explain(&["GET", "http://a.example/old/x?y=1"])[1], "301 to https://a.example/orders/x?...");
    assert_eq!(explain(&["POST", "/old/x"])[1], "405 METHOD_NOT_ALLOWED");
    for (arguments, outcome) in [
        (&["TRACE", "/orders/7"][..], "405 METHOD_NOT_ALLOWED"),
        (&["CONNECT", "shop.example:443"], "405 METHOD_NOT_ALLOWED"),
        (&["OPTIONS", "*"], "404 ROUTE_NOT_FOUND"),
        (&["GET", "*"], "400 BAD_REQUEST: the target is not a path"),
        (&["GET", "http://u:hunter2@shop.example.com/orders/7"], "400 BAD_REQUEST: user information in the authority"),
        (
            &["GET", "/orders/7", "-H", "Host: u:hunter2@shop.example.com"],
            "400 BAD_REQUEST: the Host is not valid or not the authority of the target",
        ),
    ] {
        let told = explain(arguments);
        assert_eq!(told[1], outcome, "{told:#?}");
        assert!(!told.join("\n").contains("hunter2"), "{told:#?}");
    }
    assert_eq!(explain(&["GET", "/orders/%2e%2e/x"])[1], "400 BAD_REQUEST: the path can be read in more than one way");
}

#[test]
fn the_explanation_is_what_the_gateway_does() {
    let origin = crate::harness::Origin::echo();
    let config = SMALL.replace("127.0.0.1:8000", &origin.address.to_string());
    let file = temp("real", &format!("[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{config}"));
    let process = crate::harness::Process::start(&["run", "--config", file.to_str().unwrap()]);
    let mut client = crate::harness::Client::connect(process.address);
    client.write("GET /orders/7?a=%20b HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    let heads = origin.requests();
    assert!(heads[0].starts_with("GET /base/7?a=%20b HTTP/1.1\r\n"), "{heads:?}");
    let output =
        lockgate(&["route", "GET", "http://shop.example.com/orders/7?a=%20b", "--config", file.to_str().unwrap(), "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let facts = json["facts"].as_array().unwrap();
    let upstream = facts.iter().find(|fact| fact["name"] == "upstream").unwrap();
    assert_eq!(upstream["value"], format!("http://{}/base/7?...", origin.address));
    assert_eq!(json["route"]["name"], "orders");
}

#[test]
fn wrong_requests_are_refused() {
    let file = temp("wrong", SMALL);
    for arguments in [
        &["route", "GET", "ftp://a/"][..],
        &["route", "GET", "http://"],
        &["route", "G T", "/"],
        &["route", "GET", "/", "-H", "no colon"],
        &["route", "GET", "/", "-H", "na me: x"],
        &["route", "GET", "/", "--client", "nobody"],
    ] {
        let output = lockgate(&[arguments, &["--config", file.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_schema_is_the_shipped_one() {
    let printed: Value = serde_json::from_slice(&lockgate(&["schema"]).stdout).unwrap();
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/schema.json")).unwrap();
    assert_eq!(printed, serde_json::from_str::<Value>(&shipped).unwrap(), "run `lockgate schema > config/schema.json`");
    for name in ["full", "lockgate", "demo"] {
        let text = std::fs::read_to_string(format!("{}/config/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(text.starts_with("#:schema ./schema.json\n"), "{name}");
    }
}

#[test]
fn every_command_has_a_manual_page_and_an_example() {
    let folder = Temporary::folder("man");
    let output = lockgate(&["man", "--out", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for command in ["config", "diff", "route", "schema", "man"] {
        let page = std::fs::read_to_string(folder.join(format!("lockgate-{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains("lockgate"), "{page}");
        let help = text(&lockgate(&[command, "--help"]).stdout);
        assert!(help.contains(&format!("\n  lockgate {command} ")), "{help}");
    }
    assert!(std::fs::read_to_string(folder.join("lockgate.1")).unwrap().contains("lockgate demo"));
}
