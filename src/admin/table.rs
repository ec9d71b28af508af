//! The table of all pages of the admin listener: method, path, and who may use it. What is not in it cannot be asked for.
//!
//! Must not know how a page is answered. `openapi.json` describes the same pages; a test compares both.

use super::role::Role;

/// What a row leads to. Only pages of the kind [`Open`] have no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// For everybody, because probes and scrapers rarely have a token, or because the page tells nothing.
    Open(Open),
    /// For programs with at least this role.
    Program(Program, Role),
    /// For people with at least this role, who can log in.
    People(People, Role),
}

/// A page for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Liveness.
    Livez,
    /// Readiness.
    Readyz,
    /// The metrics.
    Metrics,
    /// Style sheet, script and icon.
    Asset,
    /// The form to log in.
    Login,
    /// The token of that form.
    LogIn,
}

/// A page for programs, or a request of a program that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The configuration that runs.
    Config,
    /// What the gateway would do with a request.
    Route,
    /// Loads the configuration again.
    Reload,
    /// The level of the log.
    Log,
    /// Changes the level of the log.
    SetLog,
    /// The stream of changes, for pages that are open.
    Changes,
    /// The description of this interface.
    OpenApi,
    /// The entries of the journal.
    Errors,
    /// One entry.
    Error,
    /// What was written lately.
    Tail,
    /// Removes entries.
    Purge,
    /// Removes one entry.
    PurgeOne,
    /// The groups.
    Groups,
    /// One group.
    Group,
    /// Sets the state of a group.
    SetState,
}

/// A page for people, or a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum People {
    /// The overview.
    Overview,
    /// The list of groups.
    Groups,
    /// One group.
    Group,
    /// Sets the state of a group.
    SetState,
    /// The list of errors.
    Errors,
    /// One error.
    Occurrence,
    /// One error in another form.
    Export,
    /// Routes and limits.
    Routes,
    /// The configuration.
    Configuration,
    /// Ends the session.
    LogOut,
}

/// A method and a path, and what they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method. `HEAD` is answered where `GET` is.
    pub method: &'static str,
    /// The path. A segment in braces stands for any text.
    pub path: &'static str,
    /// What it leads to, and who may use it.
    pub page: Page,
}

/// The forms of an export, as the extensions of their paths.
pub const FORMS: [&str; 4] = ["curl", "md", "json", "toml"];
/// The segment for an id with such an extension.
const WITH_FORM: &str = "{id}.{form}";

const fn open(method: &'static str, path: &'static str, page: Open) -> Row {
    Row { method, path, page: Page::Open(page) }
}

const fn program(method: &'static str, path: &'static str, page: Program, role: Role) -> Row {
    Row { method, path, page: Page::Program(page, role) }
}

const fn people(method: &'static str, path: &'static str, page: People, role: Role) -> Row {
    Row { method, path, page: Page::People(page, role) }
}

/// All pages. The first path that fits counts.
pub const ROWS: &[Row] = &[
    open("GET", "/livez", Open::Livez),
    open("GET", "/readyz", Open::Readyz),
    open("GET", "/metrics", Open::Metrics),
    program("GET", "/config", Program::Config, Role::Viewer),
    program("GET", "/route", Program::Route, Role::Viewer),
    program("POST", "/reload", Program::Reload, Role::Operator),
    program("GET", "/log", Program::Log, Role::Viewer),
    program("PUT", "/log", Program::SetLog, Role::Operator),
    program("GET", "/live", Program::Changes, Role::Viewer),
    program("GET", "/api/openapi.json", Program::OpenApi, Role::Viewer),
    program("GET", "/api/errors", Program::Errors, Role::Viewer),
    program("DELETE", "/api/errors", Program::Purge, Role::Operator),
    program("GET", "/api/errors/{id}", Program::Error, Role::Viewer),
    program("DELETE", "/api/errors/{id}", Program::PurgeOne, Role::Operator),
    program("GET", "/api/tail", Program::Tail, Role::Viewer),
    program("GET", "/api/groups", Program::Groups, Role::Viewer),
    program("GET", "/api/groups/{fingerprint}", Program::Group, Role::Viewer),
    program("POST", "/api/groups/{fingerprint}", Program::SetState, Role::Operator),
    open("GET", "/assets/{name}", Open::Asset),
    open("GET", "/login", Open::Login),
    open("POST", "/login", Open::LogIn),
    people("POST", "/logout", People::LogOut, Role::Viewer),
    people("GET", "/", People::Overview, Role::Viewer),
    people("GET", "/groups", People::Groups, Role::Viewer),
    people("GET", "/groups/{fingerprint}", People::Group, Role::Viewer),
    people("POST", "/groups/{fingerprint}", People::SetState, Role::Operator),
    people("GET", "/errors", People::Errors, Role::Viewer),
    people("GET", "/errors/{id}.{form}", People::Export, Role::Operator),
    people("GET", "/errors/{id}", People::Occurrence, Role::Viewer),
    people("GET", "/routes", People::Routes, Role::Viewer),
    people("GET", "/configuration", People::Configuration, Role::Viewer),
];

