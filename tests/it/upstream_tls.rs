//! Tests `https` endpoints: a configured CA, the check of names, and the catalog row of each TLS failure.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, get};

struct Authority {
    pem: String,
    key: KeyPair,
    params: CertificateParams,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, key, params }
}

/// A TLS origin with a certificate for `name`, on a thread with a runtime of its own.
fn origin(authority: &Authority, name: &str, expired: bool) -> std::net::SocketAddr {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2020, 2, 1));
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&authority.params, &authority.key)).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure").await;
                    let _ = stream.shutdown().await;
                });
            }
        });
    });
    address
}

fn through(address: std::net::SocketAddr, ca: &str, name: &str) -> Response {
    let file = Temporary::file(&format!("{}-{name}.pem", address.port()), ca);
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"https://{address}\"]\n[backends.o.tls]\nca = \"{}\"\nserver_name = \"{name}\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        file.display()
    ));
    get(gateway.address, "/")
}

#[test]
fn a_given_ca_is_trusted_and_names_must_match() {
    let ca = authority();
    let address = origin(&ca, "orders.internal", false);
    assert_eq!(through(address, &ca.pem, "orders.internal").text(), "secure");
    let response = through(address, &ca.pem, "other.internal");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=tls_certificate_error"));
}

#[test]
fn strangers_and_expired_certificates_are_refused() {
    let (ca, other) = (authority(), authority());
    for (address, trusted) in [(origin(&ca, "orders.internal", false), &other), (origin(&ca, "orders.internal", true), &ca)] {
        let response = through(address, &trusted.pem, "orders.internal");
        assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
        assert_eq!(response.header("proxy-status"), Some("lockgate; error=tls_certificate_error"));
    }
}

#[test]
fn plain_bytes_on_a_tls_port_are_a_handshake_failure() {
    let plain = Origin::start_on_connect(|c| c.say("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let response = through(plain.address, &authority().pem, "a.internal");
    assert_eq!(assert_contract("GET", &response), "UPSTREAM_UNREACHABLE");
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=tls_protocol_error"));
    let alert = Origin::start_on_connect(|c| c.say(b"\x15\x03\x03\x00\x02\x02\x28"));
    let response = through(alert.address, &authority().pem, "a.internal");
    assert_eq!(response.header("proxy-status"), Some("lockgate; error=tls_alert_received"));
}

#[test]
fn a_tls_file_that_cannot_be_used_is_a_config_error() {
    let text = "[backends.o]\nendpoints = [\"https://a\"]\n[backends.o.tls]\nca = \"/does/not/exist\"\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let problems = lockgate::plan::compile::from_text(text, &|_| None).unwrap_err();
    assert!(problems[0].help.contains("/does/not/exist"), "{problems:?}");
}
