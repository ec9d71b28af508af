//! `lockgate errors list|show|groups`: asks the journal of a running gateway.
//!
//! Must not know how the journal is stored.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::admin_client::Admin;
use super::args::{AdminArgs, EX_CONFIG, JournalCommand};
use super::output::{self, one_line};
use super::run::fail;

/// The timeout of each step of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(command: &JournalCommand) -> ExitCode {
    let (admin, path) = match command {
        JournalCommand::List(args) => (&args.admin, format!("/api/errors?{}", args.query())),
        JournalCommand::Show { request_id, admin, .. } => (admin, format!("/api/errors/{}", encoded(request_id))),
        JournalCommand::Groups { admin, .. } => (admin, "/api/groups?limit=200".to_owned()),
    };
    match (ask(admin, &path), command) {
        (Err(code), _) => code,
        (Ok(found), JournalCommand::List(args)) => printed(&found, args.json, list),
        (Ok(found), JournalCommand::Show { json, .. }) => printed(&found, *json, show),
        (Ok(found), JournalCommand::Groups { json, .. }) => printed(&found, *json, groups),
    }
}

fn printed(found: &Value, as_json: bool, text: fn(&Value) -> String) -> ExitCode {
    if as_json {
        output::print_json(found)
    } else {
        output::print(text(found).trim_end())
    }
    ExitCode::SUCCESS
}

/// Asks the admin listener. An error is reported.
fn ask(args: &AdminArgs, path: &str) -> Result<Value, ExitCode> {
    let admin = Admin::find(args).map_err(|_| ExitCode::from(EX_CONFIG))?;
    let response = admin.request("GET", path, TIMEOUT).map_err(|error| fail(&format!("cannot reach {}: {error}", admin.address)))?;
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    match response.status {
        200 => Ok(body),
        401 => Err(fail(admin.refused())),
        404 => Err(fail("the journal has no such entry: it may be too old, or no journal is kept (`journal.enabled`)")),
        status => {
            let why = body["error"]["details"]["errors"][0]["message"].as_str().or(body["error"]["message"].as_str()).unwrap_or_default();
            Err(fail(&format!("the admin listener responded with {status}: {why}")))
        }
    }
}

/// Encodes a part of a URL.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn time(value: &Value) -> String {
    let at = value.as_i64().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map(|at| format!("{at:.3}")).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(found: &Value) -> String {
    let line = |item: &Value| {
        let what = one_line(text(&item["title"]));
        let (method, path) = (text(&item["method"]), one_line(text(&item["path"])));
        format!("{} {} {} {method} {path} {what}\n", time(&item["at"]), item["status"], text(&item["request_id"]))
    };
    match found["items"].as_array() {
        Some(items) if !items.is_empty() => items.iter().map(line).collect(),
        _ => "no errors\n".to_owned(),
    }
}

fn groups(found: &Value) -> String {
    let line = |item: &Value| {
        let what = one_line(text(&item["title"]));
        format!("{:>7} {:<9} {} {} {what}\n", item["count"], text(&item["state"]), time(&item["last_seen"]), text(&item["route"]))
    };
    match found["items"].as_array() {
        Some(items) if !items.is_empty() => items.iter().map(line).collect(),
        _ => "no errors\n".to_owned(),
    }
}

/// Removes what could steer a terminal; keeps lines and tabs.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn show(found: &Value) -> String {
    let mut out = String::new();
    let facts = [
        "request_id",
        "trace_id",
        "method",
        "path",
        "query",
        "client",
        "route",
        "backend",
        "endpoint",
        "status",
        "received",
        "code",
        "reason",
        "cause",
        "exception",
        "message",
        "caused_by",
        "config",
        "fingerprint",
    ];
    out.push_str(&format!("{:<13} {}\n", "at", time(&found["at"])));
    for name in facts {
        match &found[name] {
            Value::String(value) if !value.is_empty() => out.push_str(&format!("{name:<13} {}\n", one_line(value))),
            Value::Number(value) => out.push_str(&format!("{name:<13} {value}\n")),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
    if let Some(hidden) = found["hidden"].as_array() {
        let names: Vec<&str> = hidden.iter().filter_map(Value::as_str).collect();
        out.push_str(&format!("\nThe token is one of a viewer, who does not see: {}\n", names.join(", ")));
    }
    for (title, headers, body) in
        [("what the upstream said", "upstream_headers", "upstream_body"), ("what the client got", "answer_headers", "answer_body")]
    {
        out.push_str(&format!("\n-- {title}\n"));
        for header in found[headers].as_array().into_iter().flatten() {
            out.push_str(&format!("{}: {}\n", text(&header[0]), one_line(text(&header[1]))));
        }
        out.push_str(&format!("\n{}\n", plain(text(&found[body]))));
    }
    out
}
