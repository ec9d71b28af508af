//! Conditions of a rule beside host, path and method: headers, query parameters, the scheme and the client's address.
//!
//! Knows nothing of paths or targets.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;

use super::asked::{Asked, Query};
use crate::header::Value;
use crate::policy::{Scheme, Wanted};

/// What must hold for a request beside host, path and method. All of it must hold. The default holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Headers. A header with several lines has any of their values. Sorted by name.
    pub headers: Vec<(HeaderName, Wanted)>,
    /// Query parameters by their decoded names. A parameter that occurs more than once has any of its values. Sorted by name.
    pub query: Vec<(String, Wanted)>,
    /// The networks of which one contains the client; empty for any.
    pub clients: Vec<IpNet>,
    /// The scheme.
    pub scheme: Option<Scheme>,
}

impl Conditions {
    /// Returns true if they hold for every request.
    pub const fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.clients.is_empty() && self.scheme.is_none()
    }

    /// Returns true if they hold for this request.
    pub fn hold(&self, asked: &Asked<'_>) -> bool {
        self.scheme.is_none_or(|scheme| scheme == asked.scheme)
            && (self.clients.is_empty() || contains(&self.clients, asked.client))
            && self.headers.iter().all(|(name, wanted)| asked.headers.get_all(name).map(Value::as_bytes).any(|value| wanted.holds(value)))
            && self.query.iter().all(|(name, wanted)| has_parameter(&asked.query, name, wanted))
    }

    /// How specific they are: more conditions first, then more of the kind that tells most.
    pub(super) fn rank(&self) -> [usize; 5] {
        let (clients, scheme) = (usize::from(!self.clients.is_empty()), usize::from(self.scheme.is_some()));
        let (headers, query) = (self.headers.len(), self.query.len());
        [headers + query + clients + scheme, headers, query, clients, scheme]
    }

    /// Returns true if no request can meet both. A header or parameter with several values is left out of account.
    pub(super) fn exclude(&self, other: &Self) -> bool {
        let schemes = self.scheme.zip(other.scheme).is_some_and(|(one, two)| one != two);
        let apart = |one: &IpNet, two: &IpNet| !one.contains(two) && !two.contains(one);
        let clients = !self.clients.is_empty()
            && !other.clients.is_empty()
            && self.clients.iter().all(|one| other.clients.iter().all(|two| apart(one, two)));
        schemes || clients || differ(&self.headers, &other.headers) || differ(&self.query, &other.query)
    }
}

/// Returns true if a name must have two values.
fn differ<N: PartialEq>(one: &[(N, Wanted)], other: &[(N, Wanted)]) -> bool {
    one.iter().any(|(name, wanted)| other.iter().any(|(same, value)| name == same && wanted.excludes(value)))
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

fn has_parameter(query: &Query<'_>, name: &str, wanted: &Wanted) -> bool {
    query.parameters().iter().any(|(key, value)| key == name && wanted.holds(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, wanted: Wanted) -> Conditions {
        Conditions { headers: vec![(HeaderName::from_static(name), wanted)], ..Conditions::default() }
    }

    #[test]
    fn parameters_are_compared_decoded() {
        let is = |query: &str, value: &str| has_parameter(&Query::new(Some(query)), "a b", &Wanted::Exactly(value.into()));
        assert!(is("x=1&a%20b=c%2Fd", "c/d") && is("a+b=1&a+b=2", "2"));
        assert!(!is("a=1", "1") && !is("", ""));
        assert!(has_parameter(&Query::new(Some("debug")), "debug", &Wanted::Any));
    }

    #[test]
    fn conditions_exclude_each_other_by_value() {
        let one = |value: &str| header("x-canary", Wanted::Exactly(value.into()));
        assert!(one("1").exclude(&one("2")));
        assert!(!one("1").exclude(&one("1")) && !one("1").exclude(&header("x-canary", Wanted::Any)));
        assert!(!one("1").exclude(&header("x-other", Wanted::Exactly("2".into()))));
        let clients = |net: &str| Conditions { clients: vec![net.parse().unwrap()], ..Conditions::default() };
        assert!(clients("10.0.0.0/8").exclude(&clients("192.168.0.0/16")));
        assert!(!clients("10.0.0.0/8").exclude(&clients("10.1.0.0/16")));
    }
}
