//! Whose certificates are trusted: `ca`, `pin` and `verify`.

use rcgen::{BasicConstraints, CertificateParams, IsCa};

use super::{Authority, Identity, NAME, assert_failure, assert_secure, file, gateway, origin, problems, trusting};
use crate::harness::get;

const CERTIFICATE: &str = "tls_certificate_error";

fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2020, 2, 1));
}

#[test]
fn a_given_ca_is_trusted() {
    let ca = Authority::new();
    assert_secure(origin(ca.sign(|_| ()).server(None)), &trusting(&file(&ca.pem)));
}

#[test]
fn a_self_signed_certificate_that_is_given_is_trusted() {
    // As `openssl req -x509` makes them: an authority that is a server, too.
    let as_openssl = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for own in [Identity::self_signed(as_openssl), Identity::self_signed(|_| ())] {
        let address = origin(own.server(None));
        let given = file(&own.pem);
        assert_secure(address, &trusting(&given));
        // Its name still counts, and another one of the same name is a stranger.
        let other_name = format!("ca = \"{}\"\nserver_name = \"other.internal\"\n", given.display());
        assert_failure(address, &other_name, CERTIFICATE, &["another name"]);
        assert_failure(address, &trusting(&file(&Identity::self_signed(as_openssl).pem)), CERTIFICATE, &[]);
    }
    for (edit, words) in [
        (expired as fn(&mut CertificateParams), "has expired"),
        (|params| params.not_before = rcgen::date_time_ymd(2090, 1, 1), "is not valid yet"),
    ] {
        let own = Identity::self_signed(|params| {
            as_openssl(params);
            edit(params);
        });
        assert_failure(origin(own.server(None)), &trusting(&file(&own.pem)), CERTIFICATE, &[words]);
    }
}

#[test]
fn a_certificate_that_is_given_and_signed_by_another_is_trusted() {
    let own = Authority::new().sign(|_| ());
    assert_secure(origin(own.server(None)), &trusting(&file(&own.pem)));
}

#[test]
fn the_owner_of_a_given_certificate_must_have_its_key() {
    // The certificate of one, with the key of another.
    let (own, other) = (Identity::self_signed(|_| ()), Identity::self_signed(|_| ()));
    for tls in [trusting(&file(&own.pem)), format!("pin = \"{}\"\n", own.pin()), "verify = false\n".to_owned()] {
        let key = rustls::crypto::ring::sign::any_supported_type(&other.key.serialize_der().try_into().unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let forged = rustls::sign::CertifiedKey::new(vec![own.der.clone().into()], key);
        let resolver = rustls::sign::SingleCertAndKey::from(forged);
        let config = builder.with_no_client_auth().with_cert_resolver(std::sync::Arc::new(resolver));
        assert_failure(origin(config), &tls, CERTIFICATE, &["BadSignature"]);
    }
}

#[test]
fn without_verification_any_certificate_is_accepted_and_that_is_told() {
    let address = origin(Authority::new().sign(expired).server(None));
    let gateway = gateway(address, "verify = false\nserver_name = \"other.internal\"\n");
    assert_eq!(get(gateway.address, "/").text(), "secure");
    gateway.wait_for_metric("lockgate_backend_tls_unverified{backend=\"o\"} 1");
    let found = problems("verify = false");
    assert!(found.len() == 1 && found[0].is_warning && found[0].span.is_some(), "{found:?}");
    assert!(found[0].title.contains("the backend `o` are not verified"), "{found:?}");
    assert!(problems("verify = true").is_empty());
}

#[test]
fn a_backend_that_is_verified_counts_as_such() {
    let ca = Authority::new();
    let given = file(&ca.pem);
    let gateway = gateway(origin(ca.sign(|_| ()).server(None)), &trusting(&given));
    gateway.wait_for_metric("lockgate_backend_tls_unverified{backend=\"o\"} 0");
}

#[test]
fn a_pinned_key_needs_no_authority() {
    // Neither the name nor the time matters: the key is the identity.
    let own = Authority::new().sign(expired);
    let address = origin(own.server(None));
    assert_secure(address, &format!("pin = \"{}\"\nserver_name = \"other.internal\"\n", own.pin()));
    let other = Identity::self_signed(|_| ());
    assert_secure(address, &format!("pin = [\"{}\", \"{}\"]\n", other.pin(), own.pin().replace("sha256/", "sha256//")));
    // The log names the key that was shown, to compare.
    assert_failure(address, &format!("pin = \"{}\"\n", other.pin()), CERTIFICATE, &["is not one of those in `pin`", &own.pin()]);
}

#[test]
fn the_documented_command_prints_a_pin() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tls.md")).unwrap();
    let command = page.lines().find(|line| line.starts_with("openssl x509 ")).unwrap();
    let own = Identity::self_signed(|_| ());
    let given = file(&own.pem);
    let command = command.replace("orders.crt", &given.display().to_string());
    let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(format!("sha256/{}", String::from_utf8(output.stdout).unwrap().trim()), own.pin());
}

#[test]
fn with_an_authority_a_pin_is_required_as_well() {
    let ca = Authority::new();
    let (own, other) = (ca.sign(|_| ()), ca.sign(|_| ()));
    let address = origin(own.server(None));
    let given = file(&ca.pem);
    let with = |pin: &str| format!("{}pin = \"{pin}\"\n", trusting(&given));
    assert_secure(address, &with(&own.pin()));
    assert_failure(address, &with(&other.pin()), CERTIFICATE, &["is not one of those in `pin`"]);
    let stranger = file(&Authority::named("a stranger").pem);
    let tls = format!("ca = \"{}\"\nserver_name = \"{NAME}\"\npin = \"{}\"\n", stranger.display(), own.pin());
    assert_failure(address, &tls, CERTIFICATE, &["no trusted authority"]);
}

#[test]
fn keys_that_cannot_be_used_are_shown_at_their_place() {
    let pin = Identity::self_signed(|_| ()).pin();
    for (tls, wanted) in [
        (format!("verify = false\npin = \"{pin}\""), "`pin` has no effect"),
        (format!("verify = false\nca = \"{}\"", file(&Authority::new().pem).display()), "`ca` has no effect"),
        ("pin = \"sha256/AAAA\"".to_owned(), "not a pin"),
        ("pin = []".to_owned(), "`pin` is empty"),
        ("verify = \"no\"".to_owned(), "must be true or false"),
    ] {
        let found = problems(&tls);
        assert!(
            found.iter().any(|problem| problem.title.contains(wanted) && problem.span.is_some() && !problem.is_warning),
            "{wanted}: {found:?}"
        );
    }
    let found = problems("ca = \"/does/not/exist\"");
    assert!(found[0].help.contains("/does/not/exist"), "{found:?}");
}
