//! Judges the fields of a header block and writes them anew for h2, which decodes nothing then that depends on earlier blocks.
//!
//! A list over the bounds is written until it is over them and no further: the gateway's own check answers it with 431. Knows nothing of
//! frames or of other streams.

use super::hpack::{ENTRY_OVERHEAD, Field, write};
use crate::context::{MAX_REQUEST_FIELDS, MAX_REQUEST_TARGET};
use crate::http1::is_token;

/// Most references to fields that the block refers to already. No client says the same line twice to gain something.
const MAX_REPETITIONS: usize = 4;
/// The size of a pseudo-header field other than the path, in bytes.
const MAX_PSEUDO: usize = 8 * 1024;
/// Entries of the tables that a block can refer to.
const REFERENCES: usize = 256;

/// What a block is the head of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Request,
    Trailers,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// h2 may read it. It is over the bounds if its size is.
    Sound,
    /// RFC 9113 calls it malformed: its stream ends.
    Malformed,
    /// It stands for much more than it says, or its trailers are over the bounds: its stream ends.
    Bomb,
}

/// The pseudo-header fields of a request (RFC 9113 8.3.1, RFC 8441 4).
#[derive(Clone, Copy, Debug)]
enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
}

/// A header block that is read field by field.
#[derive(Debug)]
pub(super) struct Block {
    part: Part,
    max_size: usize,
    /// The names and values written so far.
    written: usize,
    fields: usize,
    /// Pseudo-header fields seen.
    pseudo: [bool; 5],
    is_connect: bool,
    malformed: bool,
    /// The fields that the block has referred to.
    references: [u64; REFERENCES / 64],
    repetitions: usize,
    /// The block for h2.
    out: Vec<u8>,
}

impl Block {
    /// `max_size` bounds the names and values. The block for h2 is written to `out`, which is empty.
    pub(super) const fn new(part: Part, max_size: usize, out: Vec<u8>) -> Self {
        Self {
            part,
            max_size,
            written: 0,
            fields: 0,
            pseudo: [false; 5],
            is_connect: false,
            malformed: false,
            references: [0; REFERENCES / 64],
            repetitions: 0,
            out,
        }
    }

    /// Adds the next field.
    pub(super) fn add(&mut self, field: Field<'_>) {
        self.count_reference(field.reference);
        if self.malformed || self.is_over() {
            return;
        }
        self.malformed = match field.name {
            [b':', name @ ..] => !self.add_pseudo(name, field),
            _ => !self.add_field(field),
        };
    }

    fn count_reference(&mut self, reference: Option<usize>) {
        if let Some(index) = reference
            && let Some(seen) = self.references.get_mut(index / 64)
        {
            let bit = 1 << (index % 64);
            self.repetitions += usize::from(*seen & bit != 0);
            *seen |= bit;
        }
    }

    /// Returns true once the list is over its bounds.
    fn is_over(&self) -> bool {
        self.written > self.max_size || self.fields > MAX_REQUEST_FIELDS || self.repetitions > MAX_REPETITIONS
    }

    /// Writes a field, or what is left of the bound and one byte.
    fn write(&mut self, field: Field<'_>) {
        let left = (self.max_size + 1).saturating_sub(self.written);
        if field.name.len() + field.value.len() <= left {
            write(&mut self.out, field);
            self.written += field.name.len() + field.value.len();
            return;
        }
        let (name, value) = (&field.name[..field.name.len().min(left)], &field.value[..field.value.len().min(left)]);
        write(&mut self.out, Field { name, value, reference: None, known_name: 0 });
        self.written += name.len() + value.len();
    }

    /// Adds a pseudo-header field. Returns false if it is malformed.
    fn add_pseudo(&mut self, name: &[u8], field: Field<'_>) -> bool {
        let value = field.value;
        let which = match name {
            b"method" => Pseudo::Method,
            b"scheme" => Pseudo::Scheme,
            b"authority" => Pseudo::Authority,
            b"path" => Pseudo::Path,
            b"protocol" => Pseudo::Protocol,
            _ => return false,
        };
        let is_repeated = std::mem::replace(&mut self.pseudo[which as usize], true);
        if is_repeated || self.fields > 0 || self.part == Part::Trailers {
            return false;
        }
        let is_valid = match which {
            Pseudo::Method => !value.is_empty() && value.iter().copied().all(is_token),
            Pseudo::Scheme | Pseudo::Protocol => is_visible(value) && !value.is_empty(),
            Pseudo::Authority => is_visible(value),
            Pseudo::Path => is_path(value),
        };
        match which {
            Pseudo::Method => self.is_connect = value == b"CONNECT",
            // One byte too many is enough for 414.
            Pseudo::Path if value.len() > MAX_REQUEST_TARGET => {
                let value = &[&b"/"[..], &[b'x'; MAX_REQUEST_TARGET]].concat();
                write(&mut self.out, Field { name: field.name, value, reference: None, known_name: 0 });
                return is_valid;
            }
            Pseudo::Scheme | Pseudo::Authority | Pseudo::Path | Pseudo::Protocol => {}
        }
        write(&mut self.out, field);
        is_valid && (value.len() <= MAX_PSEUDO || matches!(which, Pseudo::Path))
    }

