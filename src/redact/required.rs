//! Finds strings that every match of a pattern must contain.
//!
//! A search for a few hundred strings is one pass over a text, however many patterns there are. So each pattern names strings of which
//! every match contains at least one, the maximum distance of such a string from the start of the match, and the bytes that may precede it.
//! Its automaton need only run there. Knows the syntax tree of a pattern, and nothing of the rules.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// The maximum number of strings that one pattern may name.
const MAX_STRINGS: usize = 96;
/// The maximum length of a string, in bytes.
const MAX_LENGTH: usize = 16;
/// The maximum number of byte values for which a class is expanded to strings.
const MAX_CLASS_VALUES: usize = 16;

/// Strings of which every match contains at least one, without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Required {
    /// The strings in lower case, none empty, each with the offset of its anchor (see `strings`). `search` takes them out.
    pub(super) strings: Vec<(Vec<u8>, usize)>,
    /// The maximum number of bytes of a match before the anchor, or `None` if there is no bound.
    pub(super) before: Option<usize>,
    /// The bytes of a match that may occur before the anchor.
    pub(super) lead: Bytes,
}

/// A set of byte values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes([u64; 4]);

impl Bytes {
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }
}

/// The strings known for a part of a pattern, all in lower case.
#[derive(Clone, Default)]
struct Part {
    /// All strings that the part matches, if these are few.
    exact: Option<Vec<Vec<u8>>>,
    /// The strings with which every match starts, and those with which every match ends.
    heads: Option<Vec<Vec<u8>>>,
    tails: Option<Vec<Vec<u8>>>,
    /// The most selective required strings within the part.
    required: Option<Required>,
}

impl Part {
    fn exact(strings: Vec<Vec<u8>>) -> Self {
        Self { exact: Some(strings), ..Self::default() }
    }

    fn heads(&self) -> Option<&Vec<Vec<u8>>> {
        self.exact.as_ref().or(self.heads.as_ref())
    }

    fn tails(&self) -> Option<&Vec<Vec<u8>>> {
        self.exact.as_ref().or(self.tails.as_ref())
    }

    fn best(self) -> Option<Required> {
        let Self { exact, heads, required, .. } = self;
        [required, exact.or(heads).and_then(|strings| candidate(strings, Some(0), Bytes::default()))]
            .into_iter()
            .flatten()
            .max_by(|one, other| selectivity(one).total_cmp(&selectivity(other)))
    }
}

/// Returns the most selective strings that every match of `pattern` contains, or `None` if there are none.
pub(super) fn required(pattern: &Hir) -> Option<Required> {
    analyze(pattern).best()
}

impl Required {
    /// Sets the anchor of each string to what `anchor` returns. The bytes of the string before the anchor are added to `lead`.
    pub(super) fn set_anchors(&mut self, anchor_of: impl Fn(&[u8]) -> usize) {
        let mut skipped = 0;
        for (string, anchor) in &mut self.strings {
            *anchor = anchor_of(string);
            skipped = skipped.max(*anchor);
            for byte in &string[..*anchor] {
                self.lead.add(*byte);
                self.lead.add(byte.to_ascii_uppercase());
            }
        }
        self.before = sum(self.before, Some(skipped));
    }
}

/// Returns the bytes that a match may contain.
pub(super) fn alphabet(pattern: &Hir) -> Bytes {
    let mut bytes = Bytes::default();
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| bytes.add(*byte)),
        HirKind::Class(class) => bytes_of(class).for_each(|byte| bytes.add(byte)),
        HirKind::Repetition(repetition) => bytes = alphabet(&repetition.sub),
        HirKind::Capture(capture) => bytes = alphabet(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            bytes = parts.iter().map(alphabet).fold(bytes, Bytes::union);
        }
    }
    bytes
}

