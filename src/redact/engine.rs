//! The rules on a text: which of them match, and where.
//!
//! One pass finds the strings that rules require (`strings`); only where one stands does the automaton of its pattern look (`pattern`).
//! The steps of these automata are counted. A text that takes more of them than its length allows is not judged to the end: the caller
//! takes it for dirty, so that the cost is linear whatever the text.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use super::pattern::{Pattern, patterns};
use super::rules::{self, Family, SOURCES, Weight};
use super::strings::Strings;

/// Steps that every text may take.
const STEPS: usize = 32 * 1024;
/// More steps for each byte. Prose takes less than one, source code and pages up to three.
const STEPS_A_BYTE: usize = 5;
/// Steps that one look at a place counts as.
const LOOK: usize = 4;

/// One match of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) family: Family,
    pub(super) weight: Weight,
    /// Bytes of the text that was searched.
    pub(super) span: Range<usize>,
}

/// Which rules are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    least: Weight,
    but: &'static [Family],
}

impl Asked {
    /// Every rule.
    pub(super) const ALL: Self = Self { least: Weight::Hint, but: &[] };
    /// What a sentence of a page may hold.
    pub(super) const BUT_MARKUP: Self = Self { least: Weight::Hint, but: &[Family::Markup] };
    /// Rules that count in a document.
    pub(super) const TELLING: Self = Self { least: Weight::Likely, but: &[Family::Markup] };

    /// Every rule but those of some families.
    pub(super) const fn but(families: &'static [Family]) -> Self {
        Self { least: Weight::Hint, but: families }
    }

    fn holds(&self, branch: &Branch) -> bool {
        branch.weight >= self.least && !self.but.contains(&branch.family)
    }
}

/// A pattern of a rule.
struct Branch {
    family: Family,
    weight: Weight,
    pattern: Pattern,
}

struct Compiled {
    branches: Vec<Branch>,
    strings: Strings,
    /// The branches that require each string.
    owners: Vec<Box<[u16]>>,
}

/// A rule that does not compile is a bug that the first test shows.
#[allow(clippy::expect_used, reason = "constants of the rules, compiled by every test run")]
fn compiled() -> &'static Compiled {
    static ALL: LazyLock<Compiled> = LazyLock::new(|| {
        let mut branches = Vec::new();
        let mut owners: std::collections::BTreeMap<(Vec<u8>, usize), Vec<u16>> = std::collections::BTreeMap::new();
        for rule in rules::all() {
            for pattern in patterns(&rule.pattern.replace("{EXT}", SOURCES)).expect("constants") {
                for string in &pattern.required.strings {
                    owners.entry(string.clone()).or_default().push(branches.len() as u16);
                }
                branches.push(Branch { family: rule.family, weight: rule.weight, pattern });
            }
        }
        let (strings, owners): (Vec<_>, Vec<_>) = owners.into_iter().map(|(string, owners)| (string, owners.into_boxed_slice())).unzip();
        Compiled { branches, strings: Strings::new(strings), owners }
    });
    &ALL
}

/// How far each branch has looked into the text of this search.
struct Progress {
    search: u32,
    until: Vec<(u32, usize)>,
}

thread_local! {
    /// Kept, so that a search of a short text need not clear a place for each branch.
    static PROGRESS: RefCell<Progress> = const { RefCell::new(Progress { search: 0, until: Vec::new() }) };
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

    fn take(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(steps + LOOK).ok_or(Exhausted)?;
        Ok(())
    }
}

