//! What a limit counts by: bytes that stand for one client, header value or route.

use std::net::IpAddr;

/// A key before it is hashed.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Key<'a> {
    /// Everybody together.
    Global,
    /// A client's address, see [`of_address`].
    Address([u8; 8]),
    /// Any other bytes, see [`of_value`].
    Value(&'a [u8]),
}

/// IPv4 whole; IPv6 by its /64, which is what one customer has.
pub fn of_address(address: IpAddr) -> Key<'static> {
    let mut key = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // 0:0:0:0/64 is never a client's network, so the two families do not meet.
            key[4..].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => key.copy_from_slice(&v6.octets()[..8]),
    }
    Key::Address(key)
}

/// A value, whole: tokens of one issuer begin alike. Only its hash is kept, and `max_header_size` bounds it. A missing header is the
/// empty value, so that leaving it out is no way round the limit.
pub const fn of_value(value: &[u8]) -> Key<'_> {
    Key::Value(value)
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
}
