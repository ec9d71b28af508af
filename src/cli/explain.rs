//! `lockgate explain CODE`: what a code, a status or a reason means, to a client and to an operator.

use std::process::ExitCode;

use super::output;
use crate::config::section::nearest;
use crate::failure::Kind;
use crate::failure::catalog::{CLIENT_STATUSES, Retry, Row, VALIDATION_ERROR, code_of_status, grpc_status};
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
        out.extend(words(code));
    }
    for (kind, row) in found {
        out.push(String::new());
        out.extend(row_lines(*kind, row));
    }
    for status in by_status {
        out.push(String::new());
        out.push(format!("{status}: the backend answered {status} without a code of its own that may be shown."));
        out.push("  It is told with the backend's status, message and field errors, where they are clean.".into());
    }
    if validation {
        out.push(String::new());
        out.push("The backend refused fields of the request (details.fields) and gave no code of its own.".into());
    }
    output::say(&out.join("\n"));
    ExitCode::SUCCESS
}

fn matches(row: &Row, word: &str) -> bool {
    row.code.eq_ignore_ascii_case(word) || row.reason.eq_ignore_ascii_case(word) || (row.status != 0 && row.status.to_string() == word)
}

/// What clients read, in every language.
fn words(code: &str) -> Vec<String> {
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
    line("a client may", retry(row.retry));
    line("who to ask", blame(kind, row));
    lines
}

const fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::AfterWait => "send it again after Retry-After: nothing was processed",
        Retry::IfIdempotent => "send it again only if it is idempotent: it may have been processed",
        Retry::No => "not expect another answer to the same request",
    }
}

const fn blame(kind: Kind, row: &Row) -> &'static str {
    match kind {
        Kind::Internal => "the gateway itself: its log has the details; please report it",
        Kind::NoEndpoint
        | Kind::Overloaded
        | Kind::ShuttingDown
        | Kind::Maintenance
        | Kind::Denied
        | Kind::RateLimited
        | Kind::RouteNotFound
        | Kind::MethodNotAllowed => "the operator of the gateway: its limits and routes decide",
        Kind::DnsError
        | Kind::DnsTimeout
        | Kind::Unroutable
        | Kind::Prohibited
        | Kind::ConnectionRefused
        | Kind::ConnectTimeout
        | Kind::TlsProtocol
        | Kind::TlsCertificate
        | Kind::TlsAlert
        | Kind::ConnectionLost
        | Kind::ResponseIncomplete
        | Kind::ResponseMalformed
        | Kind::ResponseCoding
        | Kind::ResponseHeadersTooLarge
        | Kind::ResponseHeaderTooLarge
        | Kind::ResponseTimeout
        | Kind::TotalTimeout
        | Kind::UploadTimeout
        | Kind::UpstreamError
        | Kind::UpstreamBadGateway
        | Kind::UpstreamUnavailable
        | Kind::UpstreamGatewayTimeout
        | Kind::UpstreamRateLimited
        | Kind::UpstreamClientError
        | Kind::Duplicate
        | Kind::Reference
        | Kind::BadRequest
        | Kind::PayloadTooLarge
        | Kind::UriTooLong
        | Kind::HeadersTooLarge
        | Kind::RequestTimeout
        | Kind::ExpectationFailed
        | Kind::CodingNotSupported
        | Kind::LoopDetected
        | Kind::ClientClosed => {
            if row.blames_backend {
                "the operator of the backend: its original error is in the log under the request id"
            } else {
                "the client"
            }
        }
    }
}

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
    output::complain(&format!("error: there is no code, reason or status `{word}`"));
    let upper = word.to_ascii_uppercase();
    match nearest(&upper, &known).or_else(|| nearest(word, &known)) {
        Some(near) => output::complain(&format!("help: did you mean {near}?")),
        None => output::complain("help: `lockgate errors` lists them all; a code that is not there is the backend's own"),
    }
    ExitCode::from(2)
}
