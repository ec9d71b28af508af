//! Writes cases as TOML.
//!
//! Knows the keys that `read` knows.

use super::bench::Got;
use super::case::{Lines, Reply, Request};
use super::told::told;

/// Returns a text as a TOML string.
pub(in crate::cli) fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A body: lines as they are where TOML permits it, so that a person can read them.
fn body(text: &str) -> String {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    match text.contains('\n') && !text.contains("'''") && !text.ends_with('\'') && text.chars().all(plain) {
        true => format!("'''\n{text}'''"),
        false => string(text),
    }
}

fn headers(lines: &Lines) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in lines {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    let entries = names.into_iter().map(|wanted| {
        let values: Vec<_> = lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| string(value)).collect();
        let value = if let [one] = values.as_slice() { one.clone() } else { format!("[{}]", values.join(", ")) };
        format!("{} = {value}", string(wanted))
    });
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// Returns `[cases.request]`.
pub(in crate::cli) fn request(request: &Request) -> String {
    let mut out = format!("[cases.request]\nmethod = {}\npath = {}\n", string(request.method.as_str()), string(&request.path));
    if !request.headers.is_empty() {
        out.push_str(&format!("headers = {}\n", headers(&request.headers)));
    }
    if !request.body.is_empty() {
        out.push_str(&format!("body = {}\n", body(&String::from_utf8_lossy(&request.body))));
    }
    out
}

/// Returns `[cases.upstream]`.
pub(in crate::cli) fn reply(reply: &Reply) -> String {
    let mut out = format!("[cases.upstream]\nstatus = {}\n", reply.status);
    if !reply.headers.is_empty() {
        out.push_str(&format!("headers = {}\n", headers(&reply.headers)));
    }
    if !reply.body.is_empty() {
        out.push_str(&format!("body = {}\n", body(&String::from_utf8_lossy(&reply.body))));
    }
    out
}

/// Headers whose values are the same whenever a case runs, and that clients rely on.
const STABLE: &[&str] = &["Retry-After", "WWW-Authenticate", "Allow", "Location", "Content-Language", "Proxy-Status"];

/// Returns `[cases.expect]` with what came back.
pub(in crate::cli) fn expect(got: &Got) -> String {
    let told = told(got);
    let mut out = format!("[cases.expect]\nstatus = {}\n", got.status);
    let mut line = |key: &str, value: &str| out.push_str(&format!("{key} = {value}\n"));
    if got.status >= 400 {
        told.code.iter().for_each(|code| line("code", &string(code)));
        told.message.iter().for_each(|message| line("message", &string(message)));
        if let Some(fields) = told.fields.as_ref().and_then(serde_json::Value::as_object) {
            let entries = fields.iter().map(|(name, messages)| {
                let texts = messages.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(string));
                format!("{} = [{}]", string(name), texts.collect::<Vec<_>>().join(", "))
            });
            line("fields", &format!("{{ {} }}", entries.collect::<Vec<_>>().join(", ")));
        }
    }
    if let Some(content_type) = got.header("content-type") {
        line("content_type", &string(content_type.split(';').next().unwrap_or_default().trim()));
    }
    if got.cut {
        line("cut", "true");
    }
    if let Some(reason) = got.log["reason"].as_str().filter(|reason| !reason.is_empty()) {
        line("reason", &string(reason));
    }
    let kept: Lines =
        STABLE.iter().filter_map(|name| Some(((*name).to_owned(), got.header(name)?))).collect();
    if !kept.is_empty() {
        line("headers", &headers(&kept));
    }
    out
}
