//! Messages as events of Sentry, in its envelope protocol (<https://develop.sentry.dev/sdk/foundations/transport/envelopes/>).
//!
//! Must not know the DSN.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::message::Message;
use crate::write;

/// The media type of an envelope.
pub(super) const CONTENT_TYPE: &str = "application/x-sentry-envelope";

/// Returns an envelope with one event: a line of its own, a line about the item, and the item.
pub(super) fn envelope(message: &Message) -> String {
    let mut now = Vec::new();
    write::timestamp(&mut now, SystemTime::now());
    let event = event(message).to_string();
    let head = json!({ "event_id": message.id, "sent_at": String::from_utf8_lossy(&now) });
    let item = json!({ "type": "event", "content_type": "application/json", "length": event.len() });
    format!("{head}\n{item}\n{event}\n")
}

/// Returns the event (<https://develop.sentry.dev/sdk/foundations/transport/event-payloads/>). Sentry groups what the journal groups.
fn event(message: &Message) -> Value {
    let facts = || message.facts().into_iter().filter(|(name, _)| *name != "count");
    // What is about no group belongs together by what it is about, whatever its title says of numbers and days.
    let about = || facts().fold(message.event.to_owned(), |text, (_, value)| format!("{text} {value}"));
    let subject = message.group.clone().unwrap_or_else(about);
    let tags = facts().map(|(name, value)| (name.to_owned(), value.into()));
    let tags: Map<String, Value> = tags.chain([("event".to_owned(), message.event.into())]).collect();
    let mut extra = json!({ "count": message.count });
    if let Some(link) = &message.link {
        extra["link"] = link.as_str().into();
    }
    json!({
        "event_id": message.id,
        "timestamp": message.time(),
        "platform": "other",
        "level": message.severity.word(),
        "logger": "lockgate",
        "server_name": message.gateway,
        "message": { "formatted": message.title },
        "fingerprint": ["lockgate", subject],
        "tags": tags,
        "extra": extra,
    })
}
