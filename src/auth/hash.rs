//! The hash of a password: bcrypt or Argon2. Both are slow by design, so that a stolen file costs its thief. Knows nothing of users.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};

/// The highest cost of a bcrypt hash: some two seconds on one core.
const MAX_BCRYPT_COST: u32 = 15;
/// The most memory that one verification of an Argon2 hash may take, in KiB.
const MAX_ARGON2_MEMORY: u32 = 256 << 10;
/// The most work of one verification of an Argon2 hash: its memory in KiB times its passes.
const MAX_ARGON2_WORK: u64 = 4 << 20;

/// A hash.
#[derive(Clone)]
pub(super) enum Hash {
    Bcrypt(String),
    Argon2(Box<PasswordHash>),
}

/// Why a text cannot be used as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashError {
    /// A scheme that can be reversed by trying passwords fast, with its name.
    Weak(&'static str),
    /// Verifying it would take too long or too much memory.
    Costly,
    /// It is not complete, or has another form.
    Invalid,
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// Returns why it cannot be used.
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|scheme| text.starts_with(scheme)) {
            return bcrypt(text);
        }
        if text.starts_with("$argon2id$") || text.starts_with("$argon2i$") {
            return argon2(text);
        }
        Err(match text {
            _ if text.starts_with("{SHA}") => HashError::Weak("SHA-1"),
            _ if text.starts_with("{SSHA}") => HashError::Weak("salted SHA-1"),
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => HashError::Weak("MD5"),
            _ if text.starts_with("$5$") || text.starts_with("$6$") => HashError::Weak("SHA-2 crypt"),
            _ if text.starts_with('$') => HashError::Invalid,
            _ if text.len() == 13 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/')) => {
                HashError::Weak("crypt")
            }
            _ => HashError::Weak("plain text"),
        })
    }

    /// Returns true if this is the hash of the password. Takes tens of milliseconds of CPU time, or more. Only the first 72 bytes of a
    /// password count for bcrypt.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }
}

fn bcrypt(text: &str) -> Result<Hash, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Invalid)?;
    match parts.get_cost() {
        ..4 => Err(HashError::Invalid),
        cost if cost > MAX_BCRYPT_COST => Err(HashError::Costly),
        _ => Ok(Hash::Bcrypt(text.to_owned())),
    }
}

fn argon2(text: &str) -> Result<Hash, HashError> {
    let hash = PasswordHash::new(text).map_err(|_| HashError::Invalid)?;
    let params = Params::try_from(&hash).map_err(|_| HashError::Invalid)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(HashError::Invalid);
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > MAX_ARGON2_MEMORY || work > MAX_ARGON2_WORK { Err(HashError::Costly) } else { Ok(Hash::Argon2(Box::new(hash))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_other_programs_verify() {
        // From crypt_blowfish.
        let hash = Hash::parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").ok().unwrap();
        assert!(hash.verify(b"U*U") && !hash.verify(b"U*"));
        let made = bcrypt::hash_with_result("s3cret", 4).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = Hash::parse(&made.format_for_version(version)).ok().unwrap();
            assert!(hash.verify(b"s3cret") && !hash.verify(b"S3cret") && !hash.verify(b""));
        }
        // From the tests of the reference implementation of Argon2.
        let id = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let i = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
        for text in [id, i] {
            let hash = Hash::parse(text).ok().unwrap();
            assert!(hash.verify(b"password") && !hash.verify(b"passwort"), "{text}");
        }
    }

    #[test]
    fn weak_costly_and_broken_hashes_are_refused() {
        for (text, wanted) in [
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", HashError::Weak("SHA-1")),
            ("$apr1$Q6ZYh...$RV6ft2bZ8j.NGrxLYaJt9.", HashError::Weak("MD5")),
            ("$1$abc$def", HashError::Weak("MD5")),
            ("$6$salt$hash", HashError::Weak("SHA-2 crypt")),
            ("rqXexS6ZhobKA", HashError::Weak("crypt")),
            ("password", HashError::Weak("plain text")),
            ("", HashError::Weak("plain text")),
            ("$2y$05$short", HashError::Invalid),
            ("$2x$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", HashError::Invalid),
            ("$2y$31$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", HashError::Costly),
            ("$argon2id$v=19$m=65536", HashError::Invalid),
            ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", HashError::Costly),
        ] {
            assert_eq!(Hash::parse(text).err(), Some(wanted), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(scheme in "(\\$2y\\$|\\$argon2id\\$|)", rest in "[0-9a-z=,/.$]{0,70}") {
            let _ = Hash::parse(&format!("{scheme}{rest}"));
        }
    }
}
