//! Chooses the anchor of each string: the three bytes that a search looks for (see `strings`). Knows the strings and how common bytes are,
//! and nothing of the patterns.

use std::collections::{BTreeSet, HashMap};

use super::required::{frequency, probability};

/// The number of strings from which on a search looks at the triple at every position, so that only rare triples matter.
const MANY: usize = 1024;
/// The cost of a pair that is to be avoided: more than that of all others.
const AVOIDED: f64 = 10_000.0;
/// The most common pairs of bytes in error pages, JSON and stack traces, the most common first.
const COMMON_PAIRS: [&[u8]; 3] = [
    b"erin\":orleree esonde,\"testatlico\",</t :\"enrotiale\"odntme><: ilssac/ssen thnean ata^^edge tpepa{\"rrd heaiapioce",
    b"prmaexetr  c=\"as inoar, /ls tyht\\\"ng fva <riitvetoemlarvecraso ee>trs\"usulouuendns/pislo s onafaspctrs r \"foqu",
    b"\">otidop\"encnvadunutmleafidi\"m\"csrolamrds/s:00 lagl boegoattchel niccksaca\"scl b\"llt pgallken\":1rn",
];

/// Returns the offset of the anchor in each string.
pub(super) fn choose(strings: &BTreeSet<Vec<u8>>) -> HashMap<Vec<u8>, usize> {
    if strings.len() >= MANY { rare_triples(strings) } else { few_pairs(strings) }
}

/// Returns each sequence of three bytes of a string, or a shorter string as it is.
fn triples(string: &[u8]) -> impl Iterator<Item = &[u8]> {
    string.windows(3.min(string.len()))
}

/// Chooses the rarest triple of each string, where one that several strings contain costs as often.
fn rare_triples(strings: &BTreeSet<Vec<u8>>) -> HashMap<Vec<u8>, usize> {
    let mut shared: HashMap<&[u8], usize> = HashMap::new();
    for triple in strings.iter().flat_map(|string| triples(string)) {
        *shared.entry(triple).or_default() += 1;
    }
    let cost = |bytes: &[u8]| probability(bytes) * shared.get(bytes).copied().unwrap_or(1) as f64;
    strings.iter().map(|string| (string.clone(), cheapest(string, cost))).collect()
}

/// Chooses triples that together have the rarest pairs of bytes, because a search for few strings stops at each such pair.
fn few_pairs(strings: &BTreeSet<Vec<u8>>) -> HashMap<Vec<u8>, usize> {
    let mut shortest_first: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    shortest_first.sort_by_key(|string| string.len());
    let mut chosen = Pairs::default();
    shortest_first.iter().for_each(|string| chosen.add(string));
    // Strings that share a common pair do without it only if all of them do.
    let mut common: Vec<[u8; 2]> = chosen.used.iter().copied().collect();
    common.sort_by(|one, other| pair_frequency(*other).total_cmp(&pair_frequency(*one)));
    for pair in common {
        let mut without = Pairs { avoided: chosen.avoided.clone(), ..Pairs::default() };
        without.avoided.insert(pair);
        shortest_first.iter().for_each(|string| without.add(string));
        if without.cost() < chosen.cost() {
            chosen = without;
        }
    }
    chosen.anchors.into_iter().map(|(string, anchor)| (string.to_vec(), anchor)).collect()
}

/// The anchors chosen so far, and their pairs.
#[derive(Default)]
struct Pairs<'a> {
    anchors: HashMap<&'a [u8], usize>,
    used: BTreeSet<[u8; 2]>,
    /// The pairs that are used only where there is no other choice.
    avoided: BTreeSet<[u8; 2]>,
}

impl<'a> Pairs<'a> {
    /// Chooses the anchor of another string, the one that adds the rarest pairs.
    fn add(&mut self, string: &'a [u8]) {
        let avoided = |pair: &[u8; 2]| if self.avoided.contains(pair) { AVOIDED } else { pair_frequency(*pair) };
        let added = |triple: &[u8]| pairs(triple).filter(|pair| !self.used.contains(pair)).map(|pair| avoided(&pair)).sum::<f64>();
        let anchor = cheapest(string, |triple| added(triple) + probability(triple));
        self.used.extend(pairs(&string[anchor..]));
        self.anchors.insert(string, anchor);
    }

    /// Returns how often a search stops, per thousand pairs of a text.
    fn cost(&self) -> f64 {
        self.used.iter().map(|pair| pair_frequency(*pair)).sum()
    }
}

/// Returns the offset of the triple that costs least.
fn cheapest(string: &[u8], cost: impl Fn(&[u8]) -> f64) -> usize {
    triples(string).enumerate().min_by(|(_, one), (_, other)| cost(one).total_cmp(&cost(other))).map_or(0, |(at, _)| at)
}

/// Returns the pairs of the triple that starts `bytes`.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.windows(2).take(2).map(|pair| [pair[0], pair[1]])
}

/// Returns how often a pair of bytes occurs in a text, per thousand pairs.
fn pair_frequency(pair: [u8; 2]) -> f64 {
    match COMMON_PAIRS.iter().flat_map(|part| part.as_chunks::<2>().0).position(|known| *known == pair) {
        Some(rank) => 10.0 / (1.0 + rank as f64 / 27.0),
        None => (frequency(pair[0]) * frequency(pair[1]) / 1000.0).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(strings: &[&str]) -> Vec<String> {
        let strings: BTreeSet<Vec<u8>> = strings.iter().map(|string| string.as_bytes().to_vec()).collect();
        let chosen = choose(&strings);
        assert_eq!(chosen.len(), strings.len());
        strings.iter().map(|string| String::from_utf8_lossy(&string[chosen[string]..][..3.min(string.len())]).into_owned()).collect()
    }

    #[test]
    fn few_strings_share_their_pairs() {
        assert_eq!(anchors(&["password", "password\t", "sword"]), ["swo", "swo", "swo"]);
        assert_eq!(anchors(&["::", "a", "hf_"]), ["::", "a", "hf_"]);
    }

    #[test]
    fn a_common_pair_is_avoided_by_all_strings_together() {
        // Each alone would share the end of the others.
        assert_eq!(anchors(&["\"card", "<card", "[card", "{card"]), ["\"ca", "<ca", "[ca", "{ca"]);
    }

    #[test]
    fn many_strings_have_their_rarest_triples() {
        let words: Vec<String> = (0..MANY).map(|at| format!("order {at:04} xyz")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(anchors(&words).iter().all(|anchor| anchor.bytes().any(|byte| byte.is_ascii_digit())));
    }
}
