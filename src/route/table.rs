//! The routing table: look-up by host, path and method.
//!
//! Knows nothing of a rule's target.

use std::collections::HashMap;

use http::Method;

/// The requests that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Lower case, without port; `*.example.com` is a wildcard; `None` matches any host.
    pub host: Option<String>,
    /// `/a/b` is exact; `/a/*` is a prefix that ends at a segment.
    pub path: String,
    /// `None` matches any method. `GET` implies `HEAD`.
    pub methods: Option<Vec<Method>>,
}

/// Two rules that match the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Index of the earlier rule.
    pub first: usize,
    /// Index of the rule that repeats it.
    pub second: usize,
}

/// The result of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// The target of the matching rule.
    Target(&'t T),
    /// The path matches but the method does not: the methods that would, and the target of one of them.
    OtherMethods(Vec<Method>, &'t T),
    /// No rule matches.
    Nothing,
}

/// The keys come from the operator's configuration, so the hash need not resist collision attacks.
type Map<T> = HashMap<String, T, foldhash::fast::RandomState>;

/// The rules of one path.
#[derive(Debug)]
struct Choices<T> {
    any: Option<(usize, T)>,
    by_method: Vec<(Method, usize, T)>,
}

/// The paths of one host.
#[derive(Debug)]
struct Paths<T> {
    exact: Map<Choices<T>>,
    /// Keyed without the trailing `/*`; the empty key is `/*`.
    prefix: Map<Choices<T>>,
    /// Number of slashes in the deepest prefix; deeper parts of a path are not probed.
    depth: usize,
}

/// All rules.
#[derive(Debug)]
pub struct Table<T> {
    exact: Map<Paths<T>>,
    /// Suffix with its leading dot (`.example.com`), longest first.
    wildcard: Vec<(String, Paths<T>)>,
    any: Paths<T>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { exact: Map::default(), prefix: Map::default(), depth: 0 }
    }
}

impl<T: Clone> Table<T> {
    /// Builds the table and returns every tie. Rules are identified by their index.
    pub fn build(rules: Vec<(Match, T)>) -> (Self, Vec<Tie>) {
        let mut table = Self { exact: Map::default(), wildcard: Vec::new(), any: Paths::default() };
        let mut ties = Vec::new();
        for (index, (rule, target)) in rules.into_iter().enumerate() {
            let paths = table.paths_for(rule.host.as_deref());
            ties.extend(paths.add(&rule, index, target));
        }
        table.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        (table, ties)
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

    /// Finds the rule for a host (as sent, possibly with a port), a path and a method.
    pub fn find(&self, host: Option<&str>, path: &str, method: &Method) -> Found<'_, T> {
        match self.choices(host, path) {
            None => Found::Nothing,
            Some(choices) => choices.of(method),
        }
    }

    /// Returns true if two paths lead to the same rules.
    pub fn same_rules(&self, host: Option<&str>, one: &str, other: &str) -> bool {
        let address = |path| self.choices(host, path).map(std::ptr::from_ref);
        address(one) == address(other)
    }

    fn choices(&self, host: Option<&str>, path: &str) -> Option<&Choices<T>> {
        let only_any = self.exact.is_empty() && self.wildcard.is_empty();
        if let Some(host) = host.filter(|_| !only_any).map(normal_host) {
            let exact = self.exact.get(host.as_ref()).and_then(|paths| paths.get(path));
            let found = exact.or_else(|| {
                let covers = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
                self.wildcard.iter().filter(|(suffix, _)| covers(suffix)).find_map(|(_, paths)| paths.get(path))
            });
            if found.is_some() {
                return found;
            }
        }
        self.any.get(path)
    }
}

impl<T: Clone> Paths<T> {
    fn add(&mut self, rule: &Match, index: usize, target: T) -> Vec<Tie> {
        let choices = match rule.path.strip_suffix("/*") {
            Some(prefix) => {
                self.depth = self.depth.max(prefix.matches('/').count());
                self.prefix.entry(prefix.to_owned()).or_default()
            }
            None => self.exact.entry(rule.path.clone()).or_default(),
        };
        choices.add(rule.methods.as_deref(), index, target)
    }

