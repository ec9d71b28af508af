//! Reads `access` and `auth`: who may use a route.
//!
//! Checks each key by itself. Must not know password hashes or requests; `auth` and `gateway` do.

use std::time::Duration;

use http::{HeaderName, Uri};
use ipnet::IpNet;
use toml::Spanned;

use super::header_name::header_name;
use super::section::{At, Section};
use super::units;
use crate::text::Secret;

/// `access = {...}`
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct AccessKeys {
    pub allow: Option<Vec<IpNet>>,
    pub deny: Vec<IpNet>,
}

/// `auth = {...}`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub enum AuthKeys {
    Basic(BasicKeys),
    Forward(ForwardKeys),
}

/// `auth = { basic = ... }`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct BasicKeys {
    pub file: At<PasswordFile>,
    pub realm: Option<At<String>>,
    pub user_header: Option<At<HeaderName>>,
    pub forward_credentials: Option<At<bool>>,
}

impl AuthKeys {
    /// Returns the keys that only a route with a backend can have, with their places.
    pub fn for_backends(&self) -> Vec<(&'static str, std::ops::Range<usize>)> {
        match self {
            Self::Basic(keys) => {
                let user_header = keys.user_header.iter().map(|at| ("user_header", at.span.clone()));
                let credentials = keys.forward_credentials.iter().map(|at| ("forward_credentials", at.span.clone()));
                user_header.chain(credentials).collect()
            }
            Self::Forward(keys) => keys.copy.iter().map(|at| ("copy", at.span.clone())).take(1).collect(),
        }
    }
}

/// A file with names and hashed passwords.
#[derive(Clone, Debug)]
pub struct PasswordFile {
    /// Where it is.
    pub path: String,
    /// Its text.
    pub text: Secret<String>,
}

/// `auth = { forward = ... }`
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys are explained in config/full.toml")]
pub struct ForwardKeys {
    pub url: At<Uri>,
    pub copy: Vec<At<HeaderName>>,
    pub timeout: Option<Duration>,
    pub ca: Option<At<String>>,
}

/// Reads `access`.
pub(super) fn access(s: &mut Section<'_, '_>) -> Option<AccessKeys> {
    let (allow, deny) = (s.networks("allow"), s.networks("deny"));
    if allow.as_ref().is_some_and(Vec::is_empty) {
        let span = s.named("allow").map(Spanned::span);
        s.problems.add(
            span,
            "`allow` is empty",
            "remove the key to admit everyone but `deny`; respond = { status = 403 } refuses everyone",
        );
    }
    if allow.is_none() && deny.as_ref().is_none_or(Vec::is_empty) {
        s.problems.add(
            s.span.clone(),
            "`access` has no effect without `allow` or `deny`",
            "for example: access = { allow = [\"10.0.0.0/8\"] }",
        );
        return None;
    }
    Some(AccessKeys { allow, deny: deny.unwrap_or_default() })
}

/// Reads `auth`. `None` if it cannot be used, which is reported.
pub(super) fn auth(s: &mut Section<'_, '_>) -> Option<AuthKeys> {
    // The lines of the file are checked where they are compiled.
    let basic = s.content("basic", MAX_PASSWORDS).map(|At { value: (path, text), span }| At { value: PasswordFile { path, text }, span });
    let forward = s.parsed("forward", service);
    let other = match (s.named("basic"), s.named("forward")) {
        (Some(_), None) => ["copy", "timeout", "ca"].as_slice(),
        (None, Some(_)) => ["realm", "user_header", "forward_credentials"].as_slice(),
        (Some(_), Some(both)) => {
            s.problems.add(both.span(), "`auth` has one of `basic` and `forward`", "remove one of them");
            &[]
        }
        (None, None) => {
            let help =
                "for example: auth = { basic = \"file:/etc/lockgate/htpasswd\" } or auth = { forward = \"http://auth:9000/verify\" }";
            s.problems.add(s.span.clone(), "`auth` has no `basic` and no `forward`", help);
            &[]
        }
    };
    for key in other {
        if let Some(span) = s.named(key).map(Spanned::span) {
            s.problems.add(span, format!("`{key}` has no effect with this kind of `auth`"), "remove the key");
        }
    }
    let (realm, user_header) = (s.parsed("realm", realm), s.string("user_header"));
    let user_header = user_header.and_then(|name| identity_header(s, &name));
    let forward_credentials = s.value("forward_credentials").map(Spanned::span).zip(s.boolean("forward_credentials"));
    let forward_credentials = forward_credentials.map(|(span, value)| At { value, span });
    let copy = s.strings("copy", true).unwrap_or_default();
    let copy = copy.iter().filter_map(|name| identity_header(s, name)).collect();
    let timeout = s.parsed("timeout", units::duration).map(|at| at.value);
    let ca = s.file("ca");
    match (basic, forward) {
        (Some(file), _) => Some(AuthKeys::Basic(BasicKeys { file, realm, user_header, forward_credentials })),
        (None, Some(url)) => Some(AuthKeys::Forward(ForwardKeys { url, copy, timeout, ca })),
        (None, None) => None,
    }
}

/// The largest file of passwords, in bytes: some ten thousand users.
const MAX_PASSWORDS: u64 = 1 << 20;

fn service(text: &str) -> Result<Uri, String> {
    let complaint = match text.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => "it begins with http:// or https://",
        Ok(uri) if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) => "it must have a host and no user",
        Ok(uri) => return Ok(uri),
        Err(_) => "expected a URL such as \"http://auth:9000/verify\"",
    };
    Err(complaint.to_owned())
}

/// Reads the name of a realm, which is quoted in a header (RFC 7617 2).
fn realm(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
    if fits { Ok(text.to_owned()) } else { Err("expected printable ASCII without `\"` and `\\`".to_owned()) }
}

/// Reads the name of a header that tells the backend who the user is.
fn identity_header(s: &mut Section<'_, '_>, name: &At<String>) -> Option<At<HeaderName>> {
    let header = header_name(s, name)?;
    let text = header.as_str();
    if text.starts_with("x-forwarded-")
        || matches!(text, "forwarded" | "via" | "x-real-ip" | "traceparent" | "cookie" | "proxy-authorization")
    {
        s.problems.add(name.span.clone(), format!("`{text}` cannot tell who the user is"), "use a name of its own, such as \"X-User\"");
        return None;
    }
    Some(At { value: header, span: name.span.clone() })
}
