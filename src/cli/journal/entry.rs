//! The entry of one request, by its id, and the words for when there is none.

use std::time::Duration;

use serde_json::Value;

use super::place::{NoAnswer, Place, encoded};
use crate::cli::output;

/// The pause before an entry is asked for again: a gateway writes what has failed in batches.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is asked for again.
const TRIES: usize = 6;

/// Asks for the entry of a request. Waits a little for one that is not there: its request may have failed just now.
pub(super) fn ask(place: &Place, id: &str) -> Result<Value, NoAnswer> {
    let path = format!("/api/errors/{}", encoded(id));
    let mut answer = place.ask(&path);
    for _ in 0..TRIES {
        let may_come = matches!((&answer, place), (Err(NoAnswer::NotFound), Place::Gateway { .. }));
        if !may_come || !is_generated(id) {
            break;
        }
        std::thread::park_timeout(PAUSE);
        answer = match place.ask_gateway(&path) {
            // It does not run: its file was read.
            Err(NoAnswer::Unreachable(_)) => break,
            answer => answer,
        };
    }
    answer.map_err(|why| absent(place, id, why))
}

/// Says why there is no entry, unless there is no journal.
pub(super) fn absent(place: &Place, id: &str, why: NoAnswer) -> NoAnswer {
    let is_entry = matches!(why, NoAnswer::NotFound) && !matches!(place.ask_gateway("/api/errors?limit=1"), Err(NoAnswer::NotFound));
    match is_entry {
        true if is_generated(id) => NoAnswer::Refused(
            "no entry with this request id. It may be older than `journal.keep`, be on another gateway, or be of a request that succeeded."
                .into(),
        ),
        true => NoAnswer::Refused(format!(
            "no entry with this request id: `{}` is none that a gateway makes, such as 01a2220b-24a0-711b-986e-2b39c7936ece",
            output::one_line(id)
        )),
        false => why,
    }
}

/// Returns true for a text with the form of an id that a gateway makes (RFC 9562 4). Clients behind trusted proxies may have others.
fn is_generated(id: &str) -> bool {
    let is_of = |(at, byte): (usize, u8)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    id.len() == 36 && id.bytes().enumerate().all(is_of)
}
