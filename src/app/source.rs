//! Where the configuration comes from: a file or a text, and what the command line changes of it.
//!
//! Loads the configuration at the start and at each reload. Must not print anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files;
use crate::config::diagnose::{self, Problem};
use crate::config::expand::Surroundings;
use crate::plan::{OWN_LISTENER, Plan, compile};
use crate::regular_file;

/// The largest configuration file, in bytes: some hundred thousand routes.
pub const MAX_CONFIG: u64 = 32 << 20;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    place: Place,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Text { name: String, text: String },
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The compiled configuration.
    pub plan: Plan,
    /// The text of the file.
    pub text: Arc<str>,
    /// Its name, as the operator wrote it.
    pub name: Arc<str>,
    /// The files that the configuration consists of, except those that the gateway follows by other means.
    pub(super) files: BTreeSet<PathBuf>,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The name of the file, as the operator wrote it.
    pub name: Arc<str>,
    /// Its text, as far as it could be read.
    pub text: Arc<str>,
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
    /// The files that the configuration names.
    pub(super) files: BTreeSet<PathBuf>,
}

impl Rejected {
    /// Returns the problems as text for an operator; `color` adds terminal styles.
    pub fn shown(&self, color: bool) -> String {
        diagnose::render(&self.name, &self.text, &self.problems, color)
    }
}

impl ConfigSource {
    /// A configuration file.
    pub const fn file(path: PathBuf) -> Self {
        Self { place: Place::File(path), listen: None, admin: None }
    }

    /// A configuration that is in no file; `name` stands for it in diagnostics.
    pub const fn text(name: String, text: String) -> Self {
        Self { place: Place::Text { name, text }, listen: None, admin: None }
    }

    /// Replaces the addresses of the data listener and of the admin listener.
    #[must_use]
    pub fn with_addresses(self, listen: Option<SocketAddr>, admin: Option<SocketAddr>) -> Self {
        Self { listen, admin, ..self }
    }

    /// Reads and compiles the configuration. With a `running` plan, everything that is unchanged keeps its state.
    ///
    /// # Errors
    /// Returns what is wrong with the configuration. The running plan is not changed.
    pub fn load(&self, running: Option<&Plan>) -> Result<Loaded, Rejected> {
        let (name, folder, text) = match &self.place {
            Place::Text { name, text } => (name.clone(), Path::new(""), Ok(text.clone())),
            Place::File(path) => {
                (path.display().to_string(), path.parent().unwrap_or(Path::new("")), regular_file::read_text(path, MAX_CONFIG))
            }
        };
        let mut files: BTreeSet<PathBuf> = self.path().map(Path::to_path_buf).into_iter().collect();
        let name: Arc<str> = name.into();
        let text: Arc<str> = match text {
            Ok(text) => text.into(),
            Err(error) => {
                let problems = vec![without_place(format!("cannot read {name}: {error}"), "")];
                return Err(Rejected { name, text: "".into(), problems, files });
            }
        };
        let variable = |name: &str| std::env::var(name).ok();
        let around = Surroundings::in_folder(&variable, folder);
        let compiled = compile::successor(&text, &around, running);
        files.extend(around.files());
        match compiled.and_then(|plan| self.with_own_addresses(plan).map_err(|problem| vec![problem])) {
            Ok(mut plan) => {
                if let Some(tls) = &plan.listen.tls {
                    files.retain(|file| !tls.certificates.follows(file));
                }
                plan.version = files::version(&text, &files);
                Ok(Loaded { plan, text, name, files })
            }
            Err(problems) => Err(Rejected { name, text, problems, files }),
        }
    }

    /// The folder of the file, to which the names of files are relative.
    pub(super) fn folder(&self) -> &Path {
        self.path().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// The file, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Text { .. } => None,
        }
    }

    /// Replaces the addresses of a plan. The rule for `admin_token` applies to these as well.
    fn with_own_addresses(&self, mut plan: Plan) -> Result<Plan, Problem> {
        if let Some(address) = self.admin.filter(|address| !address.ip().is_loopback() && plan.listen.admin_token.is_none()) {
            let title = format!("--admin {address}: an admin listener that is not on a loopback address needs `admin_token`");
            return Err(without_place(title, "set listen.admin_token in a configuration file, or listen on 127.0.0.1"));
        }
        if let Some(address) = self.listen {
            plan.listen.http = vec![address];
            // The file was judged by its own addresses.
            plan.warnings.retain(|warning| warning.title != OWN_LISTENER);
        }
        if let Some(address) = self.admin {
            plan.listen.admin = address;
        }
        Ok(plan)
    }
}

/// A problem that has no place in the text.
pub(super) fn without_place(title: String, help: &str) -> Problem {
    Problem { span: None, title, help: help.to_owned(), is_secret: false, is_warning: false }
}
