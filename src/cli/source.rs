//! Finds and reads the configuration: a named file, the search order, or a URL on the command line.
//!
//! Reports errors to the operator. Must not know the keys of the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::output;
use crate::app::{ConfigSource, Loaded, MAX_CONFIG};
use crate::config::expand::Surroundings;
use crate::config::{self, diagnose};
use crate::explain::route::{Explanation, Question};
use crate::explain::{self, Effective};
use crate::plan::{Plan, compile};
use crate::regular_file;

/// The files that are tried, in this order, if none is named.
const SEARCH: &[&str] = &["lockgate.toml", "config/lockgate.toml", "/etc/lockgate/lockgate.toml"];

/// Returns the configuration file: the named one, the one in `LOCKGATE_CONFIG`, or the first existing file of the search order.
pub(super) fn locate(named: Option<&Path>) -> Option<PathBuf> {
    let environment = || std::env::var_os("LOCKGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.map(Path::to_path_buf).or_else(environment).or_else(|| SEARCH.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// The text of a configuration, with its name for diagnostics.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    /// The folder of the file.
    folder: PathBuf,
}

/// An error that was already reported to the operator.
#[derive(Debug)]
pub(super) struct Reported;

/// Returns the file that [`locate`] returns, and reports if there is none.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, Reported> {
    locate(named).ok_or_else(|| {
        output::print_error(&format!("error: there is no configuration file: none of {} exists", SEARCH.join(", ")));
        output::print_error(
            "help: write one with `lockgate init`, name one with --config FILE, or run without: lockgate run --to http://127.0.0.1:8000",
        );
        Reported
    })
}

/// Returns the text of a configuration that forwards all requests to one service.
pub(super) fn to_url(url: &str) -> String {
    let quoted = serde_json::Value::from(url).to_string();
    format!("[backends.default]\nendpoints = [{quoted}]\n\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"default\"\n")
}

/// The same on another address than the default one.
pub(super) fn to_url_on(url: &str, listen: Option<SocketAddr>) -> String {
    let listen = listen.map(|address| format!("[listen]\nhttp = \"{address}\"\n\n")).unwrap_or_default();
    listen + &to_url(url)
}

/// Loads a configuration, and reports its problems.
pub(super) fn load(source: &ConfigSource) -> Result<Loaded, Reported> {
    let loaded = source.load(None).map_err(|rejected| {
        output::print_error(rejected.shown(output::color()).trim_end());
        let count = rejected.problems.len();
        output::print_error(&format!("\n{}: {count} {}", rejected.name, if count == 1 { "problem" } else { "problems" }));
        Reported
    })?;
    if !loaded.plan.warnings.is_empty() {
        output::print_error(diagnose::render(&loaded.name, &loaded.text, &loaded.plan.warnings, output::color()).trim_end());
    }
    Ok(loaded)
}

impl Source {
    /// Reads the file that [`locate`] returns.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, Reported> {
        find(named).and_then(|path| Self::read(&path))
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Reported> {
        let name = path.display().to_string();
        match regular_file::read_text(path, MAX_CONFIG) {
            Ok(text) => Ok(Self { name, text, folder: path.parent().map(Path::to_path_buf).unwrap_or_default() }),
            Err(error) => {
                output::print_error(&format!("error: cannot read {name}: {error}"));
                Err(Reported)
            }
        }
    }

    /// Returns the configuration of [`to_url`].
    pub(super) fn of_url(url: &str) -> Self {
        Self { name: "--to".into(), text: to_url(url), folder: PathBuf::new() }
    }

    /// Returns the keys, as far as they can be read.
    pub(super) fn keys(&self) -> config::file::File {
        let variable = |name: &str| std::env::var(name).ok();
        config::read(&self.text, &mut diagnose::Problems::default(), &Surroundings::in_folder(&variable, &self.folder))
    }

    /// Returns the folder of the file.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Compiles the configuration, and returns its problems without a report.
    pub(super) fn plan(&self) -> Result<Plan, Vec<diagnose::Problem>> {
        compile::from_folder(&self.text, &self.folder, &|name| std::env::var(name).ok())
    }

    /// Returns the values that are in force. The configuration must be valid.
    pub(super) fn effective(&self) -> Effective {
        let variable = |name: &str| std::env::var(name).ok();
        Effective::read(&self.text, &self.name, &Surroundings::in_folder(&variable, &self.folder))
    }

    /// Explains a request to a gateway with this configuration.
    pub(super) fn explain(&self, plan: &Plan, question: &Question) -> Result<Explanation, String> {
        let variable = |name: &str| std::env::var(name).ok();
        let around = Surroundings::in_folder(&variable, &self.folder);
        explain::of_request(&self.text, &self.name, &around, plan, question)
    }

    /// Compiles the configuration, and reports its problems.
    pub(super) fn compile(&self) -> Result<Plan, Reported> {
        let show = |problems: &[diagnose::Problem]| {
            output::print_error(diagnose::render(&self.name, &self.text, problems, output::color()).trim_end());
        };
        let compiled = self.plan();
        if let Some(plan) = compiled.as_ref().ok().filter(|plan| !plan.warnings.is_empty()) {
            show(&plan.warnings);
        }
        compiled.map_err(|problems| {
            show(&problems);
            let count = problems.len();
            output::print_error(&format!("\n{}: {count} {}", self.name, if count == 1 { "problem" } else { "problems" }));
            Reported
        })
    }
}
