//! The header lines of a message in their order, with all values in one buffer.
//!
//! A message has a dozen lines, and a search through a dozen names costs less than a hash. The values of a received message stay where they
//! are in its head, so a line costs no allocation and no reference count. Knows nothing of what a name means; how many lines a message may
//! have is the parsers' decision.

use std::ops::Range;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Header lines in their order. A name may occur several times.
#[derive(Clone, Default)]
pub struct HeaderList(
    // On the heap, since a list passes through many hands.
    Box<Lines>,
);

#[derive(Clone, Default)]
struct Lines {
    /// The values, and bytes between them that belong to none.
    bytes: Vec<u8>,
    list: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    name: HeaderName,
    /// Where the value is in the buffer.
    value: Range<usize>,
}

/// The value of a line: visible characters, blanks and bytes above 127 (RFC 9110 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'l>(&'l [u8]);

/// A value that has a byte which no header value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a control character in a header value")]
pub struct InvalidValue;

/// A value that is no ASCII text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header value with bytes above 127")]
pub struct NotAscii;

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// It stays.
    Keep,
    /// It gets this value, or is removed if the value is not valid.
    Replace(Vec<u8>),
    /// It is removed.
    Remove,
}

/// A name by which lines are found: a [`HeaderName`], or its text in any case.
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
        self.eq_ignore_ascii_case(name.as_str())
    }
}

impl<N: Name + ?Sized> Name for &N {
    fn is(&self, name: &HeaderName) -> bool {
        (**self).is(name)
    }
}

/// Bytes that are known to be a valid value.
pub trait ValidValue {
    /// Returns the bytes.
    fn bytes(&self) -> &[u8];
}

impl ValidValue for Value<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl ValidValue for HeaderValue {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<V: ValidValue> ValidValue for &V {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }
}

