//! Compares `docs/metrics.md` with the table of all metrics. `UPDATE_DOCS=1 cargo test --test it metrics::document` writes it anew.

use std::fmt::Write;
use std::path::Path;

use lockgate::observe::names::{self, Label, Metric, SECTIONS, Section, Type};

const PATH: &str = "docs/metrics.md";
/// What stands above the generated part.
const BEGIN: &str = "<!-- Generated from src/observe/names by `UPDATE_DOCS=1 cargo test --test it metrics::document`. -->\n";

fn section(out: &mut String, section: &Section) {
    write!(out, "\n## {}\n\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n", section.title).unwrap();
    for metric in section.metrics {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let Metric { unit, help, kind, .. } = metric;
        writeln!(out, "| `{}` | {} | {} | {unit} | {help}. |", metric.sample_name(), kind.word(), labels.join(", ")).unwrap();
    }
    let asked: Vec<&Metric> = section.metrics.iter().copied().filter(|metric| !metric.query.is_empty()).collect();
    if !asked.is_empty() {
        out.push_str("\nExamples of queries:\n\n");
    }
    for Metric { query, .. } in asked {
        writeln!(out, "- `{query}`").unwrap();
    }
}

/// The labels, each with its metrics if other metrics have one of the same name with other values.
fn labels(out: &mut String) {
    out.push_str("\n## Labels\n\nNo value of a label is taken from a request.\n\n| label | of | values |\n|---|---|---|\n");
    let mut told: Vec<&Label> = Vec::new();
    for label in names::all().flat_map(|metric| metric.labels) {
        if told.iter().any(|known| known.name == label.name && known.values == label.values) {
            continue;
        }
        told.push(label);
        let has = |metric: &&Metric| metric.labels.iter().any(|own| own.name == label.name && own.values == label.values);
        let of: Vec<String> = names::all().filter(has).map(|metric| format!("`{}`", metric.sample_name())).collect();
        let of = if of.len() > 4 { "many".to_owned() } else { of.join(", ") };
        writeln!(out, "| `{}` | {of} | {} |", label.name, label.values).unwrap();
    }
}

fn generated() -> String {
    let mut out = BEGIN.to_owned();
    SECTIONS.iter().for_each(|of| section(&mut out, of));
    labels(&mut out);
    out
}

#[test]
fn the_page_is_generated_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, old) = page.split_at(page.find(BEGIN).unwrap_or_else(|| panic!("{PATH} has no line {BEGIN}")));
    let new = generated();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&path, format!("{begin}{new}")).unwrap();
    }
    assert!(old == new, "{PATH} is out of date: UPDATE_DOCS=1 cargo test --test it metrics::document");
}

/// The names in the text above the tables, and in all other pages, are names of the table.
#[test]
fn documents_name_metrics_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    let mut found = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("lockgate_") {
            let rest = &text[at..];
            let name = &rest[..rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len())];
            let exists = super::metric_of(name).is_some() || names::all().any(|m| m.kind == Type::Histogram && m.name == name);
            assert!(exists, "{} names {name}", page.display());
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
}
