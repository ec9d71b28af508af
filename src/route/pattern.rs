//! The paths that a rule matches: exact, by prefix, with captured segments, or by a regular expression.
//!
//! A path is matched as it was sent. Knows nothing of hosts, methods or targets.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

/// The largest compiled regular expression, and the most memory that matching keeps for it, in bytes.
const MAX_COMPILED: usize = 64 << 10;
/// The longest regular expression, in bytes.
const MAX_TEXT: usize = 1024;
/// The most segments of a path with captures: the look-up may try each of them in two ways.
const MAX_SEGMENTS: usize = 16;
/// The name of what follows the prefix.
const REST: &str = "rest";

/// A segment of a path with captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any text but none, captured under this name.
    Capture(String),
}

/// The paths that a rule matches.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// This path.
    Exact(String),
    /// This path and all below it. Has no slash at its end, so it is empty for all paths.
    Prefix(String),
    /// Paths with these segments, or paths below them.
    Segments {
        /// The segments.
        segments: Vec<Segment>,
        /// Whether paths below them match too.
        is_prefix: bool,
    },
    /// Paths that the expression matches as a whole.
    Expression(Expression),
}

/// A regular expression for whole paths.
#[derive(Clone, Debug)]
pub struct Expression {
    /// As written by the operator.
    pub text: String,
    /// The expression, anchored at both ends.
    pub compiled: Regex,
    /// The text that every match begins with.
    pub prefix: String,
    /// The text that every match ends with.
    pub suffix: String,
}

impl Expression {
    /// Returns the directories that every match begins with, without a slash at the end.
    pub fn directory(&self) -> &str {
        self.prefix.rfind('/').map_or("", |end| &self.prefix[..end])
    }
}

impl Pattern {
    /// Reads a path: `/a/b`, `/a/*`, `/users/{id}/orders` or `/users/{id}/*`.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn of_path(text: &str) -> Result<Self, &'static str> {
        let (bare, is_prefix) = text.strip_suffix("/*").map_or((text, false), |bare| (bare, true));
        if !text.starts_with('/') {
            return Err("a path begins with `/`");
        }
        if is_prefix && bare.ends_with('/') {
            return Err("a path has no empty segments");
        }
        if bare.contains('*') {
            return Err("`*` is allowed only at the end, as `/*`");
        }
        if bare.contains(['?', '#', '%', ';', '\\', ' ']) || bare.contains("//") || bare.split('/').any(|s| matches!(s, "." | "..")) {
            return Err("a path has plain segments only: no query, fragment, escape, space, `;`, `\\`, `//` or dot segment");
        }
        if !bare.contains(['{', '}']) {
            return Ok(if is_prefix { Self::Prefix(bare.to_owned()) } else { Self::Exact(text.to_owned()) });
        }
        let segments = bare.split('/').skip(1).map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err("a path with captures has at most 16 segments");
        }
        let names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        if names.iter().enumerate().any(|(at, name)| names[..at].contains(name) || is_reserved(name)) {
            return Err("each capture needs a name of its own, other than host, path, query, rest and scheme");
        }
        Ok(Self::Segments { segments, is_prefix })
    }

    /// Reads a regular expression that must match the whole path.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn of_expression(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("a regular expression has at most {MAX_TEXT} bytes"));
        }
        // Parentheses must pair within the text, or it would leave the anchors.
        let parsed = regex_syntax::parse(text).map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())?;
        let compiled =
            RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build().map_err(|error| {
                match error {
                    regex::Error::CompiledTooBig(_) => {
                        "the regular expression is too large when compiled; use smaller repetitions".to_owned()
                    }
                    other => other.to_string().lines().last().unwrap_or("not a regular expression").trim().to_owned(),
                }
            })?;
        if let Some(name) = compiled.capture_names().flatten().find(|name| is_reserved(name)) {
            return Err(format!("a capture cannot be named `{name}`, which is a placeholder of its own"));
        }
        let (prefix, suffix) = (literal_start(&parsed), literal_end(&parsed));
        Ok(Self::Expression(Expression { text: text.to_owned(), compiled, prefix, suffix }))
    }

    /// Returns true if the rule matches this path.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(prefix) => path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Segments { segments, is_prefix } => {
                let mut parts = path.split('/').skip(1);
                segments.iter().all(|segment| parts.next().is_some_and(|part| segment.matches(part)))
                    && (*is_prefix || parts.next().is_none())
            }
            Self::Expression(expression) => expression.compiled.is_match(path),
        }
    }

    /// Returns the names that [`Self::capture`] knows.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Exact(_) => Vec::new(),
            Self::Prefix(_) => vec![REST],
            Self::Segments { segments, is_prefix } => segments.iter().filter_map(Segment::name).chain(is_prefix.then_some(REST)).collect(),
            Self::Expression(expression) => expression.compiled.capture_names().flatten().collect(),
        }
    }

    /// Returns what `name` captures of a path that this pattern matches; empty if it captures nothing.
    pub fn capture<'p>(&self, path: &'p str, name: &str) -> &'p str {
        match self {
            Self::Exact(_) => "",
            Self::Prefix(prefix) if name == REST => path.get(prefix.len() + 1..).unwrap_or_default(),
            Self::Prefix(_) => "",
            Self::Segments { segments, is_prefix } if name == REST && *is_prefix => {
                path.splitn(segments.len() + 2, '/').nth(segments.len() + 1).unwrap_or_default()
            }
            Self::Segments { segments, .. } => {
                let at = segments.iter().position(|segment| segment.name() == Some(name));
                at.and_then(|at| path.split('/').nth(at + 1)).unwrap_or_default()
            }
            Self::Expression(expression) => {
                expression.compiled.captures(path).and_then(|found| found.name(name)).map_or("", |found| found.as_str())
            }
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(path) => out.write_str(path),
            Self::Prefix(prefix) => write!(out, "{prefix}/*"),
            Self::Segments { segments, is_prefix } => {
                for segment in segments {
                    match segment {
                        Segment::Literal(text) => write!(out, "/{text}")?,
                        Segment::Capture(name) => write!(out, "/{{{name}}}")?,
                    }
                }
                out.write_str(if *is_prefix { "/*" } else { "" })
            }
            Self::Expression(expression) => out.write_str(&expression.text),
        }
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Capture(name) => Some(name),
        }
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(text) => text == part,
            Self::Capture(_) => !part.is_empty(),
        }
    }
}

