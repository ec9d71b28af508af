//! Collects the problems of a configuration file and renders them with file, line, column, caret and a help text.
//!
//! A diagnostic shows the text of the file. Of an expanded value it shows only the path of a file that cannot be read. Must not know the
//! keys of the configuration.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The number of problems that are shown; the rest is only counted, because a longer list is not read.
const MAX_SHOWN: usize = 50;

/// The length of a line that is shown, in bytes: nobody reads a longer one.
const MAX_LINE: usize = 4096;

/// A problem of the configuration and the way to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The byte range in the file; `None` if the problem has no place.
    pub span: Option<Range<usize>>,
    /// The description of the problem.
    pub title: String,
    /// The way to fix it; may be empty.
    pub help: String,
    /// Whether the line is hidden because it holds a secret.
    pub is_secret: bool,
    /// Whether the configuration can be used nevertheless.
    pub is_warning: bool,
}

/// All problems of one file.
#[derive(Debug, Default)]
pub struct Problems(
    Vec<Problem>,
    /// The keys that the readers asked for, each with the path of its table. A test compares them with the table of keys.
    #[cfg(test)]
    pub(super) Vec<(String, &'static str)>,
);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, span: impl Into<Option<Range<usize>>>, title: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { span: span.into(), title: title.into(), help: help.into(), is_secret: false, is_warning: false });
    }

    /// Adds something that the operator should know, and with which the configuration can be used.
    pub fn warn(&mut self, span: impl Into<Option<Range<usize>>>, title: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { span: span.into(), title: title.into(), help: help.into(), is_secret: false, is_warning: true });
    }

    /// Adds a problem whose place is shown and whose line is not, because it holds a secret.
    pub fn add_secret(&mut self, span: Range<usize>, title: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { span: Some(span), title: title.into(), help: help.into(), is_secret: true, is_warning: false });
    }

    /// Adds a problem of a value that should be a URL or a part of one. A user in it has a password, which is not shown.
    pub fn add_url(&mut self, value: &str, span: Range<usize>, title: impl Into<String>, help: impl Into<String>) {
        match value.contains('@') {
            true => self.add_secret(span, title, help),
            false => self.add(span, title, help),
        }
    }

    /// Returns true if the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| !problem.is_warning)
    }

    /// Returns the problems in the order of the file, without duplicates.
    pub fn sorted(mut self) -> Vec<Problem> {
        // A key that several routes inherit is checked once per route and reports the same problem each time.
        let place = |problem: &Problem| (problem.span.as_ref().map_or(usize::MAX, |span| span.start), problem.title.clone());
        self.0.sort_by_key(place);
        self.0.dedup();
        self.0
    }
}

/// Renders problems as text for an operator. `name` is the name of the file as the operator wrote it; `color` adds terminal styles.
pub fn render(name: &str, text: &str, problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in problems.iter().take(MAX_SHOWN) {
        let level = if problem.is_warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(problem.title.as_str());
        let mut group = match &problem.span {
            Some(span) if problem.is_secret || is_not_shown(lines_of(text, span)) => {
                let line = text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
                title.element(annotate_snippets::Origin::path(name).line(line))
            }
            Some(span) => title.element(Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(clamp(text, span)))),
            None => title.element(annotate_snippets::Origin::path(name)),
        };
        if !problem.help.is_empty() {
            group = group.element(Level::HELP.message(problem.help.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    if problems.len() > MAX_SHOWN {
        out.push_str(&format!("... and {} more\n\n", problems.len() - MAX_SHOWN));
    }
    out
}

/// Returns true if lines are not shown: they may hold a password, or are too long to be read.
fn is_not_shown(lines: &str) -> bool {
    lines.len() > MAX_LINE || has_password(lines)
}

/// Returns the whole lines of a span: a diagnostic shows them, and not only the value that is wrong.
fn lines_of<'t>(text: &'t str, span: &Range<usize>) -> &'t str {
    let Range { start, end } = clamp(text, span);
    let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
    &text[begin..text[end..].find('\n').map_or(text.len(), |at| end + at)]
}

/// Returns true if a URL of the text may have a user. A password that is not encoded can have any character, also those that end an
/// authority, so an `@` anywhere behind `://` in the same quotation counts.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|url| url.split(['"', '\'', '\n']).next().is_some_and(|url| url.contains('@')))
}

/// Moves a span into the text and onto character boundaries.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_line_column_caret_and_help() {
        let problem = Problem {
            span: Some(7..9),
            title: "unknown key `xy`".into(),
            help: "did you mean `http`?".into(),
            is_secret: false,
            is_warning: false,
        };
        let shown = render("a.toml", "[top]\n xy = 1\n", &[problem], false);
        assert!(shown.contains("a.toml:2:2"), "{shown}");
        assert!(shown.contains("^^"), "{shown}");
        assert!(shown.contains("did you mean"), "{shown}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = "a = 1\nurl = \"redis://:hunter2@h\"\n";
        let problem =
            Problem { span: Some(12..32), title: "a secret".into(), help: "elsewhere".into(), is_secret: true, is_warning: false };
        let shown = render("a.toml", text, &[problem], false);
        assert!(shown.contains("a.toml:2") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_password_in_a_url_is_not_shown_whatever_the_problem_of_its_line() {
        for line in [
            "url = \"http://u:hunter2@h\"",
            "url = 'http://u:/?#hunter2@h'",
            "url = [ \"a\", \"http://a\", \"rediss://:hunter2@h\" ]",
            "url = { a = \"x\", b = \"https://u:hunter2 x@h\" }",
        ] {
            let text = format!("a = 1\n{line}\nb = \"x@y\"\n");
            for span in [6..7, 6..6 + line.len(), 12..14, 0..14] {
                let problem = Problem { span: Some(span), ..plain() };
                let shown = render("a.toml", &text, &[problem], false);
                assert!(shown.contains("a.toml:") && !shown.contains("hunter2"), "{shown}");
            }
            let problem = Problem { span: Some(7 + line.len()..8 + line.len()), ..plain() };
            assert!(render("a.toml", &text, &[problem], false).contains("x@y"), "other lines are shown");
        }
    }

    fn plain() -> Problem {
        Problem { span: None, title: "t".into(), help: String::new(), is_secret: false, is_warning: false }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,40}", start in 0usize..60, len in 0usize..60) {
            let problem = Problem { span: Some(start..start + len), title: "t".into(), help: String::new(), is_secret: start % 2 == 0, is_warning: start % 3 == 0 };
            render("f", &text, &[problem], false);
        }
    }
}
