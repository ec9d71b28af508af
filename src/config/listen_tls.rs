//! Reads `[listen.tls]`. Must not read the files that it names; `plan` does.

use super::file::{CertificateKeys, ClientAuth, ListenTls};
use super::section::Section;
use super::units;

/// Reads `[listen.tls]`.
pub(super) fn listen_tls(s: &mut Section<'_, '_>) -> ListenTls {
    let span = s.span.clone();
    let address = s.parsed("address", units::address);
    let single = pair(s);
    let certificates = match s.list("certificates") {
        None => single.into_iter().collect(),
        Some(_) if s.named("cert").is_some() || s.named("key").is_some() => {
            s.problems.add(span.clone(), "`listen.tls` has both `cert` and `certificates`", "move the first into the list");
            Vec::new()
        }
        Some(list) if list.is_empty() => {
            s.problems.add(span.clone(), "`certificates` is empty", "for example: certificates = [{ cert = \"a.crt\", key = \"a.key\" }]");
            Vec::new()
        }
        Some(list) => {
            let mut all = Vec::new();
            for value in list {
                all.extend(s.table_in("certificates", value, |s| {
                    s.require("cert", "cert = \"/etc/lockgate/tls/tls.crt\"");
                    s.require("key", "key = \"/etc/lockgate/tls/tls.key\"");
                    pair(s)
                }));
            }
            all.into_iter().flatten().collect()
        }
    };
    if s.named("certificates").is_none() {
        s.require("cert", "cert = \"/etc/lockgate/tls/tls.crt\"");
        s.require("key", "key = \"/etc/lockgate/tls/tls.key\"");
    }
    let choices = [("off", Some(ClientAuth::Off)), ("optional", Some(ClientAuth::Optional)), ("required", Some(ClientAuth::Required))];
    let client_auth = s.choice("client_auth", &choices).unwrap_or_default();
    let client_ca = s.file("client_ca");
    match (&client_ca, client_auth) {
        (Some(at), ClientAuth::Off) => {
            let help = "add: client_auth = \"optional\" or \"required\"";
            s.problems.add(at.span.clone(), "`client_ca` has no effect without `client_auth`", help);
        }
        (None, ClientAuth::Optional | ClientAuth::Required) => {
            let help = "add: client_ca = \"/etc/lockgate/tls/clients.pem\", the roots of the clients' certificates";
            s.problems.add(span.clone(), "`client_auth` needs `client_ca`", help);
        }
        (Some(_), ClientAuth::Optional | ClientAuth::Required) | (None, ClientAuth::Off) => {}
    }
    ListenTls {
        span,
        address,
        certificates,
        client_auth,
        client_ca,
        redirect_to_https: s.boolean("redirect_to_https").unwrap_or(false),
        hsts: s.parsed("hsts", units::duration_or_off).and_then(|at| at.value),
    }
}

fn pair(s: &mut Section<'_, '_>) -> Option<CertificateKeys> {
    let (cert, key) = (s.file("cert"), s.file("key"));
    Some(CertificateKeys { cert: cert?, key: key? })
}
