//! The rules: for each family of internals, the shapes that a runtime, a server or a database writes and a person does not. Pure data;
//! `engine` compiles it.
//!
//! Patterns match bytes: classes are ASCII, there is no backtracking, and no pattern may name one sentence of one product. `{EXT}` stands
//! for the extensions of source files.

mod addresses;
mod faults;
mod paths;
mod rule;
mod secrets;
mod sql;
mod traces;

pub(super) use rule::Rule;
pub use rule::{Family, Weight};

/// The extensions of files that contain programs or templates.
pub(super) const SOURCES: &str = "java|kts?|scala|sc|clj[cs]?|groovy|gradle|py[xw]?|[mc]?jsx?|[mc]?tsx?|vue|svelte|rb|erb|haml|slim|rake|php\\d?|phtml|inc|twig|\
     go|rs|cs|vb|fs|cshtml|vbhtml|razor|asp|aspx|ascx|ashx|asmx|jspx?|cf[mc]|exs?|h?eex|erl|hrl|p[lm]|psgi|cgi|lua|c|cc|cpp|cxx|h|hh|hpp|\
     mm?|swift|dart|l?hs|mli?|[rR]|tcl|jl|nim|zig|cr|d|ad[bs]|f90|f95|pas|dpr|pp|scm|rkt|lisp|el|cob|cbl|abap|sql|pk[sb]|sh|bash|psm?1|\
     tmpl|ftlh?|vm|mustache|hbs|ejs|pug|jinja2?|j2|liquid|coffee|elm|pike|pmod|raku|rakumod|cls|trigger|hx|st|cob|cpy|mjs|bal|gd|gleam|odin|sol|xq[lmy]?|xslt?|hack|fish|elm|purs|tf";

/// Returns all rules.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    [traces::RULES, faults::RULES, paths::RULES, sql::RULES, secrets::RULES, addresses::RULES].into_iter().flatten()
}
