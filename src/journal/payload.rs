//! What an entry shows of the body of a request: its beginning, with credentials masked.
//!
//! JSON, forms and plain text are shown. Whatever cannot be read as what it says it is, is told by its size and its type alone: what is
//! not understood cannot be masked. Pure functions of what has passed.

use super::rules::Rules;
use crate::body::{Excerpt, Passed};

mod form;
mod json;

/// Returns a text that an upstream wrote with credentials masked: the members of whatever JSON is in it by their names, and the rest by
/// the rules of texts.
pub(super) fn said(text: &str, max: usize, rules: &Rules) -> String {
    rules.text(&json::masked_within(text, rules), max)
}

/// A body as an entry shows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) text: Option<String>,
    pub(super) truncated: bool,
}

/// Returns what is shown of the body; nothing if there was none.
pub(super) fn shown(excerpt: &Excerpt, rules: &Rules) -> Shown {
    let Passed { bytes, total, ended } = excerpt.passed();
    if total == 0 {
        return Shown::default();
    }
    let truncated = !ended || (bytes.len() as u64) < total;
    let content_type = excerpt.content_type().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
    let coding = excerpt.content_encoding().map(|value| String::from_utf8_lossy(value).trim().to_ascii_lowercase()).unwrap_or_default();
    let is_plain = matches!(coding.as_str(), "" | "identity");
    let text = is_plain.then(|| masked(&bytes, &content_type, truncated, rules)).flatten();
    let text = text.unwrap_or_else(|| told(total, ended, &content_type, &coding, rules));
    Shown { text: Some(text), truncated }
}

/// Returns what a body is that is not shown.
fn told(total: u64, ended: bool, content_type: &str, coding: &str, rules: &Rules) -> String {
    let of_type = match essence(content_type) {
        kind if kind.is_empty() => "of an unknown type".to_owned(),
        kind => format!("of {}", rules.text(&kind, 100)),
    };
    let coding = if coding.is_empty() { String::new() } else { format!(", coded as {}", rules.text(coding, 100)) };
    let more = if ended { "" } else { "at least " };
    format!("[{more}{total} bytes {of_type}{coding}]")
}

/// Returns the type and subtype of a content type, in lower case.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the body with credentials masked; `None` if it cannot be read.
fn masked(bytes: &[u8], content_type: &str, truncated: bool, rules: &Rules) -> Option<String> {
    let kind = essence(content_type);
    let text = readable(bytes, truncated)?;
    // Many clients send JSON as something else.
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    if kind.ends_with("/json") || kind.ends_with("+json") || kind.ends_with("ndjson") || kind.ends_with("json-seq") || looks_like_json {
        return json::masked(text, truncated, rules);
    }
    match kind.as_str() {
        "application/x-www-form-urlencoded" => form::masked(text, truncated, rules),
        // A tag or an attribute may hold what no rule of texts knows.
        "text/plain" | "application/graphql" if !text.trim_start().starts_with('<') => Some(plain(text, truncated, rules)),
        _ => None,
    }
}

