//! The key that a limit counts by: all requests, a client address, a value of the request, a route or several of these.
//!
//! Knows nothing of limits; a key is only hashed and compared.

use std::net::IpAddr;

/// A key before it is hashed.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Key<'a> {
    /// One key for all requests.
    Global,
    /// A client's address; see [`of_address`].
    Address([u8; 8]),
    /// Any other bytes; see [`of_value`].
    Value(&'a [u8]),
}

/// Returns the key of a client address: an IPv4 address whole, an IPv6 address by its /64, which is what one customer is given.
pub fn of_address(address: IpAddr) -> Key<'static> {
    let mut key = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // 0:0:0:0/64 is never a client's network, so IPv4 keys cannot collide with IPv6 keys.
            key[4..].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => key.copy_from_slice(&v6.octets()[..8]),
    }
    Key::Address(key)
}

/// Returns the key of a value. The whole value counts, because tokens of one issuer share a prefix; only its hash is kept, and
/// `max_header_size` bounds it.
pub const fn of_value(value: &[u8]) -> Key<'_> {
    Key::Value(value)
}

/// Appends a part of a combined key. Two lists of parts that differ never have the same bytes.
pub fn append_part(combined: &mut Vec<u8>, part: Key<'_>) {
    let (kind, bytes): (u8, &[u8]) = match &part {
        Key::Global => (b'*', b""),
        Key::Address(address) => (b'a', address),
        Key::Value(value) => (b'v', value),
    };
    combined.push(kind);
    combined.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    combined.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_64_and_mapped_addresses_are_ipv4() {
        let key = |text: &str| of_address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.2"), key("10.0.0.1"));
    }

    #[test]
    fn combined_keys_differ_where_a_part_does() {
        let combined = |parts: &[Key<'_>]| {
            let mut bytes = Vec::new();
            parts.iter().for_each(|part| append_part(&mut bytes, *part));
            bytes
        };
        let [a, b] = [&b"a"[..], b"b"].map(of_value);
        let (both, address) = (of_value(b"ab"), of_address("10.0.0.1".parse().unwrap()));
        let all = [combined(&[a, b]), combined(&[both]), combined(&[both, of_value(b"")]), combined(&[b, a]), combined(&[a, address])];
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
    }
}
