//! Tests which parts of a service's response reach the client. `tests/cases/responses` has a folder per family. A case consists of two
//! files: the response (`.http`: a status line and headers, an empty line, the body) and the expected result (`.want`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, send};

/// What a client must get for a response of a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    /// The route that the request takes.
    #[serde(default)]
    route: RouteName,
    /// The `Accept-Language` of the request.
    #[serde(default)]
    language: String,
    status: u16,
    /// The machine code of the service. Without it: the code that the gateway gives an error of this status.
    code: Option<String>,
    /// The message of the service. Without it: the message that the gateway gives an error of this status.
    message: Option<String>,
    /// All field errors.
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
    /// All errors that belong to no field: message and code.
    #[serde(default)]
    items: Vec<(String, Option<String>)>,
    /// On the route `list`, all errors: field, message and code.
    #[serde(default)]
    list: Vec<(Option<String>, String, Option<String>)>,
    /// Parts of the response that must not reach the client.
    #[serde(default)]
    secrets: Vec<String>,
    /// Parts of the body that a success must keep.
    #[serde(default)]
    kept: Vec<String>,
    /// The body passes as it is.
    #[serde(default)]
    untouched: bool,
}

/// The routes of the gateway under test.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RouteName {
    /// Everything as it is without a configuration.
    #[default]
    Default,
    DatabaseErrors,
    ErrorsInSuccess,
    LeakGuard,
    /// `errors.details = "list"`
    List,
    StatusMap,
}

impl RouteName {
    const ALL: [Self; 6] = [Self::Default, Self::DatabaseErrors, Self::ErrorsInSuccess, Self::LeakGuard, Self::List, Self::StatusMap];

    const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::DatabaseErrors => "database-errors",
            Self::ErrorsInSuccess => "errors-in-success",
            Self::LeakGuard => "leak-guard",
            Self::List => "list",
            Self::StatusMap => "status-map",
        }
    }

    /// Its keys beside path and backend.
    const fn keys(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::DatabaseErrors => "errors = { database_errors = true }",
            Self::ErrorsInSuccess => {
                "errors = { errors_in_success = [\"graphql\", \"soap\", \"jsonrpc\", \"success-flag\", \
                 { pointer = \"/header/resultCode\", not = [\"0\", \"OK\"], code = \"/header/resultCode\", message = \"/header/resultMsg\", \
                 status = { \"E404\" = 404, \"*\" = 502 } }] }"
            }
            Self::LeakGuard => "leak_guard = true",
            Self::List => "errors = { details = \"list\" }",
            Self::StatusMap => {
                "errors = { status_map = { \"OutOfStock\" = { status = 409 }, \"shop:Closed\" = { status = 410 }, \
                 \"Sender\" = { status = 422 } } }"
            }
        }
    }
}

struct Case {
    /// Family and name.
    name: String,
    /// The bytes that the service sends.
    response: Vec<u8>,
    body: String,
    want: Want,
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = format!("{}/{}", path.parent().and_then(Path::file_name).unwrap().display(), path.file_stem().unwrap().display());
        let text = std::fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| panic!("{name}: no empty line behind the headers"));
        let want = std::fs::read_to_string(path.with_extension("want")).unwrap_or_else(|error| panic!("{name}.want: {error}"));
        let want: Want = serde_json::from_str(&want).unwrap_or_else(|error| panic!("{name}.want: {error}"));
        for part in want.secrets.iter().chain(&want.kept) {
            assert!(is_within(part, &text), "{name}: {part:?} is not in the response, so its absence would say nothing");
        }
        let head = head.replace('\n', "\r\n");
        let response = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        Self { name, response: response.into_bytes(), body: body.to_owned(), want }
    }
}

