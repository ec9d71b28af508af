//! What internals look like: one table of families, each rule a shape that a runtime, a server or a database writes and a
//! person does not. Pure data; `engine` compiles it.
//!
//! Patterns see bytes: classes are ASCII, nothing backtracks, and none may name one product's one sentence. `{EXT}` stands
//! for the endings of source files.

mod addresses;
mod faults;
mod paths;
mod secrets;
mod sql;
mod traces;

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
pub(super) struct Rule {
    pub(super) family: Family,
    pub(super) weight: Weight,
    pub(super) pattern: &'static str,
}

pub(super) const fn sure(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Sure, pattern }
}

pub(super) const fn frame(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Frame, pattern }
}

pub(super) const fn likely(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Likely, pattern }
}

pub(super) const fn hint(family: Family, pattern: &'static str) -> Rule {
    Rule { family, weight: Weight::Hint, pattern }
}

/// Endings of files that programs and templates are written in.
pub(super) const SOURCES: &str = "java|kts?|scala|sc|clj[cs]?|groovy|gradle|py[xw]?|[mc]?jsx?|[mc]?tsx?|vue|svelte|rb|erb|haml|slim|rake|php\\d?|phtml|inc|twig|\
     go|rs|cs|vb|fs|cshtml|vbhtml|razor|asp|aspx|ascx|ashx|asmx|jspx?|cf[mc]|exs?|h?eex|erl|hrl|p[lm]|psgi|cgi|lua|c|cc|cpp|cxx|h|hh|hpp|\
     mm?|swift|dart|l?hs|mli?|[rR]|tcl|jl|nim|zig|cr|d|ad[bs]|f90|f95|pas|dpr|pp|scm|rkt|lisp|el|cob|cbl|abap|sql|pk[sb]|sh|bash|psm?1|\
     tmpl|ftlh?|vm|mustache|hbs|ejs|pug|jinja2?|j2|liquid|coffee|elm|pike|pmod|raku|rakumod|cls|trigger|hx|st|cob|cpy|mjs";

/// All rules.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    [traces::RULES, faults::RULES, paths::RULES, sql::RULES, secrets::RULES, addresses::RULES].into_iter().flatten()
}
