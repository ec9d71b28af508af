//! The rules, compiled once into one automaton that says which of them match, and one pattern each that says where.
//!
//! Linear in the input. Bytes without Unicode classes and a large cache of states keep the engine at its table: anything
//! else falls back to a simulation that is ten times slower on hostile text.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::rules::{self, Family, Rule, SOURCES, Weight};

/// Bytes that the states of an automaton may take.
const STATES: usize = 48 << 20;

/// One match of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) family: Family,
    pub(super) weight: Weight,
    /// Bytes of the text that was searched.
    pub(super) span: Range<usize>,
}

struct Compiled {
    rules: Vec<&'static Rule>,
    set: RegexSet,
    each: Vec<OnceLock<Regex>>,
}

/// A rule that does not compile is a bug that the first test shows.
#[allow(clippy::expect_used, reason = "constants of the rules, compiled by every test run")]
fn compiled() -> &'static Compiled {
    static ALL: LazyLock<Compiled> = LazyLock::new(|| {
        let rules: Vec<_> = rules::all().collect();
        let patterns: Vec<String> = rules.iter().map(|rule| source(rule)).collect();
        let set = RegexSetBuilder::new(&patterns).unicode(false).dfa_size_limit(STATES).size_limit(STATES).build().expect("constants");
        let each = rules.iter().map(|_| OnceLock::new()).collect();
        Compiled { rules, set, each }
    });
    &ALL
}

fn source(rule: &Rule) -> String {
    rule.pattern.replace("{EXT}", SOURCES)
}

#[allow(clippy::expect_used, reason = "the set has compiled the same constant")]
fn one(at: usize) -> &'static Regex {
    let all = compiled();
    all.each[at].get_or_init(|| RegexBuilder::new(&source(all.rules[at])).unicode(false).build().expect("a constant"))
}

/// True when any rule matches.
pub(super) fn any(text: &[u8]) -> bool {
    compiled().set.is_match(text)
}

/// True when a rule matches that is not of one of these families.
pub(super) fn any_but(text: &[u8], families: &[Family]) -> bool {
    let all = compiled();
    all.set.matches(text).iter().any(|at| !families.contains(&all.rules[at].family))
}

/// What may be known of a text without its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glance {
    /// No rule that counts in a document matches.
    Clean,
    /// One rule that is enough does.
    Proven,
    /// It depends on how many there are, and where.
    Unclear,
}

/// One look at a text of a document.
pub(super) fn glance(text: &[u8]) -> Glance {
    let all = compiled();
    match all.set.matches(text).iter().map(|at| all.rules[at].weight).max() {
        None | Some(Weight::Hint) => Glance::Clean,
        Some(Weight::Sure) => Glance::Proven,
        Some(Weight::Likely | Weight::Frame) => Glance::Unclear,
    }
}

/// The first `most` matches of every rule but those for markup, in the order of the text.
pub(super) fn hits(text: &[u8], most: usize) -> Vec<Hit> {
    let all = compiled();
    let mut found = Vec::new();
    for at in &all.set.matches(text) {
        let rule = all.rules[at];
        if rule.family != Family::Markup {
            found.extend(one(at).find_iter(text).take(most).map(|hit| Hit { family: rule.family, weight: rule.weight, span: hit.range() }));
        }
    }
    found.sort_by_key(|hit| (hit.span.start, hit.span.end));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_matches_no_empty_text() {
        for at in 0..compiled().rules.len() {
            assert!(!one(at).is_match(b""), "{}", source(compiled().rules[at]));
        }
    }
}
