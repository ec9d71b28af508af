//! The settings for handshakes with clients, which follow their files.
//!
//! A file that changes is read again; one that cannot be used changes nothing. Knows nothing of sockets.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::by_name::ByName;
use super::files::{self, Complaint, File, Identity, Stamp};
use super::sources::{ClientRoots, Sources};

/// The protocols that are offered, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate that ends sooner is reported.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// What is to be said about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The file.
    pub file: PathBuf,
    /// When the certificate ends.
    pub not_after: SystemTime,
}

/// The TLS settings of a listener, which follow their files.
pub struct Certificates {
    sources: Sources,
    current: ArcSwap<ServerConfig>,
    state: Mutex<State>,
}

/// What is known of the files.
struct State {
    /// How the files looked when they were read, whether that succeeded or not.
    stamps: Vec<Stamp>,
    /// They could be used then.
    usable: bool,
    validity: Vec<Validity>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Returns every complaint about them.
    pub fn load(sources: Sources) -> Result<Self, Vec<Complaint>> {
        let stamps = sources.stamps();
        let (config, validity) = server_config(&sources)?;
        Ok(Self { sources, current: ArcSwap::from_pointee(config), state: Mutex::new(State { stamps, usable: true, validity }) })
    }

    /// Returns the settings for the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Returns true if a file is one of its sources.
    pub fn follows(&self, file: &Path) -> bool {
        let pairs = self.sources.pairs.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        pairs.chain(self.sources.clients.iter().map(|clients| &clients.ca)).any(|source| source == file)
    }

    /// Returns true if `sources` are its own, and what is in use was read from them as they are now. Sharing it keeps sessions resumable.
    pub fn is_of(&self, sources: &Sources) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.sources == *sources && state.usable && state.stamps == sources.stamps()
    }

    /// Returns when each certificate ends.
    pub fn validity(&self) -> Vec<Validity> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).validity.clone()
    }

    /// Returns what should be told about files that are in use.
    pub fn warnings(&self, now: SystemTime) -> Vec<Complaint> {
        let keys = self.sources.pairs.iter().enumerate().filter_map(|(at, pair)| files::readable_by_all(&pair.key, at));
        let ends = self.validity().into_iter().enumerate().filter_map(|(at, validity)| {
            let left = validity.not_after.duration_since(now).unwrap_or_default();
            let text = format!("the certificate in `{}` ends in {} days", validity.file.display(), left.as_secs() / 86_400);
            (left < SOON).then(|| Complaint::new(File::Cert(at), text, "renew it; the file is read again when it changes"))
        });
        keys.chain(ends).collect()
    }

    /// Reads the files again if they have changed. Returns `None` if they have not. Files that cannot be used change nothing: the settings
    /// from before stay in use, and the files are read again at their next change.
    pub fn reload(&self) -> Option<Result<(), Vec<Complaint>>> {
        let stamps = self.sources.stamps();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps == state.stamps {
            return None;
        }
        state.stamps = stamps;
        let read = server_config(&self.sources);
        state.usable = read.is_ok();
        Some(read.map(|(config, validity)| {
            state.validity = validity;
            self.current.store(Arc::new(config));
        }))
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Certificates").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Sources {
    fn stamps(&self) -> Vec<Stamp> {
        let pairs = self.pairs.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        pairs.chain(self.clients.iter().map(|clients| &clients.ca)).map(|path| Stamp::of(path)).collect()
    }
}

/// Makes the settings: TLS 1.2 and 1.3 with the ciphers of rustls, which all have forward secrecy and authenticate the data.
fn server_config(sources: &Sources) -> Result<(ServerConfig, Vec<Validity>), Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut identities = Vec::new();
    for (at, pair) in sources.pairs.iter().enumerate() {
        match Identity::read(pair, at, SystemTime::now()) {
            Ok(identity) => identities.push(identity),
            Err(complaint) => complaints.push(complaint),
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = match &sources.clients {
        None => Ok(WebPkiClientVerifier::no_client_auth()),
        Some(ClientRoots { ca, required }) => files::roots(ca).and_then(|roots| {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let builder = if *required { builder } else { builder.allow_unauthenticated() };
            builder.build().map_err(|error| Complaint::new(File::ClientCa, format!("`{}` cannot be used: {error}", ca.display()), ""))
        }),
    };
    let verifier = verifier.map_err(|complaint| complaints.push(complaint)).ok();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let (Some(verifier), Ok(builder), true) = (verifier, builder, complaints.is_empty()) else { return Err(complaints) };
    let validity = identities.iter().zip(&sources.pairs);
    let validity = validity.map(|(one, pair)| Validity { file: pair.cert.clone(), not_after: one.not_after }).collect();
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(ByName::new(identities)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Tickets let a client resume its session without state in this process (RFC 8446 2.2).
    if let Ok(ticketer) = rustls::crypto::ring::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok((config, validity))
}
