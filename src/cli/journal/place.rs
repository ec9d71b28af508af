//! Where the journal is asked: at the admin listener of a gateway, or in its file.
//!
//! Both give the same answers. Must not know the commands.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::admin::api::{self, ApiError};
use crate::cli::admin_client::Admin;
use crate::cli::args::{EX_CONFIG, PlaceArgs};
use crate::cli::output;
use crate::cli::run::fail;
use crate::journal::sqlite::SqliteStore;

/// The timeout of each step of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a removal, which is answered when it is done.
const LONG: Duration = Duration::from_secs(3600);
/// What a file that is opened to be purged may hold and for how long: nothing is removed for another reason.
const NO_BOUND: u64 = i64::MAX as u64;

/// Where the journal is asked.
#[derive(Debug)]
pub(super) enum Place {
    /// A gateway; and the file that its configuration names, for when it does not run.
    Gateway { admin: Admin, file: Option<PathBuf> },
    /// A file.
    File(PathBuf),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The gateway cannot be reached.
    Unreachable(io::Error),
    /// The gateway is there and cannot answer now.
    Unable(String),
    /// The question was refused.
    Refused(String),
    /// There is no such entry or group, or no journal at all.
    NotFound,
}

/// Encodes a part of a URL.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const NO_JOURNAL: &str = "the gateway keeps no journal (`journal.enabled`)";
const NO_ADMIN: &str = "the address answers, but is no admin listener (127.0.0.1:9090 by default)";

impl Place {
    /// Finds the place. An error is reported.
    pub(super) fn find(args: &PlaceArgs) -> Result<Self, ExitCode> {
        if let Some(file) = &args.file {
            return Ok(Self::File(file.clone()));
        }
        let (admin, file) = Admin::find_with_journal(&args.admin).map_err(|_| ExitCode::from(EX_CONFIG))?;
        Ok(Self::Gateway { admin, file })
    }

    /// Returns the answer to a question. If the gateway does not run, its file is read.
    pub(super) fn ask(&self, path: &str) -> Result<Value, NoAnswer> {
        match self {
            Self::File(file) => of_file(file, &Method::GET, path),
            Self::Gateway { admin, file } => match (of_gateway(admin, "GET", path, TIMEOUT), file) {
                (Err(NoAnswer::Unreachable(error)), Some(file)) if error.kind() == io::ErrorKind::ConnectionRefused && file.exists() => {
                    output::print_error(&format!("note: no gateway answers at {}; reading {}", admin.address, file.display()));
                    of_file(file, &Method::GET, path)
                }
                (answer, _) => answer,
            },
        }
    }

    /// The same without a look into the file of a gateway that does not run.
    pub(super) fn ask_gateway(&self, path: &str) -> Result<Value, NoAnswer> {
        match self {
            Self::File(file) => of_file(file, &Method::GET, path),
            Self::Gateway { admin, .. } => of_gateway(admin, "GET", path, TIMEOUT),
        }
    }

    /// Removes entries, and waits until that is done.
    pub(super) fn remove(&self, path: &str) -> Result<Value, NoAnswer> {
        match self {
            Self::File(file) => of_file(file, &Method::DELETE, path),
            Self::Gateway { admin, .. } => of_gateway(admin, "DELETE", path, LONG),
        }
    }

    /// Sets the state of a group. Only a gateway does that.
    pub(super) fn set(&self, path: &str) -> Result<Value, NoAnswer> {
        match self {
            Self::File(_) => {
                Err(NoAnswer::Refused("the state of a group is set by a running gateway: the same command without --file".into()))
            }
            Self::Gateway { admin, .. } => of_gateway(admin, "POST", path, TIMEOUT),
        }
    }

    /// Reports why there is no answer. What is not found is a journal: whoever asks for an entry or a group knows better words.
    pub(super) fn report(&self, why: &NoAnswer) -> ExitCode {
        match (why, self) {
            (NoAnswer::Unreachable(error), Self::Gateway { admin, .. }) => {
                let code = fail(&format!("cannot reach {}: {error}", admin.address));
                output::print_error("help: is the gateway running? `--file FILE` reads the file of its journal");
                code
            }
            (NoAnswer::Unreachable(error), Self::File(_)) => fail(&error.to_string()),
            (NoAnswer::Unable(text) | NoAnswer::Refused(text), _) => fail(text),
            (NoAnswer::NotFound, _) => fail(NO_JOURNAL),
        }
    }
}

fn of_gateway(admin: &Admin, method: &str, path: &str, timeout: Duration) -> Result<Value, NoAnswer> {
    let response = admin.request(method, path, timeout).map_err(NoAnswer::Unreachable)?;
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    match response.status {
        _ if !response.is_of_admin => Err(NoAnswer::Refused(format!("{}: {NO_ADMIN}", admin.address))),
        // An answer that was cut off is no answer.
        200 if body.is_null() => Err(NoAnswer::Unreachable(io::ErrorKind::UnexpectedEof.into())),
        200 => Ok(body),
        401 => Err(NoAnswer::Refused(admin.refused().to_owned())),
        404 => Err(NoAnswer::NotFound),
        status => {
            let why = body["error"]["details"]["errors"][0]["message"].as_str().or(body["error"]["message"].as_str()).unwrap_or_default();
            let text = format!("the admin listener responded with {status}: {why}");
            Err(if status >= 500 { NoAnswer::Unable(text) } else { NoAnswer::Refused(text) })
        }
    }
}

fn of_file(file: &Path, method: &Method, path: &str) -> Result<Value, NoAnswer> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // Checks that it is a journal: what is opened to be written may be moved aside.
    let store = SqliteStore::open_read_only(file);
    let store = match *method {
        Method::DELETE => store.and_then(|_| SqliteStore::open(file, NO_BOUND, NO_BOUND)),
        _ => store,
    };
    let store = store.map_err(|error| NoAnswer::Refused(format!("{}: {error}", file.display())))?;
    match api::answer_from_file(&store, method.as_str(), path, query) {
        Ok(found) => Ok(found),
        Err(ApiError::NotFound) => Err(NoAnswer::NotFound),
        Err(ApiError::Bad(why)) => Err(NoAnswer::Refused(why)),
        Err(ApiError::Forbidden(why)) => Err(NoAnswer::Refused(why.to_owned())),
        Err(ApiError::Store(error)) => Err(NoAnswer::Refused(format!("{}: {error}", file.display()))),
    }
}
