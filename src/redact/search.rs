//! Many patterns at once: one pass finds the strings that they require (`strings`), and only where one stands does the automaton of its
//! pattern look (`pattern`). Knows nothing of what the patterns are for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};

use super::pattern::{Pattern, patterns};
use super::required::triples;
use super::strings::Strings;

/// Steps of automata that every text may take.
const STEPS: usize = 32 * 1024;
/// More steps for each byte. Prose takes less than one, source code and pages up to three.
const STEPS_A_BYTE: usize = 5;
/// Steps that one look at a place counts as.
const LOOK: usize = 4;

/// Patterns, each with what its owner wants to know of it.
pub(super) struct Search<T> {
    pub(super) branches: Vec<Branch<T>>,
    strings: Strings,
    /// The branches that require each string.
    owners: Vec<Box<[u16]>>,
}

/// A pattern without a choice at its top.
pub(super) struct Branch<T> {
    pub(super) told: T,
    pub(super) pattern: Pattern,
}

/// How far each branch has looked into a text. Kept from text to text, so that a short one need not clear a place for each branch.
#[derive(Debug, Default)]
pub(super) struct Progress {
    text: u32,
    until: Vec<(u32, usize)>,
}

/// The steps that looking at a text, in all its views, may still take.
#[derive(Debug)]
pub(super) struct Steps(usize);

/// A text took more steps than it may: what it holds is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Steps {
    /// For a text of this many bytes.
    pub(super) const fn of(length: usize) -> Self {
        Self(STEPS + STEPS_A_BYTE * length)
    }

    /// None at all.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self(0)
    }

    pub(super) fn take(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(steps + LOOK).ok_or(Exhausted)?;
        Ok(())
    }
}

impl<T: Clone> Search<T> {
    /// Compiles patterns.
    ///
    /// # Errors
    /// One is no pattern, or names no string.
    pub(super) fn new(sources: impl Iterator<Item = (T, String)>) -> Result<Self, String> {
        let mut branches = Vec::new();
        for (told, source) in sources {
            branches.extend(patterns(&source)?.into_iter().map(|pattern| Branch { told: told.clone(), pattern }));
        }
        let mut shared: HashMap<Vec<u8>, usize> = HashMap::new();
        let all: BTreeSet<&Vec<u8>> =
            branches.iter().flat_map(|branch| &branch.pattern.required.strings).map(|(string, _)| string).collect();
        for triple in all.into_iter().flat_map(|string| triples(string)) {
            *shared.entry(triple.to_vec()).or_default() += 1;
        }
        let mut owners: BTreeMap<(Vec<u8>, usize), Vec<u16>> = BTreeMap::new();
        for (at, branch) in branches.iter_mut().enumerate() {
            branch.pattern.required.place(|bytes| shared.get(bytes).copied().unwrap_or(1));
            for string in std::mem::take(&mut branch.pattern.required.strings) {
                owners.entry(string).or_default().push(at as u16);
            }
        }
        let (strings, owners): (Vec<_>, Vec<_>) = owners.into_iter().map(|(string, owners)| (string, owners.into_boxed_slice())).unzip();
        branches.shrink_to_fit();
        Ok(Self { branches, strings: Strings::new(strings), owners })
    }

    /// Looks at every place where an asked pattern may match. `look` gets the branch, and the range in which its match begins or is under
    /// way at the end; it gives how far it looked.
    pub(super) fn each_place<B>(
        &self,
        text: &[u8],
        progress: &mut Progress,
        asked: impl Fn(&T) -> bool,
        mut look: impl FnMut(&Branch<T>, Range<usize>) -> ControlFlow<B, usize>,
    ) -> ControlFlow<B> {
        progress.text = progress.text.wrapping_add(1);
        if progress.until.len() != self.branches.len() || progress.text == 0 {
            *progress = Progress { text: 1, until: vec![(0, 0); self.branches.len()] };
        }
        let Progress { text: this, until } = progress;
        self.strings.each(text, |string, number| {
            for owner in &self.owners[usize::from(number)] {
                let (branch, until) = (&self.branches[usize::from(*owner)], &mut until[usize::from(*owner)]);
                let floor = if until.0 == *this { until.1 } else { 0 };
                if string < floor || !asked(&branch.told) {
                    continue;
                }
                let from = branch.pattern.beginning(text, string, floor);
                *until = (*this, look(branch, from..string + self.strings.rest(number))?);
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
    /// True when a match begins in the range or is under way at its end; with how far it looked.
    pub(super) fn matches(&self, text: &[u8], range: Range<usize>, steps: &mut Steps) -> Result<(bool, usize), Exhausted> {
        let seen = self.pattern.search(text, range.start, range.end, true);
        steps.take(seen.until - range.start)?;
        Ok((seen.end.is_some(), seen.until))
    }

    /// Tells of each match that begins in the range or is under way at its end; gives how far it looked.
    pub(super) fn all(
        &self,
        text: &[u8],
        range: Range<usize>,
        steps: &mut Steps,
        mut found: impl FnMut(Range<usize>),
    ) -> Result<usize, Exhausted> {
        let mut from = range.start;
        loop {
            let seen = self.pattern.search(text, from, range.end, false);
            steps.take(seen.until - from)?;
            let Some(end) = seen.end else { return Ok(seen.until) };
            let start = self.pattern.start(text, from, end);
            steps.take(end - start)?;
            found(start..end);
            from = end;
            if from >= range.end {
                return Ok(from);
            }
        }
    }
}
