//! Tests the listener for TLS: certificates by name, client certificates, resumption, files that change, and clients that do not speak TLS.

mod handshakes;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, StreamOwned};

use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, Origin, Response, Temporary, get, until};

/// An authority with its certificate.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A certificate for these names, and its key, as PEM.
    fn sign(&self, names: &[&str], years: (i32, i32)) -> (String, String) {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The files of a gateway with TLS.
struct Files {
    folder: Temporary,
    authority: Authority,
}

impl Files {
    fn new(name: &str) -> Self {
        let files = Self { folder: Temporary::folder(name), authority: Authority::new() };
        files.write("ca.pem", &files.authority.pem);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), content).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes a valid certificate and its key.
    fn pair(&self, name: &str, names: &[&str]) {
        let (cert, key) = self.authority.sign(names, (2020, 2090));
        self.write(&format!("{name}.crt"), &cert);
        self.write(&format!("{name}.key"), &key);
    }

    /// The keys of a pair.
    fn keys(&self, name: &str) -> String {
        format!("cert = \"{}\"\nkey = \"{}\"\n", self.path(&format!("{name}.crt")).display(), self.path(&format!("{name}.key")).display())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// The settings of a client that offers these protocols.
    fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut config = builder().with_root_certificates(self.roots()).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// The settings of a client with a certificate of this authority.
    fn client_with(&self, authority: &Authority) -> ClientConfig {
        let (cert, key) = authority.sign(&["client"], (2020, 2090));
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        builder().with_root_certificates(self.roots()).with_client_auth_cert(chain, key).unwrap()
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
}

fn gateway(origin: SocketAddr, tls: &str) -> GatewayUnderTest {
    let toml = "[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n[backends.o]\n";
    GatewayUnderTest::start(&format!("{toml}endpoints = [\"http://{origin}\"]\n[listen.tls]\naddress = \"127.0.0.1:0\"\n{tls}"))
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A TLS connection that asks for a server by name.
fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(crate::harness::PATIENCE))?;
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Sends a request and reads to the end, which must be a proper one.
fn ask(stream: &mut TlsStream, head: &str) -> std::io::Result<Response> {
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(Client::parse(&bytes, "GET"))
}

/// Accepts any certificate, since the test compares it itself.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::client::WebPkiServerVerifier>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The certificate that the server shows to a client that asks for this name.
fn shown(address: SocketAddr, name: &str, files: &Files) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(files.roots()), provider).build().unwrap();
    let config = builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(verifier))).with_no_client_auth();
    let stream = connect(address, name, &Arc::new(config)).unwrap();
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(files: &Files, name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(files.path(name)).unwrap().to_vec()
}

#[test]
fn requests_over_tls_reach_the_origin() {
    let files = Files::new("tls-requests");
    files.pair("own", &["shop.example"]);
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = gateway(origin.address, &format!("{}hsts = \"365d\"\n", files.keys("own")));
    let config = Arc::new(files.client(&["http/1.1"]));
    let mut stream = connect(gateway.tls(), "shop.example", &config).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let response = ask(&mut stream, "GET /a HTTP/1.1\r\nHost: shop.example\r\nClient-Cert: :Zm9yZ2Vk:").unwrap();
    assert_eq!((response.status, response.header("strict-transport-security")), (200, Some("max-age=31536000")), "{response:?}");
    let seen = origin.requests().join("").to_ascii_lowercase();
    assert!(seen.contains("x-forwarded-proto: https\r\n") && !seen.contains("client-cert"), "{seen}");
    // The plain port tells nothing of TLS.
    assert_eq!(get(gateway.address, "/").header("strict-transport-security"), None);
    gateway.wait_for_metric("lockgate_tls_handshakes_total{result=\"completed\"} 1");
}

#[test]
fn an_error_over_tls_keeps_the_contract() {
    let files = Files::new("tls-errors");
    files.pair("own", &["shop.example"]);
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &format!("{}hsts = \"1d\"\n", files.keys("own")));
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    let response = ask(&mut stream, "GET / HTTP/1.1\r\nHost: shop.example").unwrap();
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
    assert_eq!(response.header("strict-transport-security"), Some("max-age=86400"));
}

