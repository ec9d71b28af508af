//! `lockgate redact`: applies the redactor to a file, for logs, tickets and pipelines, and to show the parts that the gateway would remove.

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::{EX_CONFIG, RedactArgs};
use super::output;
use super::source::Source;
use crate::redact::Redactor;
use crate::report::decode;
use crate::text::Untrusted;

/// The maximum size of the input, in bytes.
const MAX_INPUT: u64 = 256 << 20;

pub(super) fn redact(args: &RedactArgs) -> ExitCode {
    let redactor = match redactor(args) {
        Ok(redactor) => redactor,
        Err(code) => return code,
    };
    let bytes = match read(args) {
        Ok(bytes) => bytes,
        Err(complaint) => {
            output::print_error(&format!("error: {complaint}"));
            return ExitCode::FAILURE;
        }
    };
    let text = decode::text(&bytes, None);
    if args.check {
        return check(&redactor, &text, args.strict);
    }
    let kept = match args.strict {
        true => {
            redactor.clear(&Untrusted::new(text.as_str())).map(|clean| format!("{}\n", clean.as_str()).into_bytes()).unwrap_or_default()
        }
        false => redactor.document(&text).map_or(bytes, String::into_bytes),
    };
    output::write(&kept);
    ExitCode::SUCCESS
}

fn redactor(args: &RedactArgs) -> Result<Arc<Redactor>, ExitCode> {
    let Some(file) = &args.config else { return Ok(Arc::default()) };
    let plan = Source::read(file).and_then(|source| source.compile()).map_err(|_| ExitCode::from(EX_CONFIG))?;
    Ok(plan.fallback_presenter.redactor)
}

fn read(args: &RedactArgs) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(file) => std::fs::File::open(file)
            .and_then(|opened| opened.take(MAX_INPUT + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("cannot read {}: {error}", file.display())),
        None => {
            let read = std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut bytes);
            read.map_err(|error| format!("cannot read standard input: {error}"))
        }
    };
    read?;
    if bytes.len() as u64 > MAX_INPUT { Err("the input is larger than 256 MiB".into()) } else { Ok(bytes) }
}

/// Prints line, column and type of each finding, without the text, which may be a secret.
fn check(redactor: &Redactor, text: &str, strict: bool) -> ExitCode {
    let findings = redactor.findings(text);
    for finding in &findings {
        let before = text.get(..finding.span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        output::print(&format!("{line}:{column}: {} {} ({} bytes)", finding.weight.word(), finding.family.word(), finding.span.len()));
    }
    let dirty = !findings.is_empty() || (strict && redactor.leaks(text));
    if dirty && findings.is_empty() {
        output::print("the text contains internals and cannot be the message of an error");
    }
    if dirty { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
