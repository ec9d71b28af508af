//! Reads the credentials of the Basic scheme (RFC 7617). Knows nothing of users.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Some clients leave the padding out.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The longest credentials that are read, in bytes of the header.
const MAX_LENGTH: usize = 2048;

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// Reads the value of `Authorization`. `None` if it has another scheme, is not valid, or is longer than any name and password.
    pub fn of_basic(value: &[u8]) -> Option<Self> {
        let (scheme, encoded) = value.split_at_checked(5)?;
        if !scheme.eq_ignore_ascii_case(b"basic") || !encoded.starts_with(b" ") || encoded.len() > MAX_LENGTH {
            return None;
        }
        let decoded = LENIENT.decode(encoded.trim_ascii()).ok()?;
        let colon = decoded.iter().position(|b| *b == b':')?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        Some(Self { user: String::from_utf8(user.to_vec()).ok()?, password: password.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_read() {
        let of = |text: &str| Credentials::of_basic(text.as_bytes()).map(|found| (found.user, String::from_utf8(found.password).unwrap()));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(of("bAsIc  YTpiOmM"), pair("a", "b:c"));
        assert_eq!(of("Basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
        for text in ["", "Basic", "Basic YWJj", "Bearer YTpi", "BasicYTpi", "Basic !!!!", "Basic /w==", "Basic \u{e9}"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of(&format!("Basic {}", "A".repeat(4096))), None);
        assert_eq!(format!("{:?}", Credentials::of_basic(b"Basic YTpi").unwrap()), "Credentials(***)");
    }

    proptest::proptest! {
        #[test]
        fn any_value_is_read_or_refused(value in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = Credentials::of_basic(&value);
            let _ = Credentials::of_basic(&[b"Basic ", &value[..]].concat());
        }
    }
}