/// Looks at every place where an asked rule may match. `look` gets the branch, where a match can begin, and where the required string
/// ends; it gives how far it looked.
fn each_place<B>(
    text: &[u8],
    asked: Asked,
    mut look: impl FnMut(&'static Branch, usize, usize) -> ControlFlow<B, usize>,
) -> ControlFlow<B> {
    let all = compiled();
    PROGRESS.with_borrow_mut(|progress| {
        progress.search = progress.search.wrapping_add(1);
        if progress.until.len() != all.branches.len() || progress.search == 0 {
            *progress = Progress { search: 1, until: vec![(0, 0); all.branches.len()] };
        }
        let Progress { search, until } = progress;
        all.strings.each(text, |string, number| {
            for owner in &all.owners[usize::from(number)] {
                let (branch, until) = (&all.branches[usize::from(*owner)], &mut until[usize::from(*owner)]);
                let floor = if until.0 == *search { until.1 } else { 0 };
                if string < floor || !asked.holds(branch) {
                    continue;
                }
                let from = branch.pattern.beginning(text, string, floor);
                *until = (*search, look(branch, from, string + all.strings.rest(number))?);
            }
            ControlFlow::Continue(())
        })
    })
}

/// True when any rule that is asked matches.
///
/// # Errors
/// The text takes too many steps to know.
pub(super) fn any(text: &[u8], asked: Asked, steps: &mut Steps) -> Result<bool, Exhausted> {
    let ended = each_place(text, asked, |branch, from, least| {
        let seen = branch.pattern.search(text, from, least, true);
        match steps.take(seen.until - from) {
            Err(exhausted) => ControlFlow::Break(Err(exhausted)),
            Ok(()) if seen.end.is_some() => ControlFlow::Break(Ok(true)),
            Ok(()) => ControlFlow::Continue(seen.until),
        }
    });
    ended.break_value().unwrap_or(Ok(false))
}

/// The matches of the rules that are asked, in the order of the text.
///
/// # Errors
/// The text takes too many steps to know.
pub(super) fn hits(text: &[u8], asked: Asked, steps: &mut Steps) -> Result<Vec<Hit>, Exhausted> {
    let mut found = Vec::new();
    let ended = each_place(text, asked, |branch, from, least| match branch.all(text, from..least, steps, &mut found) {
        Ok(until) => ControlFlow::Continue(until),
        Err(exhausted) => ControlFlow::Break(exhausted),
    });
    if let ControlFlow::Break(exhausted) = ended {
        return Err(exhausted);
    }
    found.sort_by_key(|hit| (hit.span.start, hit.span.end));
    Ok(found)
}

impl Branch {
    /// Adds the matches that begin in a range or are under way at its end; gives how far it looked.
    fn all(&self, text: &[u8], range: Range<usize>, steps: &mut Steps, found: &mut Vec<Hit>) -> Result<usize, Exhausted> {
        let mut from = range.start;
        loop {
            let seen = self.pattern.search(text, from, range.end, false);
            steps.take(seen.until - from)?;
            let Some(end) = seen.end else { return Ok(seen.until) };
            let start = self.pattern.start(text, from, end);
            steps.take(end - start)?;
            found.push(Hit { family: self.family, weight: self.weight, span: start..end });
            from = end;
            if from >= range.end {
                return Ok(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use regex::bytes::{Regex, RegexBuilder};

    use super::*;

    fn each_rule() -> Vec<(&'static rules::Rule, Regex)> {
        let plain = |rule: &rules::Rule| RegexBuilder::new(&rule.pattern.replace("{EXT}", SOURCES)).unicode(false).build().unwrap();
        rules::all().map(|rule| (rule, plain(rule))).collect()
    }

    #[test]
    fn every_rule_compiles_and_matches_no_empty_text() {
        for (rule, plain) in each_rule() {
            assert!(!plain.is_match(b""), "{}", rule.pattern);
        }
        assert_eq!(hits(b"", Asked::ALL, &mut Steps::of(0)), Ok(Vec::new()));
    }

    #[test]
    fn automata_stay_small() {
        let sizes: Vec<usize> = compiled().branches.iter().map(|branch| branch.pattern.table_size()).collect();
        let (most, all) = (sizes.iter().max().copied().unwrap_or(0), sizes.iter().sum::<usize>());
        println!("{} patterns, {} strings: {all} bytes of automata, at most {most} each", sizes.len(), compiled().owners.len());
        assert!(most <= 640 << 10 && all <= 24 << 20, "{most} {all}");
    }

    /// Pieces that rules look for, so that random texts of them match often.
    fn pieces() -> Vec<String> {
        let mut pieces: Vec<String> = compiled()
            .branches
            .iter()
            .flat_map(|branch| &branch.pattern.required.strings)
            .map(|(string, _)| String::from_utf8_lossy(string).into_owned())
            .collect();
        let shapes = [
            "at com.acme.Order.find(Order.java:42)",
            "\n",
            " ",
            "\t",
            "File \"/srv/app/a.py\", line 3",
            "10.20.30.40",
            "x",
            "Error",
            "Exception: ",
            "SELECT a, b FROM c ",
            "password=hunter2",
            "/usr/lib/x",
            "C:\\a\\b",
            "http://orders:8080/",
            ":5432",
            "::",
            "A::BError",
            "#0 ",
            "0x7ffdeadbeef",
            "at f (x.js:1:2)",
            "é",
            "\u{0}",
            "(",
            ")",
            "'",
            "a.b.C",
            "KEY=v\n",
            "PATH=/x\n",
            "goroutine 1 [running]:",
            "-----BEGIN RSA PRIVATE KEY-----",
            "aGVsbG8=",
            "localhost",
            ".internal",
            "eyJhbGciOiJI.eyJzdWIi.abc",
        ];
        pieces.extend(shapes.map(str::to_owned));
        pieces
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 400, ..Default::default() })]

        /// The same is found as by each pattern alone on the whole text.
        #[test]
        fn what_a_rule_matches_is_found(chosen in proptest::collection::vec((0usize..10_000, proptest::bool::ANY), 0..14)) {
            static ALL: LazyLock<(Vec<(&'static rules::Rule, Regex)>, Vec<String>)> = LazyLock::new(|| (each_rule(), pieces()));
            let (rules, pieces) = &*ALL;
            let text: String = chosen.iter().map(|(at, upper)| {
                let piece = &pieces[at % pieces.len()];
                if *upper { piece.to_ascii_uppercase() } else { piece.clone() }
            }).collect();
            let found = hits(text.as_bytes(), Asked::ALL, &mut Steps::of(100 * text.len())).unwrap();
            let mut matches = false;
            for (rule, plain) in rules {
                for hit in plain.find_iter(text.as_bytes()) {
                    matches = true;
                    let own = |found: &&Hit| found.family == rule.family && found.weight == rule.weight;
                    let covered = hit.range().all(|at| found.iter().filter(own).any(|found| found.span.contains(&at)));
                    proptest::prop_assert!(covered, "{:?} in {text:?} by {}: {found:?}", hit, rule.pattern);
                }
            }
            proptest::prop_assert_eq!(any(text.as_bytes(), Asked::ALL, &mut Steps::of(100 * text.len())), Ok(matches), "{:?}", text);
            proptest::prop_assert_eq!(matches, !found.is_empty());
        }
    }
}
