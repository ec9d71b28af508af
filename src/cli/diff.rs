//! `lockgate diff`: prints what differs between two configurations. Exits with 1 if anything does, as diff(1).

use std::process::ExitCode;

use super::args::{DiffArgs, EX_CONFIG, ReportFormat};
use super::output::{self, Style};
use super::source::{Reported, Source};
use crate::explain::diff::{What, summary};
use crate::explain::{Change, Effective, diff};

pub(super) fn print(args: &DiffArgs) -> ExitCode {
    // Both are read before anything ends, so that the problems of both are shown.
    let (old, new) = (effective(&args.old), effective(&args.new));
    let (Ok(old), Ok(new)) = (old, new) else { return ExitCode::from(EX_CONFIG) };
    let changes = diff(&old, &new);
    match args.format {
        ReportFormat::Json => {
            let all: Vec<_> = changes.iter().map(Change::json).collect();
            output::print_json(&serde_json::json!({ "summary": summary(&changes), "changes": all }));
        }
        ReportFormat::Text if changes.is_empty() => {}
        ReportFormat::Text => output::print(&text(&changes, Style::of_output())),
    }
    if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn effective(path: &std::path::Path) -> Result<Effective, Reported> {
    let source = Source::read(path)?;
    source.compile()?;
    Ok(source.effective())
}

fn text(changes: &[Change], style: Style) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let part = change.part();
        let keys = match &change.what {
            What::Added(keys) => {
                lines.push(style.green(&format!("+ {part}")));
                keys.as_slice()
            }
            What::Removed => {
                lines.push(style.red(&format!("- {part}")));
                &[]
            }
            What::Changed(keys) => {
                lines.push(style.bold(&format!("~ {part}")));
                keys.as_slice()
            }
        };
        lines.extend(keys.iter().map(|key| format!("    {key}")));
    }
    lines.push(String::new());
    lines.push(summary(changes));
    lines.join("\n")
}
