//! Masks members of JSON (RFC 8259), of which only the beginning may be there. Copies what it does not mask as it is. Pure functions of a
//! text.

use super::names::{is_secret, value};
use crate::journal::rules::{MASK, Rules};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// Returns the JSON with the values of secret members masked: one value or several after each other. `None` if it is no JSON.
pub(super) fn masked(text: &str, truncated: bool, rules: &Rules) -> Option<String> {
    let mut reader = Reader { text, at: 0, out: String::with_capacity(text.len()), open: Vec::new(), rules, truncated, hidden: None };
    let end = reader.run();
    match end {
        End::Complete => Some(reader.out),
        End::Cut if truncated => Some(reader.out),
        End::Cut | End::Wrong => None,
    }
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

#[derive(Clone, Copy, Debug)]
struct Open {
    is_object: bool,
    next: Next,
    /// The name of the member that is read is one of a credential.
    is_secret: bool,
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
}

impl Reader<'_> {
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
        if let Some(open) = self.open.last_mut() {
            (open.next, open.is_secret) = (Next::Comma, false);
        }
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
        self.open.push(Open { is_object, next: Next::First, is_secret: false });
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
        let text: String = serde_json::from_str(token).map_err(|_| End::Wrong)?;
        let masked = value(&text, self.rules);
        if !is_name && self.is_secret() {
            self.mask();
            self.at += length;
        } else if masked == text {
            self.copy(length);
        } else {
            self.write(&serde_json::Value::from(masked).to_string());
            self.at += length;
        }
        match self.open.last_mut() {
            Some(open) if is_name => (open.next, open.is_secret) = (Next::Colon, is_secret(&text, self.rules)),
            Some(_) | None => self.had_value(),
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
        if self.is_secret() || value(token, self.rules) != token {
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

/// Returns the length of a text with its quotes; `None` if its end is not there.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
