//! The address of a client behind proxies: `X-Forwarded-For`, as far as its authors are trusted.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::rates::ClientAddress;

/// The networks of proxies that may name the address of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl Default for TrustedProxies {
    /// This machine.
    fn default() -> Self {
        let loopback = [(IpAddr::from([127, 0, 0, 0]), 8), (IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128)];
        Self(loopback.into_iter().filter_map(|(address, bits)| IpNet::new(address, bits).ok()).collect())
    }
}

impl TrustedProxies {
    /// Whether an address belongs to a trusted proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address that a request is counted for: the last one that a trusted proxy has written. None for a request of a trusted
    /// proxy itself, and where the proxy names no address, since all its clients would count as one.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &[&str]) -> Option<ClientAddress> {
        let written = forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
        // An entry that is no address ends the chain.
        let written = written.map_while(|address| address.trim().parse::<IpAddr>().ok());
        let mut chain = std::iter::once(peer).chain(written);
        chain.find(|address| !self.contains(*address)).map(ClientAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("the address is valid")
    }

    #[test]
    fn only_trusted_proxies_name_an_address() {
        let mut proxies = TrustedProxies::default();
        proxies.0.push("10.0.0.0/8".parse().expect("the network is valid"));
        for (peer, forwarded_for, client) in [
            ("192.0.2.1", vec![], Some("192.0.2.1")),
            ("192.0.2.1", vec!["198.51.100.1"], Some("192.0.2.1")),
            ("127.0.0.1", vec![], None),
            ("::1", vec!["127.0.0.1"], None),
            ("::ffff:127.0.0.1", vec!["198.51.100.1"], Some("198.51.100.1")),
            ("127.0.0.1", vec!["203.0.113.9, 198.51.100.1"], Some("198.51.100.1")),
            ("127.0.0.1", vec!["203.0.113.9, 198.51.100.1, 10.1.2.3"], Some("198.51.100.1")),
            ("127.0.0.1", vec!["203.0.113.9", "2001:db8::1"], Some("2001:db8::1")),
            ("127.0.0.1", vec!["203.0.113.9, unknown"], None),
            ("127.0.0.1", vec![""], None),
        ] {
            let found = proxies.client(address(peer), &forwarded_for);
            assert_eq!(found, client.map(|text| ClientAddress(address(text))), "{peer} {forwarded_for:?}");
        }
    }
}
