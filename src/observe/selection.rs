//! The JSON access line without the fields that the operator leaves out.
//!
//! `access_log` writes the line with all fields, which costs less. Must not know the names of fields; `field` does.

use super::access_log::{dry_run, json_bytes, masked_query};
use super::access_record::Facts;
use super::field::{FIELDS, Field, Value, value};
use super::fields;
use super::line::LineContext;
use crate::context::RequestContext;
use crate::write::{self, json_string};

/// The fields of a JSON line, with the text in front of each.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    of_successes: Box<[(Box<[u8]>, Field)]>,
    of_errors: Box<[(Box<[u8]>, Field)]>,
}

impl Selection {
    /// Selects all fields except some. A line of an error has the request id in any case: it is what a client can name.
    pub fn without(excluded: &[Field]) -> Self {
        let select = |keep: &dyn Fn(Field) -> bool| {
            let kept = FIELDS.iter().filter(|(_, field)| keep(*field));
            kept.map(|(name, field)| (format!("\"{name}\":").into_bytes().into_boxed_slice(), *field)).collect()
        };
        Self {
            of_successes: select(&|field| !excluded.contains(&field)),
            of_errors: select(&|field| field == Field::RequestId || !excluded.contains(&field)),
        }
    }
}

/// Appends the access line of a request.
pub(super) fn append(out: &mut Vec<u8>, context: &RequestContext, facts: &Facts, line: &LineContext<'_>, selection: &Selection) {
    let selected = if facts.is_error() { &selection.of_errors } else { &selection.of_successes };
    out.push(b'{');
    let mut is_first = true;
    for (name, field) in selected {
        let value = value(*field, context, facts, line);
        if matches!(value, Value::Nothing) {
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        out.extend_from_slice(name);
        append_value(out, &value);
    }
    out.extend_from_slice(b"}\n");
}

fn append_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Nothing => {}
        Value::Plain(text) => quoted(out, |out| out.extend_from_slice(text)),
        Value::Text(text) => json_bytes(out, text),
        Value::Query(query) => masked_query(out, query),
        Value::Number(number) => write::number(out, *number),
        Value::Duration(duration) => fields::millis(out, *duration),
        Value::Time(time) => quoted(out, |out| write::timestamp(out, *time)),
        Value::Address(address) => quoted(out, |out| fields::address(out, *address)),
        Value::True => out.extend_from_slice(b"true"),
        Value::Original(original) => {
            json_string(out, &original.text);
            if original.truncated {
                out.extend_from_slice(b",\"truncated\":true");
            }
        }
        Value::DryRun(would_be) => dry_run(out, would_be),
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}
