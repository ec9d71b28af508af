//! The operator's template: `{{name}}` stands for a value, escaped for its context.
//!
//! A template is compiled when the configuration is loaded, so that unknown names, unclosed braces and a JSON template that would not
//! produce JSON are configuration errors, and so is a value at a place of HTML where no escape makes it safe. A template has no loops and no conditions. Knows no other shape.

use std::borrow::Cow;

use super::place;
use crate::envelope::Envelope;

/// The maximum length of a template, in bytes.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// A value of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Code,
    Message,
    StatusCode,
    Reason,
    RequestId,
    Timestamp,
    Method,
    Path,
    Fields,
    Details,
    Upstream,
    RetryAfterSeconds,
    Language,
    Debug,
}

/// The names of the values in a template.
const NAMES: &[(&str, Name)] = &[
    ("code", Name::Code),
    ("message", Name::Message),
    ("statusCode", Name::StatusCode),
    ("reason", Name::Reason),
    ("requestId", Name::RequestId),
    ("timestamp", Name::Timestamp),
    ("method", Name::Method),
    ("path", Name::Path),
    ("fields", Name::Fields),
    ("details", Name::Details),
    ("upstream", Name::Upstream),
    ("retryAfterSeconds", Name::RetryAfterSeconds),
    ("language", Name::Language),
    ("debug", Name::Debug),
];

/// The context of a value, which determines how it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// A JSON value.
    JsonValue,
    /// The inside of a JSON string.
    JsonString,
    /// HTML or XML: text or a quoted attribute.
    Markup,
    /// Plain text.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Value(Name, Context),
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    content_type: String,
}

/// An error in a template, with its line and column, both from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// A description of the error.
    pub message: String,
}

impl Template {
    /// Compiles a template. The content type determines how values are escaped.
    ///
    /// # Errors
    /// Returns the first error in the template.
    pub fn compile(text: &str, content_type: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(error_at(text, 0, "a template is at most 64 KiB".into()));
        }
        let lower = content_type.to_ascii_lowercase();
        let json = lower.contains("json");
        let markup = lower.contains("html") || lower.contains("xml");
        let mut parts = Vec::new();
        let mut in_string = false;
        let mut places = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|found| at + found) {
            literal(&mut parts, &text[at..open], json, &mut in_string);
            let Some(close) = text[open..].find("}}").map(|found| open + found) else {
                return Err(error_at(text, open, "`{{` is never closed by `}}`".into()));
            };
            let name = text[open + 2..close].trim();
            let Some((_, value)) = NAMES.iter().find(|(known, _)| *known == name) else {
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                return Err(error_at(text, open + 2, format!("there is no value `{name}`; known: {}", known.join(", "))));
            };
            let context = match (json, markup) {
                (true, _) if in_string => Context::JsonString,
                (true, _) => Context::JsonValue,
                (false, true) => Context::Markup,
                (false, false) => Context::Text,
            };
            places.push(open..close + 2);
            parts.push(Part::Value(*value, context));
            at = close + 2;
        }
        literal(&mut parts, &text[at..], json, &mut in_string);
        if lower.contains("html") {
            place::check(text, &places).map_err(|(at, objection)| error_at(text, at, objection))?;
        }
        let template = Self { parts, content_type: content_type.to_owned() };
        if json {
            template.check_json(text)?;
        }
        Ok(template)
    }

    /// Checks that the template produces JSON with and without the optional values.
    fn check_json(&self, text: &str) -> Result<(), TemplateError> {
        for sample in [super::values::sample(false), super::values::sample(true)] {
            if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&self.render(&sample)) {
                return Err(error_at(text, 0, format!("what it gives is not JSON ({error}); values outside of quotes bring their own")));
            }
        }
        Ok(())
    }

    /// Returns the content type of the response.
    pub(super) fn content_type(&self) -> Cow<'static, str> {
        Cow::Owned(self.content_type.clone())
    }

    /// Renders an envelope.
    pub(super) fn render(&self, e: &Envelope) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(name, context) => write(&mut out, *name, *context, e),
            }
        }
        out
    }
}

/// Adds literal text, and tracks whether it ends within a JSON string.
fn literal(parts: &mut Vec<Part>, text: &str, json: bool, in_string: &mut bool) {
    if json {
        let mut escaped = false;
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if *in_string => escaped = true,
                '"' => *in_string = !*in_string,
                _ => {}
            }
        }
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}

fn error_at(text: &str, at: usize, message: String) -> TemplateError {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    TemplateError { line, column, message }
}

