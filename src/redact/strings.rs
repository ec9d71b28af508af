//! Finds which of some thousand strings stand where in a text, in one pass and without regard to ASCII case.
//!
//! Three bytes of a string (its rarest), in a folded alphabet of 64 letters, are a number of 18 bits; a set of such numbers is 32 KiB and
//! stays in the first cache. A text is read at about a nanosecond a byte whatever it holds, where an automaton over all strings would take
//! megabytes. Knows nothing of patterns.

use std::ops::ControlFlow;

/// Letters of the folded alphabet.
const LETTERS: usize = 64;
/// Numbers of three letters.
const TRIPLES: usize = LETTERS * LETTERS * LETTERS;

/// Strings to find. Their numbers are those of the list they were made of.
pub(super) struct Strings {
    fold: [u8; 256],
    /// Triples that begin a string, or begin with a shorter one.
    begins: Box<[u64; TRIPLES / 64]>,
    /// Numbers of strings in the order of their first letters, and where those of each beginning are.
    singles: Vec<Range16>,
    pairs: Vec<Range16>,
    triples: Triples,
    order: Vec<u16>,
    strings: Vec<(Box<[u8]>, u8)>,
}

type Range16 = (u16, u16);

/// The strings of each triple, found by counting the triples before it.
#[derive(Default)]
struct Triples {
    set: Vec<u64>,
    /// Triples before each word of the set.
    before: Vec<u16>,
    ranges: Vec<Range16>,
}

impl Strings {
    /// Takes strings in lower case, none of them empty, each with the place of the three bytes (or what is there of them) by which it is
    /// found. There may be 65,535 of at most 255 bytes.
    pub(super) fn new(strings: Vec<(Vec<u8>, usize)>) -> Self {
        let fold = fold();
        let mut made = Self {
            fold,
            begins: Box::new([0; TRIPLES / 64]),
            singles: vec![(0, 0); LETTERS],
            pairs: vec![(0, 0); LETTERS * LETTERS],
            triples: Triples { set: vec![0; TRIPLES / 64], ..Triples::default() },
            order: (0..strings.len() as u16).collect(),
            strings: strings.into_iter().map(|(string, place)| (string.into_boxed_slice(), place as u8)).collect(),
        };
        let beginning = |(string, place): &(Box<[u8]>, u8)| {
            let bytes = &string[usize::from(*place)..];
            (bytes.len().min(3), bytes.iter().take(3).fold(0, |number, byte| number * LETTERS + usize::from(fold[usize::from(*byte)])))
        };
        let strings = &made.strings;
        made.order.sort_by_key(|at| beginning(&strings[usize::from(*at)]));
        let mut from = 0;
        while from < made.order.len() {
            let (length, number) = beginning(&made.strings[usize::from(made.order[from])]);
            let same = made.order[from..].iter().take_while(|at| beginning(&made.strings[usize::from(**at)]) == (length, number)).count();
            let range = (from as u16, (from + same) as u16);
            let (span, shift) = match length {
                1 => (LETTERS * LETTERS, 12),
                2 => (LETTERS, 6),
                _ => (1, 0),
            };
            for triple in (number << shift)..(number << shift) + span {
                made.begins[triple / 64] |= 1 << (triple % 64);
            }
            match length {
                1 => made.singles[number] = range,
                2 => made.pairs[number] = range,
                _ => {
                    made.triples.set[number / 64] |= 1 << (number % 64);
                    made.triples.ranges.push(range);
                }
            }
            from += same;
        }
        let mut before = 0;
        for word in &made.triples.set {
            made.triples.before.push(before);
            before += word.count_ones() as u16;
        }
        made
    }

    /// Bytes of a string from its place on.
    pub(super) fn rest(&self, string: u16) -> usize {
        let (own, place) = &self.strings[usize::from(string)];
        own.len() - usize::from(*place)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.strings.iter().map(|(string, _)| &**string)
    }

    /// Tells of every string in the text: where its place is and its number, in the order of these places.
    pub(super) fn each<B>(&self, text: &[u8], mut found: impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        let (fold, begins) = (&self.fold, &*self.begins);
        let next = |number: usize, letter: u8| (number * LETTERS + usize::from(letter)) % TRIPLES;
        let is_there = |number: usize| begins[number / 64] >> (number % 64) & 1 == 1;
        let (first, rest) = text.split_at(text.len().min(2));
        let mut number = first.iter().fold(0, |number, byte| next(number, fold[usize::from(*byte)]));
        for (start, byte) in rest.iter().enumerate() {
            number = next(number, fold[usize::from(*byte)]);
            if is_there(number) {
                self.all_at(text, start, number, &mut found)?;
            }
        }
        // The last places have fewer bytes than three: the letter of no string fills them up.
        if first.len() == 1 {
            number = next(number, 0);
        }
        for start in rest.len()..text.len() {
            number = next(number, 0);
            if is_there(number) {
                self.all_at(text, start, number, &mut found)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Tells of the strings whose place is here.
    #[inline(never)]
    fn all_at<B>(&self, text: &[u8], at: usize, number: usize, found: &mut impl FnMut(usize, u16) -> ControlFlow<B>) -> ControlFlow<B> {
        for (from, to) in [self.singles[number / (LETTERS * LETTERS)], self.pairs[number / LETTERS], self.triples.of(number)] {
            for string in &self.order[usize::from(from)..usize::from(to)] {
                if self.stands(*string, text, at) {
                    found(at, *string)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Does this string stand in the text with its place at `at`?
    fn stands(&self, string: u16, text: &[u8], at: usize) -> bool {
        let (own, place) = &self.strings[usize::from(string)];
        let first = at.checked_sub(usize::from(*place));
        let part = first.and_then(|first| text.get(first..first + own.len()));
        part.is_some_and(|part| part.eq_ignore_ascii_case(own))
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

/// Letters of bytes: those that strings hold often have one of their own, the others share.
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
        let place = |string: &str| string.len().saturating_sub(3).min(2);
        let strings = Strings::new(strings.iter().map(|string| (string.as_bytes().to_vec(), place(string))).collect());
        let mut all = Vec::new();
        let done: ControlFlow<()> = strings.each(text.as_bytes(), |at, string| {
            all.push((at, string));
            ControlFlow::Continue(())
        });
        assert!(done.is_continue());
        all
    }

    #[test]
    fn strings_of_any_length_are_found_at_their_places() {
        assert_eq!(found(&["::", "a", "at line", "lin"], "x::A at LINE"), [(1, 0), (3, 1), (5, 1), (7, 2), (8, 3)]);
        assert_eq!(found(&["abc"], "ab"), []);
        assert_eq!(found(&["a"], ""), []);
        assert_eq!(found(&["[x", "{y"], "{x[x{y"), [(2, 0), (4, 1)]);
    }

    proptest::proptest! {
        #[test]
        fn each_is_found_wherever_it_stands(strings in proptest::collection::btree_set("[ab:_{ ]{1,5}", 1..12), text in "[aAb:_{\\[ \u{e4}]{0,40}") {
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
