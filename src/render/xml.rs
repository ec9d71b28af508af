//! The XML shapes: Lockgate's format, RFC 9457 appendix B, and SOAP faults (SOAP 1.1 section 4.4, SOAP 1.2 part 1 section 5.4). Knows no
//! other shape.

use std::borrow::Cow;

use quick_xml::escape::escape;

use crate::envelope::{Envelope, Item};
use crate::policy::Details;

/// The namespace of the error element.
const NAMESPACE: &str = "urn:lockgate:error:1";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Renders `application/xml`.
pub(super) fn document(e: &Envelope) -> Vec<u8> {
    format!("{DECLARATION}{}\n", error(e, true)).into_bytes()
}

/// Renders `application/problem+xml`.
pub(super) fn problem(e: &Envelope) -> Vec<u8> {
    let mut out = format!("{DECLARATION}<problem xmlns=\"urn:ietf:rfc:7807\">");
    append_element(&mut out, "type", e.problem_type.as_deref().unwrap_or("about:blank"));
    append_element(&mut out, "title", super::values::phrase(e));
    append_element(&mut out, "status", e.status.as_str());
    append_element(&mut out, "detail", e.message.as_str());
    append_element(&mut out, "code", &e.code);
    append_element(&mut out, "requestId", e.request_id.as_str());
    append_details(&mut out, e);
    out.push_str("</problem>\n");
    out.into_bytes()
}

/// Renders a SOAP 1.1 fault (section 4.4). Its code says whether the client or the server failed.
pub(super) fn soap_1_1(e: &Envelope) -> Vec<u8> {
    let fault_code = if e.status.is_client_error() { "Client" } else { "Server" };
    let mut out = format!("{DECLARATION}<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault>");
    append_element(&mut out, "faultcode", &format!("soap:{fault_code}"));
    append_element(&mut out, "faultstring", e.message.as_str());
    out.push_str(&format!("<detail>{}</detail></soap:Fault></soap:Body></soap:Envelope>\n", error(e, true)));
    out.into_bytes()
}

/// Renders a SOAP 1.2 fault (part 1 section 5.4).
pub(super) fn soap_1_2(e: &Envelope) -> Vec<u8> {
    let fault_code = if e.status.is_client_error() { "Sender" } else { "Receiver" };
    let language = e.language().unwrap_or("und");
    let text = escaped(e.message.as_str());
    format!(
        "{DECLARATION}<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\"><env:Body><env:Fault><env:Code><env:Value>env:{fault_code}</env:Value></env:Code>\
         <env:Reason><env:Text xml:lang=\"{}\">{text}</env:Text></env:Reason><env:Detail>{}</env:Detail></env:Fault></env:Body></env:Envelope>\n",
        escaped(language),
        error(e, true)
    )
    .into_bytes()
}

/// Returns the error element.
fn error(e: &Envelope, namespace: bool) -> String {
    let mut out = if namespace { format!("<error xmlns=\"{NAMESPACE}\">") } else { "<error>".to_owned() };
    append_element(&mut out, "code", &e.code);
    append_element(&mut out, "message", e.message.as_str());
    append_element(&mut out, "statusCode", e.status.as_str());
    append_element(&mut out, "timestamp", &super::values::timestamp(e.timestamp));
    append_element(&mut out, "requestId", e.request_id.as_str());
    append_element(&mut out, "method", e.method.as_str());
    append_element(&mut out, "path", &e.path);
    append_details(&mut out, e);
    out.push_str("</error>");
    out
}

/// Appends the details, and the debug output in development mode.
fn append_details(out: &mut String, e: &Envelope) {
    match e.details {
        Details::Map => {
            append_fields(out, e);
            append_errors(out, &e.general_errors().collect::<Vec<_>>());
        }
        Details::List => append_errors(out, &e.errors.iter().collect::<Vec<_>>()),
    }
    if let Some(seconds) = e.retry_after {
        append_element(out, "retryAfterSeconds", &seconds.to_string());
    }
    for policy in &e.violated {
        out.push_str(&format!(
            "<violatedPolicy name=\"{}\" limit=\"{}\" windowSeconds=\"{}\"/>",
            escaped(&policy.name),
            policy.limit,
            policy.window
        ));
    }
    if let Some(debug) = &e.debug {
        append_element(out, "debug", &super::values::debug_text(debug));
    }
}

fn append_fields(out: &mut String, e: &Envelope) {
    let fields = e.fields();
    if fields.is_empty() {
        return;
    }
    out.push_str("<fields>");
    for (path, texts) in fields {
        out.push_str(&format!("<field name=\"{}\">", escaped(path)));
        texts.into_iter().for_each(|text| append_element(out, "message", text));
        out.push_str("</field>");
    }
    out.push_str("</fields>");
}

fn append_errors(out: &mut String, errors: &[&Item]) {
    if errors.is_empty() {
        return;
    }
    out.push_str("<errors>");
    for item in errors {
        out.push_str("<error>");
        item.field.iter().for_each(|field| append_element(out, "field", field));
        append_element(out, "message", item.message.as_str());
        item.code.iter().for_each(|code| append_element(out, "code", code));
        out.push_str("</error>");
    }
    out.push_str("</errors>");
}

fn append_element(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<{name}>{}</{name}>", escaped(text)));
}

/// Escapes a value, and replaces characters that XML 1.0 does not allow (section 2.2).
fn escaped(text: &str) -> Cow<'_, str> {
    let bad = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(bad) { Cow::Owned(escape(text.replace(bad, "\u{fffd}")).into_owned()) } else { escape(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_valid() {
        assert_eq!(escaped("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&apos;\u{fffd}");
    }
}
