//! The AWS JSON protocols: `__type` holds `namespace#Code` or `Code:uri`
//! (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>). Knows no other format.

use serde_json::{Map, Value};

use super::member::text;
use crate::report::found::Report;
use crate::text::Untrusted;

pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    let named = text(object, "__type")?;
    let code = named.rsplit('#').next()?.split(':').next()?;
    let message = ["message", "Message", "errorMessage"].iter().find_map(|name| text(object, name));
    Some(Report { message: message.map(Untrusted::new), code: Some(Untrusted::new(code)), ..Report::default() })
}
