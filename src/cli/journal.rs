//! `lockgate errors list|show|groups|resolve|mute|reopen|tail|export|purge`: asks the journal of a running gateway, or its file.
//!
//! Must not know how the journal is stored.
//!
//! | file | purpose |
//! |---|---|
//! | `place` | where the journal is asked |
//! | `entry` | the entry of one request |
//! | `group` | the group that a fingerprint names, and its state |
//! | `hints` | what is said below an answer |
//! | `tail`, `export`, `purge` | these commands |

mod entry;
mod export;
mod group;
mod hints;
mod place;
mod purge;
mod tail;

use std::process::ExitCode;

use serde_json::Value;

use self::place::{NoAnswer, Place};
use super::args::{ExportArgs, JournalCommand, ListArgs, PlaceArgs, TailArgs};
use super::output::{self, one_line, steers};
use crate::admin::api;
use crate::journal::query::GroupState;

pub(super) fn run(mut command: JournalCommand) -> ExitCode {
    match &mut command {
        JournalCommand::List(ListArgs { filter, place, .. })
        | JournalCommand::Tail(TailArgs { filter, place, .. })
        | JournalCommand::Export(ExportArgs { filter, place, .. }) => {
            if let Err(code) = group::complete(place, filter) {
                return code;
            }
        }
        JournalCommand::Show { .. }
        | JournalCommand::Groups { .. }
        | JournalCommand::Resolve(_)
        | JournalCommand::Mute(_)
        | JournalCommand::Reopen(_)
        | JournalCommand::Purge(_) => {}
    }
    match &command {
        JournalCommand::List(args) => {
            let query = args.filter.query(&[("limit", &args.limit.to_string())]);
            answered(&args.place, |place| place.ask(&format!("/api/errors?{query}")), args.json, list, |found| hints::of_list(args, found))
        }
        JournalCommand::Show { request_id, json, place } => answered(place, |place| entry::ask(place, request_id), *json, show, |_| {}),
        JournalCommand::Groups { json, place } => {
            answered(place, |place| place.ask("/api/groups?limit=200"), *json, groups, hints::of_groups)
        }
        JournalCommand::Resolve(args) => group::set_state(args, GroupState::Resolved),
        JournalCommand::Mute(args) => group::set_state(args, GroupState::Muted),
        JournalCommand::Reopen(args) => group::set_state(args, GroupState::New),
        JournalCommand::Tail(args) => tail::run(args, line),
        JournalCommand::Export(args) => export::run(args),
        JournalCommand::Purge(args) => purge::run(args),
    }
}

/// Asks, and prints the answer. Hints are for people only: JSON has all of the answer.
fn answered(
    args: &PlaceArgs,
    ask: impl Fn(&Place) -> Result<Value, NoAnswer>,
    as_json: bool,
    text: fn(&Value) -> String,
    hints: impl Fn(&Value),
) -> ExitCode {
    let place = match Place::find(args) {
        Ok(place) => place,
        Err(code) => return code,
    };
    match ask(&place) {
        Ok(found) if as_json => output::print_json(&found),
        Ok(found) => {
            output::print(text(&found).trim_end());
            hints(&found);
        }
        Err(why) => return place.report(&why),
    }
    ExitCode::SUCCESS
}

fn time(value: &Value) -> String {
    let at = value.as_i64().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map(|at| format!("{at:.3}")).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns an entry in one line.
fn line(item: &Value) -> String {
    let what = one_line(text(&item["title"]));
    let (method, path) = (text(&item["method"]), one_line(text(&item["path"])));
    format!("{} {} {} {method} {path} {what}\n", time(&item["at"]), item["status"], text(&item["request_id"]))
}

fn list(found: &Value) -> String {
    match found["items"].as_array() {
        Some(items) if !items.is_empty() => items.iter().map(line).collect(),
        _ => "no errors\n".to_owned(),
    }
}

fn groups(found: &Value) -> String {
    let line = |item: &Value| {
        let (what, route) = (one_line(text(&item["title"])), one_line(text(&item["route"])));
        let fingerprint: String = text(&item["fingerprint"]).chars().take(group::SHOWN).collect();
        format!("{:>7} {:<9} {fingerprint:<12} {} {route} {what}\n", item["count"], text(&item["state"]), time(&item["last_seen"]))
    };
    match found["items"].as_array() {
        Some(items) if !items.is_empty() => items.iter().map(line).collect(),
        _ => "no errors\n".to_owned(),
    }
}

/// Removes what could steer a terminal; keeps lines and tabs.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !steers(*c) || matches!(c, '\n' | '\t')).collect()
}

fn show(found: &Value) -> String {
    let mut out = String::new();
    out.push_str(&format!("{:<13} {}\n", "at", time(&found["at"])));
    for name in api::facts() {
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
    // The headers of a request are those that the gateway has sent, unless it has refused the request itself.
    let was_sent = found["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty());
    for (title, headers, body) in [
        (if was_sent { "what the service was sent" } else { "what the client sent" }, "request_headers", "request_body"),
        ("what the upstream said", "upstream_headers", "upstream_body"),
        ("what the client got", "answer_headers", "answer_body"),
    ] {
        out.push_str(&format!("\n-- {title}\n"));
        for header in found[headers].as_array().into_iter().flatten() {
            out.push_str(&format!("{}: {}\n", text(&header[0]), one_line(text(&header[1]))));
        }
        out.push_str(&format!("\n{}\n", plain(text(&found[body]))));
    }
    out
}