/// Is it there as it is, as JSON writes it, or as HTML does?
fn is_within(part: &str, text: &str) -> bool {
    let json = serde_json::to_string(part).unwrap();
    [part, json.trim_matches('"')].iter().any(|form| text.contains(form)) || html_escape::decode_html_entities(text).contains(part)
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/responses");
    let files = |folder: &Path| -> Vec<PathBuf> { std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let all: BTreeSet<PathBuf> = files(&root).iter().flat_map(|family| files(family)).collect();
    for path in &all {
        let other = if path.extension().is_some_and(|end| end == "want") { "http" } else { "want" };
        assert!(all.contains(&path.with_extension(other)), "{} has no .{other} beside it", path.display());
    }
    all.iter().filter(|path| path.extension().is_some_and(|end| end == "http")).map(|path| Case::read(path)).collect()
}

/// An origin that answers the request for a case's path with its response, and the request for a number with an empty one of this status.
fn origin(cases: &Arc<Vec<Case>>) -> Origin {
    let cases = Arc::clone(cases);
    Origin::start(move |c| {
        let path = c.head.split(' ').nth(1).unwrap().to_owned();
        match cases.iter().find(|case| path.ends_with(&case.name)) {
            Some(case) => c.say(&case.response),
            None => c.say(format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", path.rsplit('/').next().unwrap())),
        }
    })
}

fn ask(gateway: &GatewayUnderTest, (route, language): (RouteName, &str), path: &str) -> Response {
    let language = if language.is_empty() { String::new() } else { format!("Accept-Language: {language}\r\n") };
    let request = format!(
        "GET /{}/{path} HTTP/1.1\r\nHost: ferries.example.com\r\nAccept: application/json\r\n{language}Connection: close\r\n\r\n",
        route.name()
    );
    send(gateway.address, request)
}

/// What is wrong with a response; nothing where it is as wanted.
fn judge(case: &Case, gateway: &GatewayUnderTest) -> Vec<String> {
    let Case { want, .. } = case;
    let response = ask(gateway, (want.route, &want.language), &case.name);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, wanted: String, got: String| {
        if wanted != got {
            wrong.push(format!("{what}: wanted {wanted}, got {got}"));
        }
    };
    expect("status", want.status.to_string(), response.status.to_string());
    let everything = response.everything();
    for secret in &want.secrets {
        expect("a secret", "nothing of it".into(), if is_within(secret, &everything) { secret.clone() } else { "nothing of it".into() });
    }
    if response.status < 400 {
        let text = response.text();
        if want.untouched {
            expect("body", case.body.clone(), text.clone());
        }
        for part in &want.kept {
            expect("a part of the body", part.clone(), if text.contains(part) { part.clone() } else { text.clone() });
        }
        return wrong;
    }
    assert_contract("GET", &response);
    // What the gateway says where the service says nothing.
    let plain = ask(gateway, (RouteName::Default, &want.language), &want.status.to_string()).json();
    let (error, plain) = (&response.json()["error"], &plain["error"]);
    let own = |key: &str| plain[key].as_str().unwrap_or_default().to_owned();
    let got = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    expect("code", want.code.clone().unwrap_or_else(|| own("code")), got("code"));
    expect("message", want.message.clone().unwrap_or_else(|| own("message")), got("message"));
    let fields: BTreeMap<String, Vec<String>> = serde_json::from_value(error["details"]["fields"].clone()).unwrap_or_default();
    expect("fields", format!("{:?}", want.fields), format!("{fields:?}"));
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let items = error["details"]["errors"].as_array().into_iter().flatten();
    if matches!(want.route, RouteName::List) {
        let item = |item: &serde_json::Value| (text(&item["field"]), text(&item["message"]).unwrap_or_default(), text(&item["code"]));
        expect("list", format!("{:?}", want.list), format!("{:?}", items.map(item).collect::<Vec<_>>()));
        return wrong;
    }
    let items: Vec<_> = items.map(|item| (text(&item["message"]).unwrap_or_default(), text(&item["code"]))).collect();
    expect("items", format!("{:?}", want.items), format!("{items:?}"));
    wrong
}

#[test]
fn every_response_is_what_the_client_must_get() {
    let cases = Arc::new(cases());
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let origin = origin(&cases);
    let mut text = format!("[backends.o]\nendpoints = [\"http://{}\"]\n", origin.address);
    for route in RouteName::ALL {
        text += &format!("[[routes]]\nname = \"{0}\"\npath = \"/{0}/*\"\nbackend = \"o\"\n{1}\n", route.name(), route.keys());
    }
    let gateway = GatewayUnderTest::start(&text);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let wrong = judge(case, &gateway);
            (!wrong.is_empty()).then(|| format!("{}\n  {}", case.name, wrong.join("\n  ")))
        })
        .collect();
    println!("{} of {} responses are as wanted", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
