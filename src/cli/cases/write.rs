//! Writes cases as TOML.
//!
//! Knows the keys that `read` knows.

use super::bench::Got;
use super::case::{Lines, Reply, Request};
use super::told::told;
pub(in crate::cli) use crate::write::toml_string as string;

/// A body: lines as they are where TOML permits it, so that a person can read them.
fn body(text: &str) -> String {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    match text.contains('\n') && !text.contains("'''") && !text.ends_with('\'') && text.chars().all(plain) {
        true => format!("'''\n{text}'''"),
        false => string(text),
    }
}

/// Returns a name as a TOML key.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { string(name) }
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
        format!("{} = {value}", key(wanted))
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

/// Returns `[cases.expect]` with what came back, and the `inside` texts that did not.
pub(in crate::cli) fn expect(got: &Got, inside: &[&str]) -> String {
    let told = told(got);
    let mut out = format!("[cases.expect]\nstatus = {}\n", got.status);
    let mut line = |key: &str, value: &str| out.push_str(&format!("{key} = {value}\n"));
    if got.status >= 400 {
        told.code.iter().for_each(|code| line("code", &string(code)));
        told.message.iter().for_each(|message| line("message", &string(message)));
        if let Some(fields) = told.fields.as_ref().and_then(serde_json::Value::as_object) {
            let entries = fields.iter().map(|(name, messages)| {
                let texts = messages.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(string));
                format!("{} = [{}]", key(name), texts.collect::<Vec<_>>().join(", "))
            });
            line("fields", &format!("{{ {} }}", entries.collect::<Vec<_>>().join(", ")));
        }
    }
    if let Some(content_type) = got.header("content-type") {
        line("content_type", &string(content_type.split(';').next().unwrap_or_default().trim()));
    }
    let body = got.text();
    let absent: Vec<_> = inside.iter().filter(|text| !body.contains(**text)).map(|text| string(text)).collect();
    if !absent.is_empty() {
        line("absent", &format!("[{}]", absent.join(", ")));
    }
    if got.cut {
        line("cut", "true");
    }
    if let Some(reason) = got.log["reason"].as_str().filter(|reason| !reason.is_empty()) {
        line("reason", &string(reason));
    }
    let kept: Lines = STABLE.iter().filter_map(|name| Some(((*name).to_owned(), got.header(name)?))).collect();
    if !kept.is_empty() {
        line("headers", &headers(&kept));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cases::case::{Case, Check, What};
    use crate::cli::cases::read;

    fn case_of(text: &str) -> Case {
        read::read(text, std::path::Path::new(""), true).unwrap().cases.remove(0)
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(body in "\\PC{0,40}|[a\n\r\t'\"\\\\\u{0}\u{7f}]{0,30}", value in "[ -~]{0,20}", name in "[a-z-]{1,9}") {
            let reply = Reply { status: 422, headers: vec![(name, value)], body: body.clone().into_bytes(), ..Reply::default() };
            let text = format!("[[cases]]\nname = {}\n{}", string(&body), super::reply(&reply));
            let case = case_of(&text);
            let read = &case.replies[0];
            proptest::prop_assert_eq!(case.name, body);
            proptest::prop_assert_eq!((read.status, &read.headers, &read.body), (422, &reply.headers, &reply.body), "{}", text);
        }
    }

    #[test]
    fn a_request_is_read_again() {
        let written = request(&Request {
            headers: vec![("Accept".into(), "a".into()), ("accept".into(), "b".into())],
            ..case_of("[[cases]]\nname = \"x\"").request
        });
        let read = case_of(&format!("[[cases]]\nname = \"x\"\n{written}[cases.expect]\nstatus = 200"));
        assert_eq!(read.request.headers, [("Accept".into(), "a".into()), ("Accept".into(), "b".into())]);
        assert!(matches!(read.checks.as_slice(), [Check { what: What::Status(200), .. }]));
    }
}
