//! The reload of the configuration as the admin listener asks for it and shows it.
//!
//! Knows neither files nor plans: `app` loads and applies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::config::expand::Surroundings;
use crate::explain::diff::summary;
use crate::explain::route::{Explanation, Question};
use crate::explain::{self, Change, Effective};
use crate::observe::reload_metrics::ReloadResult;
use crate::plan::Plan;

/// The number of requests that may wait for a reload. Those that wait when it begins all get its outcome.
const MAX_WAITING: usize = 16;

/// The most changes that an answer shows one by one.
const MAX_SHOWN: usize = 200;

/// Why a configuration is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The gateway starts.
    Start,
    /// SIGHUP.
    Signal,
    /// `POST /reload`.
    Admin,
    /// A file has changed.
    Files,
}

impl Cause {
    /// Returns the word for log lines and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Files => "files",
        }
    }
}

/// A problem of a configuration, as it is shown.
#[derive(Clone, Debug)]
pub struct ShownProblem {
    /// The line, counted from 1; `None` if the problem has no place.
    pub line: Option<usize>,
    /// The description.
    pub title: String,
    /// The way to fix it; may be empty.
    pub help: String,
    /// The configuration can be used nevertheless.
    pub is_warning: bool,
}

/// How a reload ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// New requests use the new configuration.
    Applied {
        /// What differs from the configuration before.
        changes: Vec<Change>,
        /// The files that have changed.
        files: Vec<String>,
        /// The keys whose new value needs a restart.
        needs_restart: Vec<&'static str>,
        /// Warnings about the new configuration.
        warnings: Vec<ShownProblem>,
    },
    /// The files are the same as before.
    Unchanged,
    /// The configuration cannot be used; the one from before still runs.
    Rejected {
        /// What is wrong.
        problems: Vec<ShownProblem>,
        /// The same as text for an operator.
        text: String,
    },
}

impl Outcome {
    /// Returns the outcome without its details.
    pub const fn result(&self) -> ReloadResult {
        match self {
            Self::Applied { .. } => ReloadResult::Applied,
            Self::Unchanged => ReloadResult::Unchanged,
            Self::Rejected { .. } => ReloadResult::Rejected,
        }
    }
}

/// A reload that has ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took until new requests used the configuration, or until it was refused.
    pub took: Duration,
    /// Why it was done.
    pub cause: Cause,
    /// How it ended.
    pub outcome: Outcome,
}

/// The configuration that runs.
#[derive(Clone, Debug)]
pub struct RunningConfig {
    /// Identifies the content.
    pub version: Arc<str>,
    /// The name of the file.
    pub name: Arc<str>,
    /// Its text. May hold secrets.
    pub text: Arc<str>,
    /// The folder of the file.
    pub folder: PathBuf,
    /// Since when it runs.
    pub since: SystemTime,
    /// The keys whose new value is not in use, because it needs a restart.
    pub needs_restart: Vec<&'static str>,
}

/// What runs, and the last reload.
#[derive(Clone, Debug)]
pub struct Status {
    /// The configuration that runs.
    pub running: Arc<RunningConfig>,
    /// The last reload; `None` before the first one.
    pub last: Option<Arc<Attempt>>,
}

/// A request to load the configuration again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who asks.
    pub cause: Cause,
    /// Gets the outcome.
    pub done: oneshot::Sender<Arc<Attempt>>,
}

/// Asks for reloads, and shows the last one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads {
    requests: mpsc::Sender<ReloadRequest>,
    status: Arc<ArcSwap<Status>>,
}

/// No reload is possible, because the gateway shuts down or too many requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway shuts down, or too many reloads wait")]
pub struct Busy;

impl Reloads {
    /// Creates the handle, and the receiver for the task that reloads.
    pub fn new(running: RunningConfig) -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let status = Arc::new(ArcSwap::from_pointee(Status { running: Arc::new(running), last: None }));
        (Self { requests, status }, receiver)
    }

    /// Loads the configuration again, and returns the outcome.
    ///
    /// # Errors
    /// Returns [`Busy`] if the configuration is not loaded.
    pub async fn reload(&self, cause: Cause) -> Result<Arc<Attempt>, Busy> {
        let (done, outcome) = oneshot::channel();
        self.requests.try_send(ReloadRequest { cause, done }).map_err(|_| Busy)?;
        outcome.await.map_err(|_| Busy)
    }

    /// Returns what runs, and the last reload.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Records a reload. `running` is the new configuration if one was applied.
    pub fn record(&self, attempt: Arc<Attempt>, running: Option<RunningConfig>) {
        let running = running.map_or_else(|| Arc::clone(&self.status().running), Arc::new);
        self.status.store(Arc::new(Status { running, last: Some(attempt) }));
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| format!("{at:.3}")).unwrap_or_default()
}

fn problems(all: &[ShownProblem]) -> Value {
    let one = |problem: &ShownProblem| {
        json!({
            "severity": if problem.is_warning { "warning" } else { "error" },
            "line": problem.line,
            "title": problem.title,
            "help": problem.help,
        })
    };
    all.iter().map(one).collect()
}

impl Attempt {
    /// Returns the attempt as JSON.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "outcome": self.outcome.result().word(),
            "cause": self.cause.word(),
            "at": time(self.at),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        });
        match &self.outcome {
            Outcome::Applied { changes, files, needs_restart, warnings } => {
                value["files"] = json!(files);
                value["summary"] = json!(summary(changes));
                value["changes"] = changes.iter().take(MAX_SHOWN).map(Change::json).collect();
                value["more"] = json!(changes.len().saturating_sub(MAX_SHOWN));
                value["needs_restart"] = json!(needs_restart);
                value["warnings"] = problems(warnings);
            }
            Outcome::Unchanged => {}
            Outcome::Rejected { problems: all, text } => {
                value["problems"] = problems(all);
                value["text"] = json!(text);
            }
        }
        value
    }
}

impl RunningConfig {
    /// Returns the values that are in force, with their origins. Reads the text again.
    pub fn effective(&self) -> Effective {
        Effective::read(&self.text, &self.name, &Surroundings::in_folder(&variable, &self.folder))
    }

    /// Explains a request to the gateway that runs `plan`, which was compiled from this text.
    pub(super) fn explain(&self, plan: &Plan, question: &Question) -> Result<Explanation, String> {
        explain::of_request(&self.text, &self.name, &Surroundings::in_folder(&variable, &self.folder), plan, question)
    }

    /// Returns the configuration as JSON, without its text.
    pub fn json(&self) -> Value {
        json!({ "version": &*self.version, "file": &*self.name, "since": time(self.since), "needs_restart": self.needs_restart })
    }
}
