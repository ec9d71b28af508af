//! `lockgate errors export`: writes whole entries as JSON lines, a page at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::place::Place;
use crate::cli::args::ExportArgs;
use crate::cli::output;
use crate::cli::run::fail;

/// The entries of a page: bounds the memory of both sides.
const PAGE: &str = "100";
/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ExportArgs) -> ExitCode {
    let place = match Place::find(&args.place) {
        Ok(place) => place,
        Err(code) => return code,
    };
    let Some(path) = &args.output else { return written(args, &place, &mut BufWriter::new(io::stdout().lock())) };
    match create(path) {
        Err(error) => fail(&format!("cannot write {}: {error}", path.display())),
        Ok(file) => {
            let code = written(args, &place, &mut BufWriter::new(file));
            if code != ExitCode::SUCCESS {
                // Half an export must not be taken for a whole one.
                let _ = std::fs::remove_file(path);
            }
            code
        }
    }
}

/// Makes a file that only its owner can read. An entry is what nobody else should see.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes all pages.
fn written(args: &ExportArgs, place: &Place, out: &mut dyn Write) -> ExitCode {
    let mut progress = Progress { shown: false, last: Instant::now(), is_terminal: io::stderr().is_terminal() };
    let (mut entries, mut after) = (0, None::<String>);
    loop {
        let mut more = vec![("full", "true"), ("limit", PAGE)];
        more.extend(after.as_deref().map(|after| ("after", after)));
        let page = match place.ask(&format!("/api/errors?{}", args.filter.query(&more))) {
            Ok(page) => page,
            Err(why) => {
                progress.end();
                return place.report(&why);
            }
        };
        for entry in page["items"].as_array().into_iter().flatten() {
            match writeln!(out, "{entry}") {
                Ok(()) => entries += 1,
                // Whoever reads the output has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(error) => return fail(&format!("cannot write: {error}")),
            }
        }
        progress.show(entries);
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    progress.end();
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&format!("cannot write: {error}")),
        _ => {
            if let Some(path) = &args.output {
                output::print_error(&format!("{entries} entries are in {}", path.display()));
            }
            ExitCode::SUCCESS
        }
    }
}

/// A line on the terminal that counts, if it takes long.
struct Progress {
    shown: bool,
    last: Instant,
    is_terminal: bool,
}

impl Progress {
    fn show(&mut self, entries: u64) {
        if self.is_terminal && self.last.elapsed() >= PROGRESS {
            (self.shown, self.last) = (true, Instant::now());
            let _ = write!(io::stderr(), "\r{entries} entries");
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(io::stderr());
        }
    }
}
