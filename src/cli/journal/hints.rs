//! Hints below an answer, on standard error: that there is more of it, or that a word of the question is of no catalog.

use serde_json::Value;

use crate::cli::args::ListArgs;
use crate::cli::output;
use crate::config::words::nearest;
use crate::failure::Kind;
use crate::failure::catalog::{Row, code_of_status};

/// Gives the hints below a list of entries.
pub(super) fn of_list(args: &ListArgs, found: &Value) {
    let shown = found["items"].as_array().map_or(0, Vec::len);
    if found["next"].is_string() {
        let more = if args.limit < 1000 { "--limit 1000, " } else { "" };
        output::print_error(&format!("{shown} shown, older ones exist: {more}--until TIME, or `lockgate errors export`"));
    }
    if shown > 0 {
        return;
    }
    let rows: Vec<Row> = Kind::ALL.iter().map(|kind| kind.row()).collect();
    let of_statuses = (400..600).map(code_of_status);
    let codes: Vec<&str> = rows.iter().map(|row| row.code).chain(of_statuses).filter(|code| !code.is_empty()).collect();
    let reasons: Vec<&str> = rows.iter().map(|row| row.reason).filter(|reason| !reason.is_empty()).collect();
    if let Some(code) = &args.filter.code {
        unknown("code", code, &code.to_ascii_uppercase(), &codes);
    }
    if let Some(reason) = &args.filter.reason {
        unknown("reason", reason, &reason.to_ascii_lowercase(), &reasons);
    }
}

/// Says that a word is of no catalog. It may be right nevertheless: a configuration and services have codes of their own.
fn unknown(what: &str, word: &str, as_written_there: &str, known: &[&str]) {
    if known.contains(&word) {
        return;
    }
    let meant = match nearest(as_written_there, known) {
        Some(meant) => format!("; did you mean {meant}?"),
        None => "; `lockgate errors` lists them".to_owned(),
    };
    output::print_error(&format!("no {what} of the catalog has this name{meant}"));
}

/// Gives the hint below a list of groups.
pub(super) fn of_groups(found: &Value) {
    if found["next"].is_string() {
        let shown = found["items"].as_array().map_or(0, Vec::len);
        output::print_error(&format!("{shown} shown, those that occurred last; GET /api/groups of the admin listener has the others"));
    }
}
