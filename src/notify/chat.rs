//! Messages as chat programs want them. What comes from an upstream can neither call people nor make links.

use serde_json::{Value, json};

use super::message::Message;

/// The longest title, in characters: that of an embed of Discord.
const MAX_TITLE: usize = 250;

fn title(message: &Message) -> String {
    message.title.chars().take(MAX_TITLE).collect()
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns the body for an incoming webhook of Slack (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).
pub(super) fn slack(message: &Message) -> Value {
    let fields: Vec<Value> = message
        .facts()
        .into_iter()
        .map(|(name, value)| json!({ "title": capitalized(name), "value": slack_escaped(&value), "short": value.len() < 40 }))
        .collect();
    let title = slack_escaped(&title(message));
    let mut attachment =
        json!({ "color": format!("#{:06x}", message.severity.color()), "fallback": title, "title": title, "fields": fields });
    if let Some(link) = &message.link {
        attachment["title_link"] = link.as_str().into();
    }
    json!({ "text": heading(message), "attachments": [attachment] })
}

/// Escapes a text, so that it has neither links nor mentions (<https://docs.slack.dev/messaging/formatting-message-text>).
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the body for a workflow of Teams: an adaptive card.
pub(super) fn teams(message: &Message) -> Value {
    let color = match message.severity {
        super::message::Severity::Error => "attention",
        super::message::Severity::Warning => "warning",
        super::message::Severity::Info => "good",
    };
    let facts: Vec<Value> =
        message.facts().into_iter().map(|(name, value)| json!({ "title": capitalized(name), "value": without_markdown(&value) })).collect();
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            { "type": "TextBlock", "text": heading(message), "weight": "bolder", "color": color },
            { "type": "TextBlock", "text": without_markdown(&title(message)), "wrap": true },
            { "type": "FactSet", "facts": facts },
        ],
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open", "url": link }]);
    }
    json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": card }] })
}

/// Returns the body for a webhook of Discord (<https://discord.com/developers/docs/resources/webhook#execute-webhook>).
pub(super) fn discord(message: &Message) -> Value {
    let fields: Vec<Value> = message
        .facts()
        .into_iter()
        .map(|(name, value)| json!({ "name": capitalized(name), "value": without_markdown(&value), "inline": true }))
        .collect();
    let mut embed = json!({ "title": without_markdown(&title(message)), "color": message.severity.color(), "timestamp": message.time(), "fields": fields });
    if let Some(link) = &message.link {
        embed["url"] = link.as_str().into();
    }
    json!({ "content": heading(message), "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// What the message is about, in the gateway's own words.
fn heading(message: &Message) -> String {
    let words = message.event.replace('-', " ");
    format!("Lockgate: {words}")
}

/// Takes the signs of Markdown out that make links, and the beginning of a mention.
fn without_markdown(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '[' | ']' | '`' | '*' | '_' | '~' | '|' | '<' | '>' | '@') { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::message::Severity;
    use super::*;

    fn message() -> Message {
        let made =
            Message::new("new-group", Severity::Error, "<!channel> [a](http://evil) @everyone & more", ("gw", SystemTime::UNIX_EPOCH));
        Message { route: Some("<@U1>".into()), link: Some("https://gw.example/groups/f".into()), count: 3, ..made }
    }

    #[test]
    fn what_an_upstream_says_calls_nobody() {
        let slack = slack(&message());
        assert_eq!(slack["attachments"][0]["title"], "&lt;!channel&gt; [a](http://evil) @everyone &amp; more");
        assert_eq!(slack["attachments"][0]["fields"][0], json!({ "title": "Route", "value": "&lt;@U1&gt;", "short": true }));
        assert_eq!(slack["attachments"][0]["title_link"], "https://gw.example/groups/f");
        let discord = discord(&message());
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
        let teams = teams(&message()).to_string();
        for text in [discord.to_string(), teams] {
            assert!(!text.contains("[a]") && !text.contains("@everyone") && !text.contains("<@U1>"), "{text}");
            assert!(text.contains("https://gw.example/groups/f"), "{text}");
        }
    }

    #[test]
    fn titles_are_bounded_in_characters() {
        let long = Message { title: "\u{e4}".repeat(1000), ..message() };
        assert_eq!(discord(&long)["embeds"][0]["title"].as_str().unwrap().chars().count(), MAX_TITLE);
    }
}
