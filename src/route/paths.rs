//! The paths of one host: exact paths, then paths with captures, then regular expressions, then prefixes with the deepest first.

use std::collections::HashMap;

use super::choices::Choices;
use super::expressions::Expressions;
use super::pattern::{Pattern, end_of};
use super::rule::{Conflict, Match};
use super::segments::Node;

/// The keys come from the operator's configuration, so the hash need not resist collision attacks.
type Map<T> = HashMap<String, Choices<T>, foldhash::fast::RandomState>;

/// The paths of one host.
#[derive(Debug)]
pub(super) struct Paths<T> {
    exact: Map<T>,
    /// Keyed without the trailing `/*`; the empty key is `/*`.
    prefix: Map<T>,
    /// Number of slashes in the deepest prefix; deeper parts of a path are not probed.
    depth: usize,
    /// Few configurations have them.
    patterns: Option<Box<Patterns<T>>>,
}

/// The paths that a map cannot hold.
#[derive(Debug)]
struct Patterns<T> {
    segments: Node<T>,
    expressions: Expressions<T>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), prefix: HashMap::default(), depth: 0, patterns: None }
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { segments: Node::default(), expressions: Expressions::default() }
    }
}

impl<T: Clone> Paths<T> {
    /// Adds a rule. Returns the rules that it conflicts with.
    pub(super) fn add(&mut self, rule: &Match, index: usize, target: T) -> Vec<Conflict> {
        let choices = match &rule.path {
            Pattern::Exact(path) => self.exact.entry(path.clone()).or_default(),
            Pattern::Prefix(prefix) => {
                self.depth = self.depth.max(prefix.matches('/').count());
                self.prefix.entry(prefix.clone()).or_default()
            }
            Pattern::Segments { segments, is_prefix } => self.patterns.get_or_insert_default().segments.entry(segments, *is_prefix),
            Pattern::Expression(expression) => self.patterns.get_or_insert_default().expressions.entry(expression),
        };
        choices.add(&rule.conditions, rule.methods.as_deref(), index, target)
    }

    /// Returns the expressions of which none is more specific than another.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        self.patterns.as_ref().map(|patterns| patterns.expressions.conflicts()).unwrap_or_default()
    }

    /// Calls `visit` with the rules whose paths match, the most specific first, until it returns a result.
    pub(super) fn visit<'t, R>(&'t self, path: &str, mut visit: impl FnMut(&'t Choices<T>) -> Option<R>) -> Option<R> {
        if !self.exact.is_empty()
            && let Some(found) = self.exact.get(path).and_then(&mut visit)
        {
            return Some(found);
        }
        match &self.patterns {
            None => self.visit_prefixes(path, visit),
            Some(patterns) => self.visit_all(patterns, path, &mut visit),
        }
    }

    /// The usual case: prefixes only.
    fn visit_prefixes<'t, R>(&'t self, path: &str, mut visit: impl FnMut(&'t Choices<T>) -> Option<R>) -> Option<R> {
        if self.prefix.is_empty() {
            return None;
        }
        // Starts at the end of the segment at the deepest prefix, then removes one segment at a time.
        let mut end = end_of(path, self.depth);
        loop {
            if let Some(found) = self.prefix.get(&path[..end]).and_then(&mut visit) {
                return Some(found);
            }
            end = path[..end].rfind('/')?;
        }
    }

    fn visit_all<'t, R>(&'t self, patterns: &'t Patterns<T>, path: &str, visit: &mut dyn FnMut(&'t Choices<T>) -> Option<R>) -> Option<R> {
        let segments = patterns.segments.matches(path);
        let exact = segments.exact.into_iter().find_map(&mut *visit);
        if let Some(found) = exact.or_else(|| patterns.expressions.visit(path, visit)) {
            return Some(found);
        }
        // Prefixes with and without captures, the deepest first. At one depth, the prefix without captures is more specific.
        let mut with_captures = segments.prefix.into_iter().peekable();
        let mut end = end_of(path, self.depth);
        loop {
            let depth = path[..end].matches('/').count();
            while let Some((_, choices)) = with_captures.next_if(|(deeper, _)| *deeper > depth) {
                if let Some(found) = visit(choices) {
                    return Some(found);
                }
            }
            if let Some(found) = self.prefix.get(&path[..end]).and_then(&mut *visit) {
                return Some(found);
            }
            match path[..end].rfind('/') {
                Some(shorter) => end = shorter,
                None => return with_captures.find_map(|(_, choices)| visit(choices)),
            }
        }
    }
}
