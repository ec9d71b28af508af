//! Applies the rules to a text: which of them match, and where.
//!
//! Counts the steps of a search. If a text takes more steps than its length allows, the search stops and the caller treats the text as
//! dirty, so that the cost is linear for every text. This file knows no format of a text.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use super::rules::{self, Family, SOURCES, Weight};
pub(super) use super::search::{Exhausted, Steps};
use super::search::{Progress, Search};

/// One match of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) family: Family,
    pub(super) weight: Weight,
    /// The byte range in the searched text.
    pub(super) span: Range<usize>,
}

/// Selects rules by weight and family.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleFilter {
    min_weight: Weight,
    excluded: &'static [Family],
}

impl RuleFilter {
    /// Every rule.
    pub(super) const ALL: Self = Self { min_weight: Weight::Hint, excluded: &[] };
    /// Every rule except those for markup. For the text of a page.
    pub(super) const EXCEPT_MARKUP: Self = Self { min_weight: Weight::Hint, excluded: &[Family::Markup] };
    /// The rules whose matches are evidence in a document.
    pub(super) const EVIDENCE: Self = Self { min_weight: Weight::Likely, excluded: &[Family::Markup] };

    /// Returns a filter of every rule except those of some families.
    pub(super) const fn except(families: &'static [Family]) -> Self {
        Self { min_weight: Weight::Hint, excluded: families }
    }

    fn accepts(&self, (family, weight): &(Family, Weight)) -> bool {
        *weight >= self.min_weight && !self.excluded.contains(family)
    }
}

/// Returns the compiled rules. A rule that does not compile is a bug that every test run finds.
#[allow(clippy::expect_used, reason = "constants of the rules, compiled by every test run")]
fn compiled() -> &'static Search<(Family, Weight)> {
    static ALL: LazyLock<Search<(Family, Weight)>> = LazyLock::new(|| {
        let sources = rules::all().map(|rule| ((rule.family, rule.weight), rule.pattern.replace("{EXT}", SOURCES)));
        Search::new(sources).expect("constants")
    });
    &ALL
}

thread_local! {
    static PROGRESS: RefCell<Progress> = RefCell::default();
}

/// Returns true if any rule within `filter` matches.
///
/// # Errors
/// Returns [`Exhausted`] if the text takes more steps than `steps` allows.
pub(super) fn any(text: &[u8], filter: RuleFilter, steps: &mut Steps) -> Result<bool, Exhausted> {
    PROGRESS.with_borrow_mut(|progress| {
        let ended = compiled().for_each_candidate(
            text,
            progress,
            |tag| filter.accepts(tag),
            |branch, range| match branch.matches(text, range, steps) {
                Ok((false, until)) => ControlFlow::Continue(until),
                Ok((true, _)) => ControlFlow::Break(Ok(true)),
                Err(exhausted) => ControlFlow::Break(Err(exhausted)),
            },
        );
        ended.break_value().unwrap_or(Ok(false))
    })
}

/// Returns the matches of the rules within `filter`, in the order of the text.
///
/// # Errors
/// Returns [`Exhausted`] if the text takes more steps than `steps` allows.
pub(super) fn hits(text: &[u8], filter: RuleFilter, steps: &mut Steps) -> Result<Vec<Hit>, Exhausted> {
    let mut found = Vec::new();
    let ended = PROGRESS.with_borrow_mut(|progress| {
        compiled().for_each_candidate(
            text,
            progress,
            |tag| filter.accepts(tag),
            |branch, range| {
                let (family, weight) = branch.tag;
                match branch.for_each_match(text, range, steps, |span| found.push(Hit { family, weight, span })) {
                    Ok(until) => ControlFlow::Continue(until),
                    Err(exhausted) => ControlFlow::Break(exhausted),
                }
            },
        )
    });
    if let ControlFlow::Break(exhausted) = ended {
        return Err(exhausted);
    }
    found.sort_by_key(|hit| (hit.span.start, hit.span.end));
    Ok(found)
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
        assert_eq!(hits(b"", RuleFilter::ALL, &mut Steps::of(0)), Ok(Vec::new()));
    }

    #[test]
    fn automata_stay_small() {
        let sizes: Vec<usize> = compiled().branches.iter().map(|branch| branch.pattern.table_size()).collect();
        let (most, all) = (sizes.iter().max().copied().unwrap_or(0), sizes.iter().sum::<usize>());
        println!("{} patterns, {} strings: {all} bytes of automata, at most {most} each", sizes.len(), compiled().strings().len());
        assert!(most <= 640 << 10 && all <= 24 << 20, "{most} {all}");
    }

    /// The strings that rules require, so that random texts made of them match often.
    fn pieces() -> Vec<String> {
        let mut pieces: Vec<String> = compiled().strings().map(|string| String::from_utf8_lossy(string).into_owned()).collect();
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

        /// The search finds every match that each pattern alone finds on the whole text.
        #[test]
        fn search_agrees_with_each_pattern(chosen in proptest::collection::vec((0usize..10_000, proptest::bool::ANY), 0..14)) {
            static RULES: LazyLock<Vec<(&'static rules::Rule, Regex)>> = LazyLock::new(each_rule);
            static PIECES: LazyLock<Vec<String>> = LazyLock::new(pieces);
            let (rules, pieces) = (&*RULES, &*PIECES);
            let text: String = chosen.iter().map(|(at, upper)| {
                let piece = &pieces[at % pieces.len()];
                if *upper { piece.to_ascii_uppercase() } else { piece.clone() }
            }).collect();
            let found = hits(text.as_bytes(), RuleFilter::ALL, &mut Steps::of(100 * text.len())).unwrap();
            let mut matches = false;
            for (rule, plain) in rules {
                for hit in plain.find_iter(text.as_bytes()) {
                    matches = true;
                    let own = |found: &&Hit| found.family == rule.family && found.weight == rule.weight;
                    let covered = hit.range().all(|at| found.iter().filter(own).any(|found| found.span.contains(&at)));
                    proptest::prop_assert!(covered, "{:?} in {text:?} by {}: {found:?}", hit, rule.pattern);
                }
            }
            proptest::prop_assert_eq!(any(text.as_bytes(), RuleFilter::ALL, &mut Steps::of(100 * text.len())), Ok(matches), "{:?}", text);
            proptest::prop_assert_eq!(matches, !found.is_empty());
        }
    }
}