impl<'l> Value<'l> {
    /// Returns the bytes.
    pub const fn as_bytes(self) -> &'l [u8] {
        self.0
    }

    /// Returns the value as text.
    ///
    /// # Errors
    /// The value has bytes above 127.
    pub fn to_str(self) -> Result<&'l str, NotAscii> {
        std::str::from_utf8(self.0).ok().filter(|text| text.is_ascii()).ok_or(NotAscii)
    }

    /// Returns a copy that outlives the list.
    pub fn to_header(self) -> HeaderValue {
        // A value of a list was validated when it was added.
        HeaderValue::from_bytes(self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

/// From this number of names on, a set finds one faster than a search.
const MANY: usize = 16;

/// Bytes that the gateway usually adds to a head.
const USUAL_ADDED: usize = 512;

impl HeaderList {
    /// Creates a list without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a list for the lines of this head, with room for `lines` lines. [`append_part`](Self::append_part) adds them.
    pub fn of_head(head: &[u8], lines: usize) -> Self {
        let mut bytes = Vec::with_capacity(head.len() + USUAL_ADDED);
        bytes.extend_from_slice(head);
        Self(Box::new(Lines { bytes, list: Vec::with_capacity(lines) }))
    }

    /// Makes room for `lines` more lines with `bytes` bytes of values.
    pub fn reserve(&mut self, lines: usize, bytes: usize) {
        self.0.list.reserve(lines);
        self.0.bytes.reserve(bytes);
    }

    /// Returns the number of lines.
    pub fn len(&self) -> usize {
        self.0.list.len()
    }

    /// Returns true if there are no lines.
    pub fn is_empty(&self) -> bool {
        self.0.list.is_empty()
    }

    fn value(&self, line: &Line) -> Value<'_> {
        Value(&self.0.bytes[line.value.clone()])
    }

    /// Returns all lines.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, Value<'_>)> {
        self.0.list.iter().map(|line| (&line.name, self.value(line)))
    }

    /// Returns the name of each line. A name that occurs several times is returned as often.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.list.iter().map(|line| &line.name)
    }

    /// Returns the value of the first line with this name.
    pub fn get(&self, name: impl Name) -> Option<Value<'_>> {
        self.0.list.iter().find(|line| name.is(&line.name)).map(|line| self.value(line))
    }

    /// Returns the values of all lines with this name.
    pub fn get_all<'l, N: Name + 'l>(&'l self, name: N) -> impl Iterator<Item = Value<'l>> + 'l {
        self.0.list.iter().filter(move |line| name.is(&line.name)).map(|line| self.value(line))
    }

    /// Returns true if there is a line with this name.
    pub fn contains(&self, name: impl Name) -> bool {
        self.0.list.iter().any(|line| name.is(&line.name))
    }

    /// Adds a line whose value is this part of the head that the list was made of.
    ///
    /// # Errors
    /// The value is not valid, or not within the head.
    pub fn append_part(&mut self, name: HeaderName, value: Range<usize>) -> Result<(), InvalidValue> {
        if !self.0.bytes.get(value.clone()).is_some_and(is_valid) {
            return Err(InvalidValue);
        }
        self.0.list.push(Line { name, value });
        Ok(())
    }

    /// Adds a line.
    pub fn append(&mut self, name: HeaderName, value: impl ValidValue) {
        let value = self.add(value.bytes());
        self.0.list.push(Line { name, value });
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The value is not valid.
    pub fn try_append(&mut self, name: HeaderName, value: &[u8]) -> Result<(), InvalidValue> {
        if !is_valid(value) {
            return Err(InvalidValue);
        }
        self.append(name, Value(value));
        Ok(())
    }

    /// Replaces all lines with this name by one, which has the place of the first.
    pub fn insert(&mut self, name: HeaderName, value: impl ValidValue) {
        let Some(at) = self.0.list.iter().position(|line| line.name == name) else { return self.append(name, value) };
        self.0.list[at].value = self.add(value.bytes());
        if self.0.list[at + 1..].iter().any(|line| line.name == name) {
            let mut number = 0..;
            self.0.list.retain(|line| number.next().is_none_or(|number| number <= at) || line.name != name);
        }
    }

    /// Replaces all lines with this name by one.
    ///
    /// # Errors
    /// The value is not valid; then nothing is replaced.
    pub fn try_insert(&mut self, name: HeaderName, value: &[u8]) -> Result<(), InvalidValue> {
        if !is_valid(value) {
            return Err(InvalidValue);
        }
        self.insert(name, Value(value));
        Ok(())
    }

    fn add(&mut self, value: &[u8]) -> Range<usize> {
        let start = self.0.bytes.len();
        self.0.bytes.extend_from_slice(value);
        start..self.0.bytes.len()
    }

    /// Removes all lines with this name.
    pub fn remove(&mut self, name: impl Name) {
        self.0.list.retain(|line| !name.is(&line.name));
    }

    /// Removes all lines with this name. Returns the value of the first.
    pub fn take(&mut self, name: impl Name) -> Option<HeaderValue> {
        let first = self.get(&name)?.to_header();
        self.remove(name);
        Some(first)
    }

    /// Removes all lines with one of these names. The cost is linear in the lines and the names.
    pub fn remove_all(&mut self, names: &[HeaderName]) {
        if names.len() < MANY {
            return self.0.list.retain(|line| !names.contains(&line.name));
        }
        let names: std::collections::HashSet<&HeaderName> = names.iter().collect();
        self.0.list.retain(|line| !names.contains(&line.name));
    }

    /// Keeps the lines for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName) -> bool) {
        self.0.list.retain(|line| keep(&line.name));
    }

    /// Edits every line with this name.
    pub fn edit(&mut self, name: &HeaderName, edit: impl Fn(&[u8]) -> Edit) {
        let Lines { bytes, list } = &mut *self.0;
        list.retain_mut(|line| {
            if line.name != name {
                return true;
            }
            match edit(&bytes[line.value.clone()]) {
                Edit::Keep => true,
                Edit::Replace(value) if is_valid(&value) => {
                    let start = bytes.len();
                    bytes.extend_from_slice(&value);
                    line.value = start..bytes.len();
                    true
                }
                Edit::Replace(_) | Edit::Remove => false,
            }
        });
    }
}

/// Returns true if no byte is a control character other than a tab.
fn is_valid(value: &[u8]) -> bool {
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let Some((_, last)) = value.split_last_chunk::<8>() else {
        return !value.iter().any(is_control);
    };
    // Eight bytes at a time; the last eight may overlap those before. A tab, which is rare, is looked at again.
    let (chunks, _) = value.as_chunks::<8>();
    let suspect = chunks.iter().fold(suspects(u64::from_le_bytes(*last)), |found, chunk| found | suspects(u64::from_le_bytes(*chunk)));
    suspect == 0 || !value.iter().any(is_control)
}

