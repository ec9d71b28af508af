//! Tests the documents: executes each block of README.md, of its companions and of all pages in `docs/`, resolves each link, and compares
//! the generated table of errors. A new page in `docs/` is covered automatically. `book` tests what concerns all pages together.

use std::path::{Path, PathBuf};

use super::{FREE, lockgate, temp, text};
use crate::harness::contract::assert_contract;
use crate::harness::{Origin, Process, Temporary, get};

/// Most lines of the README.
const README_LINES: usize = 250;
/// Most terms of the glossary.
const GLOSSARY_TERMS: usize = 35;
/// Languages of blocks that the tests below execute or parse. `sh` blocks show commands of other programs, and `text` blocks show no code.
/// `tests/migration/run` runs the configurations of other gateways.
const LANGUAGES: [&str; 9] = ["toml", "console", "http", "json", "sh", "yaml", "text", "nginx", "haproxy"];
/// Commands of `console` blocks that cannot be run here, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("scripts/test", "runs this very test"),
    ("scripts/test --all", "runs this very test, and takes minutes"),
    (
        "lockgate errors show 01a2220b-24a0-711b-986e-2b39c7936ece",
        "needs a gateway with this error; `book` runs the one of docs/incident.md",
    ),
];
/// Its commands ask a gateway that has failed; `book` runs them.
pub(super) const INCIDENT: &str = "docs/incident.md";

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One Markdown file.
pub(super) struct Document {
    /// Relative to the root of the repository.
    pub(super) name: PathBuf,
    pub(super) text: String,
}

impl Document {
    pub(super) fn read(name: impl Into<PathBuf>) -> Self {
        let name = name.into();
        let text = std::fs::read_to_string(root().join(&name)).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        Self { name, text }
    }

    /// Language and content of each fenced block.
    fn fences(&self) -> Vec<(&str, String)> {
        let mut fences = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let content = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).map(|line| format!("{line}\n"));
                fences.push((language, content.collect()));
            }
        }
        fences
    }

    /// Content of the blocks of one language.
    pub(super) fn blocks(&self, language: &str) -> Vec<String> {
        self.fences().into_iter().filter(|(of, _)| *of == language).map(|(_, block)| block).collect()
    }

    /// Targets of Markdown links.
    pub(super) fn links(&self) -> Vec<&str> {
        self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
    }

    /// Anchors of the headings, as Markdown renderers derive them.
    fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| line.trim_start_matches('#').trim().to_lowercase())
            .map(|title| title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-"))
            .collect()
    }
}

/// README.md and what belongs to it, and every Markdown file below `docs/`.
pub(super) fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(Document::read).into();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let name = folder.join(entry.unwrap().file_name());
            if root().join(&name).is_dir() {
                folders.push(name);
            } else if name.extension().is_some_and(|extension| extension == "md") {
                documents.push(Document::read(name));
            }
        }
    }
    assert!(documents.len() > 4, "no pages in docs/");
    documents
}

#[test]
fn every_block_has_a_language_that_is_tested() {
    for document in documents() {
        for (language, block) in document.fences() {
            assert!(LANGUAGES.contains(&language), "{}: no test knows blocks of `{language}`:\n{block}", document.name.display());
        }
    }
}

/// The file of users in the documents.
const USERS: &str = "/etc/lockgate/htpasswd";

/// The folder of certificates in the documents.
const CERTIFICATES: &str = "/etc/lockgate/tls/";