    fn get(&self, path: &str) -> Option<&Choices<T>> {
        if !self.exact.is_empty()
            && let Some(found) = self.exact.get(path)
        {
            return Some(found);
        }
        if self.prefix.is_empty() {
            return None;
        }
        // Starts at the end of the segment at the deepest prefix, then removes one segment at a time.
        let mut end = path.bytes().enumerate().filter(|(_, b)| *b == b'/').nth(self.depth).map_or(path.len(), |(at, _)| at);
        loop {
            if let Some(found) = self.prefix.get(&path[..end]) {
                return Some(found);
            }
            end = path[..end].rfind('/')?;
        }
    }
}

impl<T> Default for Choices<T> {
    fn default() -> Self {
        Self { any: None, by_method: Vec::new() }
    }
}

impl<T: Clone> Choices<T> {
    fn add(&mut self, methods: Option<&[Method]>, index: usize, target: T) -> Vec<Tie> {
        let Some(methods) = methods else {
            let tie = self.any.as_ref().map(|(first, _)| Tie { first: *first, second: index });
            self.any.get_or_insert((index, target));
            return tie.into_iter().collect();
        };
        let mut ties: Vec<Tie> = Vec::new();
        let head = methods.contains(&Method::GET).then_some(Method::HEAD).filter(|head| !methods.contains(head));
        for method in methods.iter().cloned().chain(head) {
            match self.by_method.iter().find(|(known, ..)| *known == method) {
                Some((_, first, _)) if *first != index => {
                    let tie = Tie { first: *first, second: index };
                    if !ties.contains(&tie) {
                        ties.push(tie);
                    }
                }
                Some(_) => {}
                None => self.by_method.push((method, index, target.clone())),
            }
        }
        ties
    }

    fn of(&self, method: &Method) -> Found<'_, T> {
        if let Some((_, _, target)) = self.by_method.iter().find(|(known, ..)| known == method) {
            return Found::Target(target);
        }
        match (&self.any, self.by_method.first()) {
            (Some((_, target)), _) => Found::Target(target),
            (None, Some((_, _, target))) => Found::OtherMethods(self.by_method.iter().map(|(method, ..)| method.clone()).collect(), target),
            (None, None) => Found::Nothing,
        }
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
    use super::*;

    fn rule(host: Option<&str>, path: &str, methods: Option<&[Method]>) -> Match {
        Match { host: host.map(str::to_owned), path: path.to_owned(), methods: methods.map(<[Method]>::to_vec) }
    }

    fn table() -> Table<&'static str> {
        let (table, ties) = Table::build(vec![
            (rule(None, "/*", None), "all"),
            (rule(None, "/orders/*", None), "orders"),
            (rule(None, "/orders/7", Some(&[Method::GET])), "seven"),
            (rule(None, "/orders/7/items/*", None), "items"),
            (rule(Some("shop.example.com"), "/orders/*", Some(&[Method::POST])), "shop-post"),
            (rule(Some("*.example.com"), "/x/*", None), "wild"),
            (rule(Some("*.b.example.com"), "/x/*", None), "wilder"),
        ]);
        assert!(ties.is_empty());
        table
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let table = table();
        let find = |host, path| table.find(host, path, &Method::GET);
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
    fn methods_choose_within_a_path_only() {
        let table = table();
        assert_eq!(table.find(None, "/orders/7", &Method::HEAD), Found::Target(&"seven"));
        assert_eq!(table.find(None, "/orders/7", &Method::PUT), Found::OtherMethods(vec![Method::GET, Method::HEAD], &"seven"));
        assert_eq!(table.find(Some("shop.example.com"), "/orders/1", &Method::GET), Found::OtherMethods(vec![Method::POST], &"shop-post"));
    }

    #[test]
    fn ties_are_reported() {
        let (_, ties) = Table::build(vec![
            (rule(None, "/a", None), 0),
            (rule(None, "/a", None), 1),
            (rule(None, "/b", Some(&[Method::GET])), 2),
            (rule(None, "/b", Some(&[Method::HEAD])), 3),
        ]);
        assert_eq!(ties, [Tie { first: 0, second: 1 }, Tie { first: 2, second: 3 }]);
    }

    proptest::proptest! {
        #[test]
        fn a_prefix_rule_matches_whole_segments_only(segments in proptest::collection::vec("[a-z/%.]{0,4}", 0..6)) {
            let path = format!("/{}", segments.join("/"));
            let (table, _) = Table::build(vec![(rule(None, "/a/b/*", None), ())]);
            let want = path == "/a/b" || path.starts_with("/a/b/");
            proptest::prop_assert_eq!(table.find(None, &path, &Method::GET) == Found::Target(&()), want);
        }
    }
}
