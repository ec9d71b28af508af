//! `lockgate schema`: prints the JSON Schema of configuration files.

use std::process::ExitCode;

use super::output;
use crate::config::schema::json_schema::json_schema;

pub(super) fn print() -> ExitCode {
    output::print_json(&json_schema());
    ExitCode::SUCCESS
}
