//! Tests how error bodies are read. `tests/cases/shapes` has a folder per framework or standard; each body has a `.want` file with the
//! expected result. Parts that a `.want` file does not list must not be found, except for the code of an error that has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockgate::report;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
struct Want {
    message: Option<String>,
    code: Option<String>,
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
}

fn bodies(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            bodies(&path, found);
        } else if path.extension().is_some_and(|end| end != "want") {
            found.push(path);
        }
    }
}

#[test]
fn every_shape_is_read() {
    let mut paths = Vec::new();
    bodies(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/shapes"), &mut paths);
    assert!(paths.len() > 60, "{}", paths.len());
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let want: Want = serde_json::from_str(&std::fs::read_to_string(path.with_extension("want")).unwrap()).unwrap();
        let read = report::read(&std::fs::read_to_string(path).unwrap());
        let text = |text: &lockgate::text::Untrusted| text.raw().to_owned();
        let got = Want {
            message: read.message.as_ref().map(text),
            code: read.code.as_ref().map(text),
            fields: read
                .fields
                .iter()
                .map(|(path, texts)| (path.clone(), texts.iter().map(|item| text(&item.message)).collect()))
                .collect(),
        };
        if got != want {
            wrong.push(format!("{}\n  want {want:?}\n  got  {got:?}", path.display()));
        }
    }
    println!("{} of {} cases read", paths.len() - wrong.len(), paths.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
