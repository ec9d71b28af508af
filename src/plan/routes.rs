//! Compiles `[[routes]]` into the routing table. Must not parse values; `config` does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::access::Auths;
use super::auth::Auth;
use super::live::LiveState;
use super::matching::{Matches, refuse_forgeable};
use super::policies::{Layers, cors};
use super::presenters::ErrorPresenters;
use super::targets::Target;
use super::{Action, AppliedLimit, Forward, Route, RouteTarget, Split, actions, limits};
use crate::config::actions::{ActionKeys, BackendUse, StickyBy};
use crate::config::diagnose::Problems;
use crate::config::file::{self, ErrorKeys, File, PolicyKeys};
use crate::config::section::At;
use crate::config::words::nearest;
use crate::observe::metrics::{Metrics, NO_BACKEND};
use crate::route::{Match, Pattern, Table};

/// The most regular expressions of a host that begin with the same directories.
const MAX_EXPRESSIONS: usize = 100;
/// The most conflicts that are reported.
const MAX_CONFLICTS: usize = 100;

/// Compiles the routes; holds everything that they refer to.
pub(super) struct Builder<'a> {
    pub(super) file: &'a File,
    pub(super) problems: &'a mut Problems,
    pub(super) targets: &'a HashMap<&'a str, Option<Target>>,
    pub(super) limits: &'a HashMap<String, AppliedLimit>,
    pub(super) metrics: &'a Metrics,
    pub(super) body_timeout: Option<Duration>,
    pub(super) presenters: ErrorPresenters,
    pub(super) auths: &'a mut Auths,
    pub(super) live: &'a LiveState,
    pub(super) cores: usize,
}

/// What the variants of a route have in common.
struct Common<'k> {
    keys: &'k file::Route,
    matches: &'k Matches,
    patterns: Arc<[Pattern]>,
    name: String,
    auth: Option<Arc<Auth>>,
}

