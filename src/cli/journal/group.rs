//! `lockgate errors resolve|mute|reopen`, and the group that the beginning of a fingerprint stands for.

use std::process::ExitCode;

use serde_json::Value;

use super::place::{NoAnswer, Place, encoded};
use crate::cli::args::{FilterArgs, PlaceArgs, StateArgs};
use crate::cli::output;
use crate::cli::run::fail;
use crate::journal::query::GroupState;

/// The digits of a fingerprint that a list of groups shows.
pub(super) const SHOWN: usize = 12;
/// The digits of a whole fingerprint.
const DIGITS: usize = 32;
/// The fewest digits that can stand for a whole fingerprint.
const FEWEST: usize = 4;
/// The most pages of groups that are looked through, each of 1000.
const MAX_PAGES: usize = 100;

/// Replaces the beginning of a fingerprint by the whole one. A whole one is left as it is: its group may come later.
pub(super) fn complete(args: &PlaceArgs, filter: &mut FilterArgs) -> Result<(), ExitCode> {
    let Some(text) = filter.group.as_ref().filter(|text| text.len() < DIGITS) else { return Ok(()) };
    let place = Place::find(args)?;
    let found = find(text, &|path| place.ask(path)).map_err(|why| place.report(&why))?;
    filter.group = Some(found);
    Ok(())
}

/// Returns the fingerprint of the group that a text names: all of it, or a beginning that no other group has.
pub(super) fn find(text: &str, ask: &dyn Fn(&str) -> Result<Value, NoAnswer>) -> Result<String, NoAnswer> {
    match ask(&format!("/api/groups/{}", encoded(text))) {
        Ok(_) => return Ok(text.to_owned()),
        Err(NoAnswer::NotFound) => {}
        Err(why) => return Err(why),
    }
    let found = if text.len() < FEWEST { Vec::new() } else { beginning_with(text, ask)? };
    let shown = output::one_line(text);
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if has_entries(text, ask)? => Ok(text.to_owned()),
        [] => Err(NoAnswer::Refused(format!("there is no group {shown}; `lockgate errors groups` lists them"))),
        several => Err(NoAnswer::Refused(format!("several groups begin with {shown}: {}", several.join(", ")))),
    }
}

/// Returns the fingerprints that begin with a text. More than two are of no use.
fn beginning_with(text: &str, ask: &dyn Fn(&str) -> Result<Value, NoAnswer>) -> Result<Vec<String>, NoAnswer> {
    let (mut found, mut after) = (Vec::new(), String::new());
    for _ in 0..MAX_PAGES {
        let page = ask(&format!("/api/groups?limit=1000&after={}", encoded(&after)))?;
        let fingerprints = page["items"].as_array().into_iter().flatten().filter_map(|item| item["fingerprint"].as_str());
        found.extend(fingerprints.filter(|fingerprint| fingerprint.starts_with(text)).map(str::to_owned));
        match page["next"].as_str() {
            Some(next) if found.len() < 2 => next.clone_into(&mut after),
            Some(_) | None => break,
        }
    }
    Ok(found)
}

/// Returns true if entries have a fingerprint. The oldest groups go before their entries when there are too many.
fn has_entries(fingerprint: &str, ask: &dyn Fn(&str) -> Result<Value, NoAnswer>) -> Result<bool, NoAnswer> {
    let page = ask(&format!("/api/errors?limit=1&group={}", encoded(fingerprint)))?;
    Ok(page["items"].as_array().is_some_and(|items| !items.is_empty()))
}

/// Sets the state of a group.
pub(super) fn set_state(args: &StateArgs, state: GroupState) -> ExitCode {
    let place = match Place::find(&args.place) {
        Ok(place) => place,
        Err(code) => return code,
    };
    let set = || {
        let name = find(&args.group, &|path| place.ask_gateway(path))?;
        let done = place.set(&format!("/api/groups/{}?state={}", encoded(&name), state.word()))?;
        Ok((name, done))
    };
    match set() {
        Ok((name, done)) => {
            output::print(&format!("{name} is {}", done["state"].as_str().unwrap_or(state.word())));
            ExitCode::SUCCESS
        }
        Err(NoAnswer::NotFound) => fail(&format!("there is no group {}", output::one_line(&args.group))),
        Err(why) => place.report(&why),
    }
}
