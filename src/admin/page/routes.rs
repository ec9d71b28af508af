//! Routes and limits: what each route does, what it serves, and which limits reject.

use askama::Template;

use super::answer::Answer;
use super::ask::encoded;
use super::body::visible;
use super::gateway::RouteAction;
use super::language::grouped;
use super::shell::{self, Shell};
use super::sources::{Refusal, Sources};

/// A route.
struct RouteView {
    name: String,
    href: String,
    matches: String,
    action: &'static str,
    target: String,
    limits: Vec<String>,
    requests: String,
    client_errors: String,
    server_errors: String,
    good_width: String,
    warn_x: String,
    warn_width: String,
    bad_x: String,
    bad_width: String,
    is_failing: bool,
}

/// A limit.
struct LimitView {
    name: String,
    allows: String,
    key: String,
    keys: String,
    is_shared: bool,
    recent: String,
    all: String,
    is_rejecting: bool,
}

#[derive(Template)]
#[template(path = "page/routes.html")]
struct Page<'a> {
    shell: &'a Shell<'a>,
    active: &'static str,
    title: &'static str,
    routes: Vec<RouteView>,
    limits: Vec<LimitView>,
}

fn share(part: u64, all: u64) -> f64 {
    if all > 0 { part as f64 / all as f64 } else { 0.0 }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Writes a share so that a small one does not look like none.
fn shown_share(part: u64, all: u64) -> String {
    match 100.0 * share(part, all) {
        _ if part == 0 => "0 %".to_owned(),
        share if share < 0.1 => "< 0.1 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

pub(super) fn page(shell: &Shell<'_>, sources: &Sources<'_>) -> Result<Answer, Refusal> {
    let served = sources.traffic.last();
    let refused = sources.traffic.refused();
    let route = |route: &super::gateway::RouteRow| {
        let ends = served.as_ref().and_then(|served| served.routes.get(&route.name)).copied().unwrap_or_default();
        let all = ends.all();
        let (good, warn, bad) = (share(ends.good, all), share(ends.client_errors, all), share(ends.server_errors, all));
        RouteView {
            name: visible(&route.name),
            href: format!("/errors?route={}", encoded(&route.name)),
            matches: visible(&route.matches),
            action: match route.action {
                RouteAction::Forward => "",
                RouteAction::Redirect => shell.t("action_redirect"),
                RouteAction::Respond => shell.t("action_respond"),
            },
            target: visible(&route.target),
            limits: route.limits.iter().map(|limit| visible(limit)).collect(),
            requests: grouped(all),
            client_errors: shown_share(ends.client_errors, all),
            server_errors: shown_share(ends.server_errors, all),
            good_width: percent(good),
            warn_x: percent(good),
            warn_width: percent(warn),
            bad_x: percent(good + warn),
            bad_width: percent(bad),
            is_failing: bad >= 0.01,
        }
    };
    let limit = |limit: &super::gateway::LimitRow| {
        let (recent, all) = refused.get(&limit.name).copied().unwrap_or_default();
        LimitView {
            name: visible(&limit.name),
            allows: visible(&limit.allows),
            key: visible(&limit.key),
            keys: grouped(limit.keys as u64),
            is_shared: limit.is_shared,
            recent: grouped(recent),
            all: grouped(all),
            is_rejecting: recent > 0,
        }
    };
    shell::render(&Page {
        shell,
        active: "routes",
        title: shell.t("nav_routes"),
        routes: sources.gateway.routes.iter().map(route).collect(),
        limits: sources.gateway.limits.iter().map(limit).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_share_is_not_none() {
        assert_eq!([(0, 10), (1, 100_000), (1, 8), (0, 0)].map(|(part, all)| shown_share(part, all)), ["0 %", "< 0.1 %", "12.5 %", "0 %"]);
    }
}
