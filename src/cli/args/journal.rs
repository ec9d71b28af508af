//! The grammar of `lockgate errors`: questions to the journal.

use clap::Subcommand;

use super::admin::AdminArgs;

pub(in crate::cli) const ERRORS_AFTER: &str = "\
Without a command, this prints the catalog of errors. The commands ask the admin listener of a running
gateway for the errors of which it keeps the original ([journal] in the configuration).

  lockgate errors list --since 15m --status 5xx
  lockgate errors show 01a2220b-24a0-711b-986e-2b39c7936ece
  lockgate errors groups";

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
        admin: AdminArgs,
    },
    /// List the groups of errors with the same fault
    Groups {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Not earlier than this: 15m ago, or a time as 2026-12-01T06:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The route
    #[arg(long)]
    route: Option<String>,
    /// The backend
    #[arg(long)]
    backend: Option<String>,
    /// The status that clients got: 502, 5xx or 500-504
    #[arg(long)]
    status: Option<String>,
    /// The code that clients got
    #[arg(long)]
    code: Option<String>,
    /// Words that occur in the path, the messages, the stack or the bodies
    #[arg(long)]
    text: Option<String>,
    /// The most entries
    #[arg(long, default_value_t = 50)]
    limit: u16,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) admin: AdminArgs,
}

impl ListArgs {
    /// Returns the question as the query of a URL.
    pub(in crate::cli) fn query(&self) -> String {
        let given = [
            ("since", &self.since),
            ("route", &self.route),
            ("backend", &self.backend),
            ("status", &self.status),
            ("code", &self.code),
            ("text", &self.text),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given.iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        query.append_pair("limit", &self.limit.to_string()).finish()
    }
}
