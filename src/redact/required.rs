//! Which bytes a pattern cannot match without.
//!
//! A search for a few hundred byte strings is one pass over a text, however many patterns there are. So each pattern names strings one of
//! which stands in every match of it, how far before them a match may begin, and which bytes a match can hold: that is where, and only
//! where, its automaton has to look. Knows the syntax tree of a pattern and nothing of the rules.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Strings that one pattern may name.
const MAX_STRINGS: usize = 96;
/// The longest string that is named, in bytes.
const MAX_LENGTH: usize = 16;
/// Values of a byte that are told apart.
const MAX_CLASS: usize = 16;

/// Strings, without regard to ASCII case, one of which is in every match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Required {
    /// In lower case, none of them empty; with the place in each by which it is found. `search` takes them out.
    pub(super) strings: Vec<(Vec<u8>, usize)>,
    /// The most bytes of a match that stand before that place; `None` when there is no bound.
    pub(super) before: Option<usize>,
    /// The bytes that may stand there.
    pub(super) lead: Bytes,
}

/// A set of values of a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes([u64; 4]);

impl Bytes {
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }
}

/// What is known of a part of a pattern. All strings are in lower case.
#[derive(Clone, Default)]
struct Part {
    /// Every string that it matches, when these are few.
    exact: Option<Vec<Vec<u8>>>,
    /// Strings one of which every match begins with, and one of which every match ends with.
    heads: Option<Vec<Vec<u8>>>,
    tails: Option<Vec<Vec<u8>>>,
    /// The best strings within.
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
        [required, exact.or(heads).and_then(|strings| whole(strings, Some(0), Bytes::default()))]
            .into_iter()
            .flatten()
            .max_by(|one, other| value(one).total_cmp(&value(other)))
    }
}

/// The strings that `pattern` cannot match without, by the best choice; `None` when there is no choice.
pub(super) fn required(pattern: &Hir) -> Option<Required> {
    part(pattern).best()
}

impl Required {
    /// Chooses in each string the three bytes by which it is found: the rarest, where `shared` says in how many strings some bytes stand.
    /// What stands before them belongs to the lead.
    pub(super) fn place(&mut self, shared: impl Fn(&[u8]) -> usize) {
        let cost = |bytes: &[u8]| chance(bytes) * shared(bytes) as f64;
        let mut skipped = 0;
        for (string, place) in &mut self.strings {
            let parts = triples(string).enumerate();
            *place = parts.min_by(|(_, one), (_, other)| cost(one).total_cmp(&cost(other))).map_or(0, |(at, _)| at);
            skipped = skipped.max(*place);
            for byte in &string[..*place] {
                self.lead.add(*byte);
                self.lead.add(byte.to_ascii_uppercase());
            }
        }
        self.before = sum(self.before, Some(skipped));
    }
}

/// Each three bytes of a string; a shorter one is all that there is.
pub(super) fn triples(string: &[u8]) -> impl Iterator<Item = &[u8]> {
    string.windows(3.min(string.len()))
}

/// The bytes that a match may hold.
pub(super) fn alphabet(pattern: &Hir) -> Bytes {
    let mut held = Bytes::default();
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| held.add(*byte)),
        HirKind::Class(class) => bytes_of(class).for_each(|byte| held.add(byte)),
        HirKind::Repetition(repetition) => held = alphabet(&repetition.sub),
        HirKind::Capture(capture) => held = alphabet(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            held = parts.iter().map(alphabet).fold(held, Bytes::with);
        }
    }
    held
}

fn bytes_of(class: &Class) -> impl Iterator<Item = u8> + '_ {
    let ranges: Vec<(u8, u8)> = match class {
        Class::Bytes(bytes) => bytes.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        // Patterns are compiled for bytes, so that a class of characters is one of ASCII.
        Class::Unicode(characters) => characters
            .ranges()
            .iter()
            .map(|range| (u8::try_from(range.start()).unwrap_or(u8::MAX), u8::try_from(range.end()).unwrap_or(u8::MAX)))
            .collect(),
    };
    ranges.into_iter().flat_map(|(start, end)| start..=end)
}

fn part(pattern: &Hir) -> Part {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::exact(vec![Vec::new()]),
        HirKind::Literal(literal) => Part::exact(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => {
            let mut values: Vec<Vec<u8>> = bytes_of(class).map(|byte| vec![byte.to_ascii_lowercase()]).collect();
            values.sort();
            values.dedup();
            if values.len() <= MAX_CLASS { Part::exact(values) } else { Part::default() }
        }
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Concat(parts) => concatenated(parts),
        HirKind::Alternation(parts) => alternated(parts),
    }
}

