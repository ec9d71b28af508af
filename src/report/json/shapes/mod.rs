//! Shapes that likeness would misread, one file each: a function that takes what it is sure of, or declines.
//!
//! Adding one is a file here, a line in the table, and a folder in `tests/cases/shapes`. What a shape leaves open is read by
//! likeness.

mod aws;
mod elasticsearch;
mod fhir;
mod google;
mod jsonapi;
mod jsonrpc;
mod kubernetes;
mod member;
mod odata;

use serde_json::{Map, Value};

use crate::report::found::Report;

/// Takes what one shape says.
type Recogniser = fn(&Map<String, Value>) -> Option<Report>;

/// All shapes; the first that recognises a body reads it.
const ALL: &[Recogniser] =
    &[jsonrpc::read, google::read, jsonapi::read, odata::read, fhir::read, elasticsearch::read, kubernetes::read, aws::read];

/// What the first shape that recognises the body is sure of.
pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    ALL.iter().find_map(|shape| shape(object))
}
