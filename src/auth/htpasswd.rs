//! Reads a file of names and hashed passwords as `htpasswd` writes it. Knows nothing of requests.

use std::collections::HashMap;

use super::hash::Hash;
pub use super::hash::HashError;

/// The names and hashes of a file.
pub struct Users {
    hashes: Vec<Hash>,
    /// The index of each name's hash.
    names: HashMap<String, usize>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Users({})", self.names.len())
    }
}

/// A line that cannot be used. Shows no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// The name, if there is one that can be shown.
    pub user: Option<String>,
    /// The fault of the line.
    pub problem: LineProblem,
}

/// The fault of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineProblem {
    /// It is not `NAME:HASH`.
    NoHash,
    /// The name is empty, has characters that no header can have, or looks like a hash.
    Name,
    /// The name was on a line before.
    Twice,
    /// The hash cannot be used.
    Hash(HashError),
}

impl Users {
    /// Reads the text of a file. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// Returns all lines that cannot be used, or none if there is no user.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let (mut users, mut bad) = (Self { hashes: Vec::new(), names: HashMap::new() }, Vec::new());
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err((user, problem)) = users.add(line) {
                bad.push(BadLine { number: at + 1, user: user.map(ToOwned::to_owned), problem });
            }
        }
        if bad.is_empty() && !users.hashes.is_empty() { Ok(users) } else { Err(bad) }
    }

    fn add<'l>(&mut self, line: &'l str) -> Result<(), (Option<&'l str>, LineProblem)> {
        // Without a colon the line may be a password.
        let (user, hash) = line.split_once(':').ok_or((None, LineProblem::NoHash))?;
        // A text that looks like a hash is not shown, because it may be one.
        if user.is_empty() || user.len() > 255 || user.chars().any(char::is_control) || user.starts_with(['$', '{']) {
            return Err((None, LineProblem::Name));
        }
        // Some programs write comments behind a second colon.
        let hash = hash.split(':').next().unwrap_or_default();
        let hash = Hash::parse(hash).map_err(|error| (Some(user), LineProblem::Hash(error)))?;
        if self.names.insert(user.to_owned(), self.hashes.len()).is_some() {
            return Err((Some(user), LineProblem::Twice));
        }
        self.hashes.push(hash);
        Ok(())
    }

    /// Returns true if the password is that of the user. Takes tens of milliseconds of CPU time, or more. The password of an unknown user
    /// is verified against the hash of another one, which `stand_in` chooses, so that the time does not tell which users there are.
    pub(super) fn verify(&self, user: &str, password: &[u8], stand_in: u64) -> bool {
        let known = self.names.get(user).copied();
        let other = || usize::try_from(stand_in % self.hashes.len().max(1) as u64).unwrap_or_default();
        let is_hash = self.hashes.get(known.unwrap_or_else(other)).is_some_and(|hash| hash.verify(password));
        known.is_some() && is_hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    #[test]
    fn users_are_read_and_verified() {
        let users = Users::parse(&format!("\u{feff}# team\n\nalice:{}\r\nbob:{}:Bob B.\n", hash("a"), hash("b"))).unwrap();
        assert!(users.verify("alice", b"a", 0) && users.verify("bob", b"b", 0));
        assert!(!users.verify("alice", b"b", 0) && !users.verify("Alice", b"a", 0));
        assert!((0..4).all(|stand_in| !users.verify("carol", b"a", stand_in)), "the password of another user");
    }

    #[test]
    fn bad_lines_are_told_by_number_and_name() {
        let hashes = [hash("a"), hash("b"), hash("c")];
        let [a, b, c] = &hashes;
        let text = format!("alice:{a}\nbob:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nalice:{b}\nnothing\n:x\n{c}:eve\n");
        let bad = Users::parse(&text).unwrap_err();
        let told: Vec<_> = bad.iter().map(|line| (line.number, line.user.as_deref(), line.problem)).collect();
        let weak = LineProblem::Hash(HashError::Weak("SHA-1"));
        let wanted = [
            (2, Some("bob"), weak),
            (3, Some("alice"), LineProblem::Twice),
            (4, None, LineProblem::NoHash),
            (5, None, LineProblem::Name),
            (6, None, LineProblem::Name),
        ];
        assert_eq!(told, wanted);
        assert_eq!(Users::parse("# nobody\n").unwrap_err(), []);
    }
}