#[test]
fn large_bodies_pass_both_ways() {
    let files = Files::new("tls-large");
    files.pair("own", &["shop.example"]);
    let origin = Origin::start(|c| {
        let length = c.body().len();
        c.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length)));
    });
    let gateway = gateway(origin.address, &files.keys("own"));
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    let body = "x".repeat(3_000_000);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let response = Client::parse(&bytes, "POST");
    assert!(response.status == 200 && response.body.len() == body.len(), "{} {}", response.status, response.body.len());
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let files = Files::new("tls-names");
    files.pair("first", &["first.example"]);
    files.pair("exact", &["a.shop.example"]);
    files.pair("wild", &["*.shop.example"]);
    let list: Vec<String> = ["first", "exact", "wild"].map(|name| format!("{{ {} }}", files.keys(name).trim().replace('\n', ", "))).into();
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &format!("certificates = [{}]\n", list.join(", ")));
    for (name, file) in [
        ("first.example", "first.crt"),
        ("a.shop.example", "exact.crt"),
        ("A.SHOP.example", "exact.crt"),
        ("b.shop.example", "wild.crt"),
        ("a.b.shop.example", "first.crt"),
        ("unknown.example", "first.crt"),
    ] {
        assert_eq!(shown(gateway.tls(), name, &files), der(&files, file), "{name}");
    }
}

/// A WebSocket server over TLS that sends every message back. It ends with the test process.
fn secure_echo(files: &Files, name: &str) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_file(files.path(&format!("{name}.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.path(&format!("{name}.key"))).unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stream = StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            std::thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    if message.is_binary() && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_websocket_passes_over_tls_on_both_sides() {
    let files = Files::new("tls-websocket");
    files.pair("shop", &["shop.example"]);
    files.pair("chat", &["chat.internal"]);
    let origin = secure_echo(&files, "chat");
    let tls = format!("ca = \"{}\"\nserver_name = \"chat.internal\"\n", files.path("ca.pem").display());
    let gateway = GatewayUnderTest::start(&format!(
        "[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[backends.o]\nendpoints = [\"https://{origin}\"]\n[backends.o.tls]\n{tls}\
         [listen.tls]\naddress = \"127.0.0.1:0\"\n{}",
        files.keys("shop")
    ));
    let stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&["http/1.1"]))).unwrap();
    let (mut socket, _) = tungstenite::client("wss://shop.example/chat", stream).unwrap();
    for size in [0, 1, 70_000, 1_000_000] {
        let sent = tungstenite::Message::binary((0..size).map(|at| at as u8).collect::<Vec<u8>>());
        socket.send(sent.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), sent, "{size}");
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "upstream");
}

