//! Reads the directory of an operator's own error pages (`errors.page`). Must not render or choose pages; `render` does.

use std::path::Path;
use std::sync::Arc;

use crate::config::diagnose::Problems;
use crate::config::section::At;
use crate::regular_file;
use crate::render::{MAX_TEMPLATE, PageName, Pages, Template};

/// The maximum number of pages in a directory.
const MAX_PAGES: usize = 500;

/// A problem: its title and help.
type Complaint = (String, String);

/// Reads every `NAME.html` of a directory, and reports each one that cannot be used. Files of other kinds are ignored.
pub(super) fn read(directory: &At<String>, problems: &mut Problems) -> Option<Arc<Pages>> {
    let mut complain = |(title, help): Complaint| problems.add(directory.span.clone(), title, help);
    let paths = match files(Path::new(&directory.value)) {
        Ok(paths) => paths,
        Err(complaint) => {
            complain(complaint);
            return None;
        }
    };
    let mut pages = Vec::new();
    let mut whole = true;
    for path in paths {
        match page(&path) {
            Ok(page) => pages.push(page),
            Err(complaint) => {
                whole = false;
                complain(complaint);
            }
        }
    }
    let pages = Pages::new(pages).map(Arc::new);
    // A default page that is invalid was reported already.
    if pages.is_none() && whole {
        let help = "add default.html, or default.LANG.html for each language: the page of every error that has no page of its own";
        complain((format!("`{}` has no default page", directory.value), help.into()));
    }
    pages
}

/// Returns the paths of all pages, sorted.
fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>, Complaint> {
    let unreadable = |error: std::io::Error| (format!("cannot read `{}`: {error}", directory.display()), String::new());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "html") {
            paths.push(path);
        }
        if paths.len() > MAX_PAGES {
            return Err((format!("`{}` has more than {MAX_PAGES} pages", directory.display()), String::new()));
        }
    }
    paths.sort();
    Ok(paths)
}

fn page(path: &Path) -> Result<(PageName, Template), Complaint> {
    let shown = path.display();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let Some(name) = PageName::parse(stem) else {
        let help = "a page is named default.html, 4xx.html, 5xx.html or like 404.html; a language may follow, as in 404.ko.html";
        return Err((format!("the name of `{shown}` is not that of an error page"), help.into()));
    };
    let bytes = regular_file::read(path, MAX_TEMPLATE as u64).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => (format!("`{shown}` is too large"), format!("a page has at most {} KiB", MAX_TEMPLATE / 1024)),
        _ => (format!("cannot read `{shown}`: {error}"), String::new()),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        (format!("{shown}:{line}: not UTF-8"), "save the file as UTF-8".into())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err((format!("`{shown}` is empty"), String::new()));
    }
    let template = Template::compile(text, "text/html; charset=utf-8")
        .map_err(|wrong| (format!("{shown}:{}:{}: the page is invalid", wrong.line, wrong.column), wrong.message))?;
    Ok((name, template))
}
