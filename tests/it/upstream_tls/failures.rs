//! The failure and the diagnosis of every handshake that fails.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};

use super::{Authority, Identity, assert_failure, assert_secure, file, gateway, origin, trusting};
use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, get};

const CERTIFICATE: &str = "tls_certificate_error";
const PROTOCOL: &str = "tls_protocol_error";
const ALERT: &str = "tls_alert_received";

#[test]
fn certificates_that_are_not_valid_say_why() {
    type Edit = fn(&mut CertificateParams);
    let ca = Authority::new();
    let given = file(&ca.pem);
    for (edit, words) in [
        ((|params| params.not_after = rcgen::date_time_ymd(2020, 2, 1)) as Edit, ["has expired", "renew it"]),
        (|params| params.not_before = rcgen::date_time_ymd(2090, 2, 1), ["is not valid yet", "clocks"]),
        (|params| params.subject_alt_names.clear(), ["is for another name", "server_name"]),
        (|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], ["is not one for servers", "certificate"]),
    ] {
        assert_failure(origin(ca.sign(edit).server(None)), &trusting(&given), CERTIFICATE, &words);
    }
    let address = origin(ca.sign(|_| ()).server(None));
    assert_secure(address, &trusting(&given));
    let other = format!("ca = \"{}\"\nserver_name = \"other.internal\"\n", given.display());
    assert_failure(address, &other, CERTIFICATE, &["is for another name", "orders.internal"]);
    // A stranger's, and one that nobody but itself vouches for.
    assert_failure(address, &trusting(&file(&Authority::new().pem)), CERTIFICATE, &["not of the key that is trusted", "set `ca`"]);
    let named = Authority::named("another authority");
    assert_failure(address, &trusting(&file(&named.pem)), CERTIFICATE, &["no trusted authority", "set `ca`"]);
    let own = Identity::self_signed(|_| ());
    assert_failure(origin(own.server(None)), &trusting(&given), CERTIFICATE, &["no trusted authority", "self-signed"]);
}

/// A server of OpenSSL with these options, ended with the test.
struct OpenSsl {
    child: Child,
    address: SocketAddr,
}

impl OpenSsl {
    fn serve(identity: &Identity, options: &[&str]) -> Self {
        let (cert, key) = (file(&identity.pem), file(&identity.key.serialize_pem()));
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &cert.display().to_string(), "-key", &key.display().to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs openssl, which does not start ({error}): scripts/test installs it"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(|address| address.parse().unwrap())).unwrap();
        // It must be able to write on.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_of_old_versions_is_told_apart() {
    let own = Identity::self_signed(|_| ());
    let given = file(&own.pem);
    for option in ["-tls1", "-tls1_1"] {
        let server = OpenSsl::serve(&own, &[option, "-cipher", "DEFAULT@SECLEVEL=0"]);
        // It reads which versions are offered, and refuses them. Older ones answer in their own version: see below.
        assert_failure(server.address, &trusting(&given), ALERT, &["refuses TLS 1.2 and TLS 1.3", "ProtocolVersion"]);
    }
    // The server works: with a version that is spoken it answers.
    let server = OpenSsl::serve(&own, &["-tls1_2"]);
    assert_eq!(get(gateway(server.address, &trusting(&given)).address, "/").status, 200);
}

/// An origin that answers a `ClientHello` with these bytes.
fn answering(bytes: impl Into<Vec<u8>>) -> Origin {
    let bytes = bytes.into();
    Origin::start_on_connect(move |c| {
        let mut hello = [0; 5];
        std::io::Read::read_exact(&mut c.stream, &mut hello).unwrap();
        c.say(&bytes);
    })
}

/// A `ServerHello` of this version with a cipher of old, as a record.
fn server_hello(version: u8) -> Vec<u8> {
    let mut hello = vec![0x16, 3, version, 0, 42, 2, 0, 0, 38, 3, version];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    hello
}

#[test]
fn answers_that_no_handshake_can_have_say_why() {
    let given = file(&Authority::new().pem);
    for (bytes, reason, words) in [
        (server_hello(0), PROTOCOL, "SSL 3.0"),
        (server_hello(1), PROTOCOL, "TLS 1.0"),
        (server_hello(2), PROTOCOL, "TLS 1.1"),
        (server_hello(3), PROTOCOL, ""),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(), PROTOCOL, "write `http://` in its URL"),
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), PROTOCOL, "does not speak TLS"),
        (b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), ALERT, "refuses TLS 1.2 and TLS 1.3"),
        (b"\x15\x03\x03\x00\x02\x02\x28".to_vec(), ALERT, "accepts none of the offered ciphers"),
        (b"\x15\x03\x03\x00\x02\x02\x70".to_vec(), ALERT, "set `server_name`"),
        (b"\x15\x03\x03\x00\x02\x02\x50".to_vec(), ALERT, "InternalError"),
        (b"\x16\x03\x03".to_vec(), PROTOCOL, "ended the connection within the TLS handshake"),
        (Vec::new(), PROTOCOL, "ended the connection within the TLS handshake"),
    ] {
        assert_failure(answering(bytes).address, &trusting(&given), reason, &[words]);
    }
    let reset = Origin::start_on_connect(|c| {
        std::io::Read::read_exact(&mut c.stream, &mut [0; 5]).unwrap();
        c.reset();
    });
    assert_failure(reset.address, &trusting(&given), PROTOCOL, &["ended the connection within the TLS handshake"]);
}

