//! Collectors over TLS: which certificates are trusted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{GatewayUnderTest, Origin, Temporary, eventually, get};

/// A collector with a certificate of its own, which keeps the beginnings of what it is sent.
pub struct Secure {
    pub address: SocketAddr,
    pub pem: String,
    pub heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

pub fn collector() -> Secure {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (heads, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let secure = Secure {
        address: listener.local_addr().unwrap(),
        pem: certificate.pem(),
        heads: Arc::clone(&heads),
        connections: Arc::clone(&connections),
    };
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            connections.fetch_add(1, Ordering::SeqCst);
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
            let mut piece = [0; 65536];
            if let Ok(read @ 1..) = stream.read(&mut piece) {
                heads.lock().unwrap().push(String::from_utf8_lossy(&piece[..read]).into_owned());
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.flush();
            }
        }
    });
    secure
}

fn gateway(origin: &Origin, table: &str) -> GatewayUnderTest {
    GatewayUnderTest::in_front_of(origin.address, &format!("[listen]\ndrain_delay = \"off\"\n[telemetry]\nsample = 1\n{table}"))
}

#[test]
fn a_collector_over_tls_is_trusted_by_its_certificate() {
    let (collector, origin) = (collector(), Origin::echo());
    let ca = Temporary::file("collector.pem", &collector.pem);
    let gateway = gateway(&origin, &format!("otlp = \"https://{}\"\nca = \"{}\"\n", collector.address, ca.display()));
    get(gateway.address, "/");
    gateway.wait_for_metric("lockgate_trace_spans_exported_total 2");
    assert!(collector.heads.lock().unwrap()[0].starts_with("POST /v1/traces HTTP/1.1\r\n"));
}

#[test]
fn a_collector_whose_certificate_is_not_trusted_gets_nothing() {
    let (collector, other, origin) = (collector(), self::collector(), Origin::echo());
    let ca = Temporary::file("other-collector.pem", &other.pem);
    let token = Temporary::file("collector-token", "hunter2");
    let table = format!(
        "otlp = \"https://{}\"\nca = \"{}\"\nheaders = {{ x-token = \"file:{}\" }}\n",
        collector.address,
        ca.display(),
        token.display()
    );
    let mut gateway = gateway(&origin, &table);
    get(gateway.address, "/");
    eventually("it is asked", || collector.connections.load(Ordering::SeqCst) > 0);
    gateway.begin_stop();
    assert!(gateway.stopped());
    assert_eq!(*collector.heads.lock().unwrap(), Vec::<String>::new());
}
