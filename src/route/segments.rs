//! Look-up of paths with captured segments: a tree with one level per segment. A literal segment is more specific than a capture, and
//! segments to the left decide first.

use std::collections::HashMap;

use super::choices::Choices;
use super::pattern::Segment;

/// The rules below some segments.
#[derive(Debug)]
pub(super) struct Node<T> {
    literals: HashMap<String, Self, foldhash::fast::RandomState>,
    capture: Option<Box<Self>>,
    exact: Option<Choices<T>>,
    prefix: Option<Choices<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::default(), capture: None, exact: None, prefix: None }
    }
}

/// The rules whose patterns match a path, the most specific first.
#[derive(Debug)]
pub(super) struct Matches<'t, T> {
    pub(super) exact: Vec<&'t Choices<T>>,
    /// With the number of segments that the pattern has.
    pub(super) prefix: Vec<(usize, &'t Choices<T>)>,
}

impl<T> Node<T> {
    /// Returns the rules of a pattern.
    pub(super) fn entry(&mut self, segments: &[Segment], is_prefix: bool) -> &mut Choices<T> {
        match segments.split_first() {
            None if is_prefix => self.prefix.get_or_insert_default(),
            None => self.exact.get_or_insert_default(),
            Some((Segment::Literal(text), rest)) => self.literals.entry(text.clone()).or_default().entry(rest, is_prefix),
            Some((Segment::Capture(_), rest)) => self.capture.get_or_insert_default().entry(rest, is_prefix),
        }
    }

    /// Returns all rules whose patterns match a path.
    pub(super) fn matches(&self, path: &str) -> Matches<'_, T> {
        let mut found = Matches { exact: Vec::new(), prefix: Vec::new() };
        self.collect(path.strip_prefix('/'), 0, &mut found);
        // The sort is stable: patterns of one depth keep their order.
        found.prefix.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        found
    }

    /// `rest` is what follows the slash, or `None` at the end of the path.
    fn collect<'t>(&'t self, rest: Option<&str>, depth: usize, found: &mut Matches<'t, T>) {
        found.prefix.extend(self.prefix.as_ref().map(|choices| (depth, choices)));
        let Some(rest) = rest else {
            found.exact.extend(self.exact.as_ref());
            return;
        };
        let (segment, below) = rest.split_once('/').map_or((rest, None), |(segment, below)| (segment, Some(below)));
        if let Some(node) = self.literals.get(segment) {
            node.collect(below, depth + 1, found);
        }
        if let Some(node) = self.capture.as_ref().filter(|_| !segment.is_empty()) {
            node.collect(below, depth + 1, found);
        }
    }
}
