//! Tests the PROXY header that a backend is sent: whom it names, and that a connection is never used for another client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use crate::harness::{Client, GatewayUnderTest, Origin, eventually, get};

/// The header at the beginning of a connection, as text: that of version 2 as version 1 would say it.
fn header(stream: &mut impl Read) -> String {
    let mut bytes = vec![0; 12];
    stream.read_exact(&mut bytes).unwrap();
    if bytes == b"\r\n\r\n\0\r\nQUIT\n" {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([fixed[2], fixed[3]]))];
        stream.read_exact(&mut rest).unwrap();
        let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        let v6 = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&rest[at..at + 16]).unwrap());
        let v4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&rest[at..at + 4]).unwrap());
        return match (fixed[0], fixed[1], rest.len()) {
            (0x20, 0, 0) => "LOCAL".to_owned(),
            (0x21, 0x11, 12) => format!("TCP4 {} {} {} {}", v4(0), v4(4), port(8), port(10)),
            (0x21, 0x21, 36) => format!("TCP6 {} {} {} {}", v6(0), v6(16), port(32), port(34)),
            other => panic!("{other:?}"),
        };
    }
    while !bytes.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap().trim_end().strip_prefix("PROXY ").unwrap().to_owned()
}

/// An origin that answers every request with the header of its connection, and the headers of all connections.
fn origin() -> (Origin, Arc<Mutex<Vec<String>>>) {
    let headers: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&headers);
    let origin = Origin::start_on_connect(move |c| {
        let header = header(&mut c.stream);
        seen.lock().unwrap().push(header.clone());
        while c.next_head() {
            match c.header("upgrade") {
                Some(_) => {
                    c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
                    c.write(&header);
                    return c.hang();
                }
                None => {
                    c.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{header}", header.len()));
                }
            }
        }
    });
    (origin, headers)
}

fn gateway(origin: &Origin, version: &str, more: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nsend_proxy = \"{version}\"\npool = {{ idle_timeout = \"60s\" }}\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\nupgrades = [\"raw\"]\n{more}",
        origin.address
    ))
}

