//! Networks, as cell files and the command line write them.

use std::net::IpAddr;

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub bits: u8,
}

impl Network {
    /// `10.1.0.0/16`, or a single address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
        Some(Network { address, bits })
    }

    /// An IPv4 address inside an IPv6 one is that IPv4 address.
    pub fn holds(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 4),
            IpAddr::V6(v6) => (v6.to_bits(), 6),
        };
        let ((address, family), (network, other)) = (bits(address), bits(self.address));
        let shift = 128 - u32::from(self.bits).min(128);
        family == other && (shift == 128 || (address ^ network) >> shift == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (network, address, holds) in [
            ("10.1.0.0/16", "10.1.255.3", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.0.0/15", "10.0.9.9", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("10.1.0.0/16", "::ffff:10.1.2.3", true),
            ("fd00::/9", "fd7f::1", true),
            ("fd00::/9", "fd80::1", false),
        ] {
            let network = Network::parse(network).expect("a network");
            assert_eq!(network.holds(address.parse().expect("an address")), holds, "{network:?} {address}");
        }
        for text in ["10.1.0.0/33", "10.1", "x/8", "::/129", ""] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
