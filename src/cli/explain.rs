//! `lockgate explain CODE`: explains a code, a status or a reason of the catalog to clients and operators.

use std::process::ExitCode;

use super::output;
use crate::config::words::nearest;
use crate::failure::catalog::{CLIENT_STATUSES, Retry, Row, VALIDATION_ERROR, code_of_status, grpc_status};
use crate::failure::{Kind, Origin};
use crate::message::Messages;

pub(super) fn explain(word: &str) -> ExitCode {
    let rows: Vec<(Kind, Row)> = Kind::ALL.iter().map(|kind| (*kind, kind.row())).collect();
    let wanted = word.trim();
    if wanted.is_empty() {
        return unknown(wanted, &rows);
    }
    let found: Vec<&(Kind, Row)> = rows.iter().filter(|(_, row)| matches(row, wanted)).collect();
    let by_status: Vec<u16> = CLIENT_STATUSES
        .iter()
        .copied()
        .filter(|status| code_of_status(*status).eq_ignore_ascii_case(wanted) || (wanted == status.to_string() && *status != 499))
        .chain(wanted.parse().ok().filter(|status| (400..499).contains(status) && !CLIENT_STATUSES.contains(status)))
        .collect();
    let validation = VALIDATION_ERROR.eq_ignore_ascii_case(wanted);
    if found.is_empty() && by_status.is_empty() && !validation {
        return unknown(wanted, &rows);
    }
    let mut out = Vec::new();
    if let Some(code) = found
        .first()
        .map(|(_, row)| row.code)
        .or(by_status.first().map(|status| code_of_status(*status)))
        .or(validation.then_some(VALIDATION_ERROR))
        && !code.is_empty()
    {
        out.push(code.to_owned());
        out.push(String::new());
        out.extend(messages(code));
    }
    for (kind, row) in found {
        out.push(String::new());
        out.extend(row_lines(*kind, row));
    }
    for status in by_status {
        out.push(String::new());
        out.push(format!("{status}: the backend responded with {status}, and its error has no code that may be shown."));
        out.push("  The client gets the status, message and field errors of the backend, unless they contain internals.".into());
    }
    if validation {
        out.push(String::new());
        out.push("The backend rejected fields of the request (details.fields), and its error has no code.".into());
    }
    output::print(&out.join("\n"));
    ExitCode::SUCCESS
}

fn matches(row: &Row, word: &str) -> bool {
    row.code.eq_ignore_ascii_case(word) || row.reason.eq_ignore_ascii_case(word) || (row.status != 0 && row.status.to_string() == word)
}

/// Returns the message of a code in every language.
fn messages(code: &str) -> Vec<String> {
    let messages = Messages::default();
    messages.tags().iter().map(|tag| format!("  {tag}  {}", messages.of_code(code, tag).as_str())).collect()
}

fn row_lines(kind: Kind, row: &Row) -> Vec<String> {
    let status = if row.status == 0 { "the backend's own".to_owned() } else { row.status.to_string() };
    let grpc = grpc_status(if row.status == 0 { 400 } else { row.status }, row.clock);
    let mut lines = vec![format!("{}.", capital(row.cause))];
    let mut line = |label: &str, value: &str| lines.push(format!("  {label:<14}{value}"));
    line("status", &status);
    if !row.code.is_empty() {
        line("code", row.code);
    }
    if !row.reason.is_empty() {
        line("Proxy-Status", &format!("error={}   (RFC 9209; also `reason` in log and metrics)", row.reason));
    }
    line("gRPC", &format!("{} {grpc:?}", grpc.number()));
    line("retry", retry(row.retry));
    line("contact", contact(kind, row));
    for (at, part) in wrapped(kind.advice()).iter().enumerate() {
        line(if at == 0 { "operator" } else { "" }, part);
    }
    lines
}

/// Most characters of a line of advice.
const WIDTH: usize = 90;

/// Divides a text into lines between its words.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.len() + 1 + word.len() <= WIDTH => *last += &format!(" {word}"),
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

const fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::AfterWait => "send it again after Retry-After: nothing was processed",
        Retry::IfIdempotent => "send it again only if it is idempotent: it may have been processed",
        Retry::No => "do not send it again: the same request is likely to fail again",
    }
}

/// Returns the party that can fix the failure.
const fn contact(kind: Kind, row: &Row) -> &'static str {
    match kind.origin() {
        Origin::Internal => "the developers of the gateway: please report the details from its log",
        Origin::Configuration => "the operator of the gateway, who configures its limits and routes",
        Origin::Connect
        | Origin::Lost
        | Origin::SlowResponse
        | Origin::Exchange
        | Origin::UpstreamServerError
        | Origin::UpstreamClientError
        | Origin::Client => {
            if row.blames_backend {
                "the operator of the backend: the original error is in the log under the request id"
            } else {
                "the client"
            }
        }
    }
}

/// Makes the first letter of a text a capital.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn unknown(word: &str, rows: &[(Kind, Row)]) -> ExitCode {
    let mut known: Vec<&str> = rows.iter().flat_map(|(_, row)| [row.code, row.reason]).filter(|known| !known.is_empty()).collect();
    known.extend(CLIENT_STATUSES.iter().map(|status| code_of_status(*status)));
    known.push(VALIDATION_ERROR);
    known.sort_unstable();
    known.dedup();
    output::print_error(&format!("error: there is no code, reason or status `{word}`"));
    let upper = word.to_ascii_uppercase();
    match nearest(&upper, &known).or_else(|| nearest(word, &known)) {
        Some(near) => output::print_error(&format!("help: did you mean {near}?")),
        None => output::print_error("help: `lockgate errors` lists all of them; any other code comes from the backend"),
    }
    ExitCode::from(2)
}
