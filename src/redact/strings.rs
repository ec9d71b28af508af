//! Finds the occurrences of several thousand strings in a text, in one pass and without regard to ASCII case.
//!
//! The rarest three bytes of a string are its anchor. In a folded alphabet of 64 letters, an anchor is a number of 18 bits, and a set of
//! such numbers takes 32 KiB and stays in the L1 cache. Every text takes about one nanosecond per byte, whereas an automaton over all
//! strings would take megabytes. Knows nothing of patterns.

use std::ops::{ControlFlow, Range};

/// The number of letters in the folded alphabet.
const LETTERS: usize = 64;
/// The number of sequences of three letters.
const TRIPLES: usize = LETTERS * LETTERS * LETTERS;

/// The number of pairs of bytes.
const PAIRS: usize = 256 * 256;
/// The number of pairs in anchors from which on looking at pairs first costs more than it spares.
const SPARSE: u32 = 512;

/// A set of strings. The number of a string is its index in the list from which the set was made.
pub(super) struct Strings {
    fold: [u8; 256],
    /// The triples that are the anchor of a string, or start with an anchor of one or two bytes.
    starts: Box<[u64; TRIPLES / 64]>,
    /// True for each pair of bytes with which an anchor may start or end. A byte each, as that is one look-up without a shift; the pairs
    /// of a text share few cache lines. `None` if too many pairs are in anchors.
    pairs_of_bytes: Option<Box<[bool; PAIRS]>>,
    /// The numbers of the strings, sorted by anchor, and the range of each anchor in them.
    singles: Vec<Range16>,
    pairs: Vec<Range16>,
    triples: Triples,
    order: Vec<u16>,
    strings: Vec<(Box<[u8]>, u8)>,
}

type Range16 = (u16, u16);

/// The strings with each anchor of three letters. The index of a range is the number of smaller triples in the set.
#[derive(Default)]
struct Triples {
    set: Vec<u64>,
    /// The number of triples before each word of the set.
    before: Vec<u16>,
    ranges: Vec<Range16>,
}

impl Strings {
    /// Makes a set of at most 65,535 strings of at most 255 bytes. Each is in lower case, not empty, and comes with the offset of its
    /// anchor, which is shorter than three bytes only at the end of the string.
    pub(super) fn new(strings: Vec<(Vec<u8>, usize)>) -> Self {
        let fold = fold();
        let mut set = Self {
            fold,
            starts: Box::new([0; TRIPLES / 64]),
            pairs_of_bytes: None,
            singles: vec![(0, 0); LETTERS],
            pairs: vec![(0, 0); LETTERS * LETTERS],
            triples: Triples { set: vec![0; TRIPLES / 64], ..Triples::default() },
            order: (0..strings.len() as u16).collect(),
            strings: strings.into_iter().map(|(string, anchor)| (string.into_boxed_slice(), anchor as u8)).collect(),
        };
        let anchor_of = |(string, anchor): &(Box<[u8]>, u8)| {
            let bytes = &string[usize::from(*anchor)..];
            (bytes.len().min(3), bytes.iter().take(3).fold(0, |number, byte| number * LETTERS + usize::from(fold[usize::from(*byte)])))
        };
        let strings = &set.strings;
        set.order.sort_by_key(|at| anchor_of(&strings[usize::from(*at)]));
        let mut from = 0;
        while from < set.order.len() {
            let (length, number) = anchor_of(&set.strings[usize::from(set.order[from])]);
            let same = set.order[from..].iter().take_while(|at| anchor_of(&set.strings[usize::from(**at)]) == (length, number)).count();
            let range = (from as u16, (from + same) as u16);
            let (span, shift) = match length {
                1 => (LETTERS * LETTERS, 12),
                2 => (LETTERS, 6),
                _ => (1, 0),
            };
            for triple in (number << shift)..(number << shift) + span {
                set.starts[triple / 64] |= 1 << (triple % 64);
            }
            match length {
                1 => set.singles[number] = range,
                2 => set.pairs[number] = range,
                _ => {
                    set.triples.set[number / 64] |= 1 << (number % 64);
                    set.triples.ranges.push(range);
                }
            }
            from += same;
        }
        set.pairs_of_bytes = pairs_of_bytes(&set.starts, &fold);
        let mut before = 0;
        for word in &set.triples.set {
            set.triples.before.push(before);
            before += word.count_ones() as u16;
        }
        set
    }

    /// Returns the number of bytes of a string from its anchor on.
    pub(super) fn len_from_anchor(&self, string: u16) -> usize {
        let (bytes, anchor) = &self.strings[usize::from(string)];
        bytes.len() - usize::from(*anchor)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.strings.iter().map(|(string, _)| &**string)
    }