/// Returns a value as text, or `None` if it is missing.
fn text_of(name: Name, e: &Envelope) -> Option<Cow<'_, str>> {
    Some(match name {
        Name::Code => Cow::Borrowed(&*e.code),
        Name::Message => Cow::Borrowed(e.message.as_str()),
        Name::StatusCode => Cow::Owned(e.status.as_u16().to_string()),
        Name::Reason => Cow::Borrowed(super::values::phrase(e)),
        Name::RequestId => Cow::Borrowed(e.request_id.as_str()),
        Name::Timestamp => Cow::Owned(super::values::timestamp(e.timestamp)),
        Name::Method => Cow::Borrowed(e.method.as_str()),
        Name::Path => Cow::Borrowed(&e.path),
        Name::Fields => {
            let line = |(path, texts): (&str, Vec<&str>)| format!("{path}: {}", texts.join("; "));
            Cow::Owned(e.fields().into_iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        Name::Details => Cow::Owned(super::json::details(e).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?),
        Name::Upstream => Cow::Borrowed(e.upstream.as_deref()?),
        Name::RetryAfterSeconds => Cow::Owned(e.retry_after?.to_string()),
        Name::Language => Cow::Borrowed(e.language()?),
        Name::Debug => Cow::Owned(e.debug.as_ref().map(|debug| super::values::debug_text(debug))?),
    })
}

fn write(out: &mut Vec<u8>, name: Name, context: Context, e: &Envelope) {
    match context {
        Context::JsonValue => out.extend_from_slice(&json_value(name, e)),
        Context::JsonString => {
            let quoted = super::json::quoted(&text_of(name, e).unwrap_or_default());
            out.extend_from_slice(&quoted[1..quoted.len() - 1]);
        }
        Context::Markup => out.extend_from_slice(html_escape::encode_safe(&text_of(name, e).unwrap_or_default()).as_bytes()),
        Context::Text => {
            let text = text_of(name, e).unwrap_or_default();
            out.extend(text.chars().filter(|c| !c.is_control() || *c == '\n').collect::<String>().into_bytes());
        }
    }
}

fn json_value(name: Name, e: &Envelope) -> Vec<u8> {
    match name {
        Name::Fields => super::json::fields(e),
        Name::Details => super::json::details(e).unwrap_or_else(|| b"null".to_vec()),
        Name::Upstream => e.upstream.as_ref().map_or_else(|| b"null".to_vec(), |upstream| upstream.clone().into_bytes()),
        Name::Debug => e.debug.as_ref().map_or_else(|| b"null".to_vec(), |debug| super::json::debug_object(debug)),
        Name::StatusCode | Name::RetryAfterSeconds => {
            text_of(name, e).map_or_else(|| b"null".to_vec(), |number| number.as_bytes().to_vec())
        }
        Name::Code | Name::Message | Name::Reason | Name::RequestId | Name::Timestamp | Name::Method | Name::Path | Name::Language => {
            text_of(name, e).map_or_else(|| b"null".to_vec(), |text| super::json::quoted(&text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, content_type: &str) -> String {
        String::from_utf8(Template::compile(template, content_type).unwrap().render(&super::super::values::sample(true))).unwrap()
    }

    #[test]
    fn values_are_escaped_for_their_context() {
        let json: serde_json::Value = serde_json::from_str(&rendered(
            r#"{"m":"({{message}})","v":{{message}},"s":{{statusCode}},"f":{{fields}},"r":{{ retryAfterSeconds }},"d":{{details}}}"#,
            "application/json",
        ))
        .unwrap();
        assert_eq!((json["m"].as_str(), json["v"].as_str()), (Some("(a \"b\" <c>\\)"), Some("a \"b\" <c>\\")));
        assert_eq!((json["s"].as_u64(), json["r"].as_u64(), json["f"]["x"][0].as_str()), (Some(422), Some(7), Some("y")));
        assert_eq!(rendered("<p title='{{message}}'>{{code}}</p>", "text/html"), "<p title='a &quot;b&quot; &lt;c&gt;\\'>E1</p>");
        assert_eq!(rendered("{{code}}: {{message}}\n{{fields}}", "text/plain"), "E1: a \"b\" <c>\\\nx: y");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let error_of = |template, content_type| Template::compile(template, content_type).unwrap_err();
        assert_eq!((error_of("a\nb {{x}}", "text/plain").line, error_of("a\nb {{x}}", "text/plain").column), (2, 5));
        assert!(error_of("{{code", "text/plain").message.contains("never closed"));
        assert!(error_of("{\"a\":x{{code}}}", "application/json").message.contains("not JSON"));
        assert!(error_of("{\"a\":{{retryAfterSeconds}} \"b\"}", "application/json").message.contains("not JSON"));
    }

    proptest::proptest! {
        #[test]
        fn any_template_compiles_or_complains(text in "[{}a-z\"\\\\:, \n\u{e4}]{0,60}") {
            for content_type in ["application/json", "text/html", "text/plain"] {
                if let Ok(template) = Template::compile(&text, content_type) {
                    template.render(&super::super::values::sample(false));
                }
            }
        }
    }
}