/// What the header says of this client.
fn expected(client: &Client, gateway: SocketAddr) -> String {
    let own = client.stream.local_addr().unwrap();
    let family = if own.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("{family} {} {} {} {}", own.ip(), gateway.ip(), own.port(), gateway.port())
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn ask(client: &mut Client, head: &str) -> String {
    client.write(head);
    client.response("GET").text()
}

#[test]
fn each_connection_names_its_client_and_serves_no_other() {
    for (version, listen) in [("v1", ""), ("v2", ""), ("v1", "[listen]\nhttp = \"[::1]:0\"\n"), ("v2", "[listen]\nhttp = \"[::1]:0\"\n")] {
        let (origin, headers) = origin();
        let gateway = gateway(&origin, version, listen);
        let (mut one, mut other) = (Client::connect(gateway.address), Client::connect(gateway.address));
        for _ in 0..3 {
            assert_eq!(ask(&mut one, REQUEST), expected(&one, gateway.address));
            assert_eq!(ask(&mut other, REQUEST), expected(&other, gateway.address));
        }
        // Each client keeps its own, and a third one gets neither.
        assert_eq!(origin.connections(), 2, "{:?}", headers.lock().unwrap());
        drop((one, other));
        let mut third = Client::connect(gateway.address);
        assert_eq!(ask(&mut third, REQUEST), expected(&third, gateway.address));
        assert_eq!(origin.connections(), 3);
    }
}

#[test]
fn the_client_behind_a_trusted_proxy_is_named() {
    let (origin, _) = origin();
    let gateway = gateway(&origin, "v1", "[listen]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let mut proxy = Client::connect(gateway.address);
    let port = gateway.address.port();
    for (client, family, listener) in
        [("192.0.2.7", "TCP4", "127.0.0.1"), ("192.0.2.8", "TCP4", "127.0.0.1"), ("2001:db8::7", "TCP6", "::ffff:127.0.0.1")]
    {
        // The proxy's own connection serves many clients. The port of none is known.
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n");
        assert_eq!(ask(&mut proxy, &head), format!("{family} {client} {listener} 0 {port}"));
        assert_eq!(ask(&mut proxy, &head), format!("{family} {client} {listener} 0 {port}"));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_header_that_came_in_goes_on() {
    let (origin, _) = origin();
    let gateway = gateway(&origin, "v2", "[listen]\ntrusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n");
    let mut client = Client::connect(gateway.address);
    let came = "PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n";
    assert_eq!(ask(&mut client, &format!("{came}{REQUEST}")), format!("TCP4 192.0.2.7 127.0.0.1 5 {}", gateway.address.port()));
}

#[test]
fn a_tunnel_begins_with_the_header_too() {
    let (origin, _) = origin();
    let gateway = gateway(&origin, "v1", "");
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
    assert_eq!(client.response("GET").status, 101);
    let expected = expected(&client, gateway.address);
    assert_eq!(String::from_utf8(client.bytes(expected.len())).unwrap(), expected);
}

#[test]
fn the_header_comes_in_front_of_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["orders.internal".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    // It would speak HTTP/2, which is not asked for: clients would share its connections.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let origin = Origin::start_on_connect(move |c| {
        let header = header(&mut c.stream);
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, c.stream.try_clone().unwrap());
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{header}", header.len()).as_bytes()).unwrap();
        }
    });
    for version in ["v1", "v2"] {
        let gateway = GatewayUnderTest::start(&format!(
            "[backends.o]\nendpoints = [\"https://{}\"]\nsend_proxy = \"{version}\"\ntls = {{ verify = false }}\n\
             [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        ));
        let mut client = Client::connect(gateway.address);
        let expected = expected(&client, gateway.address);
        assert_eq!([ask(&mut client, REQUEST), ask(&mut client, REQUEST)], [expected.clone(), expected]);
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_that_the_endpoint_has_closed_is_replaced_by_one_with_a_header() {
    let headers: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&headers);
    let origin = Origin::start_on_connect(move |c| {
        seen.lock().unwrap().push(header(&mut c.stream));
        c.next_head();
        // It says nothing of the close.
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = gateway(&origin, "v2", "");
    let mut client = Client::connect(gateway.address);
    let expected = expected(&client, gateway.address);
    for _ in 0..3 {
        assert_eq!(ask(&mut client, REQUEST), "ok");
    }
    assert_eq!(*headers.lock().unwrap(), [expected.clone(), expected.clone(), expected]);
}

#[test]
fn idle_clients_leave_half_of_the_connections_to_others() {
    let (origin, _) = origin();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nsend_proxy = \"v1\"\npool = {{ max_connections = 4, idle_timeout = \"60s\" }}\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut clients: Vec<Client> = (0..12).map(|_| Client::connect(gateway.address)).collect();
    for client in &mut clients {
        let expected = expected(client, gateway.address);
        assert_eq!(ask(client, REQUEST), expected);
    }
}

#[test]
fn probes_speak_for_the_gateway() {
    for (version, says) in [("v1", "UNKNOWN"), ("v2", "LOCAL")] {
        let (origin, headers) = origin();
        let gateway = gateway(&origin, version, "[backends.o.health]\npath = \"/health\"\nevery = \"50ms\"\n");
        eventually("two probes", || headers.lock().unwrap().iter().filter(|header| *header == says).count() >= 2);
        assert_eq!(get(gateway.address, "/").status, 200);
    }
}

#[test]
fn keys_that_cannot_be_used_together_are_shown() {
    for (keys, wanted) in [
        ("send_proxy = \"v2\"\nprotocol = \"h2\"", "cannot be used with `protocol = \"h2\"`"),
        ("send_proxy = \"v1\"\npool = { max_idle = 4 }", "`max_idle` has no effect with `send_proxy`"),
        ("send_proxy = \"v3\"", "not a known value of `backends.o.send_proxy`"),
    ] {
        let text = format!("[backends.o]\nendpoints = [\"http://a\"]\n{keys}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n");
        let problems = lockgate::plan::compile::from_text(&text, &|_| None).unwrap_err();
        assert!(problems.iter().any(|problem| problem.title.contains(wanted) && problem.span.is_some()), "{wanted}: {problems:?}");
    }
}
