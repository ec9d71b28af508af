//! Accessors for members of JSON objects. Knows no format.

use serde_json::{Map, Value};

/// Returns the value of a member if it is a string.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str()
}