fn bytes_of(class: &Class) -> impl Iterator<Item = u8> + '_ {
    let ranges: Vec<(u8, u8)> = match class {
        Class::Bytes(bytes) => bytes.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        // Patterns are compiled for bytes, so a class of characters is ASCII.
        Class::Unicode(characters) => characters
            .ranges()
            .iter()
            .map(|range| (u8::try_from(range.start()).unwrap_or(u8::MAX), u8::try_from(range.end()).unwrap_or(u8::MAX)))
            .collect(),
    };
    ranges.into_iter().flat_map(|(start, end)| start..=end)
}

fn analyze(pattern: &Hir) -> Part {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::exact(vec![Vec::new()]),
        HirKind::Literal(literal) => Part::exact(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => {
            let mut values: Vec<Vec<u8>> = bytes_of(class).map(|byte| vec![byte.to_ascii_lowercase()]).collect();
            values.sort();
            values.dedup();
            if values.len() <= MAX_CLASS_VALUES { Part::exact(values) } else { Part::default() }
        }
        HirKind::Capture(capture) => analyze(&capture.sub),
        HirKind::Repetition(repetition) => analyze_repetition(repetition),
        HirKind::Concat(parts) => analyze_concat(parts),
        HirKind::Alternation(parts) => analyze_alternation(parts),
    }
}

fn analyze_repetition(repetition: &Repetition) -> Part {
    let sub = analyze(&repetition.sub);
    if let (Some(exact), Some(most)) = (&sub.exact, repetition.max.filter(|max| *max <= 4)) {
        let powers = (repetition.min..=most).map(|count| (0..count).try_fold(vec![Vec::new()], |power, _| product(&power, exact)));
        if let Some(all) = powers.collect::<Option<Vec<_>>>().map(|powers| set(powers.concat())).filter(|all| all.len() <= MAX_STRINGS) {
            return Part::exact(all);
        }
    }
    if repetition.min == 0 {
        return Part::default();
    }
    let (heads, tails) = (sub.heads().cloned(), sub.tails().cloned());
    let once = repetition.max == Some(1);
    Part {
        exact: None,
        heads,
        tails,
        required: sub.best().map(|found| if once { found } else { Required { before: None, lead: alphabet(&repetition.sub), ..found } }),
    }
}

fn analyze_alternation(parts: &[Hir]) -> Part {
    let parts: Vec<Part> = parts.iter().map(analyze).collect();
    let union = |of: fn(&Part) -> Option<&Vec<Vec<u8>>>| {
        let all: Option<Vec<_>> = parts.iter().map(|part| of(part).cloned()).collect();
        all.map(|all| set(all.concat())).filter(|all| all.len() <= MAX_STRINGS)
    };
    if let Some(all) = union(|part| part.exact.as_ref()) {
        return Part::exact(all);
    }
    let (heads, tails) = (union(Part::heads), union(Part::tails));
    let each: Option<Vec<Required>> = parts.into_iter().map(Part::best).collect();
    let required = each.and_then(|each| {
        let before = each.iter().map(|found| found.before).try_fold(0, |most, before| before.map(|before| most.max(before)));
        let lead = each.iter().map(|found| found.lead).fold(Bytes::default(), Bytes::union);
        candidate(each.into_iter().flat_map(|found| found.strings).map(|(string, _)| string).collect(), before, lead)
    });
    Part { exact: None, heads, tails, required }
}

