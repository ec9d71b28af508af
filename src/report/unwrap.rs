//! Finds JSON inside of what services wrap it into: prefixes against script inclusion, JSONP, server-sent events, strings that hold JSON,
//! several documents in a row, parts of a multipart body. Knows no names of an error.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

/// Prefixes that stop a page of another origin from loading JSON as a script.
const PREFIXES: &[&str] = &[")]}',", ")]}'", ")]}", "while(1);", "while (1);", "for(;;);", "for (;;);", "throw 1;", "{}&&", "&&&START&&&"];
/// The maximum number of documents or events that are read of one body.
const MAX_DOCUMENTS: usize = 16;
/// The maximum length of a JSONP callback's name, in bytes.
const MAX_CALLBACK: usize = 128;

/// A body without its wrapper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inner<'t> {
    /// JSON documents, at least one.
    Json(Vec<Cow<'t, str>>),
    /// The text of a JSON string.
    Text(String),
}

/// Returns the content of a body whose text does not start with an object or an array. `None` if there is no wrapper.
pub(super) fn unwrap(text: &str) -> Option<Inner<'_>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('"') {
        return string(text);
    }
    // A number or `null` says nothing.
    if matches!(text, "null" | "true" | "false") || text.parse::<f64>().is_ok() {
        return Some(Inner::Text(String::new()));
    }
    let documents = prefixed(text).or_else(|| callback(text)).map(|inner| vec![Cow::Borrowed(inner)]);
    documents.or_else(|| events(text)).or_else(|| parts(text)).map(Inner::Json)
}

/// Returns the documents of a body that consists of several objects or arrays: one per line, or one after another. `None` if there are
/// less than two.
pub(super) fn documents(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let found: Vec<_> = stream.take(MAX_DOCUMENTS).map_while(Result::ok).map(|raw| Cow::Borrowed(raw.get())).collect();
    (found.len() > 1).then_some(found)
}

/// A JSON string, whose content may be JSON again.
fn string(text: &str) -> Option<Inner<'static>> {
    let Ok(Value::String(inner)) = serde_json::from_str(text) else { return None };
    Some(if is_json(&inner) { Inner::Json(vec![Cow::Owned(inner)]) } else { Inner::Text(inner) })
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn prefixed(text: &str) -> Option<&str> {
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?.trim_start();
    is_json(rest).then_some(rest)
}

/// `callback({...});`, perhaps behind an empty comment.
fn callback(text: &str) -> Option<&str> {
    let call = text.strip_prefix("/**/").unwrap_or(text).trim_start();
    let (name, rest) = call.split_once('(')?;
    // `typeof callback === 'function' && callback({...})`
    let name = name.rsplit("&&").next().unwrap_or(name).trim();
    let is_name = (1..=MAX_CALLBACK).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.' | b'[' | b']'));
    let inner = rest.trim_end().trim_end_matches(';').trim_end().strip_suffix(')')?.trim();
    (is_name && is_json(inner)).then_some(inner)
}

/// The data of server-sent events (WHATWG HTML 9.2.5), where that is JSON.
fn events(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let is_field = |line: &str| ["data:", "event:", "id:", "retry:", ":"].iter().any(|name| line.starts_with(name));
    if !text.lines().take(64).all(|line| line.is_empty() || is_field(line)) {
        return None;
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).filter(|data| is_json(data));
    let found: Vec<_> = data.take(MAX_DOCUMENTS).map(Cow::Borrowed).collect();
    (!found.is_empty()).then_some(found)
}

/// The JSON parts of a multipart body (RFC 2046 5.1).
fn parts(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let boundary = text.lines().next()?.trim_end();
    if !(boundary.starts_with("--") && (3..=72).contains(&boundary.len())) {
        return None;
    }
    let body = |part: &'_ str| -> Option<usize> { part.find("\r\n\r\n").map(|at| at + 4).or_else(|| part.find("\n\n").map(|at| at + 2)) };
    let found: Vec<_> = text
        .split(boundary)
        .filter_map(|part| part.get(body(part)?..))
        .map(str::trim)
        .filter(|body| is_json(body))
        .take(MAX_DOCUMENTS)
        .map(Cow::Borrowed)
        .collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<Vec<String>> {
        match unwrap(text)? {
            Inner::Json(documents) => Some(documents.into_iter().map(Cow::into_owned).collect()),
            Inner::Text(_) => None,
        }
    }

    #[test]
    fn wrappers_are_removed() {
        for text in [
            ")]}',\n{\"a\":1}",
            ")]}'{\"a\":1}",
            "while(1);{\"a\":1}",
            "for (;;); {\"a\":1}",
            "cb({\"a\":1});",
            "/**/ typeof cb === 'function' && cb({\"a\":1});",
            "/**/jQuery1.x_2({\"a\":1})",
            "event: error\ndata: {\"a\":1}\n\n",
            "data:{\"a\":1}",
            "\"{\\\"a\\\":1}\"",
            "--b1\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n--b1--\r\n",
        ] {
            assert_eq!(json(text), Some(vec!["{\"a\":1}".to_owned()]), "{text}");
        }
        assert_eq!(unwrap("\"Not here.\""), Some(Inner::Text("Not here.".into())));
        for text in ["null", "7", "-1.5e3", "\"\""] {
            assert_eq!(unwrap(text), Some(Inner::Text(String::new())), "{text}");
        }
        for text in ["Order 7 (closed) is locked", "data: none", "f(x)", "Note: x", "--", "while(1); sleep", "\"Quoted\" words"] {
            assert_eq!(unwrap(text), None, "{text}");
        }
    }

    #[test]
    fn documents_in_a_row_are_separated() {
        assert_eq!(documents("{\"a\":1}\n{\"b\":2}").unwrap(), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(documents("{\"a\":1}{\"b\":2} x").unwrap().len(), 2);
        assert_eq!(documents("{\"a\":1}"), None);
        assert_eq!(documents("{\"a\":1"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_unwrapped_without_panic(text in "\\PC{0,80}|[\\-dat:{}\"\\\\()\\n ]{0,80}") {
            let _ = (unwrap(&text), documents(&text));
        }
    }
}
