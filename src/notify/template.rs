//! The operator's body of a message: `{{name}}` stands for a value, escaped for its place.
//!
//! A template is compiled when the configuration is loaded, so that unknown names, unclosed braces and a template that would not give JSON
//! are configuration errors. Outside of quotes a value brings its own, and a missing one is `null`; inside of quotes it is empty.

use std::time::SystemTime;

use serde_json::Value;

use super::message::{Message, Name, Severity};

/// The maximum length of a template, in bytes.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// The place of a value, which decides how it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    JsonValue,
    JsonString,
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
    is_json: bool,
}

impl Template {
    /// Compiles a template that gives JSON or plain text.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn compile(text: &str, is_json: bool) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE {
            return Err("a template is at most 64KiB".to_owned());
        }
        let (mut parts, mut quotes, mut rest) = (Vec::new(), Quotes::default(), text);
        while let Some((literal, after)) = rest.split_once("{{") {
            quotes.read(literal);
            parts.push(Part::Literal(literal.to_owned()));
            let (name, after) = after.split_once("}}").ok_or("`{{` is never closed by `}}`")?;
            let value = Name::ALL.into_iter().find(|known| known.word() == name.trim()).ok_or_else(|| {
                let known: Vec<&str> = Name::ALL.iter().map(|known| known.word()).collect();
                format!("there is no value `{}`; known: {}", name.trim(), known.join(", "))
            })?;
            let place = match (is_json, quotes.open) {
                (true, true) => Place::JsonString,
                (true, false) => Place::JsonValue,
                (false, _) => Place::Text,
            };
            parts.push(Part::Value(value, place));
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        let template = Self { parts, is_json };
        if is_json {
            template.check()?;
        }
        Ok(template)
    }

    /// Checks that the template gives JSON with and without the values that may be missing.
    fn check(&self) -> Result<(), String> {
        let none = Message::new("test", Severity::Info, "a", ("b", SystemTime::UNIX_EPOCH));
        let word = || Some("c\"".to_owned());
        let all = Message { group: word(), route: word(), backend: word(), endpoint: word(), code: word(), link: word(), ..none.clone() };
        let all = Message { status: Some(502), ..all };
        for sample in [none, all] {
            if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&self.render(&sample)) {
                return Err(format!("what it gives is not JSON ({error}); values outside of quotes bring their own"));
            }
        }
        Ok(())
    }

    /// Returns the media type.
    pub const fn content_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "text/plain; charset=utf-8" }
    }

    /// Returns the body for a message.
    pub fn render(&self, message: &Message) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value(name, place) => write(&mut out, message.value(*name), *place),
            }
        }
        out
    }
}

/// Whether the end of a text is inside of a JSON string.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                _ if std::mem::take(&mut self.escaped) => {}
                '\\' if self.open => self.escaped = true,
                '"' => self.open = !self.open,
                _ => {}
            }
        }
    }
}

fn write(out: &mut String, value: Value, place: Place) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    match place {
        Place::JsonValue => out.push_str(&value.to_string()),
        Place::JsonString => {
            let quoted = Value::from(text(&value)).to_string();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
        Place::Text => out.extend(text(&value).chars().filter(|c| !c.is_control())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(title: &str) -> Message {
        Message::new("new-group", Severity::Error, title, ("gw", SystemTime::UNIX_EPOCH))
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        let template = Template::compile(r#"{"a":"<{{title}}>","b":{{ title }},"n":{{count}},"l":{{link}},"m":"{{link}}"}"#, true).unwrap();
        let given: Value = serde_json::from_str(&template.render(&message("x \"y\" \\ \n \u{2028}"))).unwrap();
        assert_eq!((given["a"].as_str(), given["b"].as_str()), (Some("<x \"y\" \\ \n \u{2028}>"), Some("x \"y\" \\ \n \u{2028}")));
        assert_eq!((&given["n"], &given["l"], &given["m"]), (&Value::from(1), &Value::Null, &Value::from("")));
        let plain = Template::compile("{{event}}: {{title}}\n", false).unwrap();
        assert_eq!(plain.render(&message("a\r\nb\u{1b}[2J")), "new-group: ab[2J\n");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = [("{{title", "never closed"), ("{\"a\":{{titel}}}", "no value `titel`"), ("{\"a\":x{{title}}}", "not JSON")];
        for (text, complaint) in wrong {
            let told = Template::compile(text, true).unwrap_err();
            assert!(told.contains(complaint), "{text}: {told}");
        }
        assert!(Template::compile(&"x".repeat(MAX_TEMPLATE + 1), false).is_err());
    }

    proptest::proptest! {
        /// Whatever a value has, the body is JSON and gives the same value.
        #[test]
        fn no_value_leaves_its_place(title in "\\PC{0,40}|[\"\\\\{}\\x00-\\x1f\u{2028}]{0,20}", route in "[\"\\\\a-z{}]{0,10}") {
            let text = r#"{"q\"{{event}}":"{{title}} \\","v":{{title}},"r":["{{route}}",{{route}}]}"#;
            let template = Template::compile(text, true).unwrap();
            let given: Value = serde_json::from_str(&template.render(&Message { route: Some(route.clone()), ..message(&title) })).unwrap();
            proptest::prop_assert_eq!(&given["q\"new-group"], &Value::from(format!("{title} \\")));
            proptest::prop_assert_eq!(given["v"].as_str(), Some(title.as_str()));
            proptest::prop_assert_eq!(&given["r"], &serde_json::json!([route, route]));
        }

        #[test]
        fn any_template_compiles_or_complains(text in "[{}a-z\"\\\\:, \n\u{e4}]{0,60}") {
            for is_json in [true, false] {
                if let Ok(template) = Template::compile(&text, is_json) {
                    template.render(&message("x"));
                }
            }
        }
    }
}
