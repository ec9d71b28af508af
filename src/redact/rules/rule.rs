//! The type of a rule: its family, its weight and its pattern. Knows no particular rule.

/// The kind of internal that a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Frames and headers of stack traces.
    Trace,
    /// Source files and directories of a server.
    Path,
    /// Names of classes.
    Class,
    /// Sentences that only a language runtime or its network stack writes.
    Fault,
    /// SQL, and messages of databases, ORMs and template engines.
    Sql,
    /// Credentials, tokens, connection strings.
    Secret,
    /// Internal hosts and addresses.
    Address,
    /// Environment dumps.
    Environment,
    /// Tags in a text that should be a sentence.
    Markup,
    /// A pattern of the operator (`errors.redact.extra`).
    Extra,
}

impl Family {
    /// Returns the name of the family in reports and placeholders.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Path => "path",
            Self::Class => "class",
            Self::Fault => "fault",
            Self::Sql => "sql",
            Self::Secret => "secret",
            Self::Address => "address",
            Self::Environment => "environment",
            Self::Markup => "markup",
            Self::Extra => "extra",
        }
    }

    /// Returns the placeholder that replaces a finding.
    pub(in crate::redact) fn placeholder(self) -> String {
        format!("[redacted:{}]", self.word())
    }
}

/// The strength of one match as evidence of a leak. Any match makes the message of an error dirty; a whole document needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Common in documentation too: counts in a message only.
    Hint,
    /// Rare in documentation: counts in a short document, or together with others.
    Likely,
    /// One line of a trace: counts together with another one or with a likely match, or in a short document.
    Frame,
    /// Output that only a failing program writes.
    Sure,
}

impl Weight {
    /// Returns the name of the weight in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Likely => "likely",
            Self::Frame => "frame",
            Self::Sure => "sure",
        }
    }
}

/// A rule.
#[derive(Debug)]
pub(in crate::redact) struct Rule {
    pub(in crate::redact) family: Family,
    pub(in crate::redact) weight: Weight,
    pub(in crate::redact) pattern: &'static str,
}

pub(in crate::redact) const fn sure(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Sure, pattern }
}

pub(in crate::redact) const fn frame(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Frame, pattern }
}

pub(in crate::redact) const fn likely(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Likely, pattern }
}

pub(in crate::redact) const fn hint(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Hint, pattern }
}
