//! Members of JSON objects.

use serde_json::{Map, Value};

/// A member that is a string.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str()
}
