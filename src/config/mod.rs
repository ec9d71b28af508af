//! Reads the configuration file: TOML text in, a [`file::File`] and all problems of the text out.
//!
//! Does no I/O except to read `file:` secrets. Knows key names, types and units. Must not know defaults or the meaning of the values
//! together; `plan` does. A new key goes into `file` and the reader of its section (`keys`, `limits`, `routes`, `access`,
//! `policy_keys`, `upstreams`, `errors`, `telemetry`, `notify`).

pub mod access;
pub mod actions;
pub mod diagnose;
mod errors;
pub mod expand;
pub mod file;
mod header_name;
mod journal;
mod keys;
pub mod limits;
mod listen_tls;
mod notify;
pub mod other_proxies;
mod policy_keys;
mod routes;
pub mod schema;
pub mod section;
mod telemetry;
pub mod units;

mod upstreams;
mod values;
pub mod words;

use diagnose::Problems;
use expand::Surroundings;
use file::File;
use section::Section;
use toml::de::DeTable;

/// Reads the text of a configuration file and adds its problems to `problems`. The returned file holds everything that could be read, so
/// that the caller can check it for further problems.
pub fn read(text: &str, problems: &mut Problems, around: &Surroundings<'_>) -> File {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.add(error.span(), format!("invalid TOML: {}", error.message()), "");
    }
    let mut section = Section::new("", root.get_ref(), root.span(), problems, around);
    let file = keys::read(&mut section);
    section.end();
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, problems: &mut Problems) {
        super::read(text, problems, &Surroundings::of_text(&|_| None));
    }

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        read(text, &mut problems);
        problems.sorted().into_iter().map(|p| format!("{} | {}", p.title, p.help)).collect()
    }

    #[test]
    fn all_problems_come_at_once_with_suggestions() {
        let found = problems_of(
            "mode = \"prod\"\n[listne]\nhttp = 1\n[listen]\nhtpp = \"x\"\nidle_timeout = \"0s\"\nworkers = \"two\"\n[log]\nlevel = \"${NOPE}\"\n",
        );
        let all = found.join("\n");
        for part in [
            "is not a known value",
            "did you mean `listen`",
            "did you mean `http`",
            "zero is not a duration",
            "`listen.workers` must be",
            "NOPE",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
        assert_eq!(found.len(), 6, "{all}");
    }

    #[test]
    fn broken_toml_still_shows_the_other_problems() {
        let all = problems_of("mode = = 1\n[listen]\nhtpp = \"x\"\n").join("\n");
        assert!(all.contains("invalid TOML") && all.contains("did you mean `http`"), "{all}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[\\[\\]a-z=\"\\.\\{\\}0-9\\n ,$]{0,120}|\\PC{0,80}") {
            let mut problems = Problems::default();
            read(&text, &mut problems);
            diagnose::render("f", &text, &problems.sorted(), false);
        }
    }
}
