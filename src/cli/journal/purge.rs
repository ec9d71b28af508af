//! `lockgate errors purge`: removes entries for good, after a question.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use super::place::{Place, encoded};
use super::{entry, group};
use crate::admin::api::{self, ApiError};
use crate::cli::args::{PurgeArgs, WhatArgs};
use crate::cli::output;
use crate::cli::run::fail;

/// What is removed, in words and as the path of the request.
struct What {
    words: String,
    path: String,
}

/// Reads what is removed. A time is read here as well, so that nobody is asked about one that is none.
fn what(args: &WhatArgs) -> Result<What, String> {
    let WhatArgs { request_id, before, group, all: _ } = args;
    Ok(match (request_id, before, group) {
        (Some(id), _, _) => What { words: format!("the entry of {id}"), path: format!("/api/errors/{}", encoded(id)) },
        (_, Some(before), _) => {
            let at = api::time(before).map_err(|error| match error {
                ApiError::Bad(why) => format!("--before {why}"),
                ApiError::NotFound | ApiError::Forbidden(_) | ApiError::Store(_) => format!("--before `{before}` cannot be read"),
            })?;
            let moment = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
            let moment = moment.map(|at| format!("{at:.3}")).unwrap_or_default();
            What { words: format!("all entries before {moment}"), path: format!("/api/errors?before={}", encoded(&moment)) }
        }
        (_, _, Some(group)) => of_group(group),
        // One of them is there.
        (None, None, None) => What { words: "all entries and all groups".to_owned(), path: "/api/errors?all=true".to_owned() },
    })
}

fn of_group(group: &str) -> What {
    What { words: format!("the group {group} with its entries"), path: format!("/api/errors?group={}", encoded(group)) }
}

pub(super) fn run(args: &PurgeArgs) -> ExitCode {
    let What { mut words, mut path } = match what(&args.what) {
        Ok(what) => what,
        Err(why) => return fail(&why),
    };
    let place = match Place::find(&args.place) {
        Ok(place) => place,
        Err(code) => return code,
    };
    if let Some(text) = &args.what.group {
        match group::find(text, &|path| place.ask_gateway(path)) {
            Ok(group) => What { words, path } = of_group(&group),
            Err(why) => return place.report(&why),
        }
    }
    let words = output::one_line(&words);
    if !args.yes {
        if !io::stdin().is_terminal() {
            return fail("this removes entries for good: add --yes");
        }
        if !confirmed(&format!("Remove {words} for good? [y/N] ")) {
            output::print_error("nothing was removed");
            return ExitCode::FAILURE;
        }
    }
    match place.remove(&path) {
        Ok(done) => {
            let removed = done["removed"].as_u64().unwrap_or_default();
            output::print(&format!("removed {removed} {}", if removed == 1 { "entry" } else { "entries" }));
            ExitCode::SUCCESS
        }
        Err(why) => {
            let code = place.report(&match &args.what.request_id {
                Some(id) => entry::absent(&place, id, why),
                None => why,
            });
            if matches!(place, Place::File(_)) {
                output::print_error("help: while a gateway runs with the file, ask that one: the same command without --file");
            }
            code
        }
    }
}

/// Asks on the terminal.
fn confirmed(question: &str) -> bool {
    let mut error = io::stderr();
    let asked = write!(error, "{question}").and_then(|()| error.flush());
    let mut answer = String::new();
    asked.is_ok() && io::stdin().lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