impl Builder<'_> {
    /// Compiles all routes.
    pub(super) fn routes(mut self) -> Table<RouteTarget> {
        if self.file.routes.is_empty() {
            self.problems.add(None, "there is no route", "add a [[routes]] with `path` and `backend`");
        }
        let (mut rules, mut places) = (Vec::new(), Vec::new());
        let mut names: HashMap<String, ()> = HashMap::new();
        let file = self.file;
        for (index, keys) in file.routes.iter().enumerate() {
            self.check_unique_name(keys, &mut names);
            let matches = Matches::compile(keys, self.problems);
            if let Some(target) = self.target(keys, &matches) {
                for (rule, span) in matches.rules() {
                    rules.push((rule, target.clone()));
                    places.push((index, span));
                }
            }
        }
        self.bound_expressions(&rules, &places);
        let told: Vec<String> = rules.iter().map(|(rule, _)| rule.path.to_string()).collect();
        let (table, conflicts) = Table::build(rules);
        for conflict in conflicts.into_iter().take(MAX_CONFLICTS) {
            let ((first, _), (second, span)) = (&places[conflict.first], &places[conflict.second]);
            let title = match first == second {
                true => "the route lists this path twice".to_owned(),
                false => format!("this route matches the same requests as an earlier one (`{}`)", told[conflict.first]),
            };
            let help = "give it another host, path, method or condition; the order in the file does not matter. Of two regular expressions, the longer one wins";
            self.problems.add(span.clone(), title, help);
        }
        table
    }

    /// Reports too many expressions that a request may have to be compared with, one by one.
    fn bound_expressions(&mut self, rules: &[(Match, RouteTarget)], places: &[(usize, std::ops::Range<usize>)]) {
        let mut counts: HashMap<(Option<&str>, &str), usize> = HashMap::new();
        for ((rule, _), (_, span)) in rules.iter().zip(places) {
            let Pattern::Expression(expression) = &rule.path else { continue };
            let count = counts.entry((rule.host.as_deref(), expression.directory())).or_default();
            *count += 1;
            if *count == MAX_EXPRESSIONS + 1 {
                let title = format!("more than {MAX_EXPRESSIONS} regular expressions of a host begin with the same directories");
                let help = "begin each with directories of its own, such as /shop/[0-9]+, or use paths with captures";
                self.problems.add(span.clone(), title, help);
            }
        }
    }

    fn check_unique_name(&mut self, keys: &file::Route, names: &mut HashMap<String, ()>) {
        if let Some(name) = &keys.name
            && names.insert(name.value.clone(), ()).is_some()
        {
            self.problems.add(name.span.clone(), "this route name is used twice", "logs and metrics identify routes by name");
        }
    }

    fn target(&mut self, keys: &file::Route, matches: &Matches) -> Option<RouteTarget> {
        let patterns: Arc<[Pattern]> = matches.patterns.iter().map(|pattern| pattern.value.clone()).collect();
        let name = keys.name.as_ref().map_or_else(|| matches.name(), |at| at.value.clone());
        let auth = self.auth(keys, &name);
        let common = Common { keys, matches, patterns, name, auth };
        match keys.action.as_ref()? {
            ActionKeys::Backends(list) => self.forward(&common, list),
            ActionKeys::Redirect(redirect) => {
                let action = actions::redirect(redirect, &common.patterns, &matches.conditions, self.problems)?;
                Some(RouteTarget::One(self.route(&common, None, Action::Redirect(action))))
            }
            ActionKeys::Respond(respond) => Some(RouteTarget::One(self.route(&common, None, Action::Respond(actions::respond(respond))))),
        }
    }

    /// Compiles a route to one backend, or one route per backend.
    fn forward(&mut self, common: &Common<'_>, list: &[BackendUse]) -> Option<RouteTarget> {
        let sticky = common.keys.sticky.as_ref();
        if let Some(At { value: StickyBy::Header(name), span }) = sticky {
            refuse_forgeable(name, span.clone(), "sticky", self.problems);
        }
        if let (Some(at), [_]) = (sticky, list) {
            self.problems.add(
                at.span.clone(),
                "`sticky` has no effect with one backend",
                "write a list of backends with weights, or remove the key",
            );
        }
        for (at, part) in list.iter().enumerate() {
            if list[..at].iter().any(|other| other.name.value == part.name.value) {
                self.problems.add(part.name.span.clone(), "this backend is listed twice", "add up the weights");
            }
        }
        let routes: Vec<_> =
            list.iter().map(|part| Some((self.with_backend(common, part)?, part.weight, part.name.value.as_str()))).collect();
        let mut routes = routes.into_iter().collect::<Option<Vec<_>>>()?;
        if routes.len() == 1 {
            routes.pop().map(|(route, ..)| RouteTarget::One(route))
        } else {
            Some(RouteTarget::Split(Arc::new(Split::new(routes, sticky.map(|at| at.value.clone())))))
        }
    }

    fn with_backend(&mut self, common: &Common<'_>, part: &BackendUse) -> Option<Arc<Route>> {
        let keys = common.keys;
        let name = &part.name;
        let target = self.targets.get(name.value.as_str());
        if target.is_none() {
            let known: Vec<&str> = self.targets.keys().copied().collect();
            let help = match nearest(&name.value, &known) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => "add a [backends.NAME] with this name".to_owned(),
            };
            self.problems.add(name.span.clone(), "there is no backend with this name", help);
        }
        let rewrite = keys.rewrite.as_ref().and_then(|text| actions::rewrite(text, &common.patterns, self.problems));
        let of_backend = self.file.backends.iter().find(|backend| backend.name.value == name.value);
        // Without a usable backend the rest is compiled all the same, for its problems.
        let Some((backend, gate)) = target.cloned().flatten() else {
            self.policy(common, of_backend);
            return None;
        };
        let backend_metrics = self.metrics.backend(&backend.name);
        Some(self.route(common, of_backend, Action::Forward(Forward { backend, backend_metrics, gate, rewrite })))
    }

    fn route(&mut self, common: &Common<'_>, of_backend: Option<&file::Backend>, action: Action) -> Arc<Route> {
        let (mut policy, presenter, limits) = self.policy(common, of_backend);
        let backend = match &action {
            Action::Forward(forward) => {
                let base = forward.backend.settings.base_path.as_str();
                policy.add_prefix = actions::add_prefix(base, common.keys.add_prefix.as_ref(), self.problems);
                Arc::clone(&forward.backend.name)
            }
            Action::Redirect(_) | Action::Respond(_) => NO_BACKEND.into(),
        };
        let auth = common.auth.clone();
        let paths = common.patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").into();
        Arc::new(Route { metrics: self.metrics.route(&common.name, backend), paths, action, policy, presenter, limits, auth })
    }

    /// Compiles `auth`, once for all variants of a route.
    fn auth(&mut self, keys: &file::Route, name: &str) -> Option<Arc<Auth>> {
        let auth = keys.auth.as_ref()?;
        if let Some(ActionKeys::Redirect(_) | ActionKeys::Respond(_)) = &keys.action {
            for (key, span) in auth.for_backends() {
                self.problems.add(span, format!("`{key}` has no effect on a route without `backend`"), "remove the key");
            }
        }
        self.auths.compile(auth, self.metrics.auth(name), (self.live, self.cores), self.problems).map(Arc::new)
    }

    fn policy(
        &mut self,
        common: &Common<'_>,
        of_backend: Option<&file::Backend>,
    ) -> (crate::policy::Policy, super::ErrorPresenter, Vec<AppliedLimit>) {
        let keys = common.keys;
        let policies: Vec<&PolicyKeys> =
            [Some(&keys.policy), of_backend.map(|b| &b.policy), Some(&self.file.defaults)].into_iter().flatten().collect();
        let errors: Vec<&ErrorKeys> =
            [Some(&keys.errors), of_backend.map(|b| &b.errors), Some(&self.file.errors)].into_iter().flatten().collect();
        let layers = Layers { keys: policies, errors, body_timeout: self.body_timeout, mode: self.file.mode };
        let mut policy = layers.policy(self.problems);
        let (presenter, languages) = self.presenters.compile(&layers, self.problems);
        policy.errors.languages = languages;
        policy.leak_guard = keys.leak_guard.unwrap_or(false) && !policy.dry_run;
        policy.maintenance = keys.maintenance;
        policy.map_cookies = keys.map_cookies.unwrap_or(true);
        policy.strip_prefix = keys.strip_prefix.as_ref().and_then(|prefix| actions::strip_prefix(prefix, keys, self.problems));
        policy.cors = keys.cors.as_ref().and_then(|cors_keys| cors(cors_keys, common.matches.methods.as_deref(), self.problems));
        let limits = self.limits_of(&layers.limits());
        (policy, presenter, limits)
    }

    fn limits_of(&mut self, uses: &[file::LimitUse]) -> Vec<AppliedLimit> {
        let mut found = Vec::new();
        for used in uses {
            let name = &used.name;
            if let Some(limit) = self.limits.get(&name.value) {
                found.push(limits::applied(limit, used, self.problems));
            } else if !self.file.limits.iter().any(|limit| limit.name.value == name.value) {
                let known: Vec<&str> = self.file.limits.iter().map(|limit| limit.name.value.as_str()).collect();
                let help = nearest(&name.value, &known)
                    .map_or_else(|| "add a [limits.NAME] with this name".to_owned(), |known| format!("did you mean \"{known}\"?"));
                self.problems.add(name.span.clone(), "there is no limit with this name", help);
            }
        }
        found
    }
}
