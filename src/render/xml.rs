//! The XML shapes: our own, RFC 9457 appendix B, and SOAP faults (SOAP 1.1 section 4.4, SOAP 1.2 part 1 section 5.4).

use std::borrow::Cow;

use quick_xml::escape::escape;

use crate::envelope::Envelope;

/// Namespace of the error element.
const NAMESPACE: &str = "urn:lockgate:error:1";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// `application/xml`
pub(super) fn document(e: &Envelope) -> Vec<u8> {
    format!("{DECLARATION}{}\n", error(e, true)).into_bytes()
}

/// `application/problem+xml`
pub(super) fn problem(e: &Envelope) -> Vec<u8> {
    let mut out = format!("{DECLARATION}<problem xmlns=\"urn:ietf:rfc:7807\">");
    leaf(&mut out, "type", e.problem_type.as_deref().unwrap_or("about:blank"));
    leaf(&mut out, "title", super::values::phrase(e));
    leaf(&mut out, "status", e.status.as_str());
    leaf(&mut out, "detail", e.message.as_str());
    leaf(&mut out, "code", &e.code);
    leaf(&mut out, "requestId", e.request_id.as_str());
    more(&mut out, e);
    out.push_str("</problem>\n");
    out.into_bytes()
}

/// SOAP 1.1 4.4: the fault's code says whose fault it was.
pub(super) fn soap_1_1(e: &Envelope) -> Vec<u8> {
    let whose = if e.status.is_client_error() { "Client" } else { "Server" };
    let mut out = format!("{DECLARATION}<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault>");
    leaf(&mut out, "faultcode", &format!("soap:{whose}"));
    leaf(&mut out, "faultstring", e.message.as_str());
    out.push_str(&format!("<detail>{}</detail></soap:Fault></soap:Body></soap:Envelope>\n", error(e, true)));
    out.into_bytes()
}

/// SOAP 1.2 part 1 5.4.
pub(super) fn soap_1_2(e: &Envelope) -> Vec<u8> {
    let whose = if e.status.is_client_error() { "Sender" } else { "Receiver" };
    let language = e.language.as_deref().unwrap_or("und");
    let text = clean(e.message.as_str());
    format!(
        "{DECLARATION}<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\"><env:Body><env:Fault><env:Code><env:Value>env:{whose}</env:Value></env:Code>\
         <env:Reason><env:Text xml:lang=\"{}\">{text}</env:Text></env:Reason><env:Detail>{}</env:Detail></env:Fault></env:Body></env:Envelope>\n",
        clean(language),
        error(e, true)
    )
    .into_bytes()
}

/// The error element.
fn error(e: &Envelope, namespace: bool) -> String {
    let mut out = if namespace { format!("<error xmlns=\"{NAMESPACE}\">") } else { "<error>".to_owned() };
    leaf(&mut out, "code", &e.code);
    leaf(&mut out, "message", e.message.as_str());
    leaf(&mut out, "statusCode", e.status.as_str());
    leaf(&mut out, "timestamp", &super::values::timestamp(e.timestamp));
    leaf(&mut out, "requestId", e.request_id.as_str());
    leaf(&mut out, "method", e.method.as_str());
    leaf(&mut out, "path", &e.path);
    more(&mut out, e);
    out.push_str("</error>");
    out
}

/// Details, and the inside view in development mode.
fn more(out: &mut String, e: &Envelope) {
    if !e.fields.is_empty() {
        out.push_str("<fields>");
        for (path, texts) in &e.fields {
            out.push_str(&format!("<field name=\"{}\">", clean(path)));
            texts.iter().for_each(|text| leaf(out, "message", text.as_str()));
            out.push_str("</field>");
        }
        out.push_str("</fields>");
    }
    if let Some(seconds) = e.retry_after {
        leaf(out, "retryAfterSeconds", &seconds.to_string());
    }
    for policy in &e.violated {
        out.push_str(&format!(
            "<violatedPolicy name=\"{}\" limit=\"{}\" windowSeconds=\"{}\"/>",
            clean(&policy.name),
            policy.limit,
            policy.window
        ));
    }
    if let Some(debug) = &e.debug {
        leaf(out, "debug", &format!("{debug:#?}"));
    }
}

fn leaf(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<{name}>{}</{name}>", clean(text)));
}

/// Escaped, without characters that XML 1.0 (2.2) does not have.
fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(bad) { Cow::Owned(escape(text.replace(bad, "\u{fffd}")).into_owned()) } else { escape(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_sound() {
        assert_eq!(clean("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&apos;\u{fffd}");
    }
}
