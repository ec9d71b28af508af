//! `lockgate check`: compiles configuration files and reports their problems. Must not start the gateway.

use std::process::ExitCode;

use super::args::{CheckArgs, EX_CONFIG};
use super::output;
use super::source::Source;

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let sources = match args.files.as_slice() {
        [] => vec![Source::find(None)],
        files => files.iter().map(|file| Source::read(file)).collect(),
    };
    let mut good = true;
    for source in sources {
        match source.and_then(|source| source.compile().map(|plan| (source, plan))) {
            Ok((source, plan)) => {
                let endpoints: usize = plan.backends.iter().map(|backend| backend.endpoints().len()).sum();
                let (backends, endpoints) = (counted(plan.backends.len(), "backend"), counted(endpoints, "endpoint"));
                output::print(&format!("{}: ok ({backends}, {endpoints})", source.name));
            }
            Err(_) => good = false,
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
