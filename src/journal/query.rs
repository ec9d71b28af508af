//! What can be asked of a journal, and the answers.
//!
//! Plain data. A limit is at most [`MAX_LIMIT`]; stores rely on that.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Millis};

/// The most items of a page.
pub const MAX_LIMIT: usize = 1000;

/// Which entries are meant. A field that is `None` does not restrict them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not earlier than this.
    pub since: Option<Millis>,
    /// Earlier than this.
    pub until: Option<Millis>,
    /// The name of the route.
    pub route: Option<String>,
    /// The name of the backend.
    pub backend: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// The statuses, from the first to the last.
    pub status: Option<(u16, u16)>,
    /// The code.
    pub code: Option<String>,
    /// The reason.
    pub reason: Option<String>,
    /// The class of the exception.
    pub exception: Option<String>,
    /// The fingerprint of the group.
    pub group: Option<String>,
    /// Words that must all occur in the path, the title, the message, the exception, the stack, the cause or the bodies. A word matches the
    /// beginning of words, and case does not matter.
    pub text: Option<String>,
}

/// The place of an entry in the order of a list, newest first and then by id, or of a group, highest rank first and then by fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time of the last entry of the page before, or the rank of its last group ([`GroupOrder::rank`]).
    pub at: Millis,
    /// Its id or fingerprint.
    pub id: String,
}

impl Cursor {
    /// Returns the cursor as text for a URL.
    pub fn encode(&self) -> String {
        format!("{}~{}", self.at, self.id)
    }

    /// Reads a cursor.
    pub fn decode(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('~')?;
        Some(Self { at: at.parse().ok()?, id: id.to_owned() })
    }
}

/// Asks for entries, newest first.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Which entries.
    pub filter: Filter,
    /// The end of the page before.
    pub after: Option<Cursor>,
    /// The most entries.
    pub limit: usize,
}

/// One page of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<Cursor>,
}

/// An entry as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of an entry")]
pub struct Summary {
    pub request_id: String,
    pub at: Millis,
    pub duration_us: u64,
    pub method: String,
    pub path: String,
    pub route: String,
    pub backend: String,
    pub endpoint: Option<String>,
    pub status: u16,
    pub received: Option<u16>,
    pub code: String,
    pub reason: String,
    pub exception: Option<String>,
    pub fingerprint: String,
    pub title: String,
}

impl Summary {
    /// Returns what a list shows of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self {
            request_id: entry.request_id.clone(),
            at: entry.at,
            duration_us: entry.duration_us,
            method: entry.method.clone(),
            path: entry.path.clone(),
            route: entry.route.clone(),
            backend: entry.backend.clone(),
            endpoint: entry.endpoint.clone(),
            status: entry.status,
            received: entry.received,
            code: entry.code.clone(),
            reason: entry.reason.clone(),
            exception: entry.exception.clone(),
            fingerprint: entry.fingerprint.clone(),
            title: entry.title.clone(),
        }
    }
}

/// What is known of a group, and what an operator has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// Nobody has looked at it yet.
    #[default]
    New,
    /// An operator knows it.
    Known,
    /// An operator says that it is fixed.
    Resolved,
    /// It was resolved and has occurred again.
    Regressed,
    /// It is not to be reported.
    Muted,
}

impl GroupState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::New, Self::Known, Self::Resolved, Self::Regressed, Self::Muted];

    /// Returns the word for URLs and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Resolved => "resolved",
            Self::Regressed => "regressed",
            Self::Muted => "muted",
        }
    }

    /// Reads the word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Entries with the same fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Identifies it.
    pub fingerprint: String,
    /// What goes wrong, in one line.
    pub title: String,
    /// The route of the first occurrence.
    pub route: String,
    /// The backend of the first occurrence.
    pub backend: String,
    /// The code that clients get.
    pub code: String,
    /// The reason; may be empty.
    pub reason: String,
    /// The class of the exception.
    pub exception: Option<String>,
    /// When it occurred first.
    pub first_seen: Millis,
    /// When it occurred last.
    pub last_seen: Millis,
    /// How often it occurred. Stays when entries become too old, and shrinks when entries are purged.
    pub count: u64,
    /// Its state.
    pub state: GroupState,
    /// When an operator has set the state; 0 if nobody has. Known to who writes entries only.
    #[serde(skip)]
    pub state_set: Millis,
    /// The version of the configuration at its first occurrence.
    pub first_config: String,
    /// The id of its last occurrence.
    pub last_request_id: String,
}

/// The order of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// The last seen first.
    #[default]
    LastSeen,
    /// The first seen last.
    FirstSeen,
    /// The most frequent first.
    Count,
}

impl GroupOrder {
    /// Returns the number by which a group stands in this order.
    pub const fn rank(self, group: &Group) -> u64 {
        match self {
            Self::LastSeen => group.last_seen,
            Self::FirstSeen => group.first_seen,
            Self::Count => group.count,
        }
    }
}

/// Asks for groups.
#[derive(Clone, Debug, Default)]
pub struct GroupQuery {
    /// Those in one of these states; empty for all.
    pub states: Vec<GroupState>,
    /// Those that have occurred since then.
    pub since: Option<Millis>,
    /// The name of the route.
    pub route: Option<String>,
    /// The name of the backend.
    pub backend: Option<String>,
    /// The order.
    pub order: GroupOrder,
    /// The end of the page before, in the same order.
    pub after: Option<Cursor>,
    /// The number of groups to skip.
    pub offset: usize,
    /// The most groups.
    pub limit: usize,
}

/// The width of a bucket of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A minute; kept for 48 hours.
    Minute,
    /// An hour; kept for 30 days.
    Hour,
}

impl Step {
    /// Returns the width.
    pub const fn millis(self) -> Millis {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// Returns how long counts are kept.
    pub const fn kept(self) -> Millis {
        match self {
            Self::Minute => 48 * 3_600_000,
            Self::Hour => 30 * 24 * 3_600_000,
        }
    }
}

/// Asks for counts over time.
#[derive(Clone, Debug)]
pub struct CountQuery {
    /// The group; `None` for all.
    pub group: Option<String>,
    /// From the bucket of this time on.
    pub since: Millis,
    /// Up to the bucket before that of this time.
    pub until: Millis,
    /// The width of a bucket.
    pub step: Step,
}

/// How often something occurred in a bucket of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The beginning of the bucket.
    pub at: Millis,
    /// The backend.
    pub backend: String,
    /// The status that clients got.
    pub status: u16,
    /// The number.
    pub count: u64,
}

/// What is removed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// The entry of a request.
    Request(String),
    /// All entries before a time.
    Before(Millis),
    /// A group, by its fingerprint, with all of its entries.
    Group(String),
    /// All entries and all groups.
    All,
}

/// What a step of [`prune`](super::Store::prune) has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The number of entries that were removed.
    pub removed: u64,
    /// There is more to be removed.
    pub more: bool,
}

/// What writing an entry has done to its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// The group is new.
    New(String),
    /// The group had been resolved.
    Regressed(String),
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The number of entries.
    pub entries: u64,
    /// The bytes that they take.
    pub bytes: u64,
    /// The time of the oldest entry.
    pub oldest: Option<Millis>,
}
