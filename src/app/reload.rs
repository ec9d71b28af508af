//! The task that reloads the configuration: on request, and when files change.
//!
//! One reload follows the other. A configuration that cannot be used changes nothing. Must not know how a plan is applied.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::beside;
use super::files::{self, Digests, Follower};
use super::running::Running;
use super::source::{ConfigSource, Loaded, Rejected, without_place};
use crate::admin::{Attempt, Cause, Outcome, ReloadRequest, Reloads, RunningConfig, ShownProblem};
use crate::config::diagnose::Problem;
use crate::explain::diff::summary;
use crate::explain::{self, Change};
use crate::memory;
use crate::notify::Event;
use crate::plan::Plan;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The number of looks after which the content is compared, because a file may change without looking different.
const LOOKS_PER_DIGEST: u32 = 60;

/// How long a plan that was replaced is kept for its last requests.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two looks whether it is used.
const RELEASE_PAUSE: Duration = Duration::from_millis(200);
/// The time for reading all files.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reloads the configuration.
pub(super) struct Reloader {
    pub(super) running: Running,
    pub(super) reloads: Reloads,
    pub(super) source: ConfigSource,
    files: BTreeSet<PathBuf>,
    /// The contents that were read last, whether they could be used or not.
    digests: Digests,
    /// What a thread that took too long has not finished: files on a network file system that hangs are not asked for again and again.
    unfinished: Option<oneshot::Receiver<()>>,
    follower: Follower,
    looks: u32,
}

/// A configuration that was read, and the files as they were before.
struct Read {
    loaded: Result<Loaded, Rejected>,
    files: BTreeSet<PathBuf>,
    digests: Digests,
    look: files::Look,
}

impl Reloader {
    pub(super) fn new(running: Running, reloads: Reloads, source: ConfigSource, files: BTreeSet<PathBuf>) -> Self {
        let (digests, look) = (files::digests(&files), files::look(&files));
        Self { running, reloads, source, files, digests, unfinished: None, follower: Follower::new(look), looks: 0 }
    }

    /// Reloads until `stop`. Returns what runs then.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<ReloadRequest>, mut stop: oneshot::Receiver<()>) -> Running {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let request = tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(request) = requests.recv() => Some(request),
                _ = tick.tick() => None,
            };
            let work = async {
                match request {
                    Some(request) => {
                        // Whoever asks before the files are read gets the same outcome.
                        let others: Vec<ReloadRequest> = std::iter::from_fn(|| requests.try_recv().ok()).collect();
                        let attempt = self.reload(request.cause).await;
                        for asked in std::iter::once(request).chain(others) {
                            let _ = asked.done.send(Arc::clone(&attempt));
                        }
                    }
                    None if self.running.plan.load().watch && self.files_changed().await => drop(self.reload(Cause::Files).await),
                    None => {}
                }
            };
            tokio::select! {
                biased;
                _ = &mut stop => break,
                () = work => {}
            }
        }
        self.running
    }

    /// Returns true if the files are to be read again.
    async fn files_changed(&mut self) -> bool {
        if self.source.path().is_none() || self.is_stuck() {
            return false;
        }
        self.looks = self.looks.wrapping_add(1);
        let with_digest = self.looks.is_multiple_of(LOOKS_PER_DIGEST);
        let files = self.files.clone();
        let looked = self.within(READ_TIMEOUT, move || (files::look(&files), with_digest.then(|| files::digests(&files)))).await;
        let Ok((look, digests)) = looked else { return false };
        self.follower.is_due(look) || digests.is_some_and(|digests| digests != self.digests)
    }

    /// Loads the configuration and applies it.
    async fn reload(&mut self, cause: Cause) -> Arc<Attempt> {
        let begin = Instant::now();
        let read = match self.read().await {
            Ok(read) => read,
            Err(why) => {
                let text = format!("the configuration could not be read: {why}");
                return self.record(cause, begin.elapsed(), rejected(&[without_place(text.clone(), "")], "", text), None);
            }
        };
        let changed = files::changed(&self.digests, &read.digests);
        let is_same = changed.is_empty() && read.files == self.files;
        let failed_before = self.reloads.status().last.as_ref().is_some_and(|last| matches!(last.outcome, Outcome::Rejected { .. }));
        self.follower = Follower::new(read.look);
        (self.files, self.digests) = (read.files, read.digests);
        let (outcome, running, end) = match read.loaded {
            Err(refused) => (rejected(&refused.problems, &refused.text, refused.shown(false)), None, Instant::now()),
            Ok(_) if is_same && !failed_before => (Outcome::Unchanged, None, Instant::now()),
            Ok(loaded) => self.apply(loaded, changed).await,
        };
        self.record(cause, end.saturating_duration_since(begin), outcome, running)
    }

    /// Reads the configuration on a thread of its own, as this takes long for many routes, and for ever on a file system that hangs.
    async fn read(&mut self) -> Result<Read, &'static str> {
        let (source, running, known) = (self.source.clone(), self.running.plan.load_full(), self.files.clone());
        let read = move || {
            let first = read_once(&source, &running, known.clone());
            // Files that are new must be looked at before they are read.
            if first.files == known { first } else { read_once(&source, &running, first.files) }
        };
        self.within(READ_TIMEOUT, read).await
    }

    /// Returns true if files that were asked for have not been read yet, long after their time.
    fn is_stuck(&mut self) -> bool {
        use oneshot::error::TryRecvError;
        self.unfinished.as_mut().is_some_and(|unfinished| matches!(unfinished.try_recv(), Err(TryRecvError::Empty)))
    }

    /// Does work with files beside the threads that serve. One that takes too long goes on by itself, and nothing else is begun until it ends.
    async fn within<T: Send + 'static>(&mut self, timeout: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, &'static str> {
        if self.is_stuck() {
            return Err("an earlier attempt still waits for its files");
        }
        let (ended, end) = oneshot::channel();
        let working = beside::run(move || {
            let done = work();
            drop(ended);
            done
        });
        match tokio::time::timeout(timeout, working).await {
            Ok(done) => done.map_err(|_| "the thread that reads it has failed"),
            Err(_) => {
                self.unfinished = Some(end);
                Err("its files could not be read in time")
            }
        }
    }

    /// Applies a configuration. Returns also when the change was made, as the comparison that follows delays no request.
    async fn apply(&mut self, loaded: Loaded, files: Vec<String>) -> (Outcome, Option<RunningConfig>, Instant) {
        let Loaded { plan, text, name, files: _ } = loaded;
        let (version, needs_restart) = (Arc::clone(&plan.version), plan.needs_restart.clone());
        let warnings = plan.warnings.iter().map(|problem| shown(problem, &text)).collect();
        match self.running.apply(plan).await {
            Ok(before) => {
                let made = Instant::now();
                tokio::spawn(release(before));
                let running = RunningConfig {
                    version,
                    name,
                    text,
                    folder: self.source.folder().into(),
                    since: SystemTime::now(),
                    needs_restart: needs_restart.clone(),
                };
                (Outcome::Applied { changes: self.changes(&running).await, files, needs_restart, warnings }, Some(running), made)
            }
            Err(error) => {
                let text = format!("{error}\n{}", error.help());
                (rejected(&[without_place(error.to_string(), &error.help())], "", text), None, Instant::now())
            }
        }
    }

    /// Returns what differs between the configuration from before and the one that runs now.
    async fn changes(&self, now: &RunningConfig) -> Vec<Change> {
        let (before, now) = (Arc::clone(&self.reloads.status().running), now.clone());
        beside::run(move || explain::diff(&before.effective(), &now.effective())).await.unwrap_or_default()
    }

    fn record(&self, cause: Cause, took: Duration, outcome: Outcome, running: Option<RunningConfig>) -> Arc<Attempt> {
        let attempt = Arc::new(Attempt { at: SystemTime::now(), took, cause, outcome });
        self.running.plan.load().metrics.reloads.record(attempt.outcome.result(), attempt.at);
        if let Outcome::Rejected { problems, .. } = &attempt.outcome {
            let problems = problems.iter().filter(|problem| !problem.is_warning).count();
            self.running.notifiers.events.send(Event::ReloadFailed { what: "The changed configuration", problems });
        }
        log(&attempt, running.as_ref().map(|running| &*running.version));
        self.reloads.record(Arc::clone(&attempt), running);
        attempt
    }
}

