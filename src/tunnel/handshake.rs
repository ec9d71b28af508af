//! The keys of the WebSocket handshake (RFC 6455 4.1 and 4.2).
//!
//! Takes values of headers. Knows no messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

/// The only version of the protocol (RFC 6455 4.1).
pub const VERSION: &str = "13";

/// What a server appends to the key (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns true for a valid `Sec-WebSocket-Key`: 16 bytes in base64.
pub fn is_key(value: &[u8]) -> bool {
    value.len() == 24 && STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == 16)
}

/// Returns a new `Sec-WebSocket-Key` for a client whose protocol has none (RFC 8441 5).
pub fn new_key() -> String {
    STANDARD.encode(fastrand::u128(..).to_be_bytes())
}

/// Returns the `Sec-WebSocket-Accept` that answers a key. SHA-1 protects nothing here; it shows that the server read the key.
pub fn accept_of(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn new_keys_are_keys() {
        let key = new_key();
        assert!(is_key(key.as_bytes()) && key != new_key(), "{key}");
    }

    #[test]
    fn keys_of_another_length_or_alphabet_are_invalid() {
        for bad in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=!", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZSEhISEh"] {
            assert!(!is_key(bad.as_bytes()), "{bad}");
        }
    }
}