#[test]
fn http2_is_negotiated() {
    let files = Files::new("tls-h2");
    files.pair("own", &["shop.example"]);
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = gateway(origin.address, &files.keys("own"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(gateway.tls()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(files.client(&["h2"])));
        let stream = connector.connect(ServerName::try_from("shop.example").unwrap(), tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://shop.example/").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        sender.send_request(request).await.unwrap().status()
    });
    assert_eq!(status, 200);
    let line = gateway.log_line(&["\"message\":\"request\""]);
    for (key, value) in [("protocol", "HTTP/2"), ("tls", "TLSv1.3"), ("host", "shop.example")] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
}

#[test]
fn a_client_certificate_is_forwarded() {
    let files = Files::new("tls-client");
    files.pair("own", &["shop.example"]);
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let keys = format!("{}client_ca = \"{}\"\nclient_auth = \"optional\"\n", files.keys("own"), files.path("ca.pem").display());
    let gateway = gateway(origin.address, &keys);
    let config = Arc::new(files.client_with(&files.authority));
    let mut stream = connect(gateway.tls(), "shop.example", &config).unwrap();
    ask(&mut stream, "GET / HTTP/1.1\r\nHost: shop.example\r\nClient-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:").unwrap();
    let seen = origin.requests().remove(0);
    let lines: Vec<&str> = seen.lines().filter(|line| line.to_ascii_lowercase().starts_with("client-cert")).collect();
    assert!(lines.len() == 1 && lines[0].ends_with(':') && lines[0].len() > 300 && !seen.contains("Zm9yZ2Vk"), "{lines:?}");
    // Without a certificate, none is claimed.
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    ask(&mut stream, "GET / HTTP/1.1\r\nHost: shop.example\r\nClient-Cert: :Zm9yZ2Vk:").unwrap();
    let seen = origin.requests().remove(1);
    assert!(!seen.to_ascii_lowercase().contains("client-cert"), "{seen}");
    // A stranger's certificate is refused.
    let config = Arc::new(files.client_with(&Authority::new()));
    let refused = connect(gateway.tls(), "shop.example", &config).and_then(|mut stream| ask(&mut stream, "GET / HTTP/1.1\r\nHost: a"));
    assert!(refused.is_err(), "{refused:?}");
    gateway.wait_for_metric("lockgate_tls_handshakes_total{result=\"client_certificate\"} 1");
}

#[test]
fn a_required_client_certificate_must_be_there() {
    let files = Files::new("tls-required");
    files.pair("own", &["shop.example"]);
    let keys = format!("{}client_ca = \"{}\"\nclient_auth = \"required\"\n", files.keys("own"), files.path("ca.pem").display());
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &keys);
    let refused = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[])))
        .and_then(|mut stream| ask(&mut stream, "GET / HTTP/1.1\r\nHost: a"));
    assert!(refused.is_err(), "{refused:?}");
    gateway.wait_for_metric("lockgate_tls_handshakes_total{result=\"client_certificate\"} 1");
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client_with(&files.authority))).unwrap();
    assert_eq!(ask(&mut stream, "GET / HTTP/1.1\r\nHost: a").unwrap().status, 502);
}

#[test]
fn sessions_are_resumed() {
    let files = Files::new("tls-resumed");
    files.pair("own", &["shop.example"]);
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &files.keys("own"));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = Arc::new(config.with_root_certificates(files.roots()).with_no_client_auth());
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = connect(gateway.tls(), "shop.example", &config).unwrap();
                // A ticket comes behind the handshake.
                ask(&mut stream, "GET / HTTP/1.1\r\nHost: a").unwrap();
                stream.conn.handshake_kind().unwrap()
            })
            .collect();
        assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed], "{version:?}");
    }
}

#[test]
fn a_request_in_clear_text_is_told() {
    let files = Files::new("tls-clear");
    files.pair("own", &["shop.example"]);
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &files.keys("own"));
    let response = get(gateway.tls(), "/somewhere");
    assert_eq!((assert_contract("GET", &response).as_str(), response.status), ("BAD_REQUEST", 400));
    let line = gateway.log_line(&["clear text"]);
    assert_eq!((line["path"].as_str(), line["status"].as_u64()), (Some("/somewhere"), Some(400)));
    gateway.wait_for_metric("lockgate_tls_handshakes_total{result=\"clear_text\"} 1");
}

#[test]
fn certificates_follow_their_files() {
    let files = Files::new("tls-renewed");
    files.pair("own", &["shop.example"]);
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &files.keys("own"));
    let first = der(&files, "own.crt");
    assert_eq!(shown(gateway.tls(), "shop.example", &files), first);
    // A key that does not belong to it changes nothing.
    let (_, foreign) = files.authority.sign(&["x"], (2020, 2090));
    files.write("own.key", &foreign);
    gateway.wait_for_metric("lockgate_tls_certificates_last_read_successful 0");
    assert_eq!(shown(gateway.tls(), "shop.example", &files), first);
    files.pair("own", &["shop.example"]);
    gateway.wait_for_metric("lockgate_tls_certificates_last_read_successful 1");
    let second = der(&files, "own.crt");
    until(|| if shown(gateway.tls(), "shop.example", &files) == second { Ok(()) } else { Err("still the first certificate".to_owned()) });
}

