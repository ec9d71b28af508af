//! Problems of a configuration: collected all at once, shown with file, line, column, caret and the way out.
//!
//! It shows the text of the file; of expanded values only paths of files that cannot be read. Knows nothing of keys.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The most problems that are shown; more help nobody.
const MAX_SHOWN: usize = 50;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the file; `None` when no place can be named.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub title: String,
    /// What to do.
    pub help: String,
    /// The line is not shown: it holds what nobody may see.
    pub unseen: bool,
}

/// All problems of one file.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, span: impl Into<Option<Range<usize>>>, title: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { span: span.into(), title: title.into(), help: help.into(), unseen: false });
    }

    /// Adds one whose place is told and whose line is not shown.
    pub fn add_unseen(&mut self, span: Range<usize>, title: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { span: Some(span), title: title.into(), help: help.into(), unseen: true });
    }

    /// True when nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order of the file.
    pub fn sorted(mut self) -> Vec<Problem> {
        // Keys that several routes inherit are looked at once per route.
        let place = |problem: &Problem| (problem.span.as_ref().map_or(usize::MAX, |span| span.start), problem.title.clone());
        self.0.sort_by_key(place);
        self.0.dedup();
        self.0
    }
}

/// Renders problems for a person. `name` is the file's name as the operator wrote it; `color` for a terminal.
pub fn render(name: &str, text: &str, problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in problems.iter().take(MAX_SHOWN) {
        let title = Level::ERROR.primary_title(problem.title.as_str());
        let mut group = match &problem.span {
            Some(span) if problem.unseen => {
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

/// A span that lies within the text, on character borders, and shows at least one column.
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
    fn shows_line_column_caret_and_way_out() {
        let problem = Problem { span: Some(7..9), title: "unknown key `xy`".into(), help: "did you mean `http`?".into(), unseen: false };
        let shown = render("a.toml", "[top]\n xy = 1\n", &[problem], false);
        assert!(shown.contains("a.toml:2:2"), "{shown}");
        assert!(shown.contains("^^"), "{shown}");
        assert!(shown.contains("did you mean"), "{shown}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = "a = 1\nurl = \"redis://:hunter2@h\"\n";
        let problem = Problem { span: Some(12..32), title: "a secret".into(), help: "elsewhere".into(), unseen: true };
        let shown = render("a.toml", text, &[problem], false);
        assert!(shown.contains("a.toml:2") && !shown.contains("hunter2"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,40}", start in 0usize..60, len in 0usize..60) {
            let problem = Problem { span: Some(start..start + len), title: "t".into(), help: String::new(), unseen: start % 2 == 0 };
            render("f", &text, &[problem], false);
        }
    }
}