/// The block with the certificates that it names in a folder of the test.
fn with_certificates(block: String, number: usize) -> (String, Temporary) {
    let folder = Temporary::folder(&format!("documents-tls-{number}"));
    let names: std::collections::BTreeSet<&str> =
        block.split(CERTIFICATES).skip(1).filter_map(|rest| rest.split('"').next()).filter_map(|name| name.split('.').next()).collect();
    for name in names {
        let made = rcgen::generate_simple_self_signed(vec![format!("{name}.example")]).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    (block.replace(CERTIFICATES, &format!("{}/", folder.display())), folder)
}

/// The folder of error pages in the documents.
const PAGES: &str = "/etc/lockgate/pages/";

/// The folder of secrets in the documents.
const SECRETS: &str = "/run/secrets/";

/// The block with the secrets that it names in a folder of the test.
fn with_secrets(block: String, number: usize) -> (String, Temporary) {
    let folder = Temporary::folder(&format!("documents-secrets-{number}"));
    for name in block.split(SECRETS).skip(1).filter_map(|rest| rest.split('"').next()) {
        // A token may be any text, and that of a notifier is a URL. No two are the same.
        std::fs::write(folder.join(name), format!("https://receiver.example/{name}")).unwrap();
    }
    (block.replace(SECRETS, &format!("{}/", folder.display())), folder)
}

#[test]
fn every_toml_block_is_valid() {
    let pages = Temporary::folder("documents-pages");
    std::fs::write(pages.join("default.html"), "<!doctype html><title>{{statusCode}}</title><p>{{message}} {{requestId}}").unwrap();
    let users = Temporary::file("documents-users", &format!("alice:{}\n", bcrypt::hash("x", 4).unwrap()));
    let mut checked = 0;
    for document in documents() {
        let mut config = None;
        for block in document.blocks("toml") {
            if block.contains("[[cases]]") {
                let cases = temp(&format!("document-cases-{checked}"), &block);
                let config: &Temporary =
                    config.as_ref().unwrap_or_else(|| panic!("{}: cases without a configuration", document.name.display()));
                let output = lockgate(&["test", "--config", config.to_str().unwrap(), cases.to_str().unwrap()]);
                assert!(output.status.success(), "{}:\n{}{}", document.name.display(), text(&output.stdout), text(&output.stderr));
                checked += 1;
                continue;
            }
            let (block, _files) = with_certificates(block.replace(PAGES, &format!("{}/", pages.display())), checked);
            let (block, _secrets) = with_secrets(block, checked);
            let block = block.replace(USERS, &users.display().to_string());
            let file = temp(&format!("document-{checked}"), &block);
            let output = lockgate(&["check", file.to_str().unwrap()]);
            assert!(output.status.success(), "{}:\n{block}\n{}", document.name.display(), text(&output.stderr));
            config = Some(file);
            checked += 1;
        }
    }
    assert!(checked > 0);
}

#[test]
fn every_json_block_is_valid() {
    for document in documents() {
        for block in document.blocks("json") {
            let parsed = serde_json::from_str::<serde_json::Value>(&block);
            assert!(parsed.is_ok(), "{}: {parsed:?}\n{block}", document.name.display());
        }
    }
}

/// Console blocks: lines with `$ ` are commands of this binary (or named below); the lines after a command are part of its output.
#[test]
fn every_console_block_does_what_it_shows() {
    let mut ran = 0;
    for document in documents().into_iter().filter(|document| document.name != Path::new(INCIDENT)) {
        for block in document.blocks("console") {
            assert!(block.starts_with("$ "), "{}: no command:\n{block}", document.name.display());
            for (line, want) in commands(&block) {
                run_documented(&document.name, &line, &want);
                ran += 1;
            }
        }
    }
    assert!(ran >= 5, "{ran}");
}

/// The commands of a `console` block, each with what it prints.
pub(super) fn commands(block: &str) -> Vec<(String, String)> {
    let block = format!("\n{block}");
    let commands = block.split("\n$ ").skip(1).map(|command| command.split_once('\n').unwrap_or((command, "")));
    commands.map(|(line, want)| (line.trim().to_owned(), want.to_owned())).collect()
}

fn run_documented(document: &Path, line: &str, want: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    if NOT_RUN.iter().any(|(command, _)| *command == line) {
        let program = words[0];
        return assert!(program == "lockgate" || root().join(program).exists(), "{}: there is no {program}", document.display());
    }
    match words.as_slice() {
        ["cargo", "run", "--release", "--", args @ ..] | ["lockgate", args @ ..] => {
            let mut args: Vec<&str> = args.to_vec();
            if args == ["demo"] {
                args.extend(["--once", "--listen", "127.0.0.1:0"]);
            }
            if args.first() == Some(&"run") {
                args.extend(FREE);
                Process::start(&args);
                return;
            }
            let output = lockgate(&args);
            let shown = text(&output.stdout) + &text(&output.stderr);
            for wanted in want.lines().filter(|wanted| !wanted.trim().is_empty() && *wanted != "...") {
                assert!(shown.contains(wanted), "{}: `{line}` prints\n{shown}\nbut not\n{wanted}", document.display());
            }
        }
        _ => panic!("{}: no test knows `{line}`", document.display()),
    }
}

/// Programs of this repository that `sh` blocks name exist.
#[test]
fn every_sh_block_names_programs_that_exist() {
    for document in documents() {
        for block in document.blocks("sh") {
            let programs = block.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| word.contains('/'));
            for program in programs {
                assert!(root().join(program).exists(), "{}: there is no {program}", document.name.display());
            }
        }
    }
}