#[test]
fn the_plain_port_redirects() {
    let files = Files::new("tls-redirect");
    files.pair("own", &["shop.example"]);
    let gateway = gateway("127.0.0.1:1".parse().unwrap(), &format!("{}redirect_to_https = true\n", files.keys("own")));
    let mut client = Client::connect(gateway.address);
    client.write("POST /a?b=%2F HTTP/1.1\r\nHost: shop.example:8080\r\nContent-Length: 0\r\n\r\n");
    let response = client.read("POST").unwrap();
    let location = "https://shop.example:0/a?b=%2F";
    assert_eq!((response.status, response.header("location")), (308, Some(location)));
    assert!(response.header("x-request-id").is_some() && response.body.is_empty(), "{response:?}");
    // Over TLS the request is served.
    let mut stream = connect(gateway.tls(), "shop.example", &Arc::new(files.client(&[]))).unwrap();
    assert_eq!(ask(&mut stream, "GET / HTTP/1.1\r\nHost: shop.example").unwrap().status, 502);
    // A request without a valid host is refused, and not redirected anywhere.
    let mut client = Client::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    assert_eq!(assert_contract("GET", &client.read("GET").unwrap()), "BAD_REQUEST");
}

/// The problems of a configuration with this `[listen.tls]`.
fn problems(tls: &str) -> Vec<lockgate::config::diagnose::Problem> {
    let text = format!("[backends.o]\nendpoints = [\"http://a\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[listen.tls]\n{tls}");
    match lockgate::plan::compile::from_text(&text, &|_| None) {
        Ok(plan) => plan.warnings,
        Err(problems) => problems,
    }
}

#[test]
fn files_that_cannot_be_used_are_shown_at_their_place() {
    let files = Files::new("tls-problems");
    files.pair("own", &["a.example"]);
    files.pair("other", &["b.example"]);
    let (cert, key) = files.authority.sign(&["a.example"], (2020, 2021));
    files.write("ended.crt", &cert);
    files.write("ended.key", &key);
    files.write("empty.crt", "");
    files.write("empty.key", "");
    let path = |name: &str| files.path(name).display().to_string();
    let pair = |cert: &str, key: &str| format!("cert = \"{}\"\nkey = \"{}\"\n", path(cert), path(key));
    for (tls, wanted) in [
        (pair("own.crt", "other.key"), "does not belong"),
        (pair("ended.crt", "ended.key"), "ended on Fri, 01 Jan 2021"),
        (pair("empty.crt", "own.key"), "there is no certificate in"),
        (pair("own.crt", "empty.key"), "there is no private key in"),
        (pair("missing.crt", "own.key"), "cannot read"),
        (format!("cert = \"{}\"\n", path("own.crt")), "has no `key`"),
        (String::new(), "has no `cert`"),
        (format!("{}client_auth = \"required\"\n", files.keys("own")), "`client_auth` needs `client_ca`"),
        (format!("{}client_ca = \"{}\"\n", files.keys("own"), path("ca.pem")), "`client_ca` has no effect"),
        (format!("{}certificates = []\n", files.keys("own")), "both `cert` and `certificates`"),
        ("certificates = []\n".to_owned(), "`certificates` is empty"),
    ] {
        let found = problems(&tls);
        assert!(
            found.iter().any(|problem| problem.title.contains(wanted) && problem.span.is_some() && !problem.is_warning),
            "{wanted}: {found:?}"
        );
    }
}

#[test]
fn a_key_that_all_can_read_and_a_certificate_that_ends_soon_are_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new("tls-warnings");
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_after = (std::time::SystemTime::now() + std::time::Duration::from_secs(5 * 86_400)).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&files.authority.params, &files.authority.key)).unwrap();
    files.write("own.crt", &certificate.pem());
    files.write("own.key", &key.serialize_pem());
    std::fs::set_permissions(files.path("own.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = problems(&files.keys("own"));
    assert!(found.len() == 2 && found.iter().all(|problem| problem.is_warning && problem.span.is_some()), "{found:?}");
    assert!(found.iter().any(|problem| problem.title.contains("ends in 4 days")), "{found:?}");
    assert!(found.iter().any(|problem| problem.title.contains("can read the key")), "{found:?}");
}
