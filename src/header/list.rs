//! The header lines of a message in their order.
//!
//! A message has a dozen lines, and a search through a dozen names costs less than a hash. Knows nothing of what a name means; how many lines
//! a message may have is the parsers' decision.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Header lines in their order. A name may occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList(Vec<(HeaderName, HeaderValue)>);

/// A name by which lines are found: a [`HeaderName`], or its text in lower case.
pub trait Name {
    /// Returns true if this is the name.
    fn is(&self, name: &HeaderName) -> bool;
}

impl Name for HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl Name for str {
    fn is(&self, name: &HeaderName) -> bool {
        self == name.as_str()
    }
}

impl<N: Name + ?Sized> Name for &N {
    fn is(&self, name: &HeaderName) -> bool {
        (**self).is(name)
    }
}

/// From this number of names on, a set finds one faster than a search.
const MANY: usize = 16;

impl HeaderList {
    /// Creates a list without lines. It does not allocate.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Creates a list with room for `lines` lines.
    pub fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    /// Makes room for `lines` more lines.
    pub fn reserve(&mut self, lines: usize) {
        self.0.reserve(lines);
    }

    /// Returns the number of lines.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no lines.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all lines.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Returns the name of each line. A name that occurs several times is returned as often.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Returns the value of the first line with this name.
    pub fn get(&self, name: impl Name) -> Option<&HeaderValue> {
        self.0.iter().find(|(own, _)| name.is(own)).map(|(_, value)| value)
    }

    /// Returns the values of all lines with this name.
    pub fn get_all<'l, N: Name + 'l>(&'l self, name: N) -> impl Iterator<Item = &'l HeaderValue> + 'l {
        self.0.iter().filter(move |(own, _)| name.is(own)).map(|(_, value)| value)
    }

    /// Returns true if there is a line with this name.
    pub fn contains(&self, name: impl Name) -> bool {
        self.get(name).is_some()
    }

    /// Adds a line.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Replaces all lines with this name by one, which has the place of the first.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(at) = self.0.iter().position(|(own, _)| *own == name) else { return self.append(name, value) };
        self.0[at].1 = value;
        let mut seen = false;
        self.0.retain(|(own, _)| *own != name || !std::mem::replace(&mut seen, true));
    }

    /// Removes all lines with this name. Returns the value of the first.
    pub fn remove(&mut self, name: impl Name) -> Option<HeaderValue> {
        let first = self.0.iter().position(|(own, _)| name.is(own))?;
        let (_, value) = self.0.remove(first);
        self.0.retain(|(own, _)| !name.is(own));
        Some(value)
    }

    /// Removes all lines with one of these names. The cost is linear in the lines and the names.
    pub fn remove_all(&mut self, names: &[HeaderName]) {
        if names.len() < MANY {
            return self.0.retain(|(own, _)| !names.contains(own));
        }
        let names: std::collections::HashSet<&HeaderName> = names.iter().collect();
        self.0.retain(|(own, _)| !names.contains(own));
    }

    /// Keeps the lines for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Passes every line with this name to `map`: it keeps the value, replaces it, or removes the line by `None`.
    pub fn map(&mut self, name: &HeaderName, mut map: impl FnMut(HeaderValue) -> Option<HeaderValue>) {
        self.0.retain_mut(|(own, value)| {
            if own != name {
                return true;
            }
            let mapped = map(std::mem::replace(value, HeaderValue::from_static("")));
            mapped.map(|mapped| *value = mapped).is_some()
        });
    }
}

impl From<HeaderMap> for HeaderList {
    fn from(map: HeaderMap) -> Self {
        let mut list = Self::with_capacity(map.len());
        let mut last = None;
        for (name, value) in map {
            // The map names only the first line of several.
            last = name.or(last);
            last.iter().for_each(|name| list.0.push((name.clone(), value.clone())));
        }
        list
    }
}

impl From<HeaderList> for HeaderMap {
    fn from(list: HeaderList) -> Self {
        let mut map = Self::with_capacity(list.len());
        for (name, value) in list.0 {
            map.append(name, value);
        }
        map
    }
}

/// For tests: panics if there is no such line.
#[cfg(test)]
impl<N: Name> std::ops::Index<N> for HeaderList {
    type Output = HeaderValue;

    fn index(&self, name: N) -> &HeaderValue {
        self.get(name).expect("a line with this name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[(&'static str, &'static str)]) -> HeaderList {
        HeaderList(lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn lines_keep_their_order() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        assert_eq!(headers.get_all("a").collect::<Vec<_>>(), ["1", "3"]);
        headers.insert(HeaderName::from_static("a"), HeaderValue::from_static("5"));
        assert_eq!(headers, list(&[("a", "5"), ("b", "2"), ("c", "4")]));
        assert_eq!((headers.remove("b"), headers.remove("b")), (Some(HeaderValue::from_static("2")), None));
        assert_eq!(headers, list(&[("a", "5"), ("c", "4")]));
    }

    #[test]
    fn values_are_mapped_in_place() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("a", "3")]);
        headers.map(&HeaderName::from_static("a"), |value| (value == "3").then(|| HeaderValue::from_static("4")));
        assert_eq!(headers, list(&[("b", "2"), ("a", "4")]));
    }

    proptest::proptest! {
        /// A map of the `http` crate is the reference.
        #[test]
        fn behaves_like_a_map(edits in proptest::collection::vec((0u8..4, "[a-c]", "[0-9]"), 0..30)) {
            let (mut list, mut map) = (HeaderList::new(), HeaderMap::new());
            for (edit, name, value) in edits {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let value = HeaderValue::from_str(&value).unwrap();
                match edit {
                    0 => {
                        list.insert(name.clone(), value.clone());
                        map.insert(name, value);
                    }
                    1 => proptest::prop_assert_eq!(list.remove(&name), map.remove(&name)),
                    _ => {
                        list.append(name.clone(), value.clone());
                        map.append(name, value);
                    }
                }
            }
            proptest::prop_assert_eq!(list.len(), map.len());
            for name in ["a", "b", "c"] {
                proptest::prop_assert_eq!(list.get_all(name).collect::<Vec<_>>(), map.get_all(name).iter().collect::<Vec<_>>());
                proptest::prop_assert_eq!(list.get(name), map.get(name));
            }
            proptest::prop_assert_eq!(HeaderMap::from(HeaderList::from(map.clone())), map);
        }

        #[test]
        fn many_names_are_removed_like_few(count in 0u16..60, removed in proptest::collection::vec(0u16..60, 0..40)) {
            let name = |number: u16| HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            let mut headers = HeaderList::new();
            (0..count).for_each(|number| headers.append(name(number), HeaderValue::from_static("")));
            headers.remove_all(&removed.iter().map(|number| name(*number)).collect::<Vec<_>>());
            let kept: Vec<HeaderName> = (0..count).filter(|number| !removed.contains(number)).map(name).collect();
            proptest::prop_assert!(headers.names().eq(kept.iter()));
        }
    }
}
