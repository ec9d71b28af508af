//! The operator's own shape: `{{name}}` stands for a value, escaped for the place where it stands.
//!
//! Compiled when the configuration loads: unknown names, unclosed braces and a JSON template that would not give JSON are
//! errors then, never at the first failure. There is nothing to loop over and nothing to decide.

use std::borrow::Cow;

use crate::envelope::Envelope;

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 64 * 1024;

/// A value of the envelope that a template may show.
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
    RetryAfterSeconds,
    Language,
    Debug,
}

/// Names as they are written.
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
    ("retryAfterSeconds", Name::RetryAfterSeconds),
    ("language", Name::Language),
    ("debug", Name::Debug),
];

/// Where a value stands, which decides how it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where JSON wants a value.
    JsonValue,
    /// Within a JSON string.
    JsonString,
    /// HTML or XML, text or attribute.
    Markup,
    /// Plain text.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Value(Name, Place),
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    content_type: String,
}

/// What is wrong with a template, and where: line and column, both from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Line of the template.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
    /// What.
    pub what: String,
}

impl Template {
    /// Compiles. The content type decides how values are escaped.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn compile(text: &str, content_type: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(wrong(text, 0, "a template is at most 64 KiB".into()));
        }
        let lower = content_type.to_ascii_lowercase();
        let json = lower.contains("json");
        let markup = lower.contains("html") || lower.contains("xml");
        let mut parts = Vec::new();
        let mut inside = false;
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|found| at + found) {
            literal(&mut parts, &text[at..open], json, &mut inside);
            let Some(close) = text[open..].find("}}").map(|found| open + found) else {
                return Err(wrong(text, open, "`{{` is never closed by `}}`".into()));
            };
            let name = text[open + 2..close].trim();
            let Some((_, value)) = NAMES.iter().find(|(known, _)| *known == name) else {
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                return Err(wrong(text, open + 2, format!("there is no value `{name}`; known: {}", known.join(", "))));
            };
            let place = match (json, markup) {
                (true, _) if inside => Place::JsonString,
                (true, _) => Place::JsonValue,
                (false, true) => Place::Markup,
                (false, false) => Place::Text,
            };
            parts.push(Part::Value(*value, place));
            at = close + 2;
        }
        literal(&mut parts, &text[at..], json, &mut inside);
        let template = Self { parts, content_type: content_type.to_owned() };
        if json {
            template.check_json(text)?;
        }
        Ok(template)
    }

    /// Both with and without the values that may be missing, it must be JSON.
    fn check_json(&self, text: &str) -> Result<(), TemplateError> {
        for sample in [super::values::sample(false), super::values::sample(true)] {
            if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&self.fill(&sample)) {
                return Err(wrong(text, 0, format!("what it gives is not JSON ({error}); values outside of quotes bring their own")));
            }
        }
        Ok(())
    }

    /// What it gives.
    pub(super) fn content_type(&self) -> Cow<'static, str> {
        Cow::Owned(self.content_type.clone())
    }

    /// Fills it.
    pub(super) fn fill(&self, e: &Envelope) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(name, place) => write(&mut out, *name, *place, e),
            }
        }
        out
    }
}

/// Adds text that stands for itself, and notes whether it ends within a JSON string.
fn literal(parts: &mut Vec<Part>, text: &str, json: bool, inside: &mut bool) {
    if json {
        let mut escaped = false;
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if *inside => escaped = true,
                '"' => *inside = !*inside,
                _ => {}
            }
        }
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}

fn wrong(text: &str, at: usize, what: String) -> TemplateError {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    TemplateError { line, column, what }
}

