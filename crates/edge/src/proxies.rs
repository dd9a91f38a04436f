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
    /// proxy itself, which names no client. Where a proxy writes what is no address, the request counts for the proxy.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &[&str]) -> Option<ClientAddress> {
        if !self.contains(peer) {
            return Some(ClientAddress(peer));
        }
        let written = forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
        let mut proxy = peer;
        for entry in written.map(str::trim).filter(|entry| !entry.is_empty()) {
            match address_of(entry) {
                Some(address) if self.contains(address) => proxy = address,
                Some(address) => return Some(ClientAddress(address)),
                None => return Some(ClientAddress(proxy)),
            }
        }
        None
    }
}

/// The address of an entry of `X-Forwarded-For`. Some proxies write the port as well, as in `203.0.113.9:51422` and `[2001:db8::1]:443`.
fn address_of(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches('"');
    let host = match entry.strip_prefix('[') {
        Some(within) => within.split_once(']')?.0,
        // An address of IPv6 has several colons.
        None => entry.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(entry, |(host, _)| host),
    };
    // The interface, as in `fe80::1%eth0`, is no part of the address.
    host.split('%').next()?.parse().ok()
}

/// Reads a network, such as `10.0.0.0/8`, or a single address. An IPv4 network in the form of IPv6 (`::ffff:10.0.0.0/104`) is the IPv4
/// network, since the addresses of clients are compared as IPv4.
///
/// # Errors
/// A sentence, when the text is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network: IpNet =
        network.map_err(|_| format!("`{text}` is no network, as 10.0.0.0/8 is, and no address, as 10.0.0.1 is"))?;
    let as_v4 = match network {
        IpNet::V6(mapped) => mapped.network().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    Ok(as_v4.and_then(|(address, bits)| IpNet::new(address.into(), bits).ok()).unwrap_or(network))
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
            ("127.0.0.1", vec!["203.0.113.9:51422"], Some("203.0.113.9")),
            ("127.0.0.1", vec!["198.51.100.1, [2001:db8::1]:443"], Some("2001:db8::1")),
            ("127.0.0.1", vec!["[2001:db8::1]"], Some("2001:db8::1")),
            ("127.0.0.1", vec!["\"203.0.113.9:80\", 10.1.2.3:99"], Some("203.0.113.9")),
            ("127.0.0.1", vec!["fe80::1%eth0"], Some("fe80::1")),
            ("127.0.0.1", vec!["203.0.113.9:"], Some("203.0.113.9")),
            ("127.0.0.1", vec!["203.0.113.9, , "], Some("203.0.113.9")),
            ("127.0.0.1", vec!["203.0.113.9, unknown"], Some("127.0.0.1")),
            ("127.0.0.1", vec!["203.0.113.9, _hidden, 10.1.2.3"], Some("10.1.2.3")),
            ("127.0.0.1", vec!["203.0.113.9", "?"], Some("127.0.0.1")),
            ("127.0.0.1", vec!["", " , "], None),
        ] {
            let found = proxies.client(address(peer), &forwarded_for);
            assert_eq!(found, client.map(|text| ClientAddress(address(text))), "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn a_network_is_compared_in_the_form_that_addresses_have() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            (" 10.0.0.1 ", "10.0.0.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Ok(expected), "{text}");
        }
        assert!(TrustedProxies(vec![network("::ffff:10.0.0.0/104").expect("it is one")]).contains(address("10.1.2.3")));
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.1:80"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
