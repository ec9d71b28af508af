//! The types of values. Knows no keys.
//!
//! A type is written as text: the name of a format or of a kind, `=word` for a word, `@table` for a table, `[type]` for a list, `{type}` for
//! a table whose keys the operator chooses, and `a | b` for alternatives.

use serde_json::Value;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number from 0 to 1.
    Fraction,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// Text of a format. It may have `${NAME}`.
    Text(&'static Format),
    /// One word.
    Word(String),
    /// One of these values.
    Choice(Vec<Value>),
    /// A table of the schema, by its name.
    Table(String),
    /// A list.
    List(Box<Kind>),
    /// A table whose keys the operator chooses.
    Map(Box<Kind>),
    /// One of several types.
    Either(Vec<Kind>),
}

/// A format of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// A regular expression for the whole text, in the part that ECMAScript, Python and Rust have in common; empty for any text.
    pub pattern: &'static str,
    /// What it is, with its unit and examples; empty if the pattern or the description of a key says it.
    pub about: &'static str,
    /// A text of this format can hold no secret, because it says nothing but a number, an address or a word.
    pub is_plain: bool,
}

const fn format(name: &'static str, pattern: &'static str, about: &'static str, is_plain: bool) -> Format {
    Format { name, pattern, about, is_plain }
}

/// Statuses and ranges with commas between them.
const STATUSES: &str = r"\s*[1-5][0-9]{2}\s*(?:-\s*[1-5][0-9]{2}\s*)?(?:,\s*[1-5][0-9]{2}\s*(?:-\s*[1-5][0-9]{2}\s*)?)*";

/// All formats.
pub static FORMATS: [Format; 24] = [
    format("text", "", "", false),
    format("file", r"[\s\S]+", "The name of a file or folder, relative to the folder of the configuration file.", false),
    format("url", r"https?://[\s\S]+", "", false),
    format("url-path", r"/[\s\S]*", "", false),
    format("route-path", r"/[\s\S]*", "", false),
    format("pointer", r"/[\s\S]*", "", true),
    format("duration", r"0*[1-9][0-9]*(?:ms|s|m|h|d)", "A time with its unit: \"250ms\", \"10s\", \"2m\", \"1h\" or \"1d\".", true),
    format("size", r"0*[1-9][0-9]*(?:B|KiB|MiB|GiB)", "A size with its unit: \"512B\", \"32KiB\", \"10MiB\" or \"1GiB\".", true),
    format("data-rate", r"0*[1-9][0-9]*(?:B|KiB|MiB|GiB)/s", "Bytes per second: \"240B/s\" or \"1KiB/s\".", true),
    format(
        "rate",
        r"\+?0*[1-9][0-9]*/[smhd]",
        "Requests per second, minute, hour or day: \"100/s\", \"1000/m\", \"5000/h\" or \"10000/d\".",
        true,
    ),
    format("percent", r"\+?0*(?:100|[0-9]{1,2})%", "A percentage, such as \"20%\".", true),
    format("percentile", r"p(?:[5-9][0-9])(?:\.[0-9]+)?", "A percentile, such as \"p95\" or \"p99.9\".", true),
    format("share", r"[0-9]{1,3}% of [0-9]{1,4}", "A share of the latest requests, such as \"50% of 20\".", true),
    format("statuses", STATUSES, "Statuses and ranges, such as \"200-399\" or \"200, 204\".", true),
    format(
        "status-range",
        r"[45](?:xx|XX|[0-9]{2}(?:-[45][0-9]{2})?)",
        "Statuses of errors: \"4xx\", \"5xx\" or a range such as \"500-504\".",
        true,
    ),
    format("address", r"(?:\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}", "ADDRESS:PORT, such as \"0.0.0.0:8080\" or \"[::]:8080\".", true),
    format(
        "network",
        r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?",
        "An address or a network in CIDR notation, such as \"10.0.0.0/8\" or \"::1\".",
        true,
    ),
    format("retry-condition", r"connect|lost|timeout|429|5[0-9]{2}", "", true),
    format("balance", r"least-requests|round-robin|hash:client-ip|hash:header:[\s\S]+", "", true),
    format("sticky", r"client-ip|(?:cookie|header):[\s\S]+", "", true),
    format("limit-key", r"client-ip|route|global|(?:header|cookie|query):[\s\S]+", "", true),
    format("pin", r"sha256//?[A-Za-z0-9+/]{43}=", "", true),
    format(
        "notify-rule",
        r"new-group|regression|(?:route ?)?> ?[1-9][0-9]*/[smhd]|backend-down|backend-up|breaker-open|certificate ?< ?[1-9][0-9]*(?:s|m|h|d)|reload-failed",
        "",
        true,
    ),
    format("time", r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][\s\S]+", "", true),
];

impl Kind {
    /// Reads a type. `values` are those of a choice. `None` if it is not a type.
    pub(super) fn parse(text: &str, values: &[Value]) -> Option<Self> {
        let parts: Vec<&str> = split(text);
        if parts.len() > 1 {
            return parts.into_iter().map(|part| Self::parse(part, values)).collect::<Option<Vec<_>>>().map(Self::Either);
        }
        let text = text.trim();
        let inner = |open: char, close: char| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let Some(item) = inner('[', ']') {
            return Some(Self::List(Box::new(Self::parse(item, values)?)));
        }
        if let Some(item) = inner('{', '}') {
            return Some(Self::Map(Box::new(Self::parse(item, values)?)));
        }
        if let Some(name) = text.strip_prefix('@') {
            return Some(Self::Table(name.to_owned()));
        }
        if let Some(word) = text.strip_prefix('=') {
            return Some(Self::Word(word.to_owned()));
        }
        if let Some((from, to)) = text.strip_prefix("integer ").and_then(|bounds| bounds.split_once("..")) {
            return match values {
                [] => Some(Self::Integer(from.parse().ok()?, to.parse().ok()?)),
                values => Some(Self::Choice(values.to_vec())),
            };
        }
        match text {
            "boolean" => Some(Self::Boolean),
            "fraction" => Some(Self::Fraction),
            "choice" => Some(Self::Choice(values.to_vec())).filter(|_| !values.is_empty()),
            _ => FORMATS.iter().find(|format| format.name == text).map(Self::Text),
        }
    }

    /// Returns the table that a value of this type is, if it is one of the schema.
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::Table(name) => Some(name),
            Self::Boolean
            | Self::Fraction
            | Self::Integer(..)
            | Self::Text(_)
            | Self::Word(_)
            | Self::Choice(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Either(_) => None,
        }
    }

    /// Returns true if no value of this type can hold a secret.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Boolean | Self::Fraction | Self::Integer(..) | Self::Word(_) | Self::Choice(_) => true,
            Self::Text(format) => format.is_plain,
            Self::Table(_) | Self::Map(_) => false,
            Self::List(item) => item.is_plain(),
            Self::Either(kinds) => kinds.iter().all(Self::is_plain),
        }
    }
}

/// Splits alternatives that are not within a list or table.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
