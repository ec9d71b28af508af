//! The JSON interface for both roles, and its description.

use std::collections::BTreeSet;
use std::process::Command;

use lockgate::admin::role::Role;
use lockgate::admin::table::{Page, Program, ROWS};
use serde_json::Value;

use super::{Ask, Guarded, OPERATOR, ORIGINALS, VIEWER};
use crate::harness::{GatewayUnderTest, Temporary, get};

fn document() -> Value {
    serde_json::from_str(lockgate::admin::openapi::DOCUMENT).unwrap()
}

#[test]
fn a_viewer_gets_entries_without_originals() {
    let guarded = Guarded::start("api", "");
    let (viewer, operator) = (Ask::bearer(VIEWER), Ask::bearer(OPERATOR));
    let path = format!("/api/errors/{}", guarded.id);
    let (seen, whole) = (viewer.get(guarded.admin, &path).json(), operator.get(guarded.admin, &path).json());
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let hidden: BTreeSet<String> = seen["hidden"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for name in ["request_headers", "upstream_headers", "upstream_body", "exception", "message", "stack", "caused_by", "cause"] {
        assert!(hidden.contains(name) && seen.get(name).is_none(), "{name}");
    }
    let mut told: BTreeSet<String> = names(&seen).union(&hidden).cloned().collect();
    told.remove("hidden");
    assert_eq!(told, names(&whole), "each member is shown or named");
    assert_eq!(seen["title"], "UPSTREAM_ERROR");
    for name in ["route", "backend", "status", "received", "code", "answer_body", "attempts", "client"] {
        assert_eq!(seen[name], whole[name], "{name}");
    }
    for path in ["/api/errors", "/api/groups", &format!("/api/groups/{}", guarded.group)] {
        let found = viewer.get(guarded.admin, path);
        assert_eq!(found.status, 200);
        assert!(ORIGINALS.iter().all(|word| !found.text().contains(word)) && found.text().contains("\"hidden\""), "{}", found.text());
    }
    // What is found would tell what an original holds.
    for query in ["text=stock", "exception=java.lang.IllegalStateException", "route=all&text=a"] {
        let refused = viewer.get(guarded.admin, &format!("/api/errors?{query}"));
        assert_eq!((refused.status, refused.code()), (403, "FORBIDDEN".to_owned()), "{query}");
        assert!(refused.text().contains("a viewer does not see"));
    }
    let without = viewer.get(guarded.admin, "/api/errors?text=&exception=");
    assert_eq!((without.status, without.json()["items"].as_array().map(Vec::len)), (200, Some(1)), "what has no value asks for nothing");
    assert_eq!(operator.get(guarded.admin, "/api/errors?text=stock").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn the_command_says_what_a_viewer_does_not_see() {
    let guarded = Guarded::start("command", "");
    let token = Temporary::file("viewer-of-the-command", VIEWER);
    let admin = guarded.admin.to_string();
    let run = |args: &[&str]| {
        let more = ["--admin", &admin, "--token-file", token.to_str().unwrap()];
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(args).args(more).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, shown, _) = run(&["errors", "show", &guarded.id]);
    assert!(
        code == Some(0) && shown.contains("one of a viewer") && shown.contains("upstream_body") && shown.contains("UPSTREAM_ERROR"),
        "{shown}"
    );
    assert!(ORIGINALS.iter().all(|word| !shown.contains(word)), "{shown}");
    let (code, _, complaint) = run(&["errors", "list", "--text", "stock"]);
    assert!(code == Some(1) && complaint.contains("a viewer does not see"), "{complaint}");
    let (code, _, complaint) = run(&["reload"]);
    assert!(code == Some(1) && complaint.contains("token of an operator"), "{complaint}");
}

#[test]
fn the_document_has_every_page_and_no_other() {
    let document = document();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.to_uppercase(), path.clone(), operation["x-role"].as_str().unwrap_or_default().to_owned()));
        }
    }
    let role = |role: Option<Role>| role.map_or("none", Role::word).to_owned();
    let known = ROWS.iter().map(|row| (row.method.to_owned(), row.path.to_owned(), role(row.role()))).collect();
    assert_eq!(described, known);
    // Names in paths are described, and every reference leads somewhere.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let named = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one["in"] == "path")
                .map(|one| one["name"].as_str().unwrap());
            let wanted = path.split(['/', '.']).filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            assert_eq!(named.collect::<BTreeSet<_>>(), wanted.collect(), "{path}");
            assert_eq!(operation["security"].as_array().unwrap().is_empty(), operation["x-role"] == "none", "{path}");
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

/// The names that a page says it takes, when it is asked with one that it does not.
fn taken(gateway: &GatewayUnderTest, path: &str) -> BTreeSet<String> {
    let refused = get(gateway.admin, &format!("{path}?no-such-parameter=1"));
    let why = refused.json()["error"]["details"]["errors"][0]["message"].as_str().unwrap().to_owned();
    let names = why.split("expected ").nth(1).unwrap_or_else(|| panic!("{why}")).replace(" or ", ", ").replace(" and ", ", ");
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_document_has_the_parameters_that_pages_take() {
    let gateway = GatewayUnderTest::in_front_of("127.0.0.1:9".parse().unwrap(), "");
    let document = document();
    for path in ["/api/errors", "/api/tail", "/api/groups", "/route"] {
        let described = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        assert_eq!(
            described.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(),
            taken(&gateway, path),
            "{path}"
        );
    }
    assert_eq!(get(gateway.admin, "/api/openapi.json").json(), document);
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(["openapi", "--admin"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), document);
}

/// Compares the type of a value, and the value itself, with a schema.
fn fits(schema: &Value, value: &Value) -> bool {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_type = match &schema["type"] {
        Value::Array(types) => types.iter().any(|one| one == own),
        one => one == own,
    };
    is_type
        && schema["enum"].as_array().is_none_or(|all| all.contains(value))
        && schema["minimum"].as_i64().is_none_or(|least| value.as_i64().is_none_or(|n| n >= least))
        && schema["maximum"].as_i64().is_none_or(|most| value.as_i64().is_none_or(|n| n <= most))
        && (schema["format"] != "date-time" || value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()))
}

