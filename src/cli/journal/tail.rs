//! `lockgate errors tail`: follows failed requests as they fail.
//!
//! A gateway is asked for what it has written since the last answer. A file is asked for what is new in it.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::place::{NoAnswer, Place};
use crate::cli::args::TailArgs;
use crate::cli::output;
use crate::cli::run::fail;
use crate::journal::entry::{Millis, now};

/// The time between two questions.
const EVERY: Duration = Duration::from_millis(500);
/// The longest pause while a gateway cannot be reached.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The entries of an answer.
const PAGE: u16 = 1000;
/// The most pages of a look into a file.
const MAX_PAGES: usize = 20;
/// How far a look into a file goes back: an entry has the time at which its request arrived.
const BACK: Millis = 600_000;
/// The most ids of entries that were shown that are remembered.
const MAX_SHOWN: usize = 50_000;

/// The output takes nothing any more.
struct Closed;

/// The output, and what was written to it.
struct Shown<'a> {
    args: &'a TailArgs,
    line: fn(&Value) -> String,
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Shown<'_> {
    /// Remembers an entry. Returns false if it was there before.
    fn remember(&mut self, item: &Value) -> bool {
        let id = item["request_id"].as_str().unwrap_or_default().to_owned();
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_SHOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// Shows what was not shown before. Each line is flushed.
    fn show<'v>(&mut self, items: impl Iterator<Item = &'v Value>) -> Result<(), Closed> {
        for item in items {
            if self.remember(item) {
                let line = if self.args.json { format!("{item}\n") } else { (self.line)(item) };
                if !output::write(line.as_bytes()) {
                    return Err(Closed);
                }
            }
        }
        Ok(())
    }
}

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn run(args: &TailArgs, line: fn(&Value) -> String) -> ExitCode {
    let place = match Place::find(&args.place) {
        Ok(place) => place,
        Err(code) => return code,
    };
    if let Err(error) = end_on_interrupt() {
        return fail(&format!("cannot watch for Ctrl-C: {error}"));
    }
    let shown = Shown { args, line, ids: HashSet::new(), order: VecDeque::new() };
    let ended = match &place {
        Place::Gateway { .. } => of_gateway(&place, shown),
        Place::File(_) => of_file(&place, shown),
    };
    match ended {
        Ok(Closed) => ExitCode::SUCCESS,
        Err(why) => place.report(&why),
    }
}

/// Ends the process with code 0 on Ctrl-C: that is how this command ends.
fn end_on_interrupt() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let interrupt = {
        let _entered = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        let mut interrupt = interrupt;
        runtime.block_on(interrupt.recv());
        std::process::exit(0);
    })?;
    Ok(())
}

/// Asks the list, and returns it oldest first.
fn listed(place: &Place, args: &TailArgs, more: &[(&str, &str)]) -> Result<Vec<Value>, NoAnswer> {
    let page = place.ask_gateway(&format!("/api/errors?{}", args.filter.query(more)))?;
    Ok(items(&page).iter().rev().cloned().collect())
}

fn of_gateway(place: &Place, mut shown: Shown<'_>) -> Result<Closed, NoAnswer> {
    let args = shown.args;
    let most = PAGE.to_string();
    let ask = |after: Option<&str>| {
        let mut more = vec![("limit", most.as_str())];
        more.extend(after.map(|after| ("after", after)));
        place.ask_gateway(&format!("/api/tail?{}", args.filter.query(&more)))
    };
    let mut next = ask(None)?["next"].as_str().unwrap_or_default().to_owned();
    let lines = args.lines.to_string();
    if args.lines > 0 && shown.show(listed(place, args, &[("limit", &lines)])?.iter()).is_err() {
        return Ok(Closed);
    }
    // When the gateway answered last, and how long to wait if it does not.
    let (mut answered, mut pause, mut lost) = (now(), EVERY, false);
    loop {
        match ask(Some(&next)) {
            Ok(page) => {
                if lost {
                    output::print_error("note: the gateway answers again");
                }
                let caught_up = if page["restarted"] == true { catch_up(place, &mut shown, answered)? } else { Ok(()) };
                if let Some(missed @ 1..) = page["missed"].as_u64() {
                    output::print_error(&format!("note: {missed} entries were too many to be followed; `lockgate errors list` has them"));
                }
                if caught_up.and_then(|()| shown.show(items(&page).iter())).is_err() {
                    return Ok(Closed);
                }
                page["next"].as_str().unwrap_or_default().clone_into(&mut next);
                (answered, lost) = (now(), false);
                pause = if items(&page).len() < usize::from(PAGE) { EVERY } else { Duration::ZERO };
            }
            Err(why @ (NoAnswer::Refused(_) | NoAnswer::NotFound)) => return Err(why),
            Err(why @ (NoAnswer::Unreachable(_) | NoAnswer::Unable(_))) => {
                if !lost {
                    let why = match why {
                        NoAnswer::Unreachable(error) => error.to_string(),
                        NoAnswer::Unable(why) | NoAnswer::Refused(why) => why,
                        NoAnswer::NotFound => String::new(),
                    };
                    output::print_error(&format!("note: the gateway does not answer ({why}); trying again until it does"));
                }
                lost = true;
                pause = (pause * 2).clamp(EVERY, MAX_PAUSE);
            }
        }
        std::thread::park_timeout(pause);
    }
}

/// Shows what was written while nobody asked: the gateway was restarted.
fn catch_up(place: &Place, shown: &mut Shown<'_>, answered: Millis) -> Result<Result<(), Closed>, NoAnswer> {
    output::print_error("note: the gateway was restarted");
    match all_since(place, shown.args, answered.saturating_sub(1000)) {
        Ok(missed) => Ok(shown.show(missed.iter())),
        // A store that is not there yet is no reason to end.
        Err(NoAnswer::Unreachable(_) | NoAnswer::Unable(_)) => Ok(Ok(())),
        Err(why @ (NoAnswer::Refused(_) | NoAnswer::NotFound)) => Err(why),
    }
}

fn of_file(place: &Place, mut shown: Shown<'_>) -> Result<Closed, NoAnswer> {
    let args = shown.args;
    let lines = args.lines.to_string();
    let first = if args.lines > 0 { listed(place, args, &[("limit", &lines)])? } else { Vec::new() };
    if shown.show(first.iter()).is_err() {
        return Ok(Closed);
    }
    look(place, args)?.iter().for_each(|item| {
        shown.remember(item);
    });
    loop {
        std::thread::park_timeout(EVERY);
        if shown.show(look(place, args)?.iter()).is_err() {
            return Ok(Closed);
        }
    }
}

/// Returns the entries of the last minutes, oldest first.
fn look(place: &Place, args: &TailArgs) -> Result<Vec<Value>, NoAnswer> {
    all_since(place, args, now().saturating_sub(BACK))
}

/// Returns the entries since a time, oldest first. Says so if they are too many: then the oldest are left out.
fn all_since(place: &Place, args: &TailArgs, since: Millis) -> Result<Vec<Value>, NoAnswer> {
    let (since, most) = (since.to_string(), PAGE.to_string());
    let (mut found, mut after) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let mut more = vec![("since", since.as_str()), ("limit", most.as_str())];
        more.extend(after.as_deref().map(|after| ("after", after)));
        let page = place.ask_gateway(&format!("/api/errors?{}", args.filter.query(&more)))?;
        found.extend(items(&page).iter().cloned());
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    if after.is_some() {
        output::print_error(&format!(
            "note: more than {} entries were written meanwhile; `lockgate errors list` has the others",
            found.len()
        ));
    }
    found.reverse();
    Ok(found)
}
