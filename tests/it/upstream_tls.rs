//! Tests `https` endpoints: whose certificates are trusted, and the failure and the diagnosis of every handshake that fails.

mod failures;
mod trust;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Temporary, get};

/// The name of the origins.
const NAME: &str = "orders.internal";

/// An authority with its certificate.
struct Authority {
    pem: String,
    key: KeyPair,
    params: CertificateParams,
}

impl Authority {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, key, params }
    }

    /// A certificate for [`NAME`] that `edit` may change.
    fn sign(&self, edit: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Identity { pem: certificate.pem(), der: certificate.der().to_vec(), key }
    }
}

/// A certificate with its key.
struct Identity {
    pem: String,
    der: Vec<u8>,
    key: KeyPair,
}

impl Identity {
    /// A self-signed certificate for [`NAME`] that `edit` may change.
    fn self_signed(edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), key }
    }

    /// The pin of its key.
    fn pin(&self) -> String {
        use base64::Engine as _;
        let digest = ring::digest::digest(&ring::digest::SHA256, &rcgen::PublicKeyData::subject_public_key_info(&self.key));
        format!("sha256/{}", base64::engine::general_purpose::STANDARD.encode(digest))
    }

    /// The settings of a server that shows it. It demands a certificate that `clients` vouches for, if given.
    fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        self.server_of(rustls::ALL_VERSIONS, clients)
    }

    /// The same in these versions.
    fn server_of(&self, versions: &[&'static rustls::SupportedProtocolVersion], clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.params.self_signed(&authority.key).unwrap().der().clone()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        builder.with_single_cert(vec![CertificateDer::from(self.der.clone())], key).unwrap()
    }
}

/// An origin with these settings that answers every connection with `secure`. It ends with the test process.
fn origin(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
            std::thread::spawn(move || {
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure");
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
                // What is still to be read would turn the close into a reset.
                let _ = stream.sock.shutdown(std::net::Shutdown::Write);
                while stream.sock.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

/// A gateway in front of the origin, with these keys of its `tls` table.
fn gateway(address: SocketAddr, tls: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"https://{address}\"]\n[backends.o.tls]\n{tls}\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\nconnect_timeout = \"20s\"\n"
    ))
}

/// `ca` and the name.
fn trusting(file: &Temporary) -> String {
    format!("ca = \"{}\"\nserver_name = \"{NAME}\"\n", file.display())
}

fn file(pem: &str) -> Temporary {
    Temporary::file(&format!("upstream-{}.pem", fastrand::u64(..)), pem)
}

/// Asks through a gateway with these keys, and expects the origin's response.
fn assert_secure(address: SocketAddr, tls: &str) {
    assert_eq!(get(gateway(address, tls).address, "/").text(), "secure", "{tls}");
}

/// Asks through a gateway with these keys, and expects this reason, and in the log a cause with these words.
fn assert_failure(address: SocketAddr, tls: &str, reason: &str, words: &[&str]) {
    let gateway = gateway(address, tls);
    let response = get(gateway.address, "/");
    assert_eq!((response.status, assert_contract("GET", &response).as_str()), (502, "UPSTREAM_UNREACHABLE"));
    let line = gateway.log_line(&["\"cause\""]);
    let cause = line["cause"].as_str().unwrap();
    assert_eq!(response.header("proxy-status"), Some(format!("lockgate; error={reason}").as_str()), "{cause}");
    assert!(words.iter().all(|word| cause.contains(word)), "{words:?} in {cause}");
}

/// The problems of a configuration with these keys, errors and warnings.
fn problems(tls: &str) -> Vec<lockgate::config::diagnose::Problem> {
    let text = format!("[backends.o]\nendpoints = [\"https://a\"]\n[backends.o.tls]\n{tls}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n");
    match lockgate::plan::compile::from_text(&text, &|_| None) {
        Ok(plan) => plan.warnings,
        Err(problems) => problems,
    }
}
