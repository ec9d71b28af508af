//! Handshakes that are malformed or cut at any byte, and what OpenSSL's client can and cannot agree on with the gateway.

use std::process::{Command, Stdio};

use super::*;

/// The first bytes of a client with this configuration.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut client = ClientConnection::new(Arc::clone(config), ServerName::try_from("shop.example").unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

fn of_version(files: &Files, version: &'static rustls::SupportedProtocolVersion) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_root_certificates(files.roots()).with_no_client_auth())
}

/// A gateway for TLS in front of an origin that must not be asked by what is broken.
fn start(name: &str, listen: &str) -> (Files, Origin, GatewayUnderTest) {
    let files = Files::new(name);
    files.pair("own", &["shop.example"]);
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = gateway(origin.address, &format!("{}\n[listen]\n{listen}", files.keys("own")));
    (files, origin, gateway)
}

/// The next client is served, and it is the first that the origin sees.
fn assert_next_is_served(files: &Files, origin: &Origin, gateway: &GatewayUnderTest) {
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    assert_eq!(ask(&mut stream, "GET /next HTTP/1.1\r\nHost: a").unwrap().status, 200);
    assert_eq!((origin.connections(), origin.requests().len()), (1, 1));
    gateway.log_line(&["/next"]);
    assert_eq!(gateway.log_lines(), 1, "a handshake that fails writes no line");
}

/// A record of this type with these bytes.
fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

#[test]
fn malformed_records_end_the_connection_with_an_alert() {
    let (files, origin, gateway) = start("tls-malformed", "");
    let hello = hello(&Arc::new(files.client(&[])));
    let body = &hello[5..];
    let edited = |at: usize, byte: u8| {
        let mut bytes = hello.clone();
        bytes[at] = byte;
        bytes
    };
    let broken: Vec<Vec<u8>> = vec![
        // Longer than a record may be, empty, of an unknown message, and a message of the server's.
        b"\x16\x03\x03\xff\xff".to_vec(),
        record(0x16, b""),
        record(0x16, b"\xfe\0\0\0"),
        record(0x16, b"\x02\0\0\0"),
        record(0x16, b"\x14\0\0\0"),
        // The length of the session, of the ciphers, and of the extensions beyond the end.
        edited(43, 33),
        edited(76, 0xff),
        // The end of the hello is missing, though its length has come.
        record(0x16, &[&[1, 0, 0, 2], &body[4..6]].concat()),
        // Behind half of a hello comes another kind of record.
        [record(0x16, &body[..40]), record(0x17, b"x")].concat(),
        // Behind the hello comes what no client sends then.
        [hello.clone(), record(0x17, b"GET / HTTP/1.1\r\n\r\n")].concat(),
        [hello.clone(), record(0x99, b"x")].concat(),
        [hello.clone(), hello.clone()].concat(),
        [hello.clone(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat(),
    ];
    for bytes in &broken {
        let mut client = TcpStream::connect(gateway.tls()).unwrap();
        client.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        let _ = client.write_all(bytes);
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        assert!(read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) || read.is_ok(), "{read:?}");
        // Nothing but TLS: a flight of the server, or an alert.
        assert!(answer.is_empty() || matches!(answer[..2], [0x15 | 0x16, 3]), "{bytes:?}: {answer:?}");
    }
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"protocol\"}} {}", broken.len()));
    assert_next_is_served(&files, &origin, &gateway);
}

#[test]
fn other_first_records_count_as_clear_text() {
    let (files, origin, gateway) = start("tls-first-records", "header_timeout = \"300ms\"");
    // Data, an alert, and a hello of SSL 2.0.
    let first = [record(0x17, b"x\r\n\r\n"), record(0x15, b"\x02\x28\r\n\r\n"), b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10\r\n\r\n".to_vec()];
    for bytes in &first {
        let mut client = Client::connect(gateway.tls());
        client.write(bytes);
        let response = client.read("GET");
        assert!(response.is_none_or(|response| response.status == 400), "{bytes:?}");
    }
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"clear_text\"}} {}", first.len()));
    assert!(origin.requests().is_empty());
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    assert_eq!(ask(&mut stream, "GET /next HTTP/1.1\r\nHost: a").unwrap().status, 200);
}

#[test]
fn a_hello_that_is_cut_at_any_byte_is_a_close() {
    let (files, origin, gateway) = start("tls-cut-hello", "");
    let hello = hello(&Arc::new(files.client(&["h2", "http/1.1"])));
    for cut in 0..hello.len() {
        let mut client = TcpStream::connect(gateway.tls()).unwrap();
        client.write_all(&hello[..cut]).unwrap();
    }
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"closed\"}} {}", hello.len()));
    assert_next_is_served(&files, &origin, &gateway);
}

/// What a client sends behind the server's flight, which is read, and the connection.
fn second_flight(address: SocketAddr, config: &Arc<ClientConfig>) -> (TcpStream, Vec<u8>) {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), ServerName::try_from("shop.example").unwrap()).unwrap();
    client.write_tls(&mut tcp).unwrap();
    while !client.wants_write() {
        assert!(client.read_tls(&mut tcp).unwrap() > 0);
        client.process_new_packets().unwrap();
    }
    let mut flight = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut flight).unwrap();
    }
    (tcp, flight)
}

#[test]
fn a_handshake_that_is_cut_behind_the_flight_of_the_server_is_a_close() {
    let (files, origin, gateway) = start("tls-cut-finished", "");
    let mut cuts = 0;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = of_version(&files, version);
        let length = second_flight(gateway.tls(), &config).1.len();
        cuts += 1;
        for cut in 1..length {
            let (mut tcp, flight) = second_flight(gateway.tls(), &config);
            tcp.write_all(&flight[..cut]).unwrap();
            cuts += 1;
        }
    }
    assert!(cuts > 100, "{cuts}");
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"closed\"}} {cuts}"));
    assert_next_is_served(&files, &origin, &gateway);
}

