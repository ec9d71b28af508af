//! Compares the generated references with their tables: `docs/configuration-reference.md` with the schema, `docs/error-reference.md` with the
//! catalog. `UPDATE_DOCS=1 cargo test --test it references` writes them anew.

mod configuration;
mod errors;

use std::path::Path;

/// Compares a page with what is generated, below the line `begin`; or writes it, with `UPDATE_DOCS`.
fn compare(path: &str, begin: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let page = std::fs::read_to_string(&file).unwrap();
    let at = page.find(begin).unwrap_or_else(|| panic!("{path} has no line {begin}"));
    let (above, old) = page.split_at(at);
    let new = format!("{begin}\n{generated}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&file, format!("{above}{new}")).unwrap();
    }
    assert!(old == new, "{path} is out of date: UPDATE_DOCS=1 cargo test --test it references");
}

/// A text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
