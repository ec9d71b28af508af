//! Remembers what names say: error bodies and headers repeat the same few names, and judging one takes longer than reading its value.
//!
//! Must not know how a name is judged.

use std::cell::RefCell;
use std::collections::HashMap;

/// The most names that are remembered. They are forgotten together, so that a client cannot fill the memory with names.
const MAX_NAMES: usize = 1024;
/// The longest name that is remembered, in bytes.
const MAX_NAME: usize = 64;

/// What a name says of its value and of its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The value is a credential wherever it stands.
    pub(super) is_credential: bool,
    /// The value is a credential in a request.
    pub(super) is_secret: bool,
    /// The value is the name of what siblings are about.
    pub(super) is_label: bool,
    /// The value belongs to what a sibling names.
    pub(super) is_value: bool,
    /// The value is a list of names.
    pub(super) lists_names: bool,
}

/// The names that were judged.
#[derive(Clone, Debug, Default)]
pub(super) struct JudgedNames(RefCell<HashMap<Box<str>, Judged>>);

impl JudgedNames {
    /// Returns what `judge` says of the name. It must say the same each time.
    pub(super) fn of(&self, name: &str, judge: impl FnOnce(&str) -> Judged) -> Judged {
        if let Some(known) = self.0.borrow().get(name) {
            return *known;
        }
        let judged = judge(name);
        if name.len() <= MAX_NAME {
            let mut names = self.0.borrow_mut();
            if names.len() >= MAX_NAMES {
                names.clear();
            }
            names.insert(name.into(), judged);
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_once_and_bounded() {
        let (names, judged) =
            (JudgedNames::default(), Judged { is_credential: true, is_secret: true, is_label: false, is_value: false, lists_names: false });
        assert_eq!(names.of("pin", |_| judged), judged);
        assert_eq!(names.of("pin", |_| unreachable!("it is known")), judged);
        let long = "x".repeat(MAX_NAME + 1);
        for name in (0..3 * MAX_NAMES).map(|at| at.to_string()).chain([long.clone()]) {
            names.of(&name, |_| judged);
        }
        assert!(names.0.borrow().len() <= MAX_NAMES && !names.0.borrow().contains_key(&*long));
    }
}
