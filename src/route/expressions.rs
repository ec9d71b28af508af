//! Look-up of regular expressions. Those that begin with the same directories are looked at together, so that a request meets only the
//! few that can match its path. The expression with more literal directories wins, then the longer one.

use std::collections::HashMap;

use super::choices::Choices;
use super::pattern::{Expression, end_of};
use super::rule::Conflict;

/// The rules with regular expressions of one host.
#[derive(Debug)]
pub(super) struct Expressions<T> {
    /// By the directories that every match begins with, without a slash at the end.
    directories: HashMap<String, Vec<(Expression, Choices<T>)>, foldhash::fast::RandomState>,
    /// The most slashes in a key.
    depth: usize,
}

impl<T> Default for Expressions<T> {
    fn default() -> Self {
        Self { directories: HashMap::default(), depth: 0 }
    }
}

impl<T: Clone> Expressions<T> {
    /// Returns the rules of an expression.
    pub(super) fn entry(&mut self, expression: &Expression) -> &mut Choices<T> {
        let directory = expression.directory();
        self.depth = self.depth.max(directory.matches('/').count());
        let beside = self.directories.entry(directory.to_owned()).or_default();
        let at = match beside.iter().position(|(known, _)| known.text == expression.text) {
            Some(at) => at,
            None => {
                let at = beside.iter().position(|(known, _)| known.text.len() < expression.text.len()).unwrap_or(beside.len());
                beside.insert(at, (expression.clone(), Choices::default()));
                at
            }
        };
        &mut beside[at].1
    }

    /// Returns expressions of the same length that may match the same path.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        for beside in self.directories.values() {
            for (at, (one, rules)) in beside.iter().enumerate() {
                let same_length = beside[at + 1..].iter().take_while(|(other, _)| other.text.len() == one.text.len());
                for (_, others) in same_length.filter(|(other, _)| may_overlap(one, other)) {
                    found.extend(rules.conflicts(others));
                }
            }
        }
        found
    }

    /// Calls `visit` with the rules whose expressions match a path, the most specific first, until it returns a result.
    pub(super) fn visit<'t, R>(&'t self, path: &str, visit: &mut dyn FnMut(&'t Choices<T>) -> Option<R>) -> Option<R> {
        let mut end = end_of(path, self.depth);
        loop {
            let beside = self.directories.get(&path[..end]).into_iter().flatten();
            let mut matching = beside.filter(|(expression, _)| expression.compiled.is_match(path));
            if let Some(found) = matching.find_map(|(_, rules)| visit(rules)) {
                return Some(found);
            }
            end = path[..end].rfind('/')?;
        }
    }
}

/// Returns true unless the literal beginnings or ends of two expressions differ.
fn may_overlap(one: &Expression, other: &Expression) -> bool {
    let begins = one.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&one.prefix);
    let ends = one.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&one.suffix);
    begins && ends
}
