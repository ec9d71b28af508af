//! The grammar of `lockgate errors`: questions to the journal.

use std::path::PathBuf;

use clap::Subcommand;

use super::admin::AdminArgs;

pub(in crate::cli) const ERRORS_AFTER: &str = "\
Without a command, this prints the catalog of errors. The commands ask the admin listener of a running
gateway for the errors of which it keeps the original ([journal] in the configuration), or read its file.

  lockgate errors list --since 15m --status 5xx
  lockgate errors show 01a2220b-24a0-711b-986e-2b39c7936ece
  lockgate errors groups
  lockgate errors resolve 5f2c0a1be8d9
  lockgate errors tail --route checkout
  lockgate errors export --since 2026-12-01T06:00:00Z --output errors.jsonl
  lockgate errors purge --before 30d
  lockgate errors list --file /var/lib/lockgate/journal.db";

const TAIL_AFTER: &str = "\
Follows one gateway in the order in which its requests fail, until Ctrl-C. When the gateway restarts, this
says so on standard error, connects again, and shows what was written in between. With --file, entries of
requests that took longer than ten minutes are not shown.

  lockgate errors tail --status 5xx
  lockgate errors tail --json --lines 0 | jq -r .title";

const EXPORT_AFTER: &str = "\
Writes whole entries, newest first, one JSON object per line. Credentials are masked, as they are in the
journal. FILE must not exist; only its owner can read it.

  lockgate errors export --since 1d > errors.jsonl
  lockgate errors export --group 5f2c0a1be8d94c7f0b1a2c3d4e5f6071 --output one-fault.jsonl";

const PURGE_AFTER: &str = "\
Removes entries so that nothing of them is left in the file of the journal. Their groups count them no more,
and a group without entries goes as well. On a terminal this asks first; elsewhere it needs --yes. With
--file it works only while no gateway runs with the file.

  lockgate errors purge --request-id 01a2220b-24a0-711b-986e-2b39c7936ece
  lockgate errors purge --before 30d --yes
  lockgate errors purge --before 2026-11-01

A date begins at midnight UTC. A number alone is refused: it could be a date, seconds or milliseconds.";

/// A question to the journal.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JournalCommand {
    /// List failed requests, newest first
    List(ListArgs),
    /// Show a failed request: what the upstream said, and what the client got
    Show {
        /// The request id that the client was given
        #[arg(value_name = "REQUEST_ID")]
        request_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the groups of errors with the same fault
    Groups {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Say that the fault of a group is fixed; a further error makes the group `regressed`
    Resolve(StateArgs),
    /// Report the errors of a group no more
    Mute(StateArgs),
    /// Make a group new again
    Reopen(StateArgs),
    /// Follow failed requests as they fail
    #[command(after_help = TAIL_AFTER)]
    Tail(TailArgs),
    /// Write whole entries as JSON lines
    #[command(after_help = EXPORT_AFTER)]
    Export(ExportArgs),
    /// Remove entries for good
    #[command(after_help = PURGE_AFTER)]
    Purge(PurgeArgs),
}

/// The group whose state is set.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StateArgs {
    /// The fingerprint of the group, or its first digits as `lockgate errors groups` shows them
    #[arg(value_name = "FINGERPRINT")]
    pub(in crate::cli) group: String,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
}

/// Where the journal is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlaceArgs {
    #[command(flatten)]
    pub(in crate::cli) admin: AdminArgs,
    /// Read the file of a journal (`journal.path`) instead of asking a gateway, which may run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "config", "token_file"])]
    pub(in crate::cli) file: Option<PathBuf>,
}

/// Which entries are meant.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FilterArgs {
    /// Not earlier than this: how long ago (15m, 7d), a date (2026-12-01) or a time (2026-12-01T06:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Earlier than this, written as the time of --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The route
    #[arg(long)]
    route: Option<String>,
    /// The backend
    #[arg(long)]
    backend: Option<String>,
    /// The endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// The status that clients got: 502, 5xx or 500-504
    #[arg(long)]
    status: Option<String>,
    /// The code that clients got
    #[arg(long)]
    pub(in crate::cli) code: Option<String>,
    /// The reason of the failure, as connection_refused
    #[arg(long)]
    pub(in crate::cli) reason: Option<String>,
    /// The class of the exception
    #[arg(long)]
    exception: Option<String>,
    /// The fingerprint of the group, or its first digits
    #[arg(long, value_name = "FINGERPRINT")]
    pub(in crate::cli) group: Option<String>,
    /// Words that occur in the path, the messages, the stack or the bodies of responses
    #[arg(long)]
    text: Option<String>,
}

impl FilterArgs {
    /// Returns the filter as the query of a URL, with more parameters.
    pub(in crate::cli) fn query(&self, more: &[(&str, &str)]) -> String {
        let given = [
            ("since", &self.since),
            ("until", &self.until),
            ("route", &self.route),
            ("backend", &self.backend),
            ("endpoint", &self.endpoint),
            ("status", &self.status),
            ("code", &self.code),
            ("reason", &self.reason),
            ("exception", &self.exception),
            ("group", &self.group),
            ("text", &self.text),
        ];
        let given = given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        // What is added stands for what was given.
        let given = given.filter(|(name, _)| more.iter().all(|(added, _)| added != name));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given).extend_pairs(more).finish()
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// The most entries [1 to 1000, default: 50]
    #[arg(long, default_value_t = 50, hide_default_value = true, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(in crate::cli) limit: u16,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TailArgs {
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// Show so many of the latest entries first
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(in crate::cli) lines: u16,
    /// Print one JSON object per line
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// Write to a new file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PurgeArgs {
    #[command(flatten)]
    pub(in crate::cli) what: WhatArgs,
    /// Remove without asking
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
}

/// What is removed: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct WhatArgs {
    /// The entry of a request
    #[arg(long, value_name = "REQUEST_ID")]
    pub(in crate::cli) request_id: Option<String>,
    /// All entries before a time: how long ago (2h, 30d), a date (2026-12-01) or a time (2026-12-01T06:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) before: Option<String>,
    /// A group with its entries: its fingerprint, or the first digits
    #[arg(long, value_name = "FINGERPRINT")]
    pub(in crate::cli) group: Option<String>,
    /// All entries and all groups
    #[arg(long)]
    pub(in crate::cli) all: bool,
}
