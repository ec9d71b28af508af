//! The rules of one path: those with more conditions first, each by method. Knows nothing of paths.

use http::Method;

use super::asked::Asked;
use super::conditions::Conditions;
use super::rule::Conflict;

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

/// The rules of one path.
#[derive(Debug)]
pub(super) struct Choices<T> {
    /// More specific conditions first.
    groups: Vec<Group<T>>,
}

/// The rules of one path with the same conditions.
#[derive(Debug)]
struct Group<T> {
    conditions: Conditions,
    any: Option<(usize, T)>,
    by_method: Vec<(Method, usize, T)>,
}

impl<T> Default for Choices<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T: Clone> Choices<T> {
    /// Adds a rule. Returns the rules that it conflicts with.
    pub(super) fn add(&mut self, conditions: &Conditions, methods: Option<&[Method]>, index: usize, target: T) -> Vec<Conflict> {
        let rank = conditions.rank();
        let mut conflicts: Vec<Conflict> = self
            .groups
            .iter()
            .filter(|group| group.conditions != *conditions && group.conditions.rank() == rank && !group.conditions.exclude(conditions))
            .flat_map(|group| group.overlaps(methods).into_iter().map(|first| Conflict { first, second: index }))
            .collect();
        let at = match self.groups.iter().position(|group| group.conditions == *conditions) {
            Some(at) => at,
            None => {
                let at = self.groups.iter().position(|group| group.conditions.rank() < rank).unwrap_or(self.groups.len());
                self.groups.insert(at, Group { conditions: conditions.clone(), any: None, by_method: Vec::new() });
                at
            }
        };
        conflicts.extend(self.groups[at].add(methods, index, target));
        conflicts
    }

    /// Returns the rules that a request could match as well as one of `other`, where none of them is more specific.
    pub(super) fn conflicts(&self, other: &Self) -> Vec<Conflict> {
        let pairs = self.groups.iter().flat_map(|one| other.groups.iter().map(move |two| (one, two)));
        let equal = pairs.filter(|(one, two)| one.conditions.rank() == two.conditions.rank() && !one.conditions.exclude(&two.conditions));
        equal.flat_map(|(one, two)| one.conflicts_with(two)).collect()
    }

    /// Returns true if a rule matches whatever the conditions of others say: less specific paths are never looked at.
    pub(super) fn ends_search(&self) -> bool {
        self.groups.last().is_some_and(|group| group.conditions.is_empty())
    }

    /// Returns the rule for a request to this path, or `None` if the conditions of no rule hold.
    pub(super) fn of(&self, asked: &Asked<'_>) -> Option<Found<'_, T>> {
        let mut other_methods: Option<(Vec<Method>, &T)> = None;
        for group in &self.groups {
            if !group.conditions.is_empty() && !group.conditions.hold(asked) {
                continue;
            }
            match group.of(asked.method) {
                Found::Target(target) => return Some(Found::Target(target)),
                Found::Nothing => {}
                Found::OtherMethods(methods, target) => {
                    let all = other_methods.get_or_insert((Vec::new(), target));
                    all.0.extend(methods.into_iter().filter(|method| !all.0.contains(method)).collect::<Vec<_>>());
                }
            }
        }
        other_methods.map(|(methods, target)| Found::OtherMethods(methods, target))
    }
}

impl<T: Clone> Group<T> {
    /// Returns the rules that match a method that these match too, where `None` is any method.
    fn overlaps(&self, methods: Option<&[Method]>) -> Vec<usize> {
        let is_asked = |method: &Method| {
            methods.is_none_or(|methods| methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET)))
        };
        let by_method = self.by_method.iter().filter(|(method, ..)| is_asked(method)).map(|(_, index, _)| *index);
        let mut found: Vec<usize> = self.any.iter().map(|(index, _)| *index).chain(by_method).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns the rules of two groups that match the same method.
    fn conflicts_with(&self, other: &Self) -> Vec<Conflict> {
        let of_any = other.any.iter().flat_map(|(second, _)| self.overlaps(None).into_iter().map(|first| (first, *second)));
        let of_methods = other
            .by_method
            .iter()
            .flat_map(|(method, second, _)| self.overlaps(Some(std::slice::from_ref(method))).into_iter().map(|first| (first, *second)));
        let mut pairs: Vec<(usize, usize)> = of_any.chain(of_methods).map(|(one, two)| (one.min(two), one.max(two))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.into_iter().map(|(first, second)| Conflict { first, second }).collect()
    }

    /// Returns the rules that match one of these methods.
    fn conflicts(&self, methods: Option<&[Method]>, index: usize) -> Vec<Conflict> {
        let conflict = |first: usize| Conflict { first, second: index };
        let Some(methods) = methods else { return self.any.iter().map(|(first, _)| conflict(*first)).collect() };
        let mut found: Vec<Conflict> = Vec::new();
        for (method, first, _) in &self.by_method {
            if (methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET)))
                && !found.contains(&conflict(*first))
            {
                found.push(conflict(*first));
            }
        }
        found
    }

    fn add(&mut self, methods: Option<&[Method]>, index: usize, target: T) -> Vec<Conflict> {
        let conflicts = self.conflicts(methods, index);
        match methods {
            None => {
                self.any.get_or_insert((index, target));
            }
            Some(methods) => {
                let head = methods.contains(&Method::GET).then_some(Method::HEAD).filter(|head| !methods.contains(head));
                for method in methods.iter().cloned().chain(head) {
                    if !self.by_method.iter().any(|(known, ..)| *known == method) {
                        self.by_method.push((method, index, target.clone()));
                    }
                }
            }
        }
        conflicts
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
