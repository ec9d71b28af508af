//! The routing table: look-up by host, then by what `paths` and `choices` hold.
//!
//! Knows nothing of a rule's target.

use std::collections::HashMap;

use super::asked::Asked;
use super::choices::{Choices, Found};
use super::paths::Paths;
use super::rule::{Conflict, Match};

/// The keys come from the operator's configuration, so the hash need not resist collision attacks.
type Map<T> = HashMap<String, T, foldhash::fast::RandomState>;

/// All rules.
#[derive(Debug)]
pub struct Table<T> {
    exact: Map<Paths<T>>,
    /// Suffix with its leading dot (`.example.com`), longest first.
    wildcard: Vec<(String, Paths<T>)>,
    any: Paths<T>,
}

impl<T: Clone> Table<T> {
    /// Builds the table and returns every conflict. Rules are identified by their index in `rules`.
    pub fn build(rules: Vec<(Match, T)>) -> (Self, Vec<Conflict>) {
        let mut table = Self { exact: Map::default(), wildcard: Vec::new(), any: Paths::default() };
        let mut conflicts = Vec::new();
        for (index, (rule, target)) in rules.into_iter().enumerate() {
            let paths = table.paths_for(rule.host.as_deref());
            conflicts.extend(paths.add(&rule, index, target));
        }
        table.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let hosts = table.exact.values().chain(table.wildcard.iter().map(|(_, paths)| paths)).chain([&table.any]);
        conflicts.extend(hosts.flat_map(Paths::conflicts));
        (table, conflicts)
    }

    fn paths_for(&mut self, host: Option<&str>) -> &mut Paths<T> {
        match host {
            None => &mut self.any,
            Some(host) => match host.strip_prefix('*') {
                None => self.exact.entry(host.to_owned()).or_default(),
                Some(suffix) => {
                    let at = self.wildcard.iter().position(|(known, _)| known == suffix).unwrap_or_else(|| {
                        self.wildcard.push((suffix.to_owned(), Paths::default()));
                        self.wildcard.len() - 1
                    });
                    &mut self.wildcard[at].1
                }
            },
        }
    }

