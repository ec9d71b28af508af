//! Writes the header that tells an endpoint whom a connection is for, versions 1 and 2 of the PROXY protocol
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Knows nothing of who may be named.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The signature of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The version of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The addresses that a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client. Its port is 0 if it is not known.
    pub client: SocketAddr,
    /// Where the client connected to.
    pub listener: SocketAddr,
}

impl ProxyVersion {
    /// Returns the header. Without addresses it says that the gateway speaks for itself, as in a probe.
    pub fn header(self, addresses: Option<Addresses>) -> Vec<u8> {
        match (self, addresses) {
            (Self::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
            // LOCAL, and no family.
            (Self::V2, None) => [SIGNATURE.as_slice(), &[0x20, 0, 0, 0]].concat(),
            (Self::V1, Some(addresses)) => {
                let Addresses { client, listener } = addresses;
                let (source, destination) = addresses.of_one_family();
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {source} {destination} {} {}\r\n", client.port(), listener.port()).into_bytes()
            }
            (Self::V2, Some(addresses)) => {
                let (family, ips) = match addresses.of_one_family() {
                    (IpAddr::V4(source), IpAddr::V4(destination)) => (0x11, [source.octets(), destination.octets()].concat()),
                    (source, destination) => (0x21, [source, destination].map(|ip| to_v6(ip).octets()).concat()),
                };
                let ports = [addresses.client, addresses.listener].map(|address| address.port().to_be_bytes());
                let length = [0, (ips.len() + 4) as u8];
                [SIGNATURE.as_slice(), &[0x21, family], &length, &ips, ports.as_flattened()].concat()
            }
        }
    }
}

impl Addresses {
    /// Returns the addresses of the client and the listener: IPv4 if both are, else IPv6, which can express both.
    fn of_one_family(self) -> (IpAddr, IpAddr) {
        match (self.client.ip().to_canonical(), self.listener.ip().to_canonical()) {
            (source @ IpAddr::V4(_), destination @ IpAddr::V4(_)) => (source, destination),
            (source, destination) => (to_v6(source).into(), to_v6(destination).into()),
        }
    }
}

fn to_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: ProxyVersion, client: &str, listener: &str) -> Vec<u8> {
        version.header(Some(Addresses { client: client.parse().unwrap(), listener: listener.parse().unwrap() }))
    }

    #[test]
    fn headers_are_those_of_the_specification() {
        let (v4, v6) = (("192.0.2.1:12345", "10.0.0.1:80"), ("[2001:db8::1]:1", "[::1]:443"));
        assert_eq!(header(ProxyVersion::V1, v4.0, v4.1), b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n");
        assert_eq!(header(ProxyVersion::V1, v6.0, v6.1), b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n");
        assert_eq!(header(ProxyVersion::V1, "[::ffff:192.0.2.1]:5", v4.1), b"PROXY TCP4 192.0.2.1 10.0.0.1 5 80\r\n");
        assert_eq!(header(ProxyVersion::V1, v4.0, v6.1), b"PROXY TCP6 ::ffff:192.0.2.1 ::1 12345 443\r\n");
        assert_eq!(
            header(ProxyVersion::V2, v4.0, v4.1),
            [SIGNATURE.as_slice(), &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80]].concat()
        );
        let long = header(ProxyVersion::V2, v6.0, v6.1);
        assert_eq!((long.len(), &long[12..16], &long[48..]), (52, [0x21, 0x21, 0, 36].as_slice(), [0, 1, 1, 0xbb].as_slice()));
        assert_eq!(ProxyVersion::V1.header(None), b"PROXY UNKNOWN\r\n");
        assert_eq!(ProxyVersion::V2.header(None)[12..], [0x20, 0, 0, 0]);
        // The longest line fits in what a reader of version 1 must have room for.
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert!(header(ProxyVersion::V1, longest, longest).len() <= 107);
    }
}
