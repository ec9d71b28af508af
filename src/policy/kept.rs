//! What an operator keeps of an upstream's errors: whole responses by their status, or members of a body. Must not hold defaults.

/// A set of error statuses, 400 to 599.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u64; 4]);

impl Statuses {
    /// Adds a range, both ends included. Statuses that are no errors are left out.
    pub fn insert(&mut self, from: u16, to: u16) {
        for at in (from.max(400)..=to.min(599)).map(|status| usize::from(status - 400)) {
            self.0[at / 64] |= 1 << (at % 64);
        }
    }

    /// Returns true if the status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        let at = usize::from(status).wrapping_sub(400);
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// The members of an upstream's 4xx beside its message, code and field errors that an error response keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepFields {
    /// None.
    #[default]
    Nothing,
    /// All.
    All,
    /// Those with these names.
    Named(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_statuses_of_errors_that_were_added() {
        let mut set = Statuses::default();
        set.insert(300, 404);
        set.insert(599, 700);
        let inside: Vec<u16> = (0..=u16::MAX).filter(|status| set.contains(*status)).collect();
        assert_eq!(inside, [400, 401, 402, 403, 404, 599]);
    }
}
