//! One rule, what it finds, and how much that proves.

/// What kind of internal a rule finds.
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
    /// SQL and what databases, ORMs and templates say.
    Sql,
    /// Credentials, tokens, connection strings.
    Secret,
    /// Hosts and addresses inside.
    Address,
    /// Environment dumps.
    Environment,
    /// Tags in what should be a sentence.
    Markup,
    /// A pattern of the operator's (`errors.redact.extra`).
    Extra,
}

impl Family {
    /// The word in reports and placeholders.
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

    /// What stands in the place of a finding.
    pub(in crate::redact) fn placeholder(self) -> String {
        format!("[redacted:{}]", self.word())
    }
}

/// How much one match proves. Any of them makes a message of an error unfit; a whole document needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Common in documentation too: counts in a message only.
    Hint,
    /// Rare in documentation: counts in a short document, or twice.
    Likely,
    /// One line of a trace: proves it together with another one, or with a likely header.
    Frame,
    /// Written by a failing program and by nothing else.
    Sure,
}

impl Weight {
    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Likely => "likely",
            Self::Frame => "frame",
            Self::Sure => "sure",
        }
    }
}

/// One shape.
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
