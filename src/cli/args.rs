//! The grammar of the command line, with its help texts.
//!
//! Must not execute commands.

mod admin;
mod journal;
mod notify;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::admin::RELOAD_AFTER;
pub(super) use self::admin::{AdminArgs, ListenerArgs};
pub(super) use self::journal::{
    ERRORS_AFTER, ExportArgs, FilterArgs, JournalCommand, ListArgs, PlaceArgs, PurgeArgs, StateArgs, TailArgs, WhatArgs,
};
pub(super) use self::notify::{NotifyCommand, NotifyTestArgs};

/// The exit code for an invalid configuration (`EX_CONFIG` of sysexits.h).
pub(super) const EX_CONFIG: u8 = 78;

pub(super) const AFTER: &str = "\
The configuration file is the first of: --config, $LOCKGATE_CONFIG, ./lockgate.toml,
./config/lockgate.toml, /etc/lockgate/lockgate.toml.

Commands that need no file:
  lockgate demo                                 show a faulty service behind the gateway
  lockgate run --to http://127.0.0.1:8000       run the gateway in front of your own service
  lockgate init                                 write a configuration file to begin with";

/// The version, commit and build profile.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOCKGATE_REVISION"), ", ", env!("LOCKGATE_PROFILE"), ")");

/// A reverse proxy that converts every error into one consistent response format.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version = VERSION, after_help = AFTER, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway
    Run(RunArgs),
    /// Write a commented configuration file from three answers
    Init(InitArgs),
    /// Check configuration files and report all problems
    Check(CheckArgs),
    /// Test the error contract: run cases against a configuration, without network
    #[command(after_help = TEST_AFTER)]
    Test(TestArgs),
    /// Forward to a service, and write a case for `test` for each error that it answers
    #[command(after_help = RECORD_AFTER)]
    Record(RecordArgs),
    /// Compare the responses of a faulty service with those of the gateway in front of it
    Demo(DemoArgs),
    /// Ask the journal of a running gateway, or print the catalog of errors
    #[command(after_help = ERRORS_AFTER, args_conflicts_with_subcommands = true)]
    Errors(Box<ErrorsArgs>),
    /// Test who is told of failures
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Explain an error code, a status or a reason
    Explain {
        /// The code, status or reason, such as UPSTREAM_ERROR, 502 or connection_refused
        #[arg(value_name = "CODE")]
        code: String,
    },
    /// Print the errors as OpenAPI 3.1 components, or the interface of the admin listener
    Openapi {
        /// Print the interface of the admin listener
        #[arg(long)]
        admin: bool,
    },
    /// Remove stack traces, paths, SQL, credentials and addresses from a text
    #[command(after_help = REDACT_AFTER)]
    Redact(RedactArgs),
    /// Load the configuration of a running gateway again, and print what changed
    #[command(after_help = RELOAD_AFTER)]
    Reload(AdminArgs),
    /// Print the configuration that is in force, with the origin of each value
    #[command(after_help = CONFIG_AFTER)]
    Config(ConfigArgs),
    /// Print what differs between two configuration files
    #[command(after_help = DIFF_AFTER)]
    Diff(DiffArgs),
    /// Explain what the gateway would do with a request, without sending it
    #[command(after_help = ROUTE_AFTER)]
    Route(RouteArgs),
    /// Print the JSON Schema of configuration files, for editors
    #[command(after_help = SCHEMA_AFTER)]
    Schema,
    /// Write the manual pages
    #[command(after_help = MAN_AFTER)]
    Man(ManArgs),
    /// Check whether a running gateway is ready (for containers)
    Healthcheck(ListenerArgs),
    /// Print the completion script of a shell
    #[command(after_help = COMPLETIONS_AFTER)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shell {
    /// GNU Bash
    Bash,
    /// The Z shell
    Zsh,
    /// fish
    Fish,
}

