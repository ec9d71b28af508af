//! Which clients may use a route, by their addresses. Knows nothing of requests.

use std::net::IpAddr;

use ipnet::IpNet;

/// The clients that may use a route. `deny` takes precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Clients that are admitted; `None` admits all.
    pub allow: Option<Vec<IpNet>>,
    /// Clients that are refused.
    pub deny: Vec<IpNet>,
}

impl Access {
    /// Returns true if a client is admitted.
    pub fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let on = |list: &[IpNet]| list.iter().any(|network| network.contains(&client));
        !on(&self.deny) && self.allow.as_deref().is_none_or(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_and_allow_refuses_all_others() {
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let access = Access { allow: Some(networks(&["10.0.0.0/8", "2001:db8::/32"])), deny: networks(&["10.9.0.0/16"]) };
        let admits = |access: &Access, text: &str| access.admits(text.parse().unwrap());
        for (address, wanted) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("2001:db8::7", true), ("10.9.0.1", false), ("192.0.2.1", false)]
        {
            assert_eq!(admits(&access, address), wanted, "{address}");
        }
        let only_deny = Access { allow: None, ..access };
        assert!(admits(&only_deny, "192.0.2.1") && !admits(&only_deny, "10.9.255.255"));
    }
}
