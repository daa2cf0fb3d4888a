//! Whom an address stands for, where failures are counted.

use std::net::IpAddr;

/// What one party has: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Party {
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let mut network = [0; 8];
                for (to, from) in network.iter_mut().zip(address.octets()) {
                    *to = from;
                }
                Self::V6(network)
            }
        }
    }

    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_party_and_a_mapped_address_is_the_same() {
        let party = |text: &str| Party::of(text.parse().unwrap());
        assert_eq!(party("2001:db8:1:2::1"), party("2001:db8:1:2:ffff::9"));
        assert_ne!(party("2001:db8:1:2::1"), party("2001:db8:1:3::1"));
        assert_eq!(party("::ffff:192.0.2.7"), party("192.0.2.7"));
        assert_ne!(party("192.0.2.7"), party("192.0.2.8"));
        assert_eq!(party("192.0.2.7").as_bytes(), [192, 0, 2, 7]);
    }
}
