//! The reference of errors, by the code that the client gets.

use std::fmt::Write;

use lockgate::failure::Kind;
use lockgate::failure::catalog::{CLIENT_STATUSES, Row, code_of_status, grpc_status};
use lockgate::message::Messages;

use super::{cell, compare};

const PATH: &str = "docs/error-reference.md";
/// What stands above the generated part.
const BEGIN: &str = "<!-- Generated from src/failure by `UPDATE_DOCS=1 cargo test --test it references`. -->\n";
/// The heading of kinds that keep the code of the service or of the operator.
const OWN: &str = "The code of the service";

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// What a client sees, which all kinds with one code have in common.
fn seen(out: &mut String, code: &str, rows: &[Row]) {
    if code.is_empty() {
        out.push_str(
            "\nThe client sees the status, the code, the message and the field errors of the service, as far as they contain no internals. \
             A service that gives no code gets the one of the [status](#codes-by-status).\n",
        );
        return;
    }
    let mut statuses: Vec<u16> = rows.iter().map(|row| row.status).collect();
    statuses.dedup();
    let words = |of: &dyn Fn(&Row) -> String| {
        let mut words: Vec<String> = rows.iter().map(of).collect();
        words.dedup();
        words.join(" or ")
    };
    let status = words(&|row| row.status.to_string());
    let retry = words(&|row| row.retry.as_str().to_owned());
    let grpc = words(&|row| format!("{} `{:?}`", grpc_status(row.status, row.clock).number(), grpc_status(row.status, row.clock)));
    let message = Messages::default().of_code(code, "en").as_str().to_owned();
    let wait = if statuses.iter().any(|status| [429, 503].contains(status)) { " The response has `Retry-After`." } else { "" };
    let sent = if code == "CLIENT_CLOSED" { "Never sent; the log has" } else { "The client sees" };
    write!(out, "\n{sent} status **{status}** and \"{message}\"{wait}\n\n- Repeat the request: {retry}.\n- gRPC status: {grpc}.\n")
        .unwrap();
}

fn generated() -> String {
    let mut codes: Vec<&str> = Vec::new();
    for kind in Kind::ALL {
        if !codes.contains(&kind.row().code) {
            codes.push(kind.row().code);
        }
    }
    let mut out = String::new();
    for code in codes {
        let kinds: Vec<&Kind> = Kind::ALL.iter().filter(|kind| kind.row().code == code).collect();
        let heading = if code.is_empty() { OWN } else { code };
        write!(out, "\n## {heading}\n").unwrap();
        seen(&mut out, code, &kinds.iter().map(|kind| kind.row()).collect::<Vec<_>>());
        out.push_str("\n| what happened | reason | what the operator does |\n|---|---|---|\n");
        for kind in kinds {
            let row = kind.row();
            let reason = if row.reason.is_empty() { "-".to_owned() } else { format!("`{}`", row.reason) };
            writeln!(out, "| {}. | {reason} | {} |", cell(&capital(row.cause)), cell(kind.advice())).unwrap();
        }
    }
    out.push_str("\n## Codes by status\n\nA 4xx of a service that has no code of its own gets the code of its status:\n\n");
    out.push_str("| status | code | message |\n|---|---|---|\n");
    for status in CLIENT_STATUSES.iter().filter(|status| **status != 499) {
        let code = code_of_status(*status);
        writeln!(out, "| {status} | `{code}` | {} |", Messages::default().of_code(code, "en").as_str()).unwrap();
    }
    out
}

#[test]
fn the_error_reference_is_the_catalog() {
    compare(PATH, BEGIN, generated().trim_start_matches('\n'));
}
