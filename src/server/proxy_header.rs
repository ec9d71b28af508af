//! The header by which a proxy in front tells whom it speaks for, versions 1 and 2
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Knows nothing of who may send one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The signature of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// Most bytes of version 1, by the specification.
const MAX_LINE: usize = 107;
/// Bytes of version 2 in front of its addresses.
const FIXED: usize = 16;
/// Most bytes of version 2 behind those. Real headers have some hundred.
const MAX_REST: usize = 2048;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// A header of this length.
    Header(usize, Source),
    /// No header, or a broken one.
    Invalid(&'static str),
}

/// Whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A client with this address.
    Client(SocketAddr),
    /// A client whose address the proxy cannot tell.
    Unknown,
    /// The proxy itself, for example to see whether the gateway lives.
    Proxy,
}

/// Reads the header, and nothing behind it.
///
/// # Errors
/// The connection ended or broke, or there is no valid header.
pub(super) async fn read(tcp: &mut TcpStream) -> io::Result<Source> {
    let mut buffer = [0; FIXED + MAX_REST];
    let mut read = 0;
    loop {
        let seen = tcp.peek(&mut buffer[read..]).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (length, outcome) = match parse(&buffer[..read + seen]) {
            Parsed::Invalid(rule) => return Err(io::Error::new(io::ErrorKind::InvalidData, rule)),
            Parsed::Header(length, source) => (length, Some(source)),
            // All of it belongs to the header, so it can be taken.
            Parsed::Incomplete => (read + seen, None),
        };
        tcp.read_exact(&mut buffer[read..length]).await?;
        read = length;
        if let Some(source) = outcome {
            return Ok(source);
        }
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let begins = |with: &[u8]| bytes.starts_with(with) || with.starts_with(bytes);
    if begins(SIGNATURE) {
        return version_2(bytes);
    }
    if begins(WORD) { version_1(bytes) } else { Parsed::Invalid("no PROXY header") }
}

/// Parses `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` with anything behind it.
fn version_1(bytes: &[u8]) -> Parsed {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        let too_long = bytes.len() >= MAX_LINE;
        return if too_long { Parsed::Invalid("the line of the PROXY header is too long") } else { Parsed::Incomplete };
    };
    let source = std::str::from_utf8(&line[WORD.len().min(end)..end]).ok().and_then(source_of_line);
    source.map_or(Parsed::Invalid("the line of the PROXY header is broken"), |source| Parsed::Header(end + 2, source))
}

fn source_of_line(text: &str) -> Option<Source> {
    let mut words = text.split(' ');
    let is_v4 = match words.next()? {
        "UNKNOWN" => return Some(Source::Unknown),
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || words.next()?.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == is_v4);
    let (source, _) = (address()?, address()?);
    let mut port = || words.next().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<u16>().ok();
    let (source_port, _) = (port()?, port()?);
    words.next().is_none().then_some(Source::Client(SocketAddr::new(source, source_port)))
}

