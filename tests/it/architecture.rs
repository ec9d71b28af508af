//! The house as drawn in `src/lib.rs`: imports point downward only, rooms of one level never import each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms by level. Level 0 is ordered: a word may build on the words before it.
const LEVELS: &[&[&str]] = &[
    &["sync", "text", "write", "header", "data_rate", "failure", "policy", "context", "envelope", "rpc", "body"],
    &["breaker", "config", "report", "redact", "message", "render"],
    &["route", "limit", "upstream", "relay", "observe", "memory"],
    &["plan"],
    &["gateway"],
    &["server", "admin"],
    &["app"],
    &["cli"],
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn room_of(path: &Path) -> String {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Code before the tests of a file.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned()
}

/// Rooms named behind `crate::` in a file, in `use` lines, groups and paths alike.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + 7..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group.split([',', '}']).map(|name| first_word(name.trim()))),
                None => found.push(first_word(rest)),
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_point_downward() {
    let place: BTreeMap<&str, (usize, usize)> =
        LEVELS.iter().enumerate().flat_map(|(level, rooms)| rooms.iter().enumerate().map(move |(at, room)| (*room, (level, at)))).collect();
    let mut wrong = Vec::new();
    for path in sources() {
        let room = room_of(&path);
        if room == "lib" || room == "main" {
            continue;
        }
        let own = *place.get(room.as_str()).unwrap_or_else(|| panic!("the room `{room}` is not in the drawing"));
        for import in imports(&code(&path)) {
            let Some(other) = place.get(import.as_str()) else { panic!("{}: unknown room `{import}`", path.display()) };
            let downward = other.0 < own.0 || import == room || (own.0 == 0 && other < &own);
            if !downward {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources() {
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn files_stay_readable() {
    for path in sources() {
        let lines = code(&path).lines().count();
        assert!(lines <= 420, "{} has {lines} lines before its tests: two concepts in one room?", path.display());
    }
}

#[test]
fn only_the_redactor_clears_text() {
    for path in sources().iter().filter(|path| !["redact", "text"].contains(&room_of(path).as_str())) {
        assert!(!code(path).contains("Text::cleared("), "{}", path.display());
    }
}

#[test]
fn nothing_is_left_undone() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}
