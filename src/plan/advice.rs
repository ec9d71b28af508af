//! Warns of settings that are valid and can hardly be meant: names that nothing uses, routes that take requests from others, paths without
//! what is below them.
//!
//! Looks at a configuration without errors only. Must not change the plan.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::actions::ActionKeys;
use crate::config::diagnose::Problems;
use crate::config::file::{File, LimitUse, PolicyKeys, Route};
use crate::config::section::At;

/// The title of the warning of an endpoint at which the gateway itself listens.
pub const OWN_LISTENER: &str = "the endpoint is this gateway's own listener";

/// Adds all warnings. `plain` and `tls` are the addresses of the data listeners.
pub(super) fn advise(file: &File, plain: &[SocketAddr], tls: Option<SocketAddr>, problems: &mut Problems) {
    unused(file, problems);
    own_listeners(file, plain, tls, problems);
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

/// Endpoints at which the gateway itself listens: each request would come back to it.
fn own_listeners(file: &File, plain: &[SocketAddr], tls: Option<SocketAddr>, problems: &mut Problems) {
    for url in file.backends.iter().flat_map(|backend| &backend.endpoints).map(|endpoint| &endpoint.url) {
        let Ok(uri) = url.value.parse::<http::Uri>() else { continue };
        let is_tls = uri.scheme_str() == Some("https");
        let Some(host) = uri.host() else { continue };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let mut listeners = plain.iter().filter(|_| !is_tls).chain(tls.as_ref().filter(|_| is_tls));
        if listeners.any(|listener| listener.port() == port && is_reached(listener.ip(), host)) {
            let help = "name the port of the service, or listen on another one: `listen.http`, or --listen of `lockgate run`";
            problems.warn(url.span.clone(), OWN_LISTENER, help);
        }
    }
}

/// Returns true if a host of this machine is an address on which is listened. The addresses of its other interfaces are not known here.
fn is_reached(listener: IpAddr, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(ip) = host.parse::<IpAddr>() else {
        return host.eq_ignore_ascii_case("localhost") && (listener.is_unspecified() || listener.is_loopback());
    };
    // A connection to the unspecified address goes to the machine itself.
    let ip = if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { ip };
    ip == listener || (listener.is_unspecified() && ip.is_loopback())
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
    use super::{covers, is_reached};

    #[test]
    fn a_host_of_this_machine_is_a_listener() {
        let is = |listener: &str, host: &str| is_reached(listener.parse().unwrap(), host);
        assert!(is("0.0.0.0", "127.0.0.1") && is("0.0.0.0", "LocalHost") && is("::", "[::1]") && is("127.0.0.1", "0.0.0.0"));
        assert!(is("10.0.0.1", "10.0.0.1") && is("127.0.0.1", "localhost") && is("127.0.0.2", "127.0.0.2"));
        assert!(!is("10.0.0.1", "127.0.0.1") && !is("10.0.0.1", "localhost") && !is("0.0.0.0", "10.0.0.1") && !is("0.0.0.0", "orders"));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        assert!(covers("/*", "/a") && covers("/a/*", "/a") && covers("/a/*", "/a/b") && covers("/a", "/a") && covers("/a/{id}", "/a/x"));
        assert!(!covers("/a/*", "/ab") && !covers("/a", "/a/b"));
    }
}