/// A value as text; `None` when there is none.
fn text_of(name: Name, e: &Envelope) -> Option<Cow<'_, str>> {
    Some(match name {
        Name::Code => Cow::Borrowed(e.code.as_str()),
        Name::Message => Cow::Borrowed(e.message.as_str()),
        Name::StatusCode => Cow::Owned(e.status.as_u16().to_string()),
        Name::Reason => Cow::Borrowed(super::values::phrase(e)),
        Name::RequestId => Cow::Borrowed(e.request_id.as_str()),
        Name::Timestamp => Cow::Owned(super::values::timestamp(e.timestamp)),
        Name::Method => Cow::Borrowed(e.method.as_str()),
        Name::Path => Cow::Borrowed(&e.path),
        Name::Fields => {
            let line = |(path, texts): (&String, &Vec<crate::text::Text>)| {
                format!("{path}: {}", texts.iter().map(crate::text::Text::as_str).collect::<Vec<_>>().join("; "))
            };
            Cow::Owned(e.fields.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        Name::Details => Cow::Owned(super::json::details(e).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?),
        Name::RetryAfterSeconds => Cow::Owned(e.retry_after?.to_string()),
        Name::Language => Cow::Borrowed(e.language.as_deref()?),
        Name::Debug => Cow::Owned(e.debug.as_ref().map(|debug| format!("{debug:#?}"))?),
    })
}

fn write(out: &mut Vec<u8>, name: Name, place: Place, e: &Envelope) {
    match place {
        Place::JsonValue => out.extend_from_slice(&json_value(name, e)),
        Place::JsonString => {
            let quoted = super::json::quoted(&text_of(name, e).unwrap_or_default());
            out.extend_from_slice(&quoted[1..quoted.len() - 1]);
        }
        Place::Markup => out.extend_from_slice(html_escape::encode_safe(&text_of(name, e).unwrap_or_default()).as_bytes()),
        Place::Text => {
            let text = text_of(name, e).unwrap_or_default();
            out.extend(text.chars().filter(|c| !c.is_control() || *c == '\n').collect::<String>().into_bytes());
        }
    }
}

fn json_value(name: Name, e: &Envelope) -> Vec<u8> {
    match name {
        Name::Fields => super::json::fields(e),
        Name::Details => super::json::details(e).unwrap_or_else(|| b"null".to_vec()),
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

    fn filled(template: &str, content_type: &str) -> String {
        String::from_utf8(Template::compile(template, content_type).unwrap().fill(&super::super::values::sample(true))).unwrap()
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        let json: serde_json::Value = serde_json::from_str(&filled(
            r#"{"m":"({{message}})","v":{{message}},"s":{{statusCode}},"f":{{fields}},"r":{{ retryAfterSeconds }},"d":{{details}}}"#,
            "application/json",
        ))
        .unwrap();
        assert_eq!((json["m"].as_str(), json["v"].as_str()), (Some("(a \"b\" <c>\\)"), Some("a \"b\" <c>\\")));
        assert_eq!((json["s"].as_u64(), json["r"].as_u64(), json["f"]["x"][0].as_str()), (Some(422), Some(7), Some("y")));
        assert_eq!(filled("<p title='{{message}}'>{{code}}</p>", "text/html"), "<p title='a &quot;b&quot; &lt;c&gt;\\'>E1</p>");
        assert_eq!(filled("{{code}}: {{message}}\n{{fields}}", "text/plain"), "E1: a \"b\" <c>\\\nx: y");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let wrong = |template, content_type| Template::compile(template, content_type).unwrap_err();
        assert_eq!((wrong("a\nb {{x}}", "text/plain").line, wrong("a\nb {{x}}", "text/plain").column), (2, 5));
        assert!(wrong("{{code", "text/plain").what.contains("never closed"));
        assert!(wrong("{\"a\":x{{code}}}", "application/json").what.contains("not JSON"));
        assert!(wrong("{\"a\":{{retryAfterSeconds}} \"b\"}", "application/json").what.contains("not JSON"));
    }

    proptest::proptest! {
        #[test]
        fn any_template_compiles_or_complains(text in "[{}a-z\"\\\\:, \n\u{e4}]{0,60}") {
            for content_type in ["application/json", "text/html", "text/plain"] {
                if let Ok(template) = Template::compile(&text, content_type) {
                    template.fill(&super::super::values::sample(false));
                }
            }
        }
    }
}
