//! Tests what concerns all documents together: the table of contents, links that leave the pages, the walk through an incident, and the list
//! of everyday tasks.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::documents::{Document, INCIDENT, commands, documents, root};
use super::{FREE, lockgate, text};
use crate::harness::{Origin, Process, eventually, get};

const SUMMARY: &str = "docs/SUMMARY.md";

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => assert!(path.pop(), "a link leaves the repository"),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
        path
    })
}

fn pages() -> impl Iterator<Item = Document> {
    documents().into_iter().filter(|document| document.name.starts_with("docs") && document.name != Path::new(SUMMARY))
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = Document::read(SUMMARY);
    let listed: Vec<PathBuf> = summary.links().iter().map(|link| Path::new("docs").join(link)).collect();
    let once: BTreeSet<&PathBuf> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "{SUMMARY} lists a page twice");
    for page in pages() {
        assert!(once.contains(&page.name), "{SUMMARY} does not list {}", page.name.display());
    }
}

/// The site has the pages only, so a page links to nothing else of the repository.
#[test]
fn pages_link_to_pages() {
    for page in pages() {
        for link in page.links().into_iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = normal(&page.name.parent().unwrap().join(link.split('#').next().unwrap_or_default()));
            assert!(target.starts_with("docs"), "{}: {link} leaves docs/", page.name.display());
        }
    }
}

#[test]
fn the_readme_leads_to_every_chapter() {
    let readme = Document::read("README.md");
    for page in [SUMMARY, "docs/getting-started.md", "docs/how-to/README.md", "docs/configuration-reference.md", "CONTRIBUTING.md"] {
        assert!(readme.links().contains(&page), "README.md does not link {page}");
    }
}

/// The commands of the walk print what the page shows, in front of the service that the page shows.
#[test]
fn the_walk_through_an_incident_is_real() {
    let page = Document::read(INCIDENT);
    let response = page.blocks("text").remove(0);
    let (head, body) = response.split_once("\n\n").unwrap();
    let origin = Origin::says(format!("{}\r\n\r\n{}", head.replace('\n', "\r\n"), body.trim_end()));
    let process = Process::start(&[&["run", "--to", &format!("http://{}", origin.address)], FREE].concat());
    let [first, _second] = [(); 2].map(|()| get(process.address, "/orders/8"));
    let id = first.header("x-request-id").unwrap().to_owned();
    let documented = page.text.split("Request id ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    let admin = process.admin.to_string();
    eventually("both errors are in the journal", || {
        text(&lockgate(&["errors", "list", "--admin", &admin]).stdout).matches("/orders/8").count() == 2
    });
    let mut ran = 0;
    for (line, want) in page.blocks("console").iter().flat_map(|block| commands(block)) {
        let line = line.replace(documented, &id);
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        if words[0] == "errors" {
            words.extend(["--admin", &admin]);
        }
        let output = lockgate(&words);
        let shown = text(&output.stdout);
        assert!(output.status.success(), "`{line}`: {}", text(&output.stderr));
        for wanted in want.lines().filter(|wanted| !wanted.is_empty()) {
            assert!(shown.contains(wanted), "`{line}` prints\n{shown}\nbut not\n{wanted}");
        }
        assert!(!shown.contains("hunter2"), "`{line}` prints the password:\n{shown}");
        ran += 1;
    }
    assert_eq!(ran, 4);
    let fingerprint = page.text.split("/api/groups/").nth(1).and_then(|rest| rest.split('?').next()).unwrap();
    let groups = text(&lockgate(&["errors", "groups", "--json", "--admin", &admin]).stdout);
    assert!(groups.contains(fingerprint), "{groups}");
}

/// The tasks of the justfile call scripts that exist and can be executed.
#[test]
fn every_task_of_the_justfile_has_its_script() {
    let tasks = std::fs::read_to_string(root().join("justfile")).unwrap();
    let mut found = 0;
    for line in tasks.lines().filter(|line| line.starts_with("    ") && !line.trim_start().starts_with('@')) {
        let script = line.split_whitespace().next().unwrap();
        let mode = std::fs::metadata(root().join(script)).map(|about| about.permissions().mode());
        assert!(mode.is_ok_and(|mode| mode & 0o111 != 0), "justfile: {script} cannot be executed");
        found += 1;
    }
    assert!(found >= 5, "{found}");
}

/// A recipe of the justfile stands under a comment, which `just --list` shows.
#[test]
fn every_task_of_the_justfile_is_described() {
    let tasks = std::fs::read_to_string(root().join("justfile")).unwrap();
    let lines: Vec<&str> = tasks.lines().collect();
    for pair in lines.windows(2) {
        let is_recipe = pair[1].ends_with(':') && !pair[1].starts_with([' ', '_', '#']);
        assert!(!is_recipe || pair[0].starts_with("# "), "justfile: `{}` has no description", pair[1]);
    }
}