/// Returns a nonzero value if one of the eight bytes is below a space or DEL.
const fn suspects(bytes: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below_space = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    let difference = bytes ^ (ONES * 0x7f);
    let is_del = difference.wrapping_sub(ONES) & !difference;
    (below_space | is_del) & (ONES * 0x80)
}

impl std::fmt::Debug for HeaderList {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_map().entries(self.iter().map(|(name, value)| (name, value.to_header()))).finish()
    }
}

impl PartialEq for HeaderList {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl From<&HeaderMap> for HeaderList {
    fn from(map: &HeaderMap) -> Self {
        let mut list = Self::new();
        list.reserve(map.len(), map.values().map(HeaderValue::len).sum());
        map.iter().for_each(|(name, value)| list.append(name.clone(), value));
        list
    }
}

impl From<&HeaderList> for HeaderMap {
    fn from(list: &HeaderList) -> Self {
        let mut map = Self::with_capacity(list.len());
        for (name, value) in list.iter() {
            map.append(name, value.to_header());
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[(&'static str, &'static str)]) -> HeaderList {
        let mut list = HeaderList::new();
        lines.iter().for_each(|(name, value)| list.append(HeaderName::from_static(name), HeaderValue::from_static(value)));
        list
    }

    #[test]
    fn lines_keep_their_order() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        assert_eq!(headers.get_all("A").collect::<Vec<_>>(), ["1", "3"]);
        headers.insert(HeaderName::from_static("a"), HeaderValue::from_static("5"));
        assert_eq!(headers, list(&[("a", "5"), ("b", "2"), ("c", "4")]));
        assert_eq!((headers.take("b"), headers.take("b")), (Some(HeaderValue::from_static("2")), None));
        assert_eq!(headers, list(&[("a", "5"), ("c", "4")]));
    }

    #[test]
    fn lines_are_edited_in_their_places() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("a", "5")]);
        headers.edit(&HeaderName::from_static("a"), |value| match value {
            b"1" => Edit::Remove,
            b"3" => Edit::Replace(b"6".to_vec()),
            b"4" => Edit::Replace(b"\n".to_vec()),
            _ => Edit::Keep,
        });
        assert_eq!(headers, list(&[("b", "2"), ("a", "6"), ("a", "5")]));
    }

    #[test]
    fn parts_of_a_head_are_values() {
        let mut headers = HeaderList::of_head(b"a: 1\r\nb: \x01\r\n", 4);
        assert_eq!(headers.append_part(HeaderName::from_static("a"), 3..4), Ok(()));
        assert_eq!(headers.append_part(HeaderName::from_static("b"), 9..10), Err(InvalidValue));
        assert_eq!(headers.append_part(HeaderName::from_static("b"), 9..100), Err(InvalidValue));
        headers.append(HeaderName::from_static("c"), HeaderValue::from_static("2"));
        assert_eq!(headers, list(&[("a", "1"), ("c", "2")]));
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
                        list.insert(name.clone(), &value);
                        map.insert(name, value);
                    }
                    1 => proptest::prop_assert_eq!(list.take(&name), map.remove(&name)),
                    _ => {
                        list.append(name.clone(), &value);
                        map.append(name, value);
                    }
                }
            }
            proptest::prop_assert_eq!(list.len(), map.len());
            for name in ["a", "b", "c"] {
                let values: Vec<HeaderValue> = list.get_all(name).map(Value::to_header).collect();
                proptest::prop_assert_eq!(&values, &map.get_all(name).iter().cloned().collect::<Vec<_>>());
                proptest::prop_assert_eq!(list.get(name).map(Value::to_header), map.get(name).cloned());
            }
            proptest::prop_assert_eq!(HeaderMap::from(&HeaderList::from(&map)), map);
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

        #[test]
        fn values_are_valid_as_in_the_http_crate(value in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            proptest::prop_assert_eq!(is_valid(&value), HeaderValue::from_bytes(&value).is_ok());
        }
    }
}
