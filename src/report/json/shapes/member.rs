//! Accessors for members of JSON objects. Knows no format.

use serde_json::{Map, Value};

/// The number of members from which on a hash finds a name faster than a search.
const MANY: usize = 12;

/// Returns the value of a member.
pub(super) fn get<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    match object.len() < MANY {
        true => object.iter().find(|(own, _)| *own == name).map(|(_, value)| value),
        false => object.get(name),
    }
}

/// Returns the value of a member if it is a string.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    get(object, name)?.as_str()
}
