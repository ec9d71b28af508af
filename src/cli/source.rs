//! Where the configuration comes from: a file, the search order, or a URL on the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::output;
use crate::config::diagnose;
use crate::plan::{Plan, compile};

/// Files that are looked for when none is named.
const SEARCH: &[&str] = &["lockgate.toml", "config/lockgate.toml", "/etc/lockgate/lockgate.toml"];

/// The file that is read: the named one, the environment's, or the first of the search order that exists.
pub(super) fn locate(named: Option<&Path>) -> Option<PathBuf> {
    let environment = || std::env::var_os("LOCKGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.map(Path::to_path_buf).or_else(environment).or_else(|| SEARCH.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// A configuration text with the name it is known by.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// Why there is no usable configuration; already told to the operator.
#[derive(Debug)]
pub(super) struct Reported;

impl Source {
    /// The named file, or the first of the search order.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, Reported> {
        let Some(path) = locate(named) else {
            output::complain(&format!("error: there is no configuration: none of {} exists", SEARCH.join(", ")));
            output::complain("help: name one with --config FILE, or run without a file: lockgate run --to http://127.0.0.1:8000");
            return Err(Reported);
        };
        Self::read(&path)
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Reported> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                output::complain(&format!("error: cannot read {name}: {error}"));
                Err(Reported)
            }
        }
    }

    /// One route for everything, to one service.
    pub(super) fn to_url(url: &str) -> Self {
        let quoted = serde_json::Value::from(url).to_string();
        let text =
            format!("[backends.default]\nendpoints = [{quoted}]\n\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"default\"\n");
        Self { name: "--to".into(), text }
    }

    /// The plan; problems are shown.
    pub(super) fn compile(&self) -> Result<Plan, Reported> {
        compile::from_text(&self.text, &|name| std::env::var(name).ok()).map_err(|problems| {
            output::complain(diagnose::render(&self.name, &self.text, &problems, output::color()).trim_end());
            let count = problems.len();
            output::complain(&format!("\n{}: {count} {}", self.name, if count == 1 { "problem" } else { "problems" }));
            Reported
        })
    }
}

/// Puts addresses of the command line in place of the configuration's, under the same rule.
pub(super) fn override_addresses(plan: &mut Plan, listen: Option<SocketAddr>, admin: Option<SocketAddr>) -> Result<(), Reported> {
    if let Some(address) = admin.filter(|address| !address.ip().is_loopback() && plan.listen.admin_token.is_none()) {
        output::complain(&format!("error: --admin {address}: an admin listener that others can reach needs `admin_token`"));
        output::complain("help: set listen.admin_token in a configuration file, or listen on 127.0.0.1");
        return Err(Reported);
    }
    if let Some(address) = listen {
        plan.listen.http = vec![address];
    }
    if let Some(address) = admin {
        plan.listen.admin = address;
    }
    Ok(())
}
