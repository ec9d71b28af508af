//! `lockgate route`: prints what the gateway would do with a request, and where each part of that comes from.

use std::process::ExitCode;

use super::args::{EX_CONFIG, ReportFormat, RouteArgs};
use super::output;
use super::source::Source;
use crate::explain::route::Question;

/// The exit code for a wrong argument, as for other wrong usage.
const USAGE: u8 = 2;

pub(super) fn print(args: &RouteArgs) -> ExitCode {
    let source = Source::find(args.config.as_deref());
    let Ok((source, plan)) = source.and_then(|source| source.compile().map(|plan| (source, plan))) else {
        return ExitCode::from(EX_CONFIG);
    };
    let question = Question { method: args.method.clone(), url: args.url.clone(), headers: args.headers.clone(), client: args.client };
    match source.explain(&plan, &question) {
        Ok(explanation) => {
            match args.format {
                ReportFormat::Text => output::print(&explanation.text()),
                ReportFormat::Json => output::print_json(&explanation.json()),
            }
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            output::print_error(&format!("error: {complaint}"));
            ExitCode::from(USAGE)
        }
    }
}
