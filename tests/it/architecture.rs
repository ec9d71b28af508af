//! Tests the structure that `src/lib.rs` describes: files import only from lower levels, modules of one level do not import each other,
//! and no module has an import cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms by level. Level 0 is ordered: a word may build on the words before it.
const LEVELS: &[&[&str]] = &[
    &[
        "sync",
        "timer",
        "socket",
        "text",
        "write",
        "header",
        "regular_file",
        "data_rate",
        "failure",
        "policy",
        "context",
        "language",
        "envelope",
        "rpc",
        "body",
    ],
    &["http1", "breaker", "config", "report", "redact", "message", "render"],
    &["route", "limit", "auth", "upstream", "relay", "tunnel", "observe", "journal", "notify", "memory", "tls"],
    &["plan"],
    &["gateway"],
    &["explain"],
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

/// The path of a file's module below `crate`, in words.
fn module_of(path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().with_extension("");
    let mut words: Vec<String> = relative.iter().map(|word| word.to_str().unwrap().to_owned()).collect();
    if words.last().is_some_and(|word| word == "mod" || word == "lib") {
        words.pop();
    }
    words
}

/// Every path in a text that begins with one of these words, with groups taken apart, as words.
fn paths<'w>(text: &str, starts: impl IntoIterator<Item = &'w str>) -> Vec<Vec<String>> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut found = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(&format!("{start}::")) {
            // `pub(in crate::a)` imports nothing.
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') && !code[..at].ends_with("(in ") {
                expand(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads one path from the beginning of a text: `a::{b, c::d}` is two. Returns the rest of the text.
fn expand<'t>(text: &'t str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let depth = before.len();
    let mut rest = text;
    loop {
        let word = first_word(rest);
        if word.is_empty() {
            break;
        }
        rest = &rest[word.len()..];
        before.push(word);
        let Some(next) = rest.strip_prefix("::") else { break };
        rest = next;
        if let Some(mut group) = rest.strip_prefix('{') {
            while !group.starts_with('}') && !group.is_empty() {
                group = expand(group, before, found);
                // An alias is no path.
                let alias = group.strip_prefix(" as ").map(|rest| &rest[first_word(rest).len()..]);
                group = alias.unwrap_or(group).trim_start_matches([',', ' ', '\n']);
                if group.starts_with(|c: char| !c.is_alphanumeric() && c != '_' && c != '}') {
                    break;
                }
            }
            before.truncate(depth);
            return group.strip_prefix('}').unwrap_or(group);
        }
    }
    found.push(before.clone());
    before.truncate(depth);
    rest
}

/// What each module imports: the deepest module that a path names.
fn import_graph() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules: BTreeMap<Vec<String>, String> = sources().iter().map(|path| (module_of(path), code(path))).collect();
    let mut graph = BTreeMap::new();
    for (module, text) in &modules {
        let mut imports = BTreeSet::new();
        let children = modules.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
        let children: Vec<&str> = children.filter_map(|child| child.last()).map(String::as_str).collect();
        for path in paths(text, ["crate", "super", "self"].into_iter().chain(children.iter().copied())) {
            let ups = path.iter().take_while(|word| *word == "super").count();
            let base = match path[0].as_str() {
                "crate" => &[][..],
                "self" => &module[..],
                _ => &module[..module.len().saturating_sub(ups)],
            };
            let is_child = children.contains(&path[0].as_str());
            let base = if is_child { &module[..] } else { base };
            let skip = if is_child { 0 } else { ups.max(1) };
            let whole: Vec<String> = base.iter().chain(&path[skip..]).cloned().collect();
            let target = (1..=whole.len()).rev().map(|length| &whole[..length]).find(|part| modules.contains_key(*part));
            if let Some(target) = target.filter(|target| *target != module) {
                imports.insert(target.to_vec());
            }
        }
        graph.insert(module.clone(), imports);
    }
    graph
}

/// Modules that a module imports, over any number of steps.
fn reachable<'g>(from: &'g [String], graph: &'g BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> BTreeSet<&'g [String]> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for import in graph.get(module).into_iter().flatten() {
            if seen.insert(import.as_slice()) {
                next.push(import);
            }
        }
    }
    seen
}

#[test]
fn no_module_imports_itself() {
    let graph = import_graph();
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 300, "the imports are not read");
    let cycles: Vec<String> =
        graph.keys().filter(|module| reachable(module, &graph).contains(module.as_slice())).map(|module| module.join("::")).collect();
    assert!(cycles.is_empty(), "in import cycles: {cycles:#?}");
}

#[test]
fn imports_are_read() {
    let words = |text: &str| paths(text, ["crate", "super"]).into_iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(
        words("use crate::a::{b, c::{d, e as f}, g};\nx(super::h::i());"),
        ["crate::a::b", "crate::a::c::d", "crate::a::c::e", "crate::a::g", "super::h::i"]
    );
    assert_eq!(words("// use crate::a;\nlet x = othercrate::b;"), Vec::<String>::new());
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
