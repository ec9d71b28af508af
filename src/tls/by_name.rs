//! Chooses the certificate by the name that the client asks for (RFC 6066 3): the exact name, then a wildcard, then the first certificate.
//!
//! Knows nothing of files.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::Identity;

/// The certificates by name.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the name behind `*.`: a wildcard stands for one label (RFC 9525 6.3).
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl ByName {
    /// Indexes the certificates. Of two for the same name, the first is used.
    pub(super) fn new(identities: Vec<Identity>) -> Self {
        let mut all = Self { exact: HashMap::new(), wildcards: HashMap::new(), default: None };
        for Identity { certified, names, .. } in identities {
            all.default.get_or_insert_with(|| Arc::clone(&certified));
            for name in names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut all.wildcards, parent.to_owned()),
                    None => (&mut all.exact, name),
                };
                map.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
        }
        all
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        let wildcard = || self.wildcards.get(name?.split_once('.')?.1);
        name.and_then(|name| self.exact.get(name)).or_else(wildcard).or(self.default.as_ref()).cloned()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn identity(names: &[&str]) -> Identity {
        let made = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certified = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &rustls::crypto::ring::default_provider()).unwrap();
        Identity {
            certified: Arc::new(certified),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            not_after: SystemTime::now(),
        }
    }

    #[test]
    fn the_most_specific_name_wins() {
        let identities = [identity(&["first.example"]), identity(&["*.shop.example"]), identity(&["a.shop.example", "first.example"])];
        let certified: Vec<_> = identities.iter().map(|identity| Arc::clone(&identity.certified)).collect();
        let all = ByName::new(identities.into());
        let chosen = |name| certified.iter().position(|one| Arc::ptr_eq(one, &all.find(name).unwrap())).unwrap();
        assert_eq!((chosen(Some("a.shop.example")), chosen(Some("b.shop.example"))), (2, 1));
        // A wildcard stands for one label, and not for none.
        assert_eq!((chosen(Some("a.b.shop.example")), chosen(Some("shop.example"))), (0, 0));
        assert_eq!((chosen(None), chosen(Some("other.example")), chosen(Some("first.example"))), (0, 0, 0));
    }
}
