//! `lockgate errors`: prints the catalog of errors from the table that the gateway uses.

use std::process::ExitCode;

use super::output;
use crate::failure::Kind;
use crate::failure::catalog::Row;

/// The output format of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns for a terminal
    Text,
    /// A Markdown table, as in docs/errors.md
    Markdown,
    /// One JSON array
    Json,
}

pub(super) fn print(format: Format) -> ExitCode {
    let rows: Vec<Row> = Kind::ALL.iter().map(|kind| kind.row()).collect();
    output::print(&match format {
        Format::Text => text(&rows),
        Format::Markdown => markdown(&rows),
        Format::Json => json(&rows),
    });
    ExitCode::SUCCESS
}

fn status(row: &Row) -> String {
    if row.status == 0 { "same".into() } else { row.status.to_string() }
}

fn code(row: &Row) -> &'static str {
    if row.code.is_empty() { "its own" } else { row.code }
}

fn reason(row: &Row) -> &'static str {
    if row.reason.is_empty() { "-" } else { row.reason }
}

fn text(rows: &[Row]) -> String {
    let mut out = format!("{:<6} {:<25} {:<34} {:<18} {}\n", "status", "code", "reason (Proxy-Status)", "retry", "cause");
    for row in rows {
        out.push_str(&format!("{:<6} {:<25} {:<34} {:<18} {}\n", status(row), code(row), reason(row), row.retry.as_str(), row.cause));
    }
    out.truncate(out.trim_end().len());
    out
}

fn markdown(rows: &[Row]) -> String {
    let mut out = String::from("| cause | status | code | reason | retry |\n|---|---|---|---|---|\n");
    for row in rows {
        out.push_str(&format!("| {} | {} | `{}` | {} | {} |\n", row.cause, status(row), code(row), reason(row), row.retry.as_str()));
    }
    out.truncate(out.trim_end().len());
    out
}

fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| serde_json::json!({ "status": row.status, "code": row.code, "reason": row.reason, "retry": row.retry.as_str(), "cause": row.cause }))
        .collect();
    serde_json::Value::from(rows).to_string()
}
