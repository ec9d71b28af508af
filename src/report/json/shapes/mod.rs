//! Recognizers of error formats that the search by names would misread, one file each. A recognizer returns the parts that the format
//! defines, or `None` for another format.
//!
//! To add a format, add a file here, a line in the table, and a folder in `tests/cases/shapes`. The search by names finds the parts that a
//! format leaves open. This module knows no format that the search reads correctly.

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

/// Returns the parts that one format defines.
type Recognizer = fn(&Map<String, Value>) -> Option<Report>;

/// All recognizers. The first one that recognizes a body parses it.
const ALL: &[Recognizer] =
    &[jsonrpc::read, google::read, jsonapi::read, odata::read, fhir::read, elasticsearch::read, kubernetes::read, aws::read];

/// Returns the parts that the first recognizer of the body finds.
pub(super) fn read(object: &Map<String, Value>) -> Option<Report> {
    ALL.iter().find_map(|shape| shape(object))
}