fn analyze_concat(parts: &[Hir]) -> Part {
    let mut candidates: Vec<Required> = Vec::new();
    let mut whole_head = None;
    // The strings that end at the current position, and what may precede them.
    let (mut run, mut run_before, mut run_lead) = (vec![Vec::new()], Some(0), Bytes::default());
    let (mut length, mut lead) = (Some(0usize), Bytes::default());
    let mut exact = true;
    for hir in parts {
        let part = analyze(hir);
        let most = hir.properties().maximum_len();
        let longer = part.exact.as_ref().and_then(|strings| product(&run, strings));
        if let Some(longer) = longer {
            run = longer;
        } else {
            exact = false;
            // The heads of this part continue the strings before it.
            let touching = part.heads().and_then(|heads| product(&run, heads)).unwrap_or_else(|| run.clone());
            whole_head.get_or_insert_with(|| touching.clone());
            candidates.extend(candidate(touching, run_before, run_lead));
            candidates.extend(candidate(std::mem::replace(&mut run, vec![Vec::new()]), run_before, run_lead));
            candidates.extend(part.required.clone().map(|found| Required {
                before: sum(length, found.before),
                lead: lead.union(found.lead),
                ..found
            }));
            (run_before, run_lead) = (sum(length, most), lead.union(alphabet(hir)));
            if let Some(tails) = part.tails() {
                run = tails.clone();
            }
        }
        (length, lead) = (sum(length, most), lead.union(alphabet(hir)));
    }
    if exact {
        return Part::exact(run);
    }
    candidates.extend(candidate(run.clone(), run_before, run_lead));
    let heads = whole_head.filter(|heads| heads.iter().all(|head| !head.is_empty()));
    let tails = Some(run).filter(|tails| tails.iter().all(|tail| !tail.is_empty()));
    Part {
        exact: None,
        heads,
        tails,
        required: candidates.into_iter().max_by(|one, other| selectivity(one).total_cmp(&selectivity(other))),
    }
}

fn sum(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.zip(other).map(|(one, other)| one + other)
}

/// Returns each of `heads` followed by each of `tails`, or `None` if these are too many.
fn product(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if heads.len() * tails.len() > MAX_STRINGS {
        return None;
    }
    let mut all: Vec<Vec<u8>> = heads.iter().flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat())).collect();
    all.sort();
    all.dedup();
    Some(all)
}

fn candidate(mut strings: Vec<Vec<u8>>, before: Option<usize>, lead: Bytes) -> Option<Required> {
    strings.iter_mut().for_each(|string| string.truncate(MAX_LENGTH));
    let mut strings = set(strings);
    // What contains a longer string contains its beginning, which comes before it.
    strings.dedup_by(|longer, string| longer.starts_with(string));
    let strings: Vec<(Vec<u8>, usize)> = strings.into_iter().map(|string| (string, 0)).collect();
    (!strings.is_empty() && strings.len() <= 4 * MAX_STRINGS && strings.iter().all(|(string, _)| !string.is_empty())).then_some(Required {
        strings,
        before,
        lead,
    })
}

fn set(mut strings: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    strings.sort();
    strings.dedup();
    strings
}

/// Returns the selectivity of the strings in bits: the more bits, the less often the automaton runs.
fn selectivity(required: &Required) -> f64 {
    // The automaton also reads the bytes before a string: a run of `lead` bytes of the expected length.
    let plain = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    let share = |bytes: &mut dyn Iterator<Item = u8>| bytes.map(frequency).sum::<f64>();
    let within = share(&mut (0..=u8::MAX).filter(plain).filter(|byte| required.lead.has(*byte))) / share(&mut (0..=u8::MAX).filter(plain));
    let run = required.before.map_or(f64::INFINITY, |before| before as f64).min(1.0 / (1.0 - within).max(0.005));
    -required.strings.iter().map(|(string, _)| probability(string)).sum::<f64>().log2() - (8.0 + run).log2()
}

/// Returns the probability that a string occurs at a given position of a text.
pub(super) fn probability(string: &[u8]) -> f64 {
    string.iter().map(|byte| frequency(*byte) / 1000.0).product()
}

/// Returns the frequency of a byte in prose and program output, with letters in either case, per thousand.
pub(super) fn frequency(byte: u8) -> f64 {
    match byte.to_ascii_lowercase() {
        b' ' => 150.0,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 70.0,
        b'h' | b'd' | b'l' | b'u' | b'c' | b'm' | b'f' | b'p' | b'g' => 30.0,
        b'a'..=b'z' => 12.0,
        b'0'..=b'9' | b'.' | b',' | b'"' | b'/' | b':' | b'-' | b'_' | b'\n' => 10.0,
        _ => 4.0,
    }
}

/// Returns true if the pattern matches more than a few fixed strings.
pub(super) fn is_open(pattern: &Hir) -> bool {
    analyze(pattern).exact.is_none()
}
