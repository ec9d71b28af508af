//! The cross-origin rules of a route. Must not know how they are configured or applied.

use http::HeaderValue;

/// The cross-origin rules of a route (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// The allowed origins.
    pub origins: Vec<AllowedOrigin>,
    /// `Access-Control-Allow-Credentials`.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods` of a preflight.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers` of a preflight; `None` repeats the requested headers.
    pub headers: Option<HeaderValue>,
    /// `Access-Control-Max-Age` of a preflight, in seconds.
    pub max_age: Option<HeaderValue>,
}

/// An origin whose scripts may read responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Any: `*`
    Any,
    /// This one, in lower case.
    Exact(String),
    /// `https://*.example.com`: all subdomains at any depth, and not the domain itself.
    Subdomains {
        /// The scheme with `://`.
        scheme: String,
        /// The domain in lower case, with a leading dot, and the port if there is one.
        rest: String,
    },
}

impl AllowedOrigin {
    /// Returns true if this is the value of `Origin`. Scheme and port are part of it.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => own.eq_ignore_ascii_case(origin),
            Self::Subdomains { scheme, rest } => {
                let origin = origin.to_ascii_lowercase();
                let name = origin.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(rest.as_str()));
                let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                name.is_some_and(|name| name.split('.').all(label))
            }
        }
    }
}
