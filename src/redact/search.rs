//! Searches for many patterns at once: one pass finds the strings that the patterns require (`strings`), and only near such a string runs
//! the automaton of its pattern (`pattern`). Knows nothing of the purpose of the patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use super::anchors;
use super::pattern::{Pattern, patterns};
use super::strings::Strings;

/// The automaton steps that a text of any length may take.
const BASE_STEPS: usize = 32 * 1024;
/// The additional steps per byte. Prose takes less than one, source code and pages up to three.
const STEPS_PER_BYTE: usize = 5;
/// The steps that each run of an automaton counts in addition.
const STEPS_PER_LOOKUP: usize = 4;

/// A set of patterns, each with a tag of the caller.
pub(super) struct Search<T> {
    pub(super) branches: Vec<Branch<T>>,
    strings: Strings,
    /// The indices of the branches that require each string.
    owners: Vec<Box<[u16]>>,
}

/// A pattern without an alternation at its top.
pub(super) struct Branch<T> {
    pub(super) tag: T,
    pub(super) pattern: Pattern,
}

/// The position up to which each branch has searched a text. It is reused across texts, so that a short text need not clear one entry per
/// branch.
#[derive(Debug, Default)]
pub(super) struct Progress {
    generation: u32,
    until: Vec<(u32, usize)>,
}

/// The steps that the search of a text, in all its views, may still take.
#[derive(Debug)]
pub(super) struct Steps(usize);

/// The text took more steps than it may, so whether it matches is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Steps {
    /// Returns the steps for a text of this many bytes.
    pub(super) const fn of(length: usize) -> Self {
        Self(BASE_STEPS + STEPS_PER_BYTE * length)
    }

    /// Returns no steps.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self(0)
    }

    pub(super) fn take(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(steps + STEPS_PER_LOOKUP).ok_or(Exhausted)?;
        Ok(())
    }
}

impl<T: Clone> Search<T> {
    /// Compiles patterns.
    ///
    /// # Errors
    /// Returns an error if a source is not a valid pattern or requires no string.
    pub(super) fn new(sources: impl Iterator<Item = (T, String)>) -> Result<Self, String> {
        let mut branches = Vec::new();
        for (tag, source) in sources {
            branches.extend(patterns(&source)?.into_iter().map(|pattern| Branch { tag: tag.clone(), pattern }));
        }
        let all: BTreeSet<Vec<u8>> =
            branches.iter().flat_map(|branch| &branch.pattern.required.strings).map(|(string, _)| string.clone()).collect();
        let anchors = anchors::choose(&all);
        let mut owners: BTreeMap<(Vec<u8>, usize), Vec<u16>> = BTreeMap::new();
        for (at, branch) in branches.iter_mut().enumerate() {
            branch.pattern.required.set_anchors(|string| anchors.get(string).copied().unwrap_or(0));
            for string in std::mem::take(&mut branch.pattern.required.strings) {
                owners.entry(string).or_default().push(at as u16);
            }
        }
        let (strings, owners): (Vec<_>, Vec<_>) = owners.into_iter().map(|(string, owners)| (string, owners.into_boxed_slice())).unzip();
        branches.shrink_to_fit();
        Ok(Self { branches, strings: Strings::new(strings), owners })
    }

    /// Calls `visit` wherever an enabled pattern may match, with the branch and the range in which a match begins or is under way at the
    /// end. `visit` returns the position up to which it searched.
    pub(super) fn for_each_candidate<B>(
        &self,
        text: &[u8],
        progress: &mut Progress,
        is_enabled: impl Fn(&T) -> bool,
        mut visit: impl FnMut(&Branch<T>, Range<usize>) -> ControlFlow<B, usize>,
    ) -> ControlFlow<B> {
        progress.generation = progress.generation.wrapping_add(1);
        if progress.until.len() != self.branches.len() || progress.generation == 0 {
            *progress = Progress { generation: 1, until: vec![(0, 0); self.branches.len()] };
        }
        let Progress { generation, until } = progress;
        self.strings.for_each_match(text, |string, number| {
            for owner in &self.owners[usize::from(number)] {
                let (branch, until) = (&self.branches[usize::from(*owner)], &mut until[usize::from(*owner)]);
                let floor = if until.0 == *generation { until.1 } else { 0 };
                if string < floor || !is_enabled(&branch.tag) {
                    continue;
                }
                let from = branch.pattern.earliest_start(text, string, floor);
                *until = (*generation, visit(branch, from..string + self.strings.len_from_anchor(number))?);
            }
            ControlFlow::Continue(())
        })
    }
}

#[cfg(test)]
impl<T> Search<T> {
    pub(super) fn strings(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.strings.all()
    }
}

impl<T> Branch<T> {
    /// Returns true if a match begins in the range or is under way at its end, with the position up to which it searched.
    pub(super) fn matches(&self, text: &[u8], range: Range<usize>, steps: &mut Steps) -> Result<(bool, usize), Exhausted> {
        let result = self.pattern.search(text, range.start, range.end, true);
        steps.take(result.until - range.start)?;
        Ok((result.end.is_some(), result.until))
    }

    /// Calls `found` for each match that begins in the range or is under way at its end, and returns the position up to which it searched.
    pub(super) fn for_each_match(
        &self,
        text: &[u8],
        range: Range<usize>,
        steps: &mut Steps,
        mut found: impl FnMut(Range<usize>),
    ) -> Result<usize, Exhausted> {
        let mut from = range.start;
        loop {
            let result = self.pattern.search(text, from, range.end, false);
            steps.take(result.until - from)?;
            let Some(end) = result.end else { return Ok(result.until) };
            let start = self.pattern.match_start(text, from, end);
            steps.take(end - start)?;
            found(start..end);
            from = end;
            if from >= range.end {
                return Ok(from);
            }
        }
    }
}
