//! The page `/log`: shows and changes the level of the log.
//!
//! Must not know how it is answered, which `admin` does, or how a level is applied; `observe::level` does that.

use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use crate::config::file::LogLevel;
use crate::config::units;
use crate::envelope::Item;
use crate::observe::level::Level;
use crate::text::Text;
use crate::write;

/// The maximum size of the body of a request, in bytes.
const MAX_BODY: usize = 1024;
/// The time within which the body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time for which a level is set. A verbose level is meant to end.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The level that a request sets, and for how long.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    level: LogLevel,
    time: Option<Duration>,
}

/// Describes an invalid part of the body: its name, and what is expected.
type Refusal = (Option<&'static str>, String);

/// Returns the level in force, that of the configuration, and the time at which the latter returns, as JSON.
pub(super) fn shown(level: &Level) -> String {
    let mut shown = json!({ "level": level.get().as_str(), "configured": level.configured().as_str() });
    if let Some(until) = level.until() {
        shown["until"] = timestamp(until).into();
    }
    format!("{shown}\n")
}

/// Changes the level as the body of a request says.
///
/// # Errors
/// Fails if the body is not valid; the level is not changed then.
pub(super) async fn change(level: &Level, body: Incoming) -> Result<(), Item> {
    let wish = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => read(&body.to_bytes()),
        Ok(Err(_)) => Err((None, format!("the body is not complete, or larger than {MAX_BODY} bytes"))),
        Err(_) => Err((None, "the body did not arrive in time".into())),
    };
    let Wish { level: wanted, time } =
        wish.map_err(|(field, message)| Item { field: field.map(str::to_owned), message: Text::own(message), code: None })?;
    match time {
        Some(time) => level.set_for(wanted, time),
        None => level.set(wanted),
    }
    Ok(())
}

fn timestamp(time: SystemTime) -> String {
    let mut out = Vec::new();
    write::timestamp(&mut out, time);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads a body: the word of a level, or JSON with `level` and `for`.
fn read(body: &[u8]) -> Result<Wish, Refusal> {
    let body = std::str::from_utf8(body).map_err(|_| (None, "the body is not UTF-8".to_owned()))?.trim();
    if !body.starts_with(['{', '"']) {
        return Ok(Wish { level: level_of(body)?, time: None });
    }
    let members = match serde_json::from_str(body) {
        Ok(Value::Object(members)) => members,
        Ok(Value::String(word)) => return Ok(Wish { level: level_of(&word)?, time: None }),
        Ok(_) | Err(_) => return Err((None, "expected JSON such as {\"level\":\"debug\",\"for\":\"10m\"}".into())),
    };
    if members.keys().any(|name| !matches!(name.as_str(), "level" | "for")) {
        return Err((None, "the members are `level` and `for`".into()));
    }
    let word = string(&members, "level")?.ok_or_else(|| (Some("level"), levels()))?;
    let time = string(&members, "for")?.map(time_of).transpose()?;
    Ok(Wish { level: level_of(word)?, time })
}

fn string<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| (Some(name), "expected a string".into())),
    }
}

fn level_of(word: &str) -> Result<LogLevel, Refusal> {
    LogLevel::named(word).ok_or_else(|| (Some("level"), levels()))
}

fn levels() -> String {
    format!("expected one of {}", LogLevel::ALL.map(LogLevel::as_str).join(", "))
}

fn time_of(text: &str) -> Result<Duration, Refusal> {
    match units::duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err((Some("for"), "the time is at most 24h".into())),
        Err(complaint) => Err((Some("for"), complaint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_words_or_json() {
        let wish = |level, seconds: Option<u64>| Ok(Wish { level, time: seconds.map(Duration::from_secs) });
        assert_eq!(read(b"debug\n"), wish(LogLevel::Debug, None));
        assert_eq!(read(b"\"warn\""), wish(LogLevel::Warn, None));
        assert_eq!(read(b"{\"level\":\"trace\"}"), wish(LogLevel::Trace, None));
        assert_eq!(read(b" {\"level\":\"debug\",\"for\":\"10m\"} "), wish(LogLevel::Debug, Some(600)));
        for (body, field) in [
            (&b""[..], Some("level")),
            (b"loud", Some("level")),
            (b"DEBUG", Some("level")),
            (b"{}", Some("level")),
            (b"{\"level\":7}", Some("level")),
            (b"{\"level\":\"debug\",\"for\":10}", Some("for")),
            (b"{\"level\":\"debug\",\"for\":\"0s\"}", Some("for")),
            (b"{\"level\":\"debug\",\"for\":\"25h\"}", Some("for")),
            (b"{\"level\":\"debug\",\"four\":\"10m\"}", None),
            (b"{\"level\":\"debug\"", None),
            (b"[1]", Some("level")),
            (b"\xff", None),
        ] {
            assert_eq!(read(body).unwrap_err().0, field, "{}", String::from_utf8_lossy(body));
        }
    }
}