    /// Calls `found` for each occurrence of a string with the position of its anchor and its number, in the order of the positions.
    pub(super) fn for_each_match<B>(&self, text: &[u8], found: impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        match &self.pairs_of_bytes {
            Some(pairs) => self.look_at_pairs(text, pairs, found),
            None => self.look_at_triples(text, found),
        }
    }

    /// Searches for few strings: an anchor of three bytes has a pair at every second position, wherever it starts, and most pairs of a text
    /// are in no anchor.
    fn look_at_pairs<B>(&self, text: &[u8], pairs: &[bool; PAIRS], mut found: impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        let (all, _) = text.as_chunks::<2>();
        let (groups, rest) = all.as_chunks::<4>();
        let is_in_anchor = |pair: &[u8; 2]| pairs[usize::from(u16::from_le_bytes(*pair))];
        for (index, [a, b, c, d]) in groups.iter().enumerate() {
            // One branch for four pairs.
            if !(is_in_anchor(a) | is_in_anchor(b) | is_in_anchor(c) | is_in_anchor(d)) {
                continue;
            }
            for (pair, at) in [a, b, c, d].into_iter().zip((8 * index..).step_by(2)) {
                if is_in_anchor(pair) {
                    self.look_at_pair(text, at, &mut found)?;
                }
            }
        }
        for (pair, at) in rest.iter().zip((8 * groups.len()..).step_by(2)) {
            if is_in_anchor(pair) {
                self.look_at_pair(text, at, &mut found)?;
            }
        }
        // The last pair tells of the positions up to its own.
        let looked_at = (text.len() / 2 * 2).saturating_sub(1);
        self.look_at(text, looked_at..text.len(), &mut found)
    }

    /// Calls `found` for the strings whose anchor starts or ends with the pair at `at`: it starts there or one byte before.
    #[inline(never)]
    fn look_at_pair<B>(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        let Some(&[first, second, third, fourth]) = at.checked_sub(1).and_then(|before| text.get(before..)?.first_chunk()) else {
            return self.look_at(text, at.saturating_sub(1)..at + 1, found);
        };
        let letter = |byte: u8| usize::from(self.fold[usize::from(byte)]);
        let pair = letter(second) * LETTERS + letter(third);
        let before = (letter(first) * LETTERS * LETTERS + pair) % TRIPLES;
        let here = (pair * LETTERS + letter(fourth)) % TRIPLES;
        if self.is_start(before) {
            self.report_at(text, at - 1, before, found)?;
        }
        if self.is_start(here) {
            self.report_at(text, at, here, found)?;
        }
        ControlFlow::Continue(())
    }

    /// Returns true if an anchor may start with this triple.
    #[inline]
    fn is_start(&self, triple: usize) -> bool {
        self.starts[triple / 64] >> (triple % 64) & 1 == 1
    }

    /// Searches for many strings: looks at the triple at every position.
    fn look_at_triples<B>(&self, text: &[u8], mut found: impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        let (fold, starts) = (&self.fold, &*self.starts);
        let next = |number: usize, letter: u8| (number * LETTERS + usize::from(letter)) % TRIPLES;
        let (first, tail) = text.split_at(text.len().min(2));
        let mut number = first.iter().fold(0, |number, byte| next(number, fold[usize::from(*byte)]));
        for (start, byte) in tail.iter().enumerate() {
            number = next(number, fold[usize::from(*byte)]);
            if starts[number / 64] >> (number % 64) & 1 == 1 {
                self.report_at(text, start, number, &mut found)?;
            }
        }
        self.look_at(text, tail.len()..text.len(), &mut found)
    }

