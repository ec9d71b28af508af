//! Recognizes hosts of the internal network. Their names are of no use to a client, and reveal the network's structure.
//!
//! Knows nothing of headers.

use std::net::IpAddr;

/// Suffixes that no public name has: special-use domains (RFC 6761, RFC 6762, RFC 8375), and those that companies and orchestrators use.
const INTERNAL_SUFFIXES: [&str; 12] =
    ["internal", "intranet", "corp", "lan", "local", "localdomain", "localhost", "private", "home.arpa", "cluster.local", "svc", "consul"];

/// Returns true for an address of a private, loopback, link-local or shared range, for a single-label name, and for a name under an
/// internal domain. `host` is without port and brackets.
pub(super) fn is_internal(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return true };
    let host = host.trim_end_matches('.').trim_start_matches('.');
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => {
            let under = |end: &&str| {
                let cut = host.len().checked_sub(end.len());
                cut.and_then(|cut| host.get(cut..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
                    && (host.len() == end.len() || host.as_bytes()[host.len() - end.len() - 1] == b'.')
            };
            !host.is_empty() && (!host.contains('.') || INTERNAL_SUFFIXES.iter().any(under))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_hosts_are_recognized() {
        for host in [
            "10.0.0.5",
            "192.168.1.1",
            "172.20.0.3",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.9",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "orders",
            "localhost",
            "db.corp",
            "x.internal.",
            ".internal",
            "a.svc.cluster.local",
            "A.LOCAL",
            "\u{e4}",
        ] {
            assert!(is_internal(host.as_bytes()), "{host}");
        }
        for host in
            ["8.8.8.8", "2606:4700::1", "example.com", "shop.example.co.uk", "corp.example.com", "mylocal.example", "notlocal.net", ""]
        {
            assert!(!is_internal(host.as_bytes()), "{host}");
        }
    }
}