    /// Adds a header field. Returns false if it is malformed.
    fn add_field(&mut self, field: Field<'_>) -> bool {
        let Field { name, value, .. } = field;
        self.fields += 1;
        let is_connection = matches!(name, b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade");
        let is_name = !name.is_empty() && name.iter().all(|b| is_token(*b) && !b.is_ascii_uppercase());
        if is_connection || !is_name || !is_value(value) || name == b"te" && value != b"trailers" {
            return false;
        }
        self.write(field);
        true
    }

    /// Returns what the whole block is.
    pub(super) fn verdict(&self) -> Verdict {
        let [method, scheme, authority, path, protocol] = self.pseudo;
        let is_whole = match (self.part, self.is_connect && !protocol) {
            (Part::Trailers, _) => true,
            (Part::Request, true) => authority && !scheme && !path,
            (Part::Request, false) => method && scheme && path,
        };
        if self.repetitions > MAX_REPETITIONS || self.part == Part::Trailers && self.is_over() {
            Verdict::Bomb
        } else if self.malformed || !is_whole {
            Verdict::Malformed
        } else {
            Verdict::Sound
        }
    }

    /// Returns the size of what h2 will hold of the list.
    pub(super) fn size(&self) -> usize {
        self.written + self.fields * ENTRY_OVERHEAD
    }

    /// Returns the block for h2.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

fn is_visible(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_graphic)
}

/// Returns true for a path that is text without blanks. What it means is checked where it is read.
fn is_path(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|b| *b > b' ' && *b != 0x7f) && std::str::from_utf8(value).is_ok()
}

/// Returns true for a valid field value (RFC 9113 8.2.1).
fn is_value(value: &[u8]) -> bool {
    let has_blank_edge = matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    !has_blank_edge && value.iter().all(|b| *b >= b' ' && *b != 0x7f || *b == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[(&str, &str)] = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

    fn block(part: Part, lines: &[(&str, &str)]) -> Block {
        let mut block = Block::new(part, 1_000, Vec::new());
        for (name, value) in lines {
            block.add(Field { name: name.as_bytes(), value: value.as_bytes(), reference: None, known_name: 0 });
        }
        block
    }

    #[test]
    fn malformed_requests_are_found() {
        let of = |lines: &[(&str, &str)]| block(Part::Request, lines).verdict();
        assert_eq!((of(GET), of(&[(":method", "CONNECT"), (":authority", "a:1")])), (Verdict::Sound, Verdict::Sound));
        for line in [
            ("X-Upper", "v"),
            ("", "v"),
            ("\"x\"", "v"),
            ("x y", "v"),
            ("x", " v"),
            ("x", "v\t"),
            ("x", "a\rb"),
            ("x", "a\0b"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            (":status", "200"),
            (":unknown", "x"),
            (":path", "/again"),
        ] {
            assert_eq!(of(&[GET, &[line]].concat()), Verdict::Malformed, "{line:?}");
        }
        for sound in [("te", "trailers"), ("x", ""), ("x", "a\tb"), ("x", "\u{e9}")] {
            assert_eq!(of(&[GET, &[sound]].concat()), Verdict::Sound, "{sound:?}");
        }
        for missing in 0..3 {
            let lines: Vec<_> = GET.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, line)| *line).collect();
            assert_eq!(of(&lines), Verdict::Malformed, "{lines:?}");
        }
        for (name, value) in [(":method", ""), (":method", "A B"), (":scheme", ""), (":path", ""), (":path", "/a b"), (":authority", "a b")]
        {
            let lines: Vec<_> = GET.iter().map(|line| if line.0 == name { (name, value) } else { *line }).collect();
            assert_eq!(of(&lines), Verdict::Malformed, "{name} {value:?}");
        }
        assert_eq!(of(&[&[("x", "v")], GET].concat()), Verdict::Malformed, "a pseudo-header field behind another");
        assert_eq!(of(&[(":method", "CONNECT")]), Verdict::Malformed);
        assert_eq!(of(&[(":method", "CONNECT"), (":authority", "a"), (":path", "/")]), Verdict::Malformed);
    }

    #[test]
    fn trailers_have_no_pseudo_header_fields_and_are_bounded() {
        let of = |lines: &[(&str, &str)]| block(Part::Trailers, lines).verdict();
        assert_eq!((of(&[("x", "v")]), of(&[(":path", "/")])), (Verdict::Sound, Verdict::Malformed));
        assert_eq!(of(&[("x", &"v".repeat(1_001))]), Verdict::Bomb);
    }

    #[test]
    fn a_list_over_the_bounds_is_cut_just_beyond_them() {
        let large = ("x", "v".repeat(2_000));
        let cut = block(Part::Request, &[GET, &[(large.0, &large.1), ("y", "z")]].concat());
        assert_eq!((cut.verdict(), cut.written, cut.fields), (Verdict::Sound, 1_002, 1));
        let many = block(Part::Request, &[GET, &[("y", "z"); 500]].concat());
        assert_eq!((many.verdict(), many.fields), (Verdict::Sound, MAX_REQUEST_FIELDS + 1));
        let path = format!("/{}", "x".repeat(MAX_REQUEST_TARGET + 500));
        let long = block(Part::Request, &[(":method", "GET"), (":scheme", "http"), (":path", &path)]);
        assert!(long.verdict() == Verdict::Sound && long.into_bytes().len() < MAX_REQUEST_TARGET + 100);
    }

    #[test]
    fn a_block_that_repeats_a_field_is_a_bomb() {
        let of = |references: &[usize]| {
            let mut block = block(Part::Request, GET);
            references.iter().for_each(|index| block.add(Field { name: b"x", value: b"v", reference: Some(*index), known_name: 0 }));
            block.verdict()
        };
        assert_eq!(of(&(62..160).collect::<Vec<_>>()), Verdict::Sound);
        assert_eq!((of(&[62; 5]), of(&[62; 6])), (Verdict::Sound, Verdict::Bomb));
    }
}
