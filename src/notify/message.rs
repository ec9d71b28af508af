//! What is told, in words and values. Plain data; every form of it is made from this.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::write;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something fails.
    Error,
    /// Something will fail, or was left out.
    Warning,
    /// Something is well again.
    Info,
}

impl Severity {
    /// Returns the word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// Returns the colour, in hexadecimal digits.
    pub const fn color(self) -> u32 {
        match self {
            Self::Error => 0x00d9_2d20,
            Self::Warning => 0x00dc_a809,
            Self::Info => 0x0017_8a4c,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Identifies it, in 32 hexadecimal digits. It stays the same if it is sent again.
    pub id: String,
    /// When it was written.
    pub at: SystemTime,
    /// What it is about: the name of a rule, `digest`, `summary` or `test`.
    pub event: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What happened, in one line.
    pub title: String,
    /// The group.
    pub group: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The backend.
    pub backend: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// The code that clients got.
    pub code: Option<String>,
    /// The status that clients got.
    pub status: Option<u16>,
    /// How often it happened.
    pub count: u64,
    /// The page about it.
    pub link: Option<String>,
    /// The gateway that tells it.
    pub gateway: String,
}

impl Message {
    /// Creates a message with a new id.
    pub fn new(event: &'static str, severity: Severity, title: impl Into<String>, (gateway, at): (&str, SystemTime)) -> Self {
        Self {
            id: format!("{:032x}", fastrand::u128(..)),
            at,
            event,
            severity,
            title: title.into(),
            group: None,
            route: None,
            backend: None,
            endpoint: None,
            code: None,
            status: None,
            count: 1,
            link: None,
            gateway: gateway.to_owned(),
        }
    }

    /// The message that tests a notifier.
    pub fn test(gateway: &str, pages: Option<&str>) -> Self {
        let text = "This is a test: notifications of this gateway arrive here";
        Self { link: pages.map(|pages| format!("{pages}/")), ..Self::new("test", Severity::Info, text, (gateway, SystemTime::now())) }
    }

    /// Returns the time as RFC 3339 in UTC.
    pub fn time(&self) -> String {
        let mut text = Vec::with_capacity(24);
        write::timestamp(&mut text, self.at);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Returns the values that say where it happened, each with its name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let count = (self.count > 1).then(|| self.count.to_string());
        let all = [
            ("route", self.route.clone()),
            ("backend", self.backend.clone()),
            ("endpoint", self.endpoint.clone()),
            ("code", self.code.clone()),
            ("status", self.status.map(|status| status.to_string())),
            ("count", count),
            ("gateway", Some(self.gateway.clone()).filter(|name| !name.is_empty())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Returns these values in one line.
    pub fn text(&self) -> String {
        self.facts().into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns a value by the name that it has in JSON and in templates.
    pub fn value(&self, name: Name) -> Value {
        match name {
            Name::Event => self.event.into(),
            Name::Id => self.id.as_str().into(),
            Name::Time => self.time().into(),
            Name::Severity => self.severity.word().into(),
            Name::Title => self.title.as_str().into(),
            Name::Text => self.text().into(),
            Name::Group => json!(self.group),
            Name::Route => json!(self.route),
            Name::Backend => json!(self.backend),
            Name::Endpoint => json!(self.endpoint),
            Name::Code => json!(self.code),
            Name::Status => json!(self.status),
            Name::Count => self.count.into(),
            Name::Link => json!(self.link),
            Name::Gateway => self.gateway.as_str().into(),
        }
    }

    /// Returns all values as JSON.
    pub fn json(&self) -> Value {
        Value::Object(Name::ALL.into_iter().map(|name| (name.word().to_owned(), self.value(name))).collect())
    }
}

/// The name of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the values are those of a message")]
pub enum Name {
    Event,
    Id,
    Time,
    Severity,
    Title,
    Text,
    Group,
    Route,
    Backend,
    Endpoint,
    Code,
    Status,
    Count,
    Link,
    Gateway,
}

impl Name {
    /// All names.
    pub const ALL: [Self; 15] = [
        Self::Event,
        Self::Id,
        Self::Time,
        Self::Severity,
        Self::Title,
        Self::Text,
        Self::Group,
        Self::Route,
        Self::Backend,
        Self::Endpoint,
        Self::Code,
        Self::Status,
        Self::Count,
        Self::Link,
        Self::Gateway,
    ];

    /// Returns the word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Id => "id",
            Self::Time => "time",
            Self::Severity => "severity",
            Self::Title => "title",
            Self::Text => "text",
            Self::Group => "group",
            Self::Route => "route",
            Self::Backend => "backend",
            Self::Endpoint => "endpoint",
            Self::Code => "code",
            Self::Status => "status",
            Self::Count => "count",
            Self::Link => "link",
            Self::Gateway => "gateway",
        }
    }
}