/// Commands of this program in `yaml` and `sh` blocks, which other programs run or which need a service, have options that exist.
#[test]
fn every_command_that_is_not_run_has_options_that_exist() {
    let mut seen = 0;
    for document in documents() {
        for block in document.blocks("yaml").into_iter().chain(document.blocks("sh")) {
            for line in block.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("lockgate ")) {
                let mut words = line.split_whitespace().take_while(|word| *word != "#");
                let output = lockgate(&[words.next().unwrap(), "--help"]);
                assert!(output.status.success(), "{}: `{line}`: there is no such command", document.name.display());
                for option in words.filter(|word| word.starts_with("--")) {
                    assert!(text(&output.stdout).contains(option), "{}: `{line}`: there is no {option}", document.name.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "{seen}");
}

/// Blocks of HTTP come in pairs: the response of an origin, and what the gateway makes of it.
#[test]
fn every_before_and_after_is_real() {
    let mut pairs = 0;
    for document in documents() {
        let blocks = document.blocks("http");
        for pair in blocks.chunks(2) {
            let [before, after] = pair else { panic!("{}: a single block of HTTP", document.name.display()) };
            assert_before_and_after(before, after);
            pairs += 1;
        }
    }
    assert!(pairs > 0);
}

fn assert_before_and_after(before: &str, after: &str) {
    let (head, body) = before.split_once("\n\n").unwrap();
    let body = body.trim_end();
    let declared: usize = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    assert_eq!(declared, body.len());
    let origin = Origin::says(format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n")));
    let process = Process::start(&[&["run", "--to", &format!("http://{}", origin.address)], FREE].concat());
    let (want_head, want_body) = after.split_once("\n\n").unwrap();
    let want: serde_json::Value = serde_json::from_str(want_body).unwrap();
    let response = get(process.address, want["path"].as_str().unwrap());
    assert_contract("GET", &response);
    let masked = |name: &str, value: &str| match name {
        "x-request-id" | "date" | "via" => name.to_owned(),
        _ => format!("{name}: {value}"),
    };
    let want_headers: Vec<String> =
        want_head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).map(|(n, v)| masked(n, v)).collect();
    let got_headers: Vec<String> = response.headers.iter().filter(|(n, _)| n != "connection").map(|(n, v)| masked(n, v)).collect();
    assert_eq!(got_headers, want_headers);
    let got = response.json();
    for key in ["error", "statusCode", "method", "path"] {
        assert_eq!(got[key], want[key]);
    }
    assert_eq!(got.as_object().unwrap().keys().collect::<Vec<_>>(), want.as_object().unwrap().keys().collect::<Vec<_>>());
}

#[test]
fn the_error_table_is_the_catalogue() {
    let printed = text(&lockgate(&["errors", "--format", "markdown"]).stdout);
    let table = printed.trim();
    let page = Document::read("docs/errors.md");
    assert!(page.text.contains(table), "run `lockgate errors --format markdown` and put its output into docs/errors.md:\n{printed}");
    let header = table.lines().next().unwrap();
    let copies: Vec<PathBuf> =
        documents().into_iter().filter(|document| document.text.contains(header)).map(|document| document.name).collect();
    assert_eq!(copies, [page.name], "the table stands in one document");
}

#[test]
fn the_readme_is_short() {
    let lines = Document::read("README.md").text.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, at most {README_LINES}");
}

#[test]
fn every_link_resolves() {
    for document in documents() {
        for link in document.links() {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.name.clone() } else { document.name.parent().unwrap().join(path) };
            assert!(root().join(&target).exists(), "{}: {link} leads nowhere", document.name.display());
            let found = anchor.is_empty() || Document::read(&target).anchors().iter().any(|known| known == anchor);
            assert!(found, "{}: {link} names no heading", document.name.display());
        }
    }
}

#[test]
fn the_glossary_is_short() {
    let glossary = Document::read("docs/glossary.md");
    let terms: Vec<&str> = glossary.text.lines().filter(|line| line.starts_with("| **")).collect();
    assert!((1..=GLOSSARY_TERMS).contains(&terms.len()), "{} terms, at most {GLOSSARY_TERMS}", terms.len());
    for term in terms {
        assert!(term.ends_with(". |") && term.matches(". ").count() == 1, "not one sentence: {term}");
    }
}

/// Numbers of the statements of `docs/robustness.md`.
const STATEMENTS: std::ops::RangeInclusive<usize> = 1..=35;
/// What stands in place of tests in a row that has none.
const WITHOUT_TESTS: [&str; 2] = ["no test", "not built yet"];

/// The files that may contain a test of `docs/robustness.md`, and the function.
fn place_of_test(name: &str) -> (Vec<String>, String) {
    let (module, test) = name.rsplit_once("::").unwrap_or_else(|| panic!("`{name}` names no module"));
    let file = |folder: &str, module: &str| {
        let path = module.replace("::", "/");
        vec![format!("{folder}/{path}.rs"), format!("{folder}/{path}/mod.rs")]
    };
    match (module, module.strip_suffix("::tests")) {
        ("fuzz", _) => (vec![format!("tests/fuzz/targets/{test}.rs")], "fuzz_target!(".to_owned()),
        ("allocations", _) => (vec!["tests/allocations/main.rs".to_owned()], format!("fn {test}(")),
        (_, Some(unit)) => (file("src", unit), format!("fn {test}(")),
        _ => (file("tests/it", module), format!("fn {test}(")),
    }
}

#[test]
fn the_tests_of_every_statement_exist() {
    let page = Document::read("docs/robustness.md");
    let mut numbers = std::collections::BTreeSet::new();
    for row in page.text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| number")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, statement, shown] = cells[..] else { panic!("not three cells: {row}") };
        numbers.insert(number.parse::<usize>().unwrap_or_else(|error| panic!("{error}: {row}")));
        assert!(!statement.is_empty(), "{row}");
        if WITHOUT_TESTS.contains(&shown) {
            continue;
        }
        for name in shown.split(", ") {
            let test = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            let test = test.unwrap_or_else(|| panic!("{name:?} is no test and none of {WITHOUT_TESTS:?}: {row}"));
            let (files, function) = place_of_test(test);
            let exists = files.iter().any(|file| std::fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(&function)));
            assert!(exists, "row {number}: there is no test `{test}` in {files:?}");
        }
    }
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), STATEMENTS.collect::<Vec<_>>(), "a number is missing, or is no statement");
}
