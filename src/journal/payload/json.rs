//! Masks members of JSON (RFC 8259), of which only the beginning may be there. Copies what it does not mask as it is. Pure functions of a
//! text.

mod open;

use std::borrow::Cow;

use self::open::{Next, Open, Role};
use crate::journal::names::{is_plain_name, judged, names_credential};
use crate::journal::rules::{MASK, Rules};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;
/// How often JSON may be a text within JSON.
const MAX_TEXTS: usize = 8;

/// Returns the JSON with the values of secret members masked: one value or several after each other. `None` if it is no JSON.
pub(super) fn masked(text: &str, truncated: bool, rules: &Rules) -> Option<String> {
    let mut reader = Reader::new(text, rules, Within { texts: MAX_TEXTS, of: Of::Request });
    reader.truncated = truncated;
    let end = reader.run();
    match end {
        End::Complete => Some(reader.out),
        End::Cut if truncated => Some(reader.out),
        End::Cut | End::Wrong => None,
    }
}

/// Whose JSON it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// That of a request, in which `code` and `key` are names of credentials.
    Request,
    /// That of an error, in which they say what went wrong.
    Error,
}

/// What JSON is a text of, and how often it may be a text in it.
#[derive(Clone, Copy, Debug)]
struct Within {
    texts: usize,
    of: Of,
}

impl Within {
    fn next(self) -> Self {
        Self { texts: self.texts.saturating_sub(1), ..self }
    }
}

/// Returns a value of a field of a request, masked.
pub(super) fn value(text: &str, rules: &Rules) -> String {
    value_within(text, rules, Within { texts: MAX_TEXTS, of: Of::Request }).into_owned()
}

/// Does what [`value`] does to a text within another one.
fn value_within<'t>(text: &'t str, rules: &Rules, place: Within) -> Cow<'t, str> {
    if place.texts == 0 && begin(text).is_some() {
        return Cow::Borrowed(MASK);
    }
    match within(text, rules, place) {
        Cow::Borrowed(text) => rules.masked(text),
        Cow::Owned(text) => Cow::Owned(rules.masked(&text).into_owned()),
    }
}

/// Returns a text in which the values of secret members are masked, wherever in it JSON is, and however much of that is there.
pub(super) fn masked_within<'t>(text: &'t str, rules: &Rules) -> Cow<'t, str> {
    within(text, rules, Within { texts: MAX_TEXTS, of: Of::Error })
}

fn within<'t>(text: &'t str, rules: &Rules, place: Within) -> Cow<'t, str> {
    let Some(mut start) = begin(text) else { return Cow::Borrowed(text) };
    let (mut out, mut kept) = (String::with_capacity(text.len()), 0);
    loop {
        out.push_str(&text[kept..start]);
        let mut reader = Reader::new(&text[start..], rules, place);
        reader.is_part = true;
        reader.run_part();
        out.push_str(&reader.out);
        kept = start + reader.at;
        let Some(next) = begin(&text[kept..]) else { break };
        start = kept + next;
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// Returns where JSON may begin: a bracket before a text, or one before another one.
fn begin(text: &str) -> Option<usize> {
    memchr::memchr2_iter(b'{', b'[', text.as_bytes()).find(|at| {
        let next = text[at + 1..].trim_start().as_bytes().first();
        matches!(next, Some(b'"')) || matches!(next, Some(b'{' | b'[')) && text.as_bytes()[*at] == b'['
    })
}

/// How a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// After a value.
    Complete,
    /// Within one.
    Cut,
    /// It is no JSON.
    Wrong,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    out: String,
    open: Vec<Open>,
    rules: &'t Rules,
    /// More follows the text.
    truncated: bool,
    /// The depth of the value that is masked, while it is read.
    hidden: Option<usize>,
    /// It is read from within a text, as far as it is JSON.
    is_part: bool,
    place: Within,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, rules: &'t Rules, place: Within) -> Self {
        Self { text, at: 0, out: String::new(), open: Vec::new(), rules, truncated: false, hidden: None, is_part: false, place }
    }
}

