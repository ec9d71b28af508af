//! `lockgate test`: runs cases of the error contract against a configuration, without network.

mod ran;
mod report;
mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use self::ran::Ran;
use self::report::{Report, Summary};
use super::args::{EX_CONFIG, TestArgs};
use super::cases::bench;
use super::cases::case::Case;
use super::cases::fault::FAULTS;
use super::cases::judge::judge;
use super::cases::read;
use super::output::{self, one_line};
use super::run::fail;
use super::source::{Reported, Source, locate};
use crate::config::diagnose;

/// A file to begin with.
const EXAMPLE: &str = include_str!("test/example.toml");
/// Most bytes of a file of cases.
const MAX_FILE: u64 = 8 << 20;
/// Most names that are listed if none is the right one.
const MAX_NAMES: usize = 40;
/// The exit code for options that mean nothing, as that of the parser of the command line.
const WRONG_USAGE: u8 = 2;

pub(super) fn test(args: &TestArgs) -> ExitCode {
    if args.example {
        output::print(EXAMPLE.trim_end());
        return ExitCode::SUCCESS;
    }
    if args.faults {
        let lines: Vec<_> = FAULTS.iter().map(|fault| format!("{:<34} {}", fault.word, fault.about)).collect();
        output::print(&lines.join("\n"));
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(run(args)) {
        Ok(Some(summary)) if summary.failed == 0 => ExitCode::SUCCESS,
        Ok(Some(_)) => ExitCode::FAILURE,
        Ok(None) => ExitCode::from(WRONG_USAGE),
        Err(Reported) => ExitCode::from(EX_CONFIG),
    }
}

/// Runs the cases of all files. Every file is read before the first case runs. `None` if no case was asked for, which is reported: a run
/// of nothing would pass.
async fn run(args: &TestArgs) -> Result<Option<Summary>, Reported> {
    let mut files = Vec::new();
    let mut good = true;
    for path in paths(&args.files)? {
        match load(&path, args) {
            Ok(file) => files.push(file),
            Err(Reported) => good = false,
        }
    }
    if !good {
        return Err(Reported);
    }
    let is_asked = |case: &&Case| args.only.as_deref().is_none_or(|part| case.name.contains(part));
    if let (Some(part), None) = (&args.only, files.iter().flat_map(|file| &file.cases).find(is_asked)) {
        report_no_case(part, &files);
        return Ok(None);
    }
    let mut report = Report::new(args.format);
    for file in &files {
        let cases = file.cases.iter().filter(is_asked);
        let mut ran = Vec::new();
        for case in cases {
            ran.push(run_case(case, &file.config).await);
        }
        if args.update {
            update::update(&file.source, &ran)?;
        }
        report.file(&file.source, &ran);
    }
    Ok(Some(report.end()))
}

/// Says that no case has the text in its name, and which names there are.
fn report_no_case(part: &str, files: &[Loaded]) {
    let names: Vec<String> = files.iter().flat_map(|file| &file.cases).map(|case| one_line(&case.name)).collect();
    output::print_error(&format!("error: no case has `{}` in its name; the cases are", one_line(part)));
    names.iter().take(MAX_NAMES).for_each(|name| output::print_error(&format!("  {name}")));
    if names.len() > MAX_NAMES {
        output::print_error(&format!("  and {} more", names.len() - MAX_NAMES));
    }
}

/// A file of cases with its configuration.
struct Loaded {
    source: Source,
    cases: Vec<Case>,
    config: Source,
}

/// Replaces folders by the files in them that end with `.toml`, in the order of their names.
fn paths(named: &[PathBuf]) -> Result<Vec<PathBuf>, Reported> {
    let mut found = Vec::new();
    for path in named {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| {
            output::print_error(&format!("error: cannot read {}: {error}", path.display()));
            Reported
        })?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")).collect();
        if files.is_empty() {
            output::print_error(&format!("error: {} has no file that ends with .toml", path.display()));
            return Err(Reported);
        }
        files.sort();
        found.append(&mut files);
    }
    Ok(found)
}

fn load(path: &Path, args: &TestArgs) -> Result<Loaded, Reported> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > MAX_FILE) {
        output::print_error(&format!("error: {} has more than {} MiB", path.display(), MAX_FILE >> 20));
        return Err(Reported);
    }
    let source = Source::read(path)?;
    let read = read::read(&source.text, source.folder(), args.update).map_err(|problems| {
        output::print_error(diagnose::render(&source.name, &source.text, &problems, output::color()).trim_end());
        output::print_error(&format!("\n{}: {} {}", source.name, problems.len(), if problems.len() == 1 { "problem" } else { "problems" }));
        Reported
    })?;
    let config = match (&args.config, &read.config) {
        (Some(named), _) => Source::read(named)?,
        (None, Some(named)) => Source::read(&source.folder().join(named))?,
        (None, None) if locate(None).is_none() => {
            output::print_error("error: the cases have no configuration: there is no lockgate.toml, and the file of cases names none");
            output::print_error(
                "help: name one with --config FILE or with `config = \"FILE\"` in the file of cases, or write one with `lockgate init`",
            );
            return Err(Reported);
        }
        (None, None) => Source::find(None)?,
    };
    // The problems of the configuration are shown once, and not for each case.
    config.compile()?;
    Ok(Loaded { source, cases: read.cases, config })
}

async fn run_case<'c>(case: &'c Case, config: &Source) -> Ran<'c> {
    let begin = Instant::now();
    let got = match config.plan() {
        Ok(plan) => bench::run(case, plan).await,
        Err(_) => Err("the configuration is not valid any more".into()),
    };
    let differences = got.as_ref().map_or_else(|_| Vec::new(), |got| judge(case, got));
    Ran { case, got, differences, took: begin.elapsed() }
}