    /// Calls `found` for the strings whose anchor is at one of these positions.
    #[inline(never)]
    fn look_at<B>(&self, text: &[u8], at: Range<usize>, found: &mut impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        for start in at {
            // Behind the end of the text, letter 0 fills the rest; `matches_at` rejects false candidates.
            let letter = |at: usize| text.get(at).map_or(0, |byte| usize::from(self.fold[usize::from(*byte)]));
            let number = (letter(start) * LETTERS + letter(start + 1)) * LETTERS + letter(start + 2);
            if self.is_start(number) {
                self.report_at(text, start, number, found)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Calls `found` for the strings whose anchor is at `at`.
    #[inline(never)]
    fn report_at<B>(&self, text: &[u8], at: usize, number: usize, found: &mut impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        for (from, to) in [self.singles[number / (LETTERS * LETTERS)], self.pairs[number / LETTERS], self.triples.of(number)] {
            for string in &self.order[usize::from(from)..usize::from(to)] {
                if self.matches_at(*string, text, at) {
                    found(at, *string)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Returns true if this string occurs in the text with its anchor at `at`.
    fn matches_at(&self, string: u16, text: &[u8], at: usize) -> bool {
        let (bytes, anchor) = &self.strings[usize::from(string)];
        let first = at.checked_sub(usize::from(*anchor));
        let part = first.and_then(|first| text.get(first..first + bytes.len()));
        part.is_some_and(|part| part.eq_ignore_ascii_case(bytes))
    }
}

impl Triples {
    fn of(&self, number: usize) -> Range16 {
        let word = self.set[number / 64];
        if word >> (number % 64) & 1 == 0 {
            return (0, 0);
        }
        let below = word & ((1 << (number % 64)) - 1);
        self.ranges[usize::from(self.before[number / 64]) + below.count_ones() as usize]
    }
}

/// Returns for each pair of bytes, as a little-endian number, whether it starts or ends one of these triples of letters. `None` if many do.
fn pairs_of_bytes(triples: &[u64; TRIPLES / 64], fold: &[u8; 256]) -> Option<Box<[bool; PAIRS]>> {
    let (mut starts, mut ends) = ([0u64; LETTERS], [0u64; LETTERS]);
    // A word of the set has the third letters of one pair.
    for (pair, thirds) in triples.iter().enumerate().filter(|(_, thirds)| **thirds != 0) {
        let (first, second) = (pair / LETTERS, pair % LETTERS);
        starts[first] |= 1 << second;
        ends[second] |= thirds;
    }
    if starts.iter().zip(&ends).map(|(starts, ends)| (starts | ends).count_ones()).sum::<u32>() >= SPARSE {
        return None;
    }
    let mut pairs = Box::new([false; PAIRS]);
    for (number, is_in_anchor) in pairs.iter_mut().enumerate() {
        let [first, second] = (number as u16).to_le_bytes().map(|byte| usize::from(fold[usize::from(byte)]));
        *is_in_anchor = (starts[first] | ends[first]) >> second & 1 == 1;
    }
    Some(pairs)
}

/// Returns the letter of each byte. Bytes that are common in strings have a letter each; the others share one.
fn fold() -> [u8; 256] {
    let mut fold = [0; 256];
    for (at, letter) in fold.iter_mut().enumerate() {
        let byte = (at as u8).to_ascii_lowercase();
        *letter = match byte {
            b'a'..=b'z' => 1 + byte - b'a',
            b'0'..=b'9' => 27 + byte - b'0',
            b' '..=b'/' => 37 + byte - b' ',
            b':'..=b'@' => 53 + byte - b':',
            b'[' | b'{' => 60,
            b'\\' | b'|' => 61,
            b']' | b'}' | b'`' => 62,
            b'_' => 63,
            128.. => byte & 63,
            _ => 0,
        };
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(strings: &[&str], text: &str) -> Vec<(usize, u16)> {
        let anchor = |string: &str| string.len().saturating_sub(3).min(2);
        let strings = Strings::new(strings.iter().map(|string| (string.as_bytes().to_vec(), anchor(string))).collect());
        let mut all = Vec::new();
        let done: ControlFlow<()> = strings.for_each_match(text.as_bytes(), |at, string| {
            all.push((at, string));
            ControlFlow::Continue(())
        });
        assert!(done.is_continue());
        all
    }

    #[test]
    fn strings_of_any_length_are_found_at_their_anchors() {
        assert_eq!(found(&["::", "a", "at line", "lin"], "x::A at LINE"), [(1, 0), (3, 1), (5, 1), (7, 2), (8, 3)]);
        assert_eq!(found(&["abc"], "ab"), []);
        assert_eq!(found(&["a"], ""), []);
        assert_eq!(found(&["[x", "{y"], "{x[x{y"), [(2, 0), (4, 1)]);
    }

    proptest::proptest! {
        #[test]
        fn every_occurrence_is_found(
            short in proptest::collection::btree_set("[ab:_{ ]{1,2}", 0..3),
            long in proptest::collection::btree_set("[ab:_{ ]{3,5}", 1..9),
            text in "[aAb:_{\\[ \u{e4}]{0,40}",
        ) {
            // Without short strings, most sets are sparse.
            let strings: std::collections::BTreeSet<String> = short.into_iter().chain(long).collect();
            let strings: Vec<&str> = strings.iter().map(String::as_str).collect();
            let mut expected: Vec<(usize, u16)> = Vec::new();
            let lower = text.to_ascii_lowercase();
            for (number, string) in strings.iter().enumerate() {
                let starts = (0..lower.len()).filter(|at| lower.as_bytes()[*at..].starts_with(string.as_bytes()));
                expected.extend(starts.map(|at| (at + string.len().saturating_sub(3).min(2), number as u16)));
            }
            let mut found = found(&strings, &text);
            proptest::prop_assert!(found.is_sorted_by_key(|(at, _)| *at));
            found.sort_unstable();
            expected.sort_unstable();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