impl Row {
    /// Returns the role that is needed; `None` if everybody may use it.
    pub const fn role(&self) -> Option<Role> {
        match self.page {
            Page::Open(_) => None,
            Page::Program(_, role) | Page::People(_, role) => Some(role),
        }
    }

    /// Returns true for pages that a browser shows to a person, who can log in.
    pub(super) const fn is_for_people(&self) -> bool {
        matches!(self.page, Page::People(..))
    }
}

/// The rows of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(&'static str);

/// Finds the rows of a path.
pub(super) fn find(path: &str) -> Option<Found> {
    ROWS.iter().find(|row| fits(row.path, path)).map(|row| Found(row.path))
}

impl Found {
    fn rows(self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(move |row| row.path == self.0)
    }

    /// Returns the row of a method.
    pub(super) fn row(self, method: &str) -> Option<&'static Row> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.rows().find(|row| row.method == method)
    }

    /// Returns true for pages that a browser shows to a person.
    pub(super) fn is_for_people(self) -> bool {
        self.rows().any(Row::is_for_people)
    }

    /// Returns true if everybody may use one of the methods.
    pub(super) fn is_open(self) -> bool {
        self.rows().any(|row| row.role().is_none())
    }

    /// Returns the methods for `Allow`.
    pub(super) fn allow(self) -> String {
        let methods = self.rows().map(|row| if row.method == "GET" { "GET, HEAD" } else { row.method });
        methods.collect::<Vec<_>>().join(", ")
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if segment_fits(wanted, given) => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

fn segment_fits(wanted: &str, given: &str) -> bool {
    if wanted == WITH_FORM {
        return given.rsplit_once('.').is_some_and(|(id, form)| !id.is_empty() && FORMS.contains(&form));
    }
    if wanted.starts_with('{') { !given.is_empty() } else { wanted == given }
}

/// Returns the last segment of a path, which is the name in a pattern with one.
pub(super) fn last_segment(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_own_path() {
        for row in ROWS {
            let path = row.path.replace(".{form}", ".md").replace(['{', '}'], "");
            let found = find(&path).unwrap();
            let same = found.row(row.method).unwrap();
            assert_eq!((same.page, same.path), (row.page, row.path));
        }
    }

    #[test]
    fn no_method_and_path_has_two_rows() {
        let mut all: Vec<_> = ROWS.iter().map(|row| (row.method, row.path)).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in ["", "//", "//evil.example", "/errors/", "/errors/a/b", "/api/", "/api/else", "/nope", "/LIVEZ", "/groups//", "errors"]
        {
            assert!(find(path).is_none(), "{path}");
        }
        let page = |path: &str| find(path).and_then(|found| found.row("GET")).map(|row| row.page);
        assert_eq!(
            (page("/errors/a.b.md"), page("/errors/a.b"), page("/errors/.md")),
            (
                Some(Page::People(People::Export, Role::Operator)),
                Some(Page::People(People::Occurrence, Role::Viewer)),
                Some(Page::People(People::Occurrence, Role::Viewer))
            )
        );
    }

    #[test]
    fn what_changes_something_is_for_operators() {
        for row in ROWS.iter().filter(|row| row.method != "GET") {
            let is_own = matches!(row.page, Page::Open(Open::LogIn) | Page::People(People::LogOut, _));
            assert_eq!(row.role() == Some(Role::Operator), !is_own, "{} {}", row.method, row.path);
        }
    }
}
