//! Why other routes do not get a request. Knows nothing of what routes do.

use super::effective::Effective;
use crate::plan::RouteRules;
use crate::policy::Wanted;
use crate::route::{Asked, Conditions, Found, Match, Table};

/// The most routes that are told of.
const MAX_TOLD: usize = 10;

/// A route whose path matches, and that does not get the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub route: String,
    /// Its place in the file.
    pub origin: String,
    /// Why it does not get the request.
    pub why: String,
}

/// Returns the routes with the path of a request that do not get it, in the order of the file, but first those that do not match.
pub(super) fn rejected(rules: &[RouteRules], chosen: Option<usize>, asked: &Asked<'_>, effective: &Effective) -> Vec<Rejected> {
    let mut found: Vec<(bool, Rejected)> = Vec::new();
    for (index, of) in rules.iter().enumerate().filter(|(index, _)| Some(*index) != chosen) {
        let Some(rule) = of.rules.iter().find(|rule| rule.path.matches(asked.path)) else { continue };
        let part = effective.route(index);
        let line = part.and_then(|part| part.line).map(|line| format!("{}:{line}", effective.file));
        let reason = reason(rule, asked);
        let why = reason.clone().unwrap_or_else(|| format!("`{}` is less specific", rule.path));
        let route = part.and_then(|part| part.name.clone()).unwrap_or_else(|| of.name.clone());
        found.push((reason.is_none(), Rejected { route, origin: line.unwrap_or_default(), why }));
    }
    found.sort_by_key(|(matches, _)| *matches);
    found.into_iter().take(MAX_TOLD).map(|(_, rejected)| rejected).collect()
}

/// Why a rule whose path matches does not match; `None` if it does.
fn reason(rule: &Match, asked: &Asked<'_>) -> Option<String> {
    let methods = rule.methods.iter().flatten().map(http::Method::as_str).collect::<Vec<_>>().join(", ");
    match matches(rule.clone(), asked) {
        Outcome::Matches => return None,
        Outcome::OtherMethods => return Some(format!("the method is not {methods}")),
        Outcome::No => {}
    }
    let without = |conditions| Match { conditions, methods: None, ..rule.clone() };
    if matches(without(Conditions::default()), asked) == Outcome::No {
        return Some(format!("the host is not {}", rule.host.as_deref().unwrap_or("any")));
    }
    let Conditions { headers, query, clients, scheme } = &rule.conditions;
    let wanted = |wanted: &Wanted| match wanted {
        Wanted::Any => "is missing",
        Wanted::Exactly(_) => "does not have the value",
    };
    let mut single: Vec<(Conditions, String)> = Vec::new();
    for header in headers {
        let told = format!("the header {} {}", header.0, wanted(&header.1));
        single.push((Conditions { headers: vec![header.clone()], ..Conditions::default() }, told));
    }
    for parameter in query {
        let told = format!("the parameter {} {}", parameter.0, wanted(&parameter.1));
        single.push((Conditions { query: vec![parameter.clone()], ..Conditions::default() }, told));
    }
    if !clients.is_empty() {
        let told = format!("the client {} is not in `client`", asked.client);
        single.push((Conditions { clients: clients.clone(), ..Conditions::default() }, told));
    }
    if let Some(scheme) = scheme {
        single.push((Conditions { scheme: Some(*scheme), ..Conditions::default() }, format!("the scheme is not {}", scheme.as_str())));
    }
    let failed = single.into_iter().filter(|(conditions, _)| matches(without(conditions.clone()), asked) == Outcome::No);
    Some(failed.map(|(_, told)| told).collect::<Vec<_>>().join(", "))
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Matches,
    OtherMethods,
    No,
}

/// Asks the routing table itself, with this rule alone.
fn matches(rule: Match, asked: &Asked<'_>) -> Outcome {
    let (table, _) = Table::build(vec![(rule, ())]);
    match table.find(asked) {
        Found::Target(()) => Outcome::Matches,
        Found::OtherMethods(..) => Outcome::OtherMethods,
        Found::Nothing => Outcome::No,
    }
}