#[test]
fn a_client_certificate_that_is_missing_or_strange_is_an_alert() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let given = file(&ca.pem);
    let own = ca.sign(|_| ());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = || origin(own.server_of(&[version], Some(&clients)));
        let with = |identity: &Identity, address: SocketAddr, check: &dyn Fn(SocketAddr, &str)| {
            let (cert, key) = (file(&identity.pem), file(&identity.key.serialize_pem()));
            check(address, &format!("{}cert = \"{}\"\nkey = \"{}\"\n", trusting(&given), cert.display(), key.display()));
        };
        assert_failure(server(), &trusting(&given), ALERT, &["wants a client certificate", "set `cert` and `key`", "CertificateRequired"]);
        with(&Authority::named("a stranger").sign(|_| ()), server(), &|address, tls| {
            assert_failure(address, tls, ALERT, &["does not accept the client certificate"]);
        });
        with(&clients.sign(|_| ()), server(), &assert_secure);
    }
    // HTTP/2 is begun when the alert comes.
    let mut config = own.server_of(&[&rustls::version::TLS13], Some(&clients));
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert_failure(
        origin(config),
        &trusting(&given),
        ALERT,
        &["wants a client certificate", "set `cert` and `key`", "CertificateRequired"],
    );
    // Other servers have no alert for a missing one in version 1.2.
    let own = Identity::self_signed(|_| ());
    let server = OpenSsl::serve(&own, &["-tls1_2", "-Verify", "1"]);
    assert_failure(server.address, &trusting(&file(&own.pem)), ALERT, &["wants a client certificate", "HandshakeFailure"]);
}

#[test]
fn an_endpoint_that_stops_within_the_handshake_is_a_timeout() {
    let given = file(&Authority::new().pem);
    // Nothing at all, and the beginning of a record.
    for bytes in [b"".as_slice(), b"\x16\x03\x03\x00\x40\x02"] {
        let silent = Origin::start_on_connect(move |c| {
            c.write(bytes);
            c.hang();
        });
        let gateway = GatewayUnderTest::start(&format!(
            "[backends.o]\nendpoints = [\"https://{}\"]\n[backends.o.tls]\n{}\n\
             [[routes]]\npath = \"/*\"\nbackend = \"o\"\nconnect_timeout = \"300ms\"\n",
            silent.address,
            trusting(&given)
        ));
        let response = get(gateway.address, "/");
        assert_eq!((response.status, assert_contract("GET", &response).as_str()), (504, "UPSTREAM_TIMEOUT"));
        assert_eq!(response.header("proxy-status"), Some("lockgate; error=connection_timeout"));
    }
}