/// The format of the report on cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CasesFormat {
    /// Lines for a terminal
    Text,
    /// One JSON object
    Json,
    /// XML, as continuous integration systems read it
    Junit,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    pub(super) config: Option<PathBuf>,
    /// Forward all requests to this service, without a configuration file
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    /// Address of the data listener; overrides the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Address of the admin listener; overrides the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) admin: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// URL of your service; without it you are asked
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    /// Address of the data listener [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Whether load balancers or other proxies are in front: yes, no, or their networks, such as 10.0.0.0/8,fd00::/8
    #[arg(long, value_name = "NETWORKS")]
    pub(super) behind: Option<String>,
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = "lockgate.toml")]
    pub(super) output: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration files [default: the file that `run` would use]
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Files of cases, or folders of such files
    #[arg(value_name = "CASES", required_unless_present_any = ["example", "faults"])]
    pub(super) files: Vec<PathBuf>,
    /// Configuration file [default: `config` of the file of cases, or the file that `run` would use]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Run only the cases whose name has this text
    #[arg(long, value_name = "TEXT")]
    pub(super) only: Option<String>,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = CasesFormat::Text)]
    pub(super) format: CasesFormat,
    /// Write what comes back into the files, as what is expected
    #[arg(long)]
    pub(super) update: bool,
    /// Print a file of cases to begin with
    #[arg(long)]
    pub(super) example: bool,
    /// Print the faults that an upstream can have
    #[arg(long)]
    pub(super) faults: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// The service to forward to
    #[arg(long, value_name = "URL")]
    pub(super) to: String,
    /// The folder for the cases
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Configuration that says what clients get [default: one that forwards everything, written into the folder]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Most cases
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(super) max: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Address of the gateway
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Exit after the comparison
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ErrorsArgs {
    #[command(subcommand)]
    pub(super) journal: Option<JournalCommand>,
    /// Output format of the catalog
    #[arg(long, value_enum, default_value_t = super::errors::Format::Text)]
    pub(super) format: super::errors::Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct RedactArgs {
    /// Text, JSON or HTML file; `-` or no file reads standard input
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Print the place and type of each finding instead of the text; exit with code 1 if there is any
    #[arg(long)]
    pub(super) check: bool,
    /// Apply the rules for error messages, where any single finding counts
    #[arg(long)]
    pub(super) strict: bool,
    /// Use the patterns and exceptions in [errors.redact] of this configuration file
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// The output format of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ConfigFormat {
    /// A configuration file with the origin of each value as a comment
    Toml,
    /// JSON with `value` and `origin` of each key
    Json,
}

/// The output format of a difference or an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// Lines for a terminal
    Text,
    /// JSON
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// Configuration file [default: the file that `run` would use]
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ConfigFormat::Toml)]
    pub(super) format: ConfigFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The configuration file before
    #[arg(value_name = "OLD")]
    pub(super) old: PathBuf,
    /// The configuration file after
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct RouteArgs {
    /// The method, such as GET
    #[arg(value_name = "METHOD")]
    pub(super) method: http::Method,
    /// A URL, or a path with a query (then the host is localhost, unless -H names one)
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A header of the request; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = crate::explain::route::header)]
    pub(super) headers: Vec<(String, String)>,
    /// The address of the client
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) client: std::net::IpAddr,
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder for the pages
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
}

const CONFIG_AFTER: &str = "\
The output is a configuration file with the same effect. The comment behind a value says where it
comes from: a line of the file, [defaults], [errors], the backend of the route, or the default.
Secrets are shown as they are written in the file (\"${NAME}\", \"file:/path\"), never their values.

  lockgate config
  lockgate config /etc/lockgate/lockgate.toml | grep response_timeout
  lockgate config --format json | jq '.backends.shop.pool'";

const DIFF_AFTER: &str = "\
The values that are in force are compared, so a changed key of [defaults] is shown for each route
that it changes. The exit code is 0 without differences, 1 with differences, and 78 if a file is
not valid.

  lockgate diff /etc/lockgate/lockgate.toml new.toml
  lockgate diff --format json old.toml new.toml | jq -r .summary";

const ROUTE_AFTER: &str = "\
Nothing is sent, and no gateway has to run. Behind each value stands where it comes from. The
outcome holds for an idle gateway: limits, permits, users and services are not asked.

  lockgate route GET https://shop.example.com/orders/7
  lockgate route POST /orders -H 'Accept: text/html' -H 'X-Canary: 1' --client 10.1.2.3
  lockgate route GET /orders --format json | jq -r .outcome";

const SCHEMA_AFTER: &str = "\
Editors complete, explain and check keys with it. With Taplo (Even Better TOML), begin the
configuration file with this line:

  #:schema ./lockgate.schema.json

  lockgate schema > lockgate.schema.json";

const MAN_AFTER: &str = "\
There is one page for the program and one for each command.

  lockgate man --out /usr/local/share/man/man1
  man lockgate-config";

const COMPLETIONS_AFTER: &str = "\
Put the script where the shell looks for completions:

  lockgate completions bash > /etc/bash_completion.d/lockgate
  lockgate completions zsh  > \"${fpath[1]}/_lockgate\"
  lockgate completions fish > ~/.config/fish/completions/lockgate.fish";

const TEST_AFTER: &str = "\
A case says what a client asks, what the service behind the gateway answers or which fault it has,
and what the client must get. The gateway itself runs, with the whole configuration; only the
network is replaced. No service is contacted, no name is resolved, and no timeout is waited for.

  [[cases]]
  name = \"a stack trace stays inside\"
  [cases.request]
  path = \"/orders/7\"
  [cases.upstream]
  status = 500                        # or: fault = \"connection_refused\"
  body = \"java.sql.SQLException: ORA-00942\"
  [cases.expect]
  status = 502
  code = \"UPSTREAM_ERROR\"
  absent = [\"ORA-00942\"]

The configuration is the one that `run` would use, if neither --config nor the file of cases names
another. From an empty folder:

  lockgate init --to http://127.0.0.1:8000
  lockgate test --example > cases.toml
  lockgate test cases.toml

docs/how-to/test-your-contract.md explains all keys. Exit codes: 0 if all cases pass, 1 if one
fails, 2 for wrong usage, 78 for a file or configuration that is not valid.";

const RECORD_AFTER: &str = "\
Send the requests of your tests, or some of your traffic, to the address. Each distinct error of
the service becomes a file with a case: the request, the error, and what clients get of it today.
Requests are written without bodies, credentials and values of queries; credentials in errors are
masked as in the log. Look through the files before you share them.

  lockgate record --to http://127.0.0.1:8000 --out cases
  lockgate test cases";

const REDACT_AFTER: &str = "\
A document is unchanged unless it contains text that only a failing program writes, such as a
stack trace, a database error or a token. In that case, every path, class, statement, credential
and address is removed too. JSON stays valid JSON. With --strict, the text is handled like the
message of an error response: any single finding counts, and only the sentences before the first
one are kept.

  kubectl logs shop | lockgate redact
  lockgate redact --check page.html && echo clean";
