//! One pattern: where its matches can begin, and the automata that find them.
//!
//! The automata are complete tables, built on first use. Each step is then one look-up for every text. An automaton that is built during
//! the search would be slow for a text that makes it exceed its cache. A search ends as soon as no match is under way, so that the cost of
//! a text is the cost of its candidates. Knows one pattern; `engine` knows the rules.

use std::sync::OnceLock;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind};

use super::required::{Required, is_open, required};

type Table = dense::DFA<Vec<u32>>;

/// A pattern without an alternation at its top.
pub(super) struct Pattern {
    /// The pattern as text, because a parsed pattern takes some kilobytes and most are never needed.
    source: Box<str>,
    pub(super) required: Required,
    forward: OnceLock<Table>,
    reverse: OnceLock<Table>,
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SearchResult {
    /// The end of the match.
    pub(super) end: Option<usize>,
    /// The position up to which the text was searched. No other match begins before it.
    pub(super) until: usize,
}

/// Splits the top-level alternation of `source` into patterns.
///
/// # Errors
/// Returns an error if the source is not a valid pattern or requires no string (a bug in a rule).
pub(super) fn patterns(source: &str) -> Result<Vec<Pattern>, String> {
    let mut choices = Vec::new();
    split(&parsed(source)?, &mut choices);
    let pattern = |syntax: Hir| {
        let required = required(&syntax).ok_or_else(|| format!("nothing is required by {syntax}"))?;
        Ok(Pattern { source: syntax.to_string().into_boxed_str(), required, forward: OnceLock::new(), reverse: OnceLock::new() })
    };
    choices.into_iter().map(pattern).collect()
}

fn parsed(source: &str) -> Result<Hir, String> {
    regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(source).map_err(|error| error.to_string())
}

/// Splits alternations at the start of a pattern, because they determine the required strings and the size of the automaton.
fn split(syntax: &Hir, choices: &mut Vec<Hir>) {
    let bare = |syntax: &Hir| match syntax.kind() {
        HirKind::Capture(capture) => (*capture.sub).clone(),
        _ => syntax.clone(),
    };
    let syntax = bare(syntax);
    match syntax.kind() {
        HirKind::Alternation(parts) => parts.iter().for_each(|part| split(part, choices)),
        HirKind::Concat(parts) => {
            let mut before = Some(0);
            for (at, part) in parts.iter().enumerate() {
                if before.is_none_or(|before| before > 1) {
                    break;
                }
                let part = bare(part);
                let long = part.properties().maximum_len().is_none_or(|most| most > 1);
                if let HirKind::Alternation(own) = part.kind()
                    && is_open(&part)
                    && long
                {
                    for choice in own {
                        let mut whole = parts.clone();
                        whole[at] = choice.clone();
                        split(&Hir::concat(whole), choices);
                    }
                    return;
                }
                before = before.zip(part.properties().maximum_len()).map(|(before, most)| before + most);
            }
            choices.push(syntax.clone());
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Capture(_) => {
            choices.push(syntax.clone());
        }
    }
}

impl Pattern {
    /// Returns the earliest position, not before `floor`, at which a match with the required string at `string` can begin.
    pub(super) fn earliest_start(&self, text: &[u8], string: usize, floor: usize) -> usize {
        let least = self.required.before.map_or(0, |before| string.saturating_sub(before)).max(floor);
        let lead = text[least..string].iter().rev().take_while(|byte| self.required.lead.has(**byte)).count();
        string - lead
    }

    /// Searches for a match from `from` on, until no match is under way at or after `least`. If `earliest` is set, the result is the first
    /// position at which a match is known; otherwise it is the end of the leftmost match.
    pub(super) fn search(&self, text: &[u8], from: usize, least: usize, earliest: bool) -> SearchResult {
        let table = self.forward();
        let mut state = start_state(table, text, from, Anchored::No);
        let mut end = None;
        for (at, byte) in text.iter().enumerate().skip(from) {
            state = table.next_state(state, *byte);
            if !table.is_special_state(state) {
                continue;
            }
            if table.is_match_state(state) {
                // The automaton reports a match one byte late, so that an assertion about the next byte can be decided.
                end = Some(at);
                if earliest {
                    return SearchResult { end, until: at };
                }
            } else if table.is_dead_state(state) {
                return SearchResult { end, until: if end.is_some() { at } else { text.len() } };
            } else if at >= least && table.is_start_state(state) && end.is_none() {
                return SearchResult { end, until: at + 1 };
            }
        }
        if table.is_match_state(table.next_eoi_state(state)) {
            end = Some(text.len());
        }
        SearchResult { end, until: text.len() }
    }

    /// Returns the start of the leftmost match that ends at `end`, not before `from`.
    pub(super) fn match_start(&self, text: &[u8], from: usize, end: usize) -> usize {
        let table = self.reverse();
        let input = Input::new(text).span(from..end).anchored(Anchored::Yes);
        // A search of a complete table cannot fail. Without a start, the whole range is the match.
        table.try_search_rev(&input).ok().flatten().map_or(from, |half| half.offset())
    }

    /// Returns the memory of the automata, in bytes.
    #[cfg(test)]
    pub(super) fn table_size(&self) -> usize {
        self.forward().memory_usage() + self.reverse().memory_usage()
    }

    fn forward(&self) -> &Table {
        let config = dense::Config::new().accelerate(false).specialize_start_states(true).start_kind(StartKind::Unanchored);
        self.forward.get_or_init(|| self.table(config, false))
    }

    fn reverse(&self) -> &Table {
        let config = dense::Config::new().accelerate(false).match_kind(MatchKind::All).start_kind(StartKind::Anchored);
        self.reverse.get_or_init(|| self.table(config, true))
    }

    /// Builds a table. A pattern for which this fails is a bug that every test run finds.
    #[allow(clippy::expect_used, reason = "constants of the rules, compiled by every test run")]
    fn table(&self, config: dense::Config, reverse: bool) -> Table {
        let plain = thompson::Config::new().utf8(false).reverse(reverse).which_captures(thompson::WhichCaptures::None);
        let syntax = parsed(&self.source).expect("a pattern that was parsed before");
        let nfa = thompson::Compiler::new().configure(plain).build_from_hir(&syntax).expect("a constant");
        dense::Builder::new().configure(config).build_from_nfa(&nfa).expect("a constant")
    }
}

#[allow(clippy::expect_used, reason = "a table without bytes that end it has a start for every text")]
fn start_state(table: &Table, text: &[u8], from: usize, anchored: Anchored) -> StateID {
    table.start_state_forward(&Input::new(text).span(from..text.len()).anchored(anchored)).expect("a start")
}
