//! Code, message and field errors in a response of any format of the contract.
//!
//! Knows nothing of what is expected.

use serde_json::{Map, Value};

use super::bench::Got;
use crate::report::decode;

/// What a response tells its client.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) fields: Option<Value>,
}

impl Got {
    /// Returns the value of a header, or of its lines joined with commas.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.header_lines(name);
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(super) fn header_lines(&self, name: &str) -> Vec<String> {
        let own = |key: &http::HeaderName| key.as_str().eq_ignore_ascii_case(name);
        self.headers.iter().filter(|(key, _)| own(key)).map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// Returns the body as text, with its coding undone.
    pub(super) fn text(&self) -> String {
        let coding = self.header("content-encoding");
        let body = decode::uncode(&self.body, coding.as_deref(), 64 << 20);
        decode::text(&body.bytes, self.header("content-type").as_deref())
    }

    /// Returns the body as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text()).ok()
    }

    pub(super) fn trailer(&self, name: &str) -> Option<String> {
        let value = self.trailers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// Reads what a response tells.
pub(super) fn told(got: &Got) -> Told {
    let grpc = got.trailer("grpc-message").or_else(|| got.header("grpc-message"));
    let logged = || got.log["code"].as_str().map(str::to_owned);
    match got.json() {
        Some(json) => {
            let code = first(&json, &["/error/code", "/code", "/errors/0/extensions/code", "/error/data/code"]);
            Told {
                code: code.or_else(logged),
                message: first(&json, &["/error/message", "/detail", "/message", "/errors/0/message"]),
                fields: fields(&json),
            }
        }
        // A format that has no place for a code: the log has the one of the client.
        None if grpc.is_some() => {
            let message = grpc.map(|text| percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned());
            Told { code: logged(), message, fields: None }
        }
        None => Told { code: logged(), ..Told::default() },
    }
}

fn first(json: &Value, pointers: &[&str]) -> Option<String> {
    pointers.iter().find_map(|pointer| json.pointer(pointer)?.as_str().map(str::to_owned))
}

/// The field errors: a map of fields, or a list of errors with the name of a field.
fn fields(json: &Value) -> Option<Value> {
    let map = ["/error/details/fields", "/details/fields"].into_iter().find_map(|pointer| json.pointer(pointer));
    if let Some(map) = map {
        return Some(map.clone());
    }
    let lists = ["/error/details/errors", "/details/errors", "/errors"];
    let list = lists.into_iter().find_map(|pointer| json.pointer(pointer)?.as_array())?;
    let mut found = Map::new();
    for item in list {
        let field = first(item, &["/field"])
            .or_else(|| first(item, &["/pointer"]).map(|pointer| pointer.trim_start_matches(['#', '/']).to_owned()));
        let message = first(item, &["/message", "/detail"]);
        if let (Some(field), Some(message)) = (field, message)
            && let Some(messages) = found.entry(field).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()
        {
            messages.push(message.into());
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}