impl Reader<'_> {
    /// Reads a value as far as it is one. What is wrong and may be a credential is masked up to the end of its line.
    fn run_part(&mut self) {
        let end = self.run();
        let rest = self.text.get(self.at..).unwrap_or_default();
        match end {
            End::Complete => {}
            End::Wrong if self.hidden.is_none() && !self.is_secret() => {}
            End::Wrong | End::Cut if self.hidden.is_some() || self.is_secret() => {
                let length = if end == End::Cut { rest.len() } else { rest.find('\n').unwrap_or(rest.len()) };
                if self.hidden.is_none() && length > 0 {
                    self.mask();
                }
                self.at += length;
            }
            End::Wrong | End::Cut => self.cut_string(rest),
        }
    }

    /// Writes the beginning of a text whose end is not there.
    fn cut_string(&mut self, rest: &str) {
        let whole = |text: &str| serde_json::from_str::<String>(&format!("{text}\"")).ok();
        let read = whole(rest).or_else(|| rest.rfind('\\').and_then(|at| whole(&rest[..at])));
        let masked = read.as_deref().map(|text| (text, value_within(text, self.rules, self.place.next())));
        match masked.filter(|(text, masked)| text != masked) {
            Some((_, masked)) => {
                let written = serde_json::Value::from(masked).to_string();
                self.out.push_str(written.strip_suffix('"').unwrap_or_default());
            }
            None => self.out.push_str(rest),
        }
        self.at += rest.len();
    }

    fn run(&mut self) -> End {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            let done = match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.copy(1);
                    Ok(())
                }
                b'{' | b'[' => self.begin(byte == b'{'),
                b'}' | b']' => self.end(byte == b'}'),
                b':' => self.punctuation(Next::Colon, Next::Value),
                b',' => self.punctuation(Next::Comma, Next::Item),
                b'"' => self.string(),
                _ => self.literal(),
            };
            match done {
                Ok(()) => {}
                Err(end) => return end,
            }
            if self.is_part && self.open.is_empty() {
                return End::Complete;
            }
        }
        if self.open.is_empty() && !self.text.trim().is_empty() { End::Complete } else { End::Cut }
    }

    /// Copies the next bytes, unless they are masked.
    fn copy(&mut self, length: usize) {
        if self.hidden.is_none() {
            self.out.push_str(self.text.get(self.at..self.at + length).unwrap_or_default());
        }
        self.at += length;
    }

    /// Returns true if a value may come now.
    fn takes_value(&self) -> bool {
        match self.open.last() {
            None => true,
            Some(Open { is_object: true, next, .. }) => *next == Next::Value,
            Some(Open { is_object: false, next, .. }) => matches!(next, Next::First | Next::Item),
        }
    }

    /// Returns true if the value that comes now is a credential.
    fn is_secret(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_secret)
    }

    /// Says that a value has ended.
    fn had_value(&mut self) {
        let Some(open) = self.open.last_mut() else { return };
        (open.next, open.is_secret) = (Next::Comma, false);
        if open.role == Role::Value && self.hidden.is_none() {
            open.value = Some(open.begin..self.out.len());
        }
        open.role = Role::None;
        if open.is_labelled
            && self.hidden.is_none()
            && let Some(value) = open.value.take()
            && value.end <= self.out.len()
        {
            self.out.replace_range(value, &format!("\"{MASK}\""));
        }
    }

    /// Notes that a text names a credential, if it is one that names something.
    fn label(&mut self, text: &str) {
        let mut open = self.open.iter_mut().rev();
        let holder = match open.next() {
            Some(array) if !array.is_object => open.next(),
            found => found,
        };
        if let Some(holder) = holder.filter(|holder| holder.is_object && holder.role == Role::Label) {
            holder.is_labelled |= names_credential(text, self.rules);
        }
    }

    /// Says that the name of a member was read.
    fn had_name(&mut self, name: &str) {
        let judged = judged(name, self.rules);
        let is_secret = match self.place.of {
            Of::Error => judged.is_credential,
            Of::Request => judged.is_secret,
        };
        let Some(open) = self.open.last_mut() else { return };
        open.role = match (judged.is_value, judged.is_label) {
            (true, _) => Role::Value,
            (false, true) => Role::Label,
            (false, false) => Role::None,
        };
        (open.next, open.is_secret) = (Next::Colon, is_secret || open.is_labelled && open.role == Role::Value);
        open.lists_names = judged.lists_names;
    }

    /// Says that a text was an item of an array. If it names a credential, the next item may be that: `["cookie", "x"]`.
    fn had_item(&mut self, text: &str) {
        let Some(open) = self.open.last_mut().filter(|open| !open.is_object) else { return };
        open.is_secret = can_name_an_item(text) && names_credential(text, self.rules);
    }

    /// Returns true if a text that would be masked is a name itself: an item of `"required": ["password", "email"]`.
    fn is_name_of_list(&self, text: &str) -> bool {
        let array = self.open.last().filter(|open| !open.is_object && is_plain_name(text));
        array.is_some_and(|array| array.lists_names || names_credential(text, self.rules))
    }

    fn begin(&mut self, is_object: bool) -> Result<(), End> {
        if !self.takes_value() || self.open.len() >= MAX_DEPTH {
            return Err(End::Wrong);
        }
        if self.hidden.is_none() && self.is_secret() {
            self.mask();
            self.hidden = Some(self.open.len());
        }
        self.copy(1);
        let lists_names = !is_object && self.open.last().is_some_and(|open| open.lists_names);
        self.open.push(Open { lists_names, ..Open::new(is_object) });
        Ok(())
    }

    fn end(&mut self, is_object: bool) -> Result<(), End> {
        let ends = |open: &Open| open.is_object == is_object && matches!(open.next, Next::First | Next::Comma);
        if !self.open.last().is_some_and(ends) {
            return Err(End::Wrong);
        }
        self.open.pop();
        self.copy(1);
        if self.hidden == Some(self.open.len()) {
            self.hidden = None;
        }
        self.had_value();
        Ok(())
    }

    fn punctuation(&mut self, expected: Next, then: Next) -> Result<(), End> {
        let open = self.open.last_mut().filter(|open| open.next == expected).ok_or(End::Wrong)?;
        open.next = then;
        self.copy(1);
        if let Some(open) = self.open.last_mut() {
            open.begin = self.out.len();
        }
        Ok(())
    }

    /// Reads a name or a text.
    fn string(&mut self) -> Result<(), End> {
        let is_name = self.open.last().is_some_and(|open| open.is_object && matches!(open.next, Next::First | Next::Item));
        if !is_name && !self.takes_value() {
            return Err(End::Wrong);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = string_length(rest).ok_or(End::Cut)?;
        let token = &rest[..length];
        let text = text_of(token).ok_or(End::Wrong)?;
        let masked = value_within(&text, self.rules, self.place.next());
        let is_masked = !is_name && self.is_secret() && !self.is_name_of_list(&text);
        if is_masked {
            self.mask();
            self.at += length;
        } else if masked == text {
            self.copy(length);
        } else {
            self.write(&serde_json::Value::from(masked).to_string());
            self.at += length;
        }
        if is_name {
            self.had_name(&text);
        } else {
            self.label(&text);
            self.had_value();
            if !is_masked {
                self.had_item(&text);
            }
        }
        Ok(())
    }

    /// Reads a number, `true`, `false` or `null`. One at the end of the text may go on.
    fn literal(&mut self) -> Result<(), End> {
        if !self.takes_value() {
            return Err(End::Wrong);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))).unwrap_or(rest.len());
        let token = &rest[..length];
        let is_valid = serde_json::from_str::<serde_json::Number>(token).is_ok() || matches!(token, "true" | "false" | "null");
        if length == rest.len() && (self.truncated || !self.open.is_empty()) {
            return Err(End::Cut);
        }
        if !is_valid {
            return Err(End::Wrong);
        }
        if self.is_secret() || self.rules.text(token, usize::MAX) != token {
            self.mask();
            self.at += length;
        } else {
            self.copy(length);
        }
        self.had_value();
        Ok(())
    }

    /// Writes the mask in place of a value.
    fn mask(&mut self) {
        self.write(&format!("\"{MASK}\""));
    }

    fn write(&mut self, text: &str) {
        if self.hidden.is_none() {
            self.out.push_str(text);
        }
    }
}

/// The longest text that may name the next item of an array, in bytes.
const MAX_NAME: usize = 40;

/// Returns true if a text may name the next item of an array. Ids, of which arrays may have many, do not.
fn can_name_an_item(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    text.len() <= MAX_NAME && text.bytes().filter(u8::is_ascii_digit).count() < 4 && text.chars().all(is_name)
}

/// Returns a text without its quotes and escapes; `None` if it is not valid.
fn text_of(token: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', token.as_bytes()).is_none() {
        return serde_json::from_str::<&str>(token).ok().map(Cow::Borrowed);
    }
    serde_json::from_str::<String>(token).ok().map(Cow::Owned)
}

/// Returns the length of a text with its quotes; `None` if its end is not there.
fn string_length(text: &str) -> Option<usize> {
    let mut from = 1;
    loop {
        let at = from + memchr::memchr2(b'\\', b'"', text.as_bytes().get(from..)?)?;
        match text.as_bytes()[at] {
            b'"' => return Some(at + 1),
            _ => from = at + 2,
        }
    }
}