#[test]
fn a_handshake_that_stops_at_any_step_is_a_timeout() {
    let (files, origin, gateway) = start("tls-stops", "header_timeout = \"300ms\"");
    let config = of_version(&files, &rustls::version::TLS12);
    let hello = hello(&config);
    let mut open: Vec<TcpStream> = [0, 1, 5, 6, hello.len() / 2, hello.len() - 1, hello.len()]
        .map(|cut| {
            let mut client = TcpStream::connect(gateway.tls()).unwrap();
            client.write_all(&hello[..cut]).unwrap();
            client
        })
        .into();
    let (mut tcp, flight) = second_flight(gateway.tls(), &config);
    tcp.write_all(&flight[..flight.len() - 1]).unwrap();
    open.push(tcp);
    for client in &mut open {
        client.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        // The end, behind what the server may have said before.
        assert!(client.read_to_end(&mut Vec::new()).is_ok());
    }
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"timeout\"}} {}", open.len()));
    assert_next_is_served(&files, &origin, &gateway);
}

/// A hello of this version with these suites and without extensions.
fn raw_hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16).to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    record(0x16, &[&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat())
}

#[test]
fn old_versions_and_weak_suites_are_refused_whoever_offers_them() {
    let (files, origin, gateway) = start("tls-weak", "");
    // RSA without forward secrecy (also with GCM), NULL, export, RC4, DES, 3DES, anonymous, and CBC with forward secrecy.
    let weak = [
        0x002f, 0x0035, 0x003c, 0x009c, 0x009d, 0x0001, 0x0002, 0x003b, 0x0003, 0x0006, 0x0008, 0x0004, 0x0005, 0x0009, 0x000a, 0x0018,
        0x001b, 0x0034, 0x0033, 0x008c, 0x009e, 0xc006, 0xc007, 0xc008, 0xc009, 0xc00a, 0xc010, 0xc011, 0xc012, 0xc013, 0xc014, 0xc023,
        0xc027,
    ];
    let offers = [[3, 0], [3, 1], [3, 2], [3, 3]].map(|version| raw_hello(version, &weak));
    for hello in &offers {
        let mut client = TcpStream::connect(gateway.tls()).unwrap();
        client.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        client.write_all(hello).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        // A fatal alert (RFC 8446 6), and nothing else.
        assert!(answer.len() == 7 && answer[0] == 0x15 && answer[5] == 2, "{answer:?}");
    }
    gateway.wait_for_metric(&format!("lockgate_tls_handshakes_total{{result=\"incompatible\"}} {}", offers.len()));
    assert_next_is_served(&files, &origin, &gateway);
}

/// What OpenSSL's client prints that sends a request.
fn openssl(gateway: &GatewayUnderTest, options: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &gateway.tls().to_string(), "-servername", "shop.example", "-ign_eof"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs openssl, which does not start ({error}): scripts/test installs it"));
    // A client that could not connect reads nothing.
    let _ = child.stdin.take().unwrap().write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The suites of TLS 1.2 that the gateway speaks with an ECDSA certificate.
const SUITES: [&str; 3] = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];

#[test]
fn openssl_agrees_on_nothing_old_or_weak() {
    let (_files, origin, gateway) = start("tls-openssl", "");
    for option in ["-tls1", "-tls1_1"] {
        let shown = openssl(&gateway, &[option, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(shown.contains("SSL alert number") && shown.contains("Cipher is (NONE)"), "{option}: {shown}");
    }
    // Everything that this OpenSSL knows, but for the strong ones.
    let others = SUITES.map(|suite| format!("!{suite}")).join(":");
    let all = format!("ALL:COMPLEMENTOFALL:{others}:@SECLEVEL=0");
    for list in [all.as_str(), "kRSA:@SECLEVEL=0", "aNULL:eNULL:@SECLEVEL=0", "SHA1:@SECLEVEL=0", "kDHE:@SECLEVEL=0"] {
        let shown = openssl(&gateway, &["-tls1_2", "-cipher", list]);
        assert!(shown.contains("alert handshake failure") && shown.contains("Cipher is (NONE)"), "{list}: {shown}");
    }
    assert!(origin.requests().is_empty());
    for suite in SUITES {
        let shown = openssl(&gateway, &["-tls1_2", "-cipher", suite]);
        assert!(shown.contains(&format!("Cipher is {suite}")) && shown.contains("HTTP/1.1 200 OK"), "{shown}");
        assert!(shown.contains("Secure Renegotiation IS supported") && shown.contains("Compression: NONE"), "{shown}");
    }
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        let shown = openssl(&gateway, &["-tls1_3", "-ciphersuites", suite]);
        assert!(shown.contains(&format!("Cipher is {suite}")) && shown.contains("HTTP/1.1 200 OK"), "{shown}");
    }
}

#[test]
fn openssl_resumes_its_sessions() {
    let (files, _origin, gateway) = start("tls-openssl-resumed", "");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = files.path(&format!("session{version}")).display().to_string();
        let first = openssl(&gateway, &[version, "-sess_out", &session]);
        assert!(first.contains("New, TLSv1.") && first.contains("HTTP/1.1 200 OK"), "{version}: {first}");
        let second = openssl(&gateway, &[version, "-sess_in", &session]);
        assert!(second.contains("Reused, TLSv1.") && second.contains("HTTP/1.1 200 OK"), "{version}: {second}");
    }
}