/// Returns true for names that are placeholders without a capture.
fn is_reserved(name: &str) -> bool {
    matches!(name, "host" | "path" | "query" | "scheme" | REST)
}

/// Returns the end of the segment at this depth, or the end of a path that is not as deep.
pub(super) fn end_of(path: &str, depth: usize) -> usize {
    path.bytes().enumerate().filter(|(_, b)| *b == b'/').nth(depth).map_or(path.len(), |(at, _)| at)
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            Ok(Segment::Capture(name.to_owned()))
        }
        None if !text.contains(['{', '}']) => Ok(Segment::Literal(text.to_owned())),
        Some(_) | None => Err("a capture is a whole segment, such as `{id}`; its name has letters, digits and `_`"),
    }
}

/// The text that every match of an expression begins with.
fn literal_start(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(capture) => literal_start(&capture.sub),
        HirKind::Concat(parts) => parts.iter().find(|part| !matches!(part.kind(), HirKind::Look(_))).map(literal_start).unwrap_or_default(),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => String::new(),
    }
}

/// The text that every match of an expression ends with.
fn literal_end(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(capture) => literal_end(&capture.sub),
        HirKind::Concat(parts) => parts.iter().rfind(|part| !matches!(part.kind(), HirKind::Look(_))).map(literal_end).unwrap_or_default(),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_capture_and_prefixes_leave_a_rest() {
        let pattern = Pattern::of_path("/users/{id}/orders/*").unwrap();
        assert!(pattern.matches("/users/7/orders/1/2") && pattern.matches("/users/7/orders"));
        assert!(!pattern.matches("/users//orders/1") && !pattern.matches("/users/7/other"));
        assert_eq!(pattern.capture("/users/7/orders/1/2", "id"), "7");
        assert_eq!(pattern.capture("/users/7/orders/1/2", "rest"), "1/2");
        assert_eq!(pattern.capture("/users/7/orders", "rest"), "");
        assert_eq!(pattern.to_string(), "/users/{id}/orders/*");
        let prefix = Pattern::of_path("/*").unwrap();
        assert_eq!((prefix.capture("/", "rest"), prefix.capture("/a/b", "rest")), ("", "a/b"));
        assert_eq!(Pattern::of_path("/a/*").unwrap().capture("/a", "rest"), "");
    }

    #[test]
    fn expressions_match_whole_paths() {
        let Pattern::Expression(expression) = Pattern::of_expression("/v[12]/(?<name>[a-z]+)\\.php").unwrap() else { panic!() };
        assert_eq!((expression.prefix.as_str(), expression.suffix.as_str()), ("/v", ".php"));
        let pattern = Pattern::Expression(expression);
        assert!(pattern.matches("/v1/a.php") && !pattern.matches("/v1/a.php5") && !pattern.matches("/x/v1/a.php"));
        assert_eq!(pattern.capture("/v2/abc.php", "name"), "abc");
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for path in ["a", "/a*", "/a//b", "/a/../b", "/a%20", "/{a}/{a}", "/{host}", "/a{b}", "/{}", "/{a-b}", "/a//*"] {
            assert!(Pattern::of_path(path).is_err(), "{path}");
        }
        assert!(Pattern::of_expression("(").is_err() && Pattern::of_expression("/a)|(?:/b").is_err());
        assert!(Pattern::of_expression("(?:[a-z]{100}){100}").unwrap_err().contains("too large"));
        assert!(Pattern::of_expression("/(?<host>x)").unwrap_err().contains("placeholder"));
    }
}
