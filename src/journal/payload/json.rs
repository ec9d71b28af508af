//! Masks members of JSON (RFC 8259), of which only the beginning may be there. Copies what it does not mask as it is. Pure functions of a
//! text.

use std::borrow::Cow;
use std::ops::Range;

use crate::journal::names::{judged, names_credential};
use crate::journal::rules::{MASK, Rules};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;
/// How often JSON may be a text within JSON.
const MAX_TEXTS: usize = 8;

/// Returns the JSON with the values of secret members masked: one value or several after each other. `None` if it is no JSON.
pub(super) fn masked(text: &str, truncated: bool, rules: &Rules) -> Option<String> {
    let mut reader = Reader::new(text, rules, MAX_TEXTS);
    reader.truncated = truncated;
    let end = reader.run();
    match end {
        End::Complete => Some(reader.out),
        End::Cut if truncated => Some(reader.out),
        End::Cut | End::Wrong => None,
    }
}

/// Returns a value of a member or a field, masked.
pub(super) fn value(text: &str, rules: &Rules) -> String {
    value_within(text, rules, MAX_TEXTS).into_owned()
}

/// Does what [`value`] does to a text in which JSON may be so many texts deep.
fn value_within<'t>(text: &'t str, rules: &Rules, texts: usize) -> Cow<'t, str> {
    if texts == 0 && begin(text).is_some() {
        return Cow::Borrowed(MASK);
    }
    match within(text, rules, texts) {
        Cow::Borrowed(text) => rules.masked(text),
        Cow::Owned(text) => Cow::Owned(rules.masked(&text).into_owned()),
    }
}

/// Returns a text in which the values of secret members are masked, wherever in it JSON is, and however much of that is there.
pub(super) fn masked_within<'t>(text: &'t str, rules: &Rules) -> Cow<'t, str> {
    within(text, rules, MAX_TEXTS)
}

fn within<'t>(text: &'t str, rules: &Rules, texts: usize) -> Cow<'t, str> {
    let Some(mut start) = begin(text) else { return Cow::Borrowed(text) };
    let (mut out, mut kept) = (String::with_capacity(text.len()), 0);
    loop {
        out.push_str(&text[kept..start]);
        let mut reader = Reader::new(&text[start..], rules, texts);
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

/// What comes next in an object or an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first item, or the end.
    First,
    /// An item after a comma.
    Item,
    /// The colon after a name.
    Colon,
    /// The value of a member.
    Value,
    /// A comma, or the end.
    Comma,
}

/// What a member says of its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    None,
    /// It holds the name of what its siblings are about.
    Label,
    /// It holds the value of that.
    Value,
}

#[derive(Clone, Debug)]
struct Open {
    is_object: bool,
    next: Next,
    /// The name of the member that is read is one of a credential.
    is_secret: bool,
    /// What the member that is read says of its siblings.
    role: Role,
    /// A member named a credential of which another one holds the value.
    is_labelled: bool,
    /// Where that value was written, from where the member that is read began.
    value: Option<Range<usize>>,
    begin: usize,
}

impl Open {
    const fn new(is_object: bool) -> Self {
        Self { is_object, next: Next::First, is_secret: false, role: Role::None, is_labelled: false, value: None, begin: 0 }
    }
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
    /// It is read from within an error, as far as it is JSON.
    is_part: bool,
    /// How often JSON may be a text in it.
    texts: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, rules: &'t Rules, texts: usize) -> Self {
        Self { text, at: 0, out: String::new(), open: Vec::new(), rules, truncated: false, hidden: None, is_part: false, texts }
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
        let masked = read.as_deref().map(|text| (text, value_within(text, self.rules, self.texts.saturating_sub(1))));
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
        self.open.last().is_some_and(|open| open.is_object && open.is_secret)
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
        let is_secret = if self.is_part { judged.is_credential } else { judged.is_secret };
        let Some(open) = self.open.last_mut() else { return };
        open.role = match (judged.is_value, judged.is_label) {
            (true, _) => Role::Value,
            (false, true) => Role::Label,
            (false, false) => Role::None,
        };
        (open.next, open.is_secret) = (Next::Colon, is_secret || open.is_labelled && open.role == Role::Value);
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
        self.open.push(Open::new(is_object));
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
        let masked = value_within(&text, self.rules, self.texts.saturating_sub(1));
        if !is_name && self.is_secret() {
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
