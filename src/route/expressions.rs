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
        let directory = expression.prefix.rfind('/').map_or("", |end| &expression.prefix[..end]);
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

    /// Returns all rules whose expressions match a path, the most specific first.
    pub(super) fn matches<'t>(&'t self, path: &str) -> Vec<&'t Choices<T>> {
        let mut found = Vec::new();
        let mut end = end_of(path, self.depth);
        loop {
            if let Some(beside) = self.directories.get(&path[..end]) {
                found.extend(beside.iter().filter(|(expression, _)| expression.compiled.is_match(path)).map(|(_, rules)| rules));
            }
            match path[..end].rfind('/') {
                Some(shorter) => end = shorter,
                None => return found,
            }
        }
    }
}

/// Returns true unless the literal beginnings or ends of two expressions differ.
fn may_overlap(one: &Expression, other: &Expression) -> bool {
    let begins = one.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&one.prefix);
    let ends = one.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&one.suffix);
    begins && ends
}