/// Returns bytes as text. A character may be cut at the end of what is truncated.
fn readable(bytes: &[u8], truncated: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if truncated && error.error_len().is_none() => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

/// Masks credentials in a text. The last word of what is truncated is left out: the mask does not know a credential that is cut.
fn plain(text: &str, truncated: bool, rules: &Rules) -> String {
    let whole = if truncated { text.rfind(char::is_whitespace).map_or("", |end| &text[..end]) } else { text };
    said(whole, usize::MAX, rules)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::header::HeaderList;
    use crate::journal::names::is_secret;

    fn rules() -> Rules {
        let patterns = vec![regex::Regex::new("CUST-[0-9]{8}").unwrap()];
        Rules { body_limit: 1 << 20, headers: vec!["x-tenant-key".into()], patterns, gateway: String::new(), names: Default::default() }
    }

    fn of(content_type: &str, body: &str) -> String {
        masked(body.as_bytes(), content_type, false, &rules()).unwrap_or_else(|| "unreadable".into())
    }

    fn cut(content_type: &str, body: &str) -> String {
        masked(body.as_bytes(), content_type, true, &rules()).unwrap_or_else(|| "unreadable".into())
    }

    const JSON: &str = "application/json; charset=utf-8";
    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn members_of_json_are_masked_by_their_names() {
        let body = r#"{ "user":"kim", "Pass-Word":"a", "api_key":17, "nested":{"sessionId":["x","y"],"pin":1234}, "note":"CUST-12345678", "n":1.50, "ok":true }"#;
        let wanted = r#"{ "user":"kim", "Pass-Word":"***", "api_key":"***", "nested":{"sessionId":"***","pin":"***"}, "note":"***", "n":1.50, "ok":true }"#;
        assert_eq!(of(JSON, body), wanted);
        assert_eq!(of("text/plain", body), wanted);
        assert_eq!(of(JSON, r#"{"pass\u0077ord":"a"}"#), r#"{"pass\u0077ord":"***"}"#);
        assert_eq!(of(JSON, r#"["Bearer abcdefghijkl","password=\u0068unter2"]"#), r#"["Bearer ***","password=***"]"#);
        assert_eq!(of(JSON, "{\"index\":{}}\n{\"x-tenant-key\":1}\n"), "{\"index\":{}}\n{\"x-tenant-key\":\"***\"}\n");
        assert_eq!(of(JSON, "\"a\""), "\"a\"");
        // An escape of the name as text inside of a text.
        assert!(!of(JSON, r#"{"raw":"{\"password\":\"hunter2\"}"}"#).contains("hunter2"));
    }

    #[test]
    fn what_is_cut_loses_its_last_value() {
        assert_eq!(cut(JSON, r#"{"user":"kim","note":"eyJhbGciOi"#), r#"{"user":"kim","note":"#);
        assert_eq!(cut(JSON, r#"{"password":{"a":"hunter"#), r#"{"password":"***""#);
        assert_eq!(cut(JSON, r#"{"n":123"#), r#"{"n":"#);
        assert_eq!(cut(FORM, "user=kim&note=eyJhbGciOi"), "user=kim&note=");
        assert_eq!(cut("text/plain", "hello there eyJhbGciOi"), "hello there");
        assert_eq!(cut("text/plain", "Bearer"), "");
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        for (content_type, body) in [
            (JSON, r#"{"password" "hunter2"}"#),
            (JSON, r#"{"user":"kim""#),
            (JSON, r#"{"user":kim}"#),
            (JSON, r#"{"a":"\x"}"#),
            (JSON, "{\"a\":1}}"),
            (JSON, "{password:hunter2}"),
            (JSON, ""),
            ("text/plain", "{not json} password hunter2"),
            ("text/plain", "<password>hunter2</password>"),
            ("application/xml", "<password>hunter2</password>"),
            ("multipart/form-data; boundary=x", "--x\r\n\r\nhunter2"),
            ("", "hunter2"),
            (FORM, "password=%FF%FE&a=%ff"),
        ] {
            let shown = of(content_type, body);
            assert!(shown == "unreadable" || !shown.contains("hunter2"), "{content_type} {body}: {shown}");
            assert!(content_type == FORM || shown == "unreadable", "{content_type} {body}: {shown}");
        }
        assert_eq!(of(JSON, &"[".repeat(1000)), "unreadable");
        assert!(masked(b"a\xff", "text/plain", false, &rules()).is_none() && masked(b"a\0b", "text/plain", false, &rules()).is_none());
    }

    #[test]
    fn errors_are_masked_by_the_names_of_their_members() {
        let said = |text: &str| said(text, usize::MAX, &rules());
        for body in [
            r#"{"session":"S3CR"}"#,
            r#"{"pin":"S3CR","otp":"S3CR","cvv":"S3CR","card":"S3CR","jwt":"S3CR"}"#,
            r#"{"headers":{"authorization":"S3CR","Cookie":"S3CR"}}"#,
            r#"{"password":["S3CR"]}"#,
            r#"{"password":{"v":"S3CR"}}"#,
            r#"{"detail":"{\"pin\":\"S3CR\"}"}"#,
            r#"{"detail":"bad body {\"a\":\"{\\\"pin\\\":\\\"S3CR\\\"}\"}"}"#,
            r#"{"pass\u0077ord":"S3CR"}"#,
            r#"{"user_pass":"S3CR","credit_card":"S3CR","cardNo":"S3CR","otpCode":"S3CR","sid":"S3CR"}"#,
            r#"{"name":"password","value":"S3CR"}"#,
            r#"{"value":"S3CR","name":"password"}"#,
            r#"{"value":["S3CR",{"a":"S3CR"}],"field":"password","b":1}"#,
            r#"{"errors":[{"field":"user.password","rejectedValue":"S3CR"}]}"#,
            r#"{"detail":[{"type":"short","loc":["body","password"],"msg":"too short","input":"S3CR"}]}"#,
            r#"{"password":"S3CR"#,
            r#"{"password":{"a":"b","c":"S3CR"#,
            r#"{"pin":12345, "x":{"sid":"S3CR"#,
            r#"{"password": S3CR, "a":1}"#,
            "Error: bad body {\"session\":\"S3CR\"} and [{\"pin\": \"S3CR\"}]\n\tat a.b(C.java:1)",
        ] {
            assert!(!said(body).contains("S3CR"), "{body}: {}", said(body));
        }
        assert!(!said(r#"{"pin":12345"#).contains("12345"));
        let kept = r#"{"code":"ORDER_CLOSED","key":"order.closed","message":"no order 7","exception":"a.B","stack":"at a.b(C.java:7)\n\tat d","n":1}"#;
        assert_eq!(said(kept), kept);
        let cut = r#"{"message":"no order 7","stack":"at a.b(C.java:7)\n\tat d"#;
        assert_eq!(said(cut), cut, "what is there of a stack is of use");
        assert_eq!(said("at [a] {b} [\"x\"] {\"y\":1} c"), "at [a] {b} [\"x\"] {\"y\":1} c");
        assert_eq!(said(r#"{"field":"password","message":"too short"}"#), r#"{"field":"password","message":"too short"}"#);
        assert!(said(&"[\"".repeat(20_000)).len() <= 60_000 && said(&"{\"a\":".repeat(20_000)).len() <= 120_000);
    }

    #[test]
    fn fields_of_forms_are_masked_by_their_names() {
        assert_eq!(of(FORM, "user=kim&pass%77ord=hunter2&note=a+b%26c"), "user=kim&password=***&note=a b%26c");
        assert_eq!(of(FORM, "q=Bearer+abcdefghijkl&x"), "q=Bearer ***&***");
        assert_eq!(of(FORM, "a=%ff"), "a=***");
        for body in [
            "user[pass]=S3CR",
            "user%5Bpass%5D=S3CR&a=1",
            "pass[user]=S3CR",
            "user[key]=S3CR",
            "data=%7B%22password%22%3A%22S3CR%22%7D",
            "data={\"key\":\"S3CR\"}",
            "data={\"a\":\"{\\\"code\\\":\\\"S3CR\\\"}\"}",
            "data=[[\"cookie\",\"S3CR\"]]",
        ] {
            assert!(!of(FORM, body).contains("S3CR"), "{body}: {}", of(FORM, body));
        }
    }

    #[test]
    fn values_beside_their_names_are_masked() {
        for body in [
            r#"[{"op":"replace","path":"/password","value":"S3CR"}]"#,
            r#"[{"value":"S3CR","op":"add","path":"/users/0/pin"}]"#,
            r#"[{"op":"add","path":"/credentials","value":{"a":"S3CR"}}]"#,
            r#"["cookie","S3CR"]"#,
            r#"[["Accept","a"],["Cookie","S3CR"]]"#,
            r#"{"rawHeaders":["Host","a","Cookie","S3CR","Authorization","S3CR"]}"#,
            r#"{"headers":[["set-cookie",["S3CR","S3CR"]]]}"#,
            r#"{"fields":["cookie","S3CR"]}"#,
            r#"["password",{"a":"S3CR"}]"#,
            r#"{"path":"/token/S3CR"}"#,
        ] {
            for shown in [of(JSON, body), said(body, usize::MAX, &rules())] {
                assert!(!shown.contains("S3CR"), "{body}: {shown}");
            }
        }
        assert_eq!(of(JSON, r#"["otp",123456,7]"#), r#"["otp","***",7]"#);
        for body in [
            r#"{"required":["password","email"],"loc":["body","password","x"]}"#,
            r#"["password","token"]"#,
            r#"[["Accept","a"],["Host","b"]]"#,
            r#"{"card_type":"visa","pin_count":4,"business_card_layout":"a"}"#,
        ] {
            assert_eq!(of(JSON, body), body);
        }
    }

    #[test]
    fn other_bodies_are_told_by_size_and_type() {
        let mut headers = HeaderList::default();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("image/PNG; x=y"));
        let excerpt = std::sync::Arc::new(Excerpt::new(4, &headers, ()));
        let mut body = crate::body::RequestBody::new(Once(Some(Bytes::from_static(b"\x89PNG..")))).copied(std::sync::Arc::clone(&excerpt));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Some(_)) = crate::body::Incoming::poll_frame(&mut body, &mut cx) {}
        assert_eq!(excerpt.passed().bytes.len(), 4);
        assert_eq!(shown(&excerpt, &rules()), Shown { text: Some("[6 bytes of image/png]".into()), truncated: true });
        assert_eq!(told(9, false, "", "gzip", &rules()), "[at least 9 bytes of an unknown type, coded as gzip]");
    }

    struct Once(Option<Bytes>);

    impl crate::body::Incoming for Once {
        fn poll_frame(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, crate::failure::Failure>>> {
            std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::default()
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,12}".prop_map(Into::into),
            Just("S3CR3T-value-xyz".into()),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let name = prop_oneof!["[a-z]{1,6}", Just("password".to_owned()), Just("Access-Token".to_owned())];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(name, inner, 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Takes out what has a name of a credential.
    fn without_secrets(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Array(items) => items.into_iter().map(without_secrets).collect(),
            serde_json::Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| {
                    let value = if is_secret(&name, &rules()) { "***".into() } else { without_secrets(value) };
                    (name, value)
                })
                .collect(),
            other => other,
        }
    }

    proptest! {
        #[test]
        fn any_json_keeps_what_is_no_credential(value in any_json(), at in 0usize..400) {
            let body = value.to_string();
            let shown = of(JSON, &body);
            let wanted = without_secrets(value);
            // Rules of texts may find more in any text.
            if crate::redact::masked(&wanted.to_string()) == wanted.to_string() && !shown.contains("***") {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), wanted.clone());
            }
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{}", shown);
            prop_assert_eq!(shown.contains("S3CR3T"), wanted.to_string().contains("S3CR3T"));
            // However it is cut, a beginning of the same is shown.
            let end = (0..=at.min(body.len())).rev().find(|end| body.is_char_boundary(*end)).unwrap_or_default();
            let begin = cut(JSON, &body[..end]);
            prop_assert!(begin == "unreadable" && body[..end].trim().is_empty() || shown.starts_with(begin.trim_end_matches("\"***\"")), "{} of {}", begin, shown);
        }

        #[test]
        fn json_within_an_error_is_masked_wherever_it_is_cut(value in any_json(), before in "[a-z{\\[\" ]{0,6}", at in 0usize..400) {
            let wanted = without_secrets(value.clone()).to_string();
            let text = format!("{before} {}", serde_json::json!({ "password": value.to_string(), "pin": value }));
            let end = (0..=at.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            if !before.contains(['"', '{', '[']) {
                prop_assert!(!said(&text[..end], usize::MAX, &rules()).contains("S3CR3T"));
            }
            let shown = said(&value.to_string(), usize::MAX, &rules());
            prop_assert!(!shown.contains("S3CR3T") || wanted.contains("S3CR3T"), "{}", shown);
            let _ = said(&text, usize::MAX, &rules());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), truncated: bool) {
            for content_type in [JSON, FORM, "text/plain", ""] {
                let _ = masked(&bytes, content_type, truncated, &rules());
            }
        }
    }
}
