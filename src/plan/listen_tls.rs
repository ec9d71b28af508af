//! Compiles `[listen.tls]`: reads the certificates, and reports what is wrong with their files where they are named.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use super::ListenTls;
use crate::config::diagnose::Problems;
use crate::config::file::{self, ClientAuth};
use crate::config::section::At;
use crate::tls::{Certificates, ClientRoots, Complaint, File, Pair, Sources};

/// The default address of the listener for TLS.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8443);

/// Compiles `[listen.tls]`. Certificates that are `running` and did not change are shared. Returns `None` if it cannot be used, after
/// reporting the problems.
pub(super) fn compile(
    keys: &file::ListenTls,
    listen: &file::Listen,
    running: Option<&ListenTls>,
    problems: &mut Problems,
) -> Option<ListenTls> {
    let address = keys.address.as_ref().map_or(DEFAULT_ADDRESS, |at| at.value);
    let others = listen.http.iter().flatten().chain(&listen.admin);
    if others.map(|at| at.value).any(|other| other == address && other.port() != 0) {
        let place = keys.address.as_ref().map_or(&keys.span, |at| &at.span);
        problems.add(place.clone(), "the listener for TLS has the address of another one", "choose another port");
    }
    if keys.certificates.is_empty() {
        // Missing keys were reported where they are read.
        return None;
    }
    let sources = sources(keys);
    let shared = running.map(|tls| &tls.certificates).filter(|certificates| certificates.is_of(&sources));
    match shared.map_or_else(|| Certificates::load(sources).map(Arc::new), |shared| Ok(Arc::clone(shared))) {
        Ok(certificates) => {
            for Complaint { file, text, help } in certificates.warnings(SystemTime::now()) {
                problems.warn(place(keys, file), text, help);
            }
            let hsts = keys.hsts.and_then(|age| HeaderValue::from_str(&format!("max-age={}", age.as_secs())).ok());
            Some(ListenTls { address, certificates, redirects: keys.redirect_to_https, hsts })
        }
        Err(complaints) => {
            for Complaint { file, text, help } in complaints {
                problems.add(place(keys, file), text, help);
            }
            None
        }
    }
}

fn sources(keys: &file::ListenTls) -> Sources {
    let path = |at: &At<String>| PathBuf::from(&at.value);
    let clients = match keys.client_auth {
        ClientAuth::Off => None,
        ClientAuth::Optional => Some(false),
        ClientAuth::Required => Some(true),
    };
    Sources {
        pairs: keys.certificates.iter().map(|pair| Pair { cert: path(&pair.cert), key: path(&pair.key) }).collect(),
        clients: clients.zip(keys.client_ca.as_ref()).map(|(required, ca)| ClientRoots { ca: path(ca), required }),
    }
}

/// Returns where a file is named.
fn place(keys: &file::ListenTls, file: File) -> std::ops::Range<usize> {
    let named = match file {
        File::Cert(at) => keys.certificates.get(at).map(|pair| &pair.cert),
        File::Key(at) => keys.certificates.get(at).map(|pair| &pair.key),
        File::ClientCa => keys.client_ca.as_ref(),
    };
    named.map_or(&keys.span, |at| &at.span).clone()
}