/// Parses the binary header. What follows the addresses in it (TLVs) is skipped.
fn version_2(bytes: &[u8]) -> Parsed {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Parsed::Incomplete };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_REST {
        return Parsed::Invalid("the PROXY header is too long");
    }
    let speaks_for_itself = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Parsed::Invalid("the version or the command of the PROXY header is unknown"),
    };
    let Some(rest) = rest.get(..length) else { return Parsed::Incomplete };
    if speaks_for_itself {
        return Parsed::Header(FIXED + length, Source::Proxy);
    }
    let source = match fixed[13] {
        0x11 => match rest {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => Some((IpAddr::from(Ipv4Addr::new(*a, *b, *c, *d)), [*high, *low])),
            _ => return Parsed::Invalid("the addresses of the PROXY header are cut"),
        },
        0x21 => match (rest.first_chunk::<16>(), rest.get(32..34), rest.len()) {
            (Some(source), Some([high, low]), 36..) => Some((IpAddr::from(Ipv6Addr::from(*source)), [*high, *low])),
            _ => return Parsed::Invalid("the addresses of the PROXY header are cut"),
        },
        // UNSPEC, datagrams and Unix sockets tell no address that means anything here.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return Parsed::Invalid("the address family of the PROXY header is unknown"),
    };
    let client = |(ip, port)| Source::Client(SocketAddr::new(ip, u16::from_be_bytes(port)));
    Parsed::Header(FIXED + length, source.map_or(Source::Unknown, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    fn source(bytes: &[u8]) -> Option<Source> {
        match parse(bytes) {
            Parsed::Header(length, source) if length == bytes.len() => Some(source),
            Parsed::Header(..) | Parsed::Incomplete | Parsed::Invalid(_) => None,
        }
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    #[test]
    fn addresses_are_read() {
        assert_eq!(source(b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n"), Some(Source::Client("192.0.2.1:12345".parse().unwrap())));
        assert_eq!(source(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), Some(Source::Client("[2001:db8::1]:1".parse().unwrap())));
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), Some(Source::Unknown));
        assert_eq!(source(b"PROXY UNKNOWN ffff::1 x y z\r\n"), Some(Source::Unknown));
        assert_eq!(source(&v2(0x21, 0x11, &V4)), Some(Source::Client("192.0.2.1:12345".parse().unwrap())));
        let tlv = [V4.as_slice(), &[4, 0, 2, 0, 0]].concat();
        assert_eq!(source(&v2(0x21, 0x11, &tlv)), Some(Source::Client("192.0.2.1:12345".parse().unwrap())));
        let v6 = [Ipv6Addr::LOCALHOST.octets().as_slice(), &Ipv6Addr::LOCALHOST.octets(), &[0, 1, 0, 2]].concat();
        assert_eq!(source(&v2(0x21, 0x21, &v6)), Some(Source::Client("[::1]:1".parse().unwrap())));
        assert_eq!(source(&v2(0x20, 0x11, &V4)), Some(Source::Proxy));
        assert_eq!(source(&v2(0x21, 0x00, b"")), Some(Source::Unknown));
    }

    #[test]
    fn broken_headers_are_refused() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 12345\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 12345 80 1\r\n",
            "PROXY TCP4 192.0.2.1  10.0.0.1 12345 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +1 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
            "PROXY TCP4 ::1 10.0.0.1 1 80\r\n",
            "PROXY TCP5 ::1 ::1 1 80\r\n",
            "PROXY  TCP4 192.0.2.1 10.0.0.1 1 80\r\n",
        ] {
            assert!(matches!(parse(line.as_bytes()), Parsed::Invalid(_)), "{line:?}");
        }
        assert!(matches!(parse(format!("PROXY UNKNOWN {}", "x".repeat(100)).as_bytes()), Parsed::Invalid(_)));
        for bytes in [
            v2(0x31, 0x11, &V4),
            v2(0x22, 0x11, &V4),
            v2(0x21, 0x11, &V4[..11]),
            v2(0x21, 0x21, &V4),
            v2(0x21, 0x41, &V4),
            v2(0x21, 0x11, &[0; 2049]),
        ] {
            assert!(matches!(parse(&bytes), Parsed::Invalid(_)), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_beginning_is_incomplete(cut in 0usize..28) {
            let whole = v2(0x21, 0x11, &V4);
            proptest::prop_assert_eq!(parse(&whole[..cut]), Parsed::Incomplete);
            let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n";
            proptest::prop_assert_eq!(parse(&line[..cut]), Parsed::Incomplete);
        }

        #[test]
        fn a_wrong_byte_gives_no_other_address(at in 0usize..28, byte in proptest::num::u8::ANY) {
            let mut bytes = v2(0x21, 0x11, &V4);
            bytes[at] = byte;
            // Whatever is accepted is within the bytes that came.
            if let Parsed::Header(length, _) = parse(&bytes) {
                proptest::prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn any_bytes_are_handled(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60), begins in 0usize..3) {
            let begin: &[u8] = [&b""[..], WORD, SIGNATURE][begins];
            if let Parsed::Header(length, _) = parse(&[begin, &bytes].concat()) {
                proptest::prop_assert!(length <= begin.len() + bytes.len());
            }
        }
    }
}