/// Compares a value with a schema; the parts of JSON Schema that the document uses.
fn validate(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return validate(document, document.pointer(&reference[1..]).ok_or("no such reference")?, value, place);
    }
    for key in schema.as_object().unwrap().keys() {
        const KNOWN: &[&str] = &[
            "type",
            "description",
            "required",
            "properties",
            "additionalProperties",
            "items",
            "minItems",
            "maxItems",
            "enum",
            "minimum",
            "maximum",
            "oneOf",
            "format",
        ];
        assert!(KNOWN.contains(&key.as_str()), "this test does not know `{key}`");
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let fitting = all.iter().filter(|one| validate(document, one, value, place).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{place}: {fitting} of oneOf fit {value}")) };
    }
    if !fits(schema, value) {
        return Err(format!("{place}: {value} does not fit {schema}"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        validate(document, &schema["items"], item, &format!("{place}[{at}]"))?;
    }
    let Some(members) = value.as_object().filter(|_| schema.get("properties").is_some()) else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        members.get(name).ok_or_else(|| format!("{place}: no {name}"))?;
    }
    for (name, member) in members {
        match schema["properties"].get(name) {
            Some(schema) => validate(document, schema, member, &format!("{place}.{name}"))?,
            None if schema["additionalProperties"] == false => return Err(format!("{place}: {name} is not described")),
            None => {}
        }
    }
    Ok(())
}

#[test]
fn answers_fit_their_description() {
    let guarded = Guarded::start("schemas", "");
    let document = document();
    let mut judged = BTreeSet::new();
    let mut judge = |method: &str, pattern: &str, target: &str, ask: &Ask, body: &str| {
        let response = ask.send(guarded.admin, method, target, body);
        let mut described = &document["paths"][pattern][method.to_lowercase()]["responses"][response.status.to_string()];
        if let Some(reference) = described["$ref"].as_str() {
            described = document.pointer(&reference[1..]).unwrap();
        }
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {target}: {} is not described", response.status);
        validate(&document, schema, &response.json(), "").unwrap_or_else(|why| panic!("{method} {target}: {why}: {}", response.text()));
        if response.status < 300 || response.status == 422 {
            judged.insert((method.to_owned(), pattern.to_owned()));
        }
    };
    let (group, id) = (&guarded.group, &guarded.id);
    for token in [VIEWER, OPERATOR] {
        let ask = Ask::bearer(token);
        judge("GET", "/api/errors", "/api/errors?limit=1&since=1h", &ask, "");
        judge("GET", "/api/errors", "/api/errors?status=9xx", &ask, "");
        judge("GET", "/api/errors", "/api/errors?text=stock", &ask, "");
        judge("GET", "/api/errors/{id}", &format!("/api/errors/{id}"), &ask, "");
        judge("GET", "/api/errors/{id}", "/api/errors/none", &ask, "");
        judge("GET", "/api/errors", "/api/errors?full=true&limit=1", &ask, "");
        judge("GET", "/api/tail", "/api/tail", &ask, "");
        judge("GET", "/api/groups", "/api/groups", &ask, "");
        judge("GET", "/api/groups/{fingerprint}", &format!("/api/groups/{group}"), &ask, "");
        judge("POST", "/api/groups/{fingerprint}", &format!("/api/groups/{group}?state=known"), &ask, "");
        judge("GET", "/config", "/config", &ask, "");
        judge("GET", "/route", "/route?url=/x", &ask, "");
        judge("GET", "/route", "/route", &ask, "");
        judge("GET", "/log", "/log", &ask, "");
        judge("PUT", "/log", "/log", &ask, "{\"level\":\"info\",\"for\":\"1m\"}");
        judge("POST", "/reload", "/reload", &ask, "");
        judge("GET", "/config", "/config", &ask, "");
        judge("GET", "/api/openapi.json", "/api/openapi.json", &ask, "");
    }
    for token in [VIEWER, OPERATOR] {
        let ask = Ask::bearer(token);
        judge("DELETE", "/api/errors", "/api/errors", &ask, "");
        judge("DELETE", "/api/errors", "/api/errors?before=1h", &ask, "");
        judge("DELETE", "/api/errors/{id}", &format!("/api/errors/{id}"), &ask, "");
        judge("DELETE", "/api/errors/{id}", "/api/errors/none", &ask, "");
    }
    judge("GET", "/api/groups", "/api/groups", &Ask::default(), "");
    judge("GET", "/api/groups", "/api/groups", &Ask::bearer("wrong"), "");
    // The stream has no content that could be described.
    let programs = ROWS.iter().filter(|row| matches!(row.page, Page::Program(page, _) if page != Program::Changes));
    assert_eq!(judged, programs.map(|row| (row.method.to_owned(), row.path.to_owned())).collect());
}