/// Releases a plan beside the threads that serve, once no request uses it any more: to free many routes takes milliseconds, during which a
/// core would answer nobody. One that is used for very long is left to its last request.
async fn release(plan: Arc<Plan>) {
    let end = Instant::now() + RELEASE_TIMEOUT;
    while Arc::strong_count(&plan) > 1 && Instant::now() < end {
        tokio::time::sleep(RELEASE_PAUSE).await;
    }
    let work = move || {
        drop(plan);
        memory::give_back();
    };
    drop(beside::run(work));
}

/// Looks at the files, then reads them: what is written meanwhile makes the next look different.
fn read_once(source: &ConfigSource, running: &Plan, known: BTreeSet<PathBuf>) -> Read {
    let (look, digests) = (files::look(&known), files::digests(&known));
    let loaded = source.load(Some(running));
    let files = match &loaded {
        Ok(loaded) => loaded.files.clone(),
        // What was followed stays so: a broken file may not name all of its files.
        Err(rejected) => rejected.files.union(&known).cloned().collect(),
    };
    Read { loaded, files, digests, look }
}

fn rejected(problems: &[Problem], source: &str, text: String) -> Outcome {
    Outcome::Rejected { problems: problems.iter().map(|problem| shown(problem, source)).collect(), text }
}

fn shown(problem: &Problem, text: &str) -> ShownProblem {
    let line = |start: usize| text.as_bytes()[..start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    ShownProblem {
        line: problem.span.as_ref().map(|span| line(span.start)),
        title: problem.title.clone(),
        help: problem.help.clone(),
        is_warning: problem.is_warning,
    }
}

fn log(attempt: &Attempt, version: Option<&str>) {
    let (cause, took_ms) = (attempt.cause.word(), attempt.took.as_millis() as u64);
    match &attempt.outcome {
        Outcome::Applied { changes, files, needs_restart, warnings } => {
            let files = files.join(", ");
            tracing::info!(cause, took_ms, version, changes = summary(changes), files, "the configuration was reloaded");
            for key in needs_restart {
                tracing::warn!(key, "the new value needs a restart");
            }
            for warning in warnings {
                tracing::warn!(line = warning.line, help = warning.help, "{}", warning.title);
            }
        }
        Outcome::Unchanged => tracing::info!(cause, "the configuration has not changed"),
        Outcome::Rejected { problems, text } => {
            let count = problems.iter().filter(|problem| !problem.is_warning).count();
            tracing::error!(
                cause,
                problems = count,
                diagnostics = text,
                "the configuration cannot be used: the one from before stays in use"
            );
        }
    }
}