    /// Finds the rule for a request.
    pub fn find(&self, asked: &Asked<'_>) -> Found<'_, T> {
        self.visit(asked.host, asked.path, |choices| choices.of(asked)).unwrap_or(Found::Nothing)
    }

    /// Returns true if two paths lead to the same rules, whatever else the request says.
    pub fn same_rules(&self, host: Option<&str>, one: &str, other: &str) -> bool {
        self.all(host, one) == self.all(host, other)
    }

    /// All rules that a request to this path may lead to, identified by their addresses.
    fn all(&self, host: Option<&str>, path: &str) -> Vec<*const Choices<T>> {
        let mut found = Vec::new();
        self.visit(host, path, |choices| {
            found.push(std::ptr::from_ref(choices));
            choices.ends_search().then_some(())
        });
        found
    }

    /// Calls `visit` with the rules of a path, the most specific first, until it returns a result.
    fn visit<'t, R>(&'t self, host: Option<&str>, path: &str, mut visit: impl FnMut(&'t Choices<T>) -> Option<R>) -> Option<R> {
        let only_any = self.exact.is_empty() && self.wildcard.is_empty();
        if let Some(host) = host.filter(|_| !only_any).map(normal_host) {
            let exact = self.exact.get(host.as_ref()).and_then(|paths| paths.visit(path, &mut visit));
            let found = exact.or_else(|| {
                let covers = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
                let mut wildcards = self.wildcard.iter().filter(|(suffix, _)| covers(suffix));
                wildcards.find_map(|(_, paths)| paths.visit(path, &mut visit))
            });
            if found.is_some() {
                return found;
            }
        }
        self.any.visit(path, visit)
    }
}

/// Returns the host in lower case, without port and trailing dot.
fn normal_host(host: &str) -> std::borrow::Cow<'_, str> {
    let host = match host.rfind(':') {
        Some(at) if host.as_bytes()[at + 1..].iter().all(u8::is_ascii_digit) && !host[..at].ends_with(':') => &host[..at],
        _ => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;
    use crate::header::HeaderList;
    use crate::policy::{Scheme, Wanted};
    use crate::route::{Conditions, Pattern, Query};

    fn rule(host: Option<&str>, path: &str, methods: Option<&[Method]>) -> Match {
        let path = path.strip_prefix('~').map_or_else(|| Pattern::of_path(path).unwrap(), |text| Pattern::of_expression(text).unwrap());
        Match { host: host.map(str::to_owned), path, methods: methods.map(<[Method]>::to_vec), conditions: Conditions::default() }
    }

    fn with_header(path: &str, name: &'static str, value: &str) -> Match {
        let headers = vec![(HeaderName::from_static(name), Wanted::Exactly(value.into()))];
        Match { conditions: Conditions { headers, ..Conditions::default() }, ..rule(None, path, None) }
    }

    fn find<'t, T: Clone>(table: &'t Table<T>, host: Option<&str>, path: &str, method: &Method) -> Found<'t, T> {
        find_with(table, host, path, method, &HeaderList::new())
    }

    fn find_with<'t, T: Clone>(table: &'t Table<T>, host: Option<&str>, path: &str, method: &Method, headers: &HeaderList) -> Found<'t, T> {
        let client = std::net::IpAddr::from([127, 0, 0, 1]);
        table.find(&Asked { host, path, query: Query::default(), method, headers, client, scheme: Scheme::Http })
    }

    fn table() -> Table<&'static str> {
        let (table, conflicts) = Table::build(vec![
            (rule(None, "/*", None), "all"),
            (rule(None, "/orders/*", None), "orders"),
            (rule(None, "/orders/7", Some(&[Method::GET])), "seven"),
            (rule(None, "/orders/7/items/*", None), "items"),
            (rule(Some("shop.example.com"), "/orders/*", Some(&[Method::POST])), "shop-post"),
            (rule(Some("*.example.com"), "/x/*", None), "wild"),
            (rule(Some("*.b.example.com"), "/x/*", None), "wilder"),
        ]);
        assert!(conflicts.is_empty());
        table
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let table = table();
        let find = |host, path| find(&table, host, path, &Method::GET);
        assert_eq!(find(None, "/orders"), Found::Target(&"orders"));
        assert_eq!(find(None, "/orders/"), Found::Target(&"orders"));
        assert_eq!(find(None, "/orders/9"), Found::Target(&"orders"));
        assert_eq!(find(None, "/ordersX"), Found::Target(&"all"));
        assert_eq!(find(None, "/orders/7"), Found::Target(&"seven"));
        assert_eq!(find(None, "/orders/7/items/1/2/3/4"), Found::Target(&"items"));
        assert_eq!(find(Some("a.example.com:80"), "/x/1"), Found::Target(&"wild"));
        assert_eq!(find(Some("A.B.example.COM."), "/x"), Found::Target(&"wilder"));
        assert_eq!(find(Some("example.com"), "/x"), Found::Target(&"all"));
        assert_eq!(find(Some("shop.example.com"), "/y"), Found::Target(&"all"));
    }

    #[test]
    fn captures_and_expressions_have_their_places() {
        let (table, conflicts) = Table::build(vec![
            (rule(None, "/users/*", None), "users"),
            (rule(None, "/users/me", None), "me"),
            (rule(None, "/users/{id}", None), "user"),
            (rule(None, "/users/{id}/orders", None), "orders"),
            (rule(None, "/users/me/{what}", None), "mine"),
            (rule(None, "/{any}/files/*", None), "files"),
            (rule(None, "/a/*", None), "a"),
            (rule(None, "~/a/.*\\.php", None), "php"),
            (rule(None, "~.*\\.php", None), "any php"),
        ]);
        assert_eq!(conflicts, []);
        for (path, want) in [
            ("/users/me", "me"),
            ("/users/7", "user"),
            ("/users/7/orders", "orders"),
            ("/users/me/orders", "mine"),
            ("/users/7/orders/1", "users"),
            ("/users/", "users"),
            ("/users/files/1", "files"),
            ("/b/files", "files"),
            ("/a/x.php", "php"),
            ("/users/x.php", "user"),
            ("/users/x/y.php", "any php"),
            ("/a/b", "a"),
        ] {
            assert_eq!(find(&table, None, path, &Method::GET), Found::Target(&want), "{path}");
        }
        assert_eq!(find(&table, None, "/none", &Method::GET), Found::Nothing);
    }

    #[test]
    fn conditions_come_before_none_and_fall_through() {
        let (table, conflicts) = Table::build(vec![
            (with_header("/api/*", "x-canary", "1"), "canary"),
            (with_header("/api/*", "x-canary", "2"), "second"),
            (rule(None, "/*", None), "all"),
        ]);
        assert_eq!(conflicts, []);
        let asked = |value: &str| {
            let mut headers = HeaderList::new();
            headers.try_insert(HeaderName::from_static("x-canary"), value.as_bytes()).unwrap();
            match find_with(&table, None, "/api/7", &Method::GET, &headers) {
                Found::Target(target) => *target,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(["1", "2", "3"].map(asked), ["canary", "second", "all"]);
    }

    #[test]
    fn methods_choose_within_a_path_only() {
        let table = table();
        assert_eq!(find(&table, None, "/orders/7", &Method::HEAD), Found::Target(&"seven"));
        assert_eq!(find(&table, None, "/orders/7", &Method::PUT), Found::OtherMethods(vec![Method::GET, Method::HEAD], &"seven"));
        assert_eq!(
            find(&table, Some("shop.example.com"), "/orders/1", &Method::GET),
            Found::OtherMethods(vec![Method::POST], &"shop-post")
        );
    }

    #[test]
    fn rules_of_which_none_is_more_specific_are_reported() {
        let (_, conflicts) = Table::build(vec![
            (rule(None, "/a", None), 0),
            (rule(None, "/a", None), 1),
            (rule(None, "/b", Some(&[Method::GET])), 2),
            (rule(None, "/b", Some(&[Method::HEAD])), 3),
            (rule(None, "/{one}/x", None), 4),
            (rule(None, "/{two}/x", None), 5),
            (with_header("/c", "x-one", "1"), 6),
            (with_header("/c", "x-two", "1"), 7),
            (rule(None, "~/d/[ab]x", None), 8),
            (rule(None, "~/d/[bc]x", None), 9),
            (rule(None, "~/d/[bc]y", None), 10),
        ]);
        let pairs: Vec<_> = conflicts.iter().map(|conflict| (conflict.first, conflict.second)).collect();
        assert_eq!(pairs, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]);
    }

    proptest::proptest! {
        #[test]
        fn a_prefix_rule_matches_whole_segments_only(segments in proptest::collection::vec("[a-z/%.]{0,4}", 0..6)) {
            let path = format!("/{}", segments.join("/"));
            let (table, _) = Table::build(vec![(rule(None, "/a/b/*", None), ())]);
            let want = path == "/a/b" || path.starts_with("/a/b/");
            proptest::prop_assert_eq!(find(&table, None, &path, &Method::GET) == Found::Target(&()), want);
        }

        #[test]
        fn what_is_found_matches(path in "(/[ab.]{0,2}){1,4}") {
            let patterns = ["/a/*", "/a/b", "/{x}/b", "/{x}/b/*", "/a/{y}/*", "~/a/(b|.)*", "~.*[.]"];
            let (table, _) = Table::build(patterns.iter().map(|text| (rule(None, text, None), rule(None, text, None).path)).collect());
            match find(&table, None, &path, &Method::GET) {
                Found::Target(pattern) => proptest::prop_assert!(pattern.matches(&path)),
                _ => proptest::prop_assert!(!patterns.iter().any(|text| rule(None, text, None).path.matches(&path))),
            }
        }
    }
}
