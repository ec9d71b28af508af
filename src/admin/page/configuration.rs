//! The configuration that runs, where its values come from, and how the last reload ended.

use askama::Template;

use super::answer::Answer;
use super::ask::{Query, link};
use super::body::visible;
use super::gateway::{Part, Reload};
use super::groups::Tab;
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};
use super::time::{self, Ago};

/// A problem of a reload.
struct Problem {
    line: Option<usize>,
    title: String,
    help: String,
    class: &'static str,
    kind: &'static str,
}

/// The last reload.
struct ReloadView {
    class: &'static str,
    outcome: &'static str,
    cause: &'static str,
    at: Ago,
    took: String,
    changes: Vec<String>,
    problems: Vec<Problem>,
}

#[derive(Template)]
#[template(path = "page/configuration.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: &'static str,
    version: String,
    file: String,
    since: Option<Ago>,
    reload: Option<ReloadView>,
    needs_restart: Vec<String>,
    parts: Vec<Part>,
    tabs: Vec<Tab>,
    hidden: usize,
}

fn reload_view(reload: &Reload, shell: &Shell<'_>) -> ReloadView {
    let (class, outcome) = match reload.outcome {
        "applied" => ("good", shell.t("outcome_applied")),
        "rejected" => ("bad", shell.t("outcome_rejected")),
        _ => ("plain", shell.t("outcome_unchanged")),
    };
    let cause = match reload.cause {
        "signal" => shell.t("cause_signal"),
        "admin" => shell.t("cause_admin"),
        "files" => shell.t("cause_files"),
        _ => shell.t("cause_start"),
    };
    let problem = |problem: &super::gateway::ReloadProblem| Problem {
        line: problem.line,
        title: visible(&problem.title),
        help: visible(&problem.help),
        class: if problem.is_warning { "warn" } else { "bad" },
        kind: if problem.is_warning { shell.t("problem_warning") } else { shell.t("problem_error") },
    };
    ReloadView {
        class,
        outcome,
        cause,
        at: Ago::new(reload.at, shell.now, shell.texts),
        took: time::duration(reload.took_us),
        changes: reload.changes.iter().map(|change| visible(change)).collect(),
        problems: reload.problems.iter().map(problem).collect(),
    }
}

/// Leaves out what is a default, unless all is wanted. Returns the number of values that were left out.
fn chosen(parts: &[Part], wants_all: bool) -> (Vec<Part>, usize) {
    let mut hidden = 0;
    let mut kept: Vec<Part> = Vec::new();
    for part in parts {
        let settings: Vec<_> = part.settings.iter().filter(|setting| wants_all || !setting.origin.is_empty()).cloned().collect();
        hidden += part.settings.len() - settings.len();
        if !settings.is_empty() {
            kept.push(Part { heading: part.heading.clone(), settings });
        }
    }
    (kept, hidden)
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>, query: &Query) -> Result<Answer, Refusal> {
    let configuration = &sources.gateway.configuration;
    let wants_all = query.get("show") == Some("all");
    let (parts, hidden) = chosen(&configuration.parts, wants_all);
    let tab = |word: Option<&str>, key: &'static str| Tab {
        text: shell.t(key).to_owned(),
        href: link("/configuration", &query.with("show", word)),
        is_current: word.is_some() == wants_all,
    };
    shell::render(&Page {
        shell,
        active: "configuration",
        title: shell.t("nav_configuration"),
        version: visible(&configuration.version),
        file: visible(&configuration.file),
        since: (configuration.since > 0).then(|| Ago::new(configuration.since, shell.now, shell.texts)),
        reload: configuration.reload.as_ref().map(|reload| reload_view(reload, shell)),
        needs_restart: configuration.needs_restart.clone(),
        parts,
        tabs: vec![tab(None, "show_set"), tab(Some("all"), "show_all")],
        hidden,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::page::gateway::Setting;

    #[test]
    fn defaults_are_left_out_unless_all_is_wanted() {
        let setting = |key: &str, origin: &str| Setting { key: key.into(), value: "1".into(), origin: origin.into() };
        let parts = [
            Part { heading: "[a]".into(), settings: vec![setting("x", "line 3"), setting("y", "")] },
            Part { heading: "[b]".into(), settings: vec![setting("z", "")] },
        ];
        let (kept, hidden) = chosen(&parts, false);
        assert_eq!((kept.len(), kept[0].settings.len(), hidden), (1, 1, 2));
        assert_eq!(chosen(&parts, true).0.len(), 2);
    }
}