fn repeated(repetition: &Repetition) -> Part {
    let sub = part(&repetition.sub);
    if let (Some(exact), Some(most)) = (&sub.exact, repetition.max.filter(|max| *max <= 4)) {
        let powers = (repetition.min..=most).map(|count| (0..count).try_fold(vec![Vec::new()], |power, _| crossed(&power, exact)));
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

fn alternated(parts: &[Hir]) -> Part {
    let parts: Vec<Part> = parts.iter().map(part).collect();
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
        let lead = each.iter().map(|found| found.lead).fold(Bytes::default(), Bytes::with);
        whole(each.into_iter().flat_map(|found| found.strings).map(|(string, _)| string).collect(), before, lead)
    });
    Part { exact: None, heads, tails, required }
}

fn concatenated(parts: &[Hir]) -> Part {
    let mut candidates: Vec<Required> = Vec::new();
    let mut whole_head = None;
    // The strings that end where the walk is, and what may stand before them.
    let (mut run, mut run_before, mut run_lead) = (vec![Vec::new()], Some(0), Bytes::default());
    let (mut length, mut lead) = (Some(0usize), Bytes::default());
    let mut exact = true;
    for hir in parts {
        let part = part(hir);
        let most = hir.properties().maximum_len();
        let longer = part.exact.as_ref().and_then(|strings| crossed(&run, strings));
        if let Some(longer) = longer {
            run = longer;
        } else {
            exact = false;
            // The head of what follows touches what stands before it.
            let touching = part.heads().and_then(|heads| crossed(&run, heads)).unwrap_or_else(|| run.clone());
            whole_head.get_or_insert_with(|| touching.clone());
            candidates.extend(whole(touching, run_before, run_lead));
            candidates.extend(whole(std::mem::replace(&mut run, vec![Vec::new()]), run_before, run_lead));
            candidates.extend(part.required.clone().map(|found| Required {
                before: sum(length, found.before),
                lead: lead.with(found.lead),
                ..found
            }));
            (run_before, run_lead) = (sum(length, most), lead.with(alphabet(hir)));
            if let Some(tails) = part.tails() {
                run = tails.clone();
            }
        }
        (length, lead) = (sum(length, most), lead.with(alphabet(hir)));
    }
    if exact {
        return Part::exact(run);
    }
    candidates.extend(whole(run.clone(), run_before, run_lead));
    let heads = whole_head.filter(|heads| heads.iter().all(|head| !head.is_empty()));
    let tails = Some(run).filter(|tails| tails.iter().all(|tail| !tail.is_empty()));
    Part { exact: None, heads, tails, required: candidates.into_iter().max_by(|one, other| value(one).total_cmp(&value(other))) }
}

fn sum(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.zip(other).map(|(one, other)| one + other)
}

/// Each of `heads` with each of `tails` behind it; `None` when that is too much.
fn crossed(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if heads.len() * tails.len() > MAX_STRINGS {
        return None;
    }
    let mut all: Vec<Vec<u8>> = heads.iter().flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat())).collect();
    all.sort();
    all.dedup();
    Some(all)
}

fn whole(mut strings: Vec<Vec<u8>>, before: Option<usize>, lead: Bytes) -> Option<Required> {
    strings.iter_mut().for_each(|string| string.truncate(MAX_LENGTH));
    let strings: Vec<(Vec<u8>, usize)> = set(strings).into_iter().map(|string| (string, 0)).collect();
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

/// How little it costs to look wherever one of the strings stands, in bits: more is better.
fn value(required: &Required) -> f64 {
    // What may stand before a string has to be looked at too: a run of such bytes, as long as is to be expected.
    let plain = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    let share = |bytes: &mut dyn Iterator<Item = u8>| bytes.map(often).sum::<f64>();
    let within = share(&mut (0..=u8::MAX).filter(plain).filter(|byte| required.lead.has(*byte))) / share(&mut (0..=u8::MAX).filter(plain));
    let run = required.before.map_or(f64::INFINITY, |before| before as f64).min(1.0 / (1.0 - within).max(0.005));
    -required.strings.iter().map(|(string, _)| chance(string)).sum::<f64>().log2() - (8.0 + run).log2()
}

/// How often a string stands at a place of a text by chance.
fn chance(string: &[u8]) -> f64 {
    string.iter().map(|byte| often(*byte) / 1000.0).product()
}

/// How often a byte stands in prose and in what programs write, letters in either case, for each thousand.
fn often(byte: u8) -> f64 {
    match byte.to_ascii_lowercase() {
        b' ' => 150.0,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 70.0,
        b'h' | b'd' | b'l' | b'u' | b'c' | b'm' | b'f' | b'p' | b'g' => 30.0,
        b'a'..=b'z' => 12.0,
        b'0'..=b'9' | b'.' | b',' | b'"' | b'/' | b':' | b'-' | b'_' | b'\n' => 10.0,
        _ => 4.0,
    }
}

/// True where an alternation has a branch that is not one of a few strings.
pub(super) fn is_open(pattern: &Hir) -> bool {
    part(pattern).exact.is_none()
}
