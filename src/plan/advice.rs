//! Warns of settings that are valid and can hardly be meant: names that nothing uses, routes that take requests from others, paths without
//! what is below them.
//!
//! Looks at a configuration without errors only. Must not change the plan.

use std::collections::HashSet;

use crate::config::actions::ActionKeys;
use crate::config::diagnose::Problems;
use crate::config::file::{File, LimitUse, PolicyKeys, Route};
use crate::config::section::At;

/// Adds all warnings.
pub(super) fn advise(file: &File, problems: &mut Problems) {
    unused(file, problems);
    for route in &file.routes {
        paths_of(route).for_each(|path| slash_at_the_end(file, path, problems));
        shadowing_methods(file, route, problems);
    }
}

fn paths_of(route: &Route) -> impl Iterator<Item = &At<String>> {
    route.paths.iter()
}

/// The hosts of a route; none for all.
fn hosts_of(route: &Route) -> HashSet<&str> {
    route.hosts.iter().flatten().map(|at| at.value.as_str()).collect()
}

fn backends_of(route: &Route) -> impl Iterator<Item = &str> {
    let uses = match &route.action {
        Some(ActionKeys::Backends(uses)) => uses.as_slice(),
        Some(ActionKeys::Redirect(_) | ActionKeys::Respond(_)) | None => &[],
    };
    uses.iter().map(|used| used.name.value.as_str())
}

/// Whether a route matches by more than host, path and method.
fn is_conditional(route: &Route) -> bool {
    !route.headers.is_empty() || !route.query.is_empty() || route.scheme.is_some() || route.clients.is_some()
}

/// Backends and limits that no route uses.
fn unused(file: &File, problems: &mut Problems) {
    let used: HashSet<&str> = file.routes.iter().flat_map(backends_of).collect();
    for backend in file.backends.iter().filter(|backend| !used.contains(backend.name.value.as_str())) {
        let title = format!("no route uses the backend `{}`", backend.name.value);
        problems.warn(backend.name.span.clone(), title, "add a route with this `backend`, or remove it");
    }
    let policies = file.backends.iter().map(|backend| &backend.policy).chain(file.routes.iter().map(|route| &route.policy));
    let limits = |keys: &'_ PolicyKeys| keys.limits.iter().flatten().map(limit_name).collect::<Vec<_>>();
    let used: HashSet<String> = policies.chain([&file.defaults]).flat_map(limits).collect();
    for limit in file.limits.iter().filter(|limit| !used.contains(&limit.name.value)) {
        let name = &limit.name.value;
        let help = format!("a limit counts where it is named: limits = [\"{name}\"] in [defaults], a backend or a route");
        problems.warn(limit.name.span.clone(), format!("nothing uses the limit `{name}`"), help);
    }
}

fn limit_name(used: &LimitUse) -> String {
    used.name.value.clone()
}

/// An exact path that ends in a slash, with nothing below it: whoever comes from another proxy means a prefix.
fn slash_at_the_end(file: &File, path: &At<String>, problems: &mut Problems) {
    let Some(bare) = path.value.strip_suffix('/') else { return };
    let below = format!("{bare}/x");
    if file.routes.iter().flat_map(paths_of).any(|other| covers(&other.value, &below)) {
        return;
    }
    let title = format!("`{}` is this path alone: deeper paths are 404", path.value);
    problems.warn(path.span.clone(), title, format!("write \"{bare}/*\" for the path and everything below it"));
}

/// A route with `methods` beside a less specific one that takes any method. Other methods do not go on to that one.
fn shadowing_methods(file: &File, route: &Route, problems: &mut Problems) {
    let (Some(methods), Some(first)) = (&route.methods, paths_of(route).next()) else { return };
    let Some(at) = methods.first() else { return };
    let same = |other: &Route| hosts_of(other) == hosts_of(route) && paths_of(other).any(|path| path.value == first.value);
    let takes_any = |other: &&Route| other.methods.is_none() && !is_conditional(other);
    if is_conditional(route) || file.routes.iter().filter(takes_any).any(same) {
        return;
    }
    let wider = file.routes.iter().filter(takes_any).flat_map(paths_of);
    let wider = wider.filter(|path| path.value != first.value && covers(&path.value, first.value.trim_end_matches("/*")));
    if let Some(wider) = wider.max_by_key(|path| path.value.len()) {
        let title = format!("requests for `{}` with another method get 405; they do not go on to `{}`", first.value, wider.value);
        problems.warn(at.span.clone(), title, "for other methods, add a route with the same path and without `methods`");
    }
}

/// Returns true if a path of a route matches a path.
fn covers(rule: &str, path: &str) -> bool {
    let (prefix, is_whole) = rule.strip_suffix("/*").map_or((rule, true), |prefix| (prefix, false));
    let mut segments = path.split('/');
    let is_same = |segment: &str, other: Option<&str>| other.is_some_and(|other| segment == other || segment.starts_with('{'));
    prefix.split('/').all(|segment| is_same(segment, segments.next())) && (!is_whole || segments.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        assert!(covers("/*", "/a") && covers("/a/*", "/a") && covers("/a/*", "/a/b") && covers("/a", "/a") && covers("/a/{id}", "/a/x"));
        assert!(!covers("/a/*", "/ab") && !covers("/a", "/a/b"));
    }
}
