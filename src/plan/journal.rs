//! Compiles `[journal]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::section::At;
use crate::journal::postgres::PostgresStore;
use crate::text::Secret;

/// The time of a day.
const DAY: Duration = Duration::from_secs(86_400);
/// The default bound on the body of an upstream, in bytes.
const DEFAULT_BODY: u64 = 64 << 10;
/// The largest bound on the body of a request, in bytes.
const MAX_REQUEST_BODY: u64 = 64 << 10;
/// The least `max_size`, in bytes: less holds a few entries only.
const MIN_SIZE: u64 = 1 << 20;

/// Where the journal is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the memory of the process. A restart empties it.
    Memory,
    /// In a file of SQLite.
    File(PathBuf),
    /// In a database of PostgreSQL, by its URL.
    Database(Secret<String>),
}

impl Place {
    /// The default age of the oldest entry.
    const fn default_keep(&self) -> Duration {
        match self {
            Self::Memory => DAY.saturating_mul(7),
            Self::File(_) | Self::Database(_) => DAY.saturating_mul(14),
        }
    }

    /// The default size of all entries and the largest one, in bytes, with the largest one as it is written.
    const fn sizes(&self) -> (u64, u64, &'static str) {
        match self {
            Self::Memory => (16 << 20, 1 << 30, "1GiB"),
            Self::File(_) | Self::Database(_) => (1 << 30, 1 << 40, "1024GiB"),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory, Self::Memory) => true,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Database(one), Self::Database(other)) => one.reveal() == other.reveal(),
            (Self::Memory | Self::File(_) | Self::Database(_), _) => false,
        }
    }
}

/// The settings of the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Where it is.
    pub place: Place,
    /// The age of the oldest entry.
    pub keep: Duration,
    /// The size of all entries, in bytes.
    pub max_size: u64,
    /// The most of a body of an upstream, in bytes.
    pub body_limit: usize,
    /// The most of a body of a request, in bytes; zero if none is kept.
    pub request_body: usize,
    /// The share of entries that is kept.
    pub sample: f64,
    /// Patterns that are masked in addition.
    pub redact: Vec<regex::Regex>,
    /// Names of headers that are masked in addition, in lower case.
    pub redact_headers: Vec<String>,
}

impl Journal {
    /// Returns true if the settings are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let patterns = |journal: &Self| journal.redact.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>();
        (self.keep, self.max_size, self.body_limit) == (other.keep, other.max_size, other.body_limit)
            && (self.request_body, self.sample.to_bits()) == (other.request_body, other.sample.to_bits())
            && self.place.is_same(&other.place)
            && patterns(self) == patterns(other)
            && self.redact_headers == other.redact_headers
    }
}

/// Compiles the section. `None` if there is no journal. Opens nothing.
pub(super) fn compile(keys: &file::Journal, problems: &mut Problems) -> Option<Journal> {
    let place = place(keys, problems);
    let (default_size, max, max_text) = place.sizes();
    if let Some(at) = keys.max_size.as_ref().filter(|at| !(MIN_SIZE..=max).contains(&at.value)) {
        let help = match place {
            Place::Memory => "the journal is kept in memory; with `path` or `url` it may be larger",
            Place::File(_) | Place::Database(_) => "",
        };
        problems.add(at.span.clone(), format!("`journal.max_size` must be from 1MiB to {max_text}"), help);
    }
    if let Some(at) = keys.body_limit.as_ref().filter(|at| at.value > 1 << 20) {
        problems.add(at.span.clone(), "`journal.body_limit` must be at most 1MiB", "");
    }
    let request_body = keys.request_body.as_ref().and_then(|at| at.value);
    if let Some(at) = keys.request_body.as_ref().filter(|_| request_body.is_some_and(|size| size > MAX_REQUEST_BODY)) {
        problems.add(at.span.clone(), "`journal.request_body` must be at most 64KiB", "it is copied of every request as it passes");
    }
    let size = |at: &Option<At<u64>>, default: u64| at.as_ref().map_or(default, |at| at.value);
    keys.enabled.unwrap_or(true).then(|| Journal {
        keep: keys.keep.as_ref().map_or(place.default_keep(), |at| at.value),
        place,
        max_size: size(&keys.max_size, default_size),
        body_limit: size(&keys.body_limit, DEFAULT_BODY) as usize,
        request_body: request_body.unwrap_or_default() as usize,
        sample: keys.sample.unwrap_or(1.0),
        redact: keys.redact.clone(),
        redact_headers: keys.redact_headers.clone(),
    })
}

/// Compiles where the journal is.
fn place(keys: &file::Journal, problems: &mut Problems) -> Place {
    match (&keys.path, &keys.url) {
        (None, None) => Place::Memory,
        (Some(path), None) => Place::File(path.value.clone().into()),
        (path, Some(url)) => {
            if path.is_some() {
                let title = "a journal has either a `path` or a `url`";
                problems.add(url.span.clone(), title, "`path` is a file of this gateway, `url` a database that several gateways share");
            }
            if let Err(error) = PostgresStore::check(url.value.reveal()) {
                problems.add(url.span.clone(), "invalid address of a database", error);
            }
            Place::Database(url.value.clone())
        }
    }
}
