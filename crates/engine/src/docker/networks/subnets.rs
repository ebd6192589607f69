//! Choosing a free part of an address pool. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

/// Text that is no IPv4 network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 network: write it as 10.212.0.0/14")]
pub struct SubnetError(String);

impl Subnet {
    /// The network of this length that holds the address. A length of more than 32 means 32.
    #[must_use]
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        Self { base: address.to_bits() & mask(prefix), prefix }
    }

    /// Its first address.
    #[must_use]
    pub fn base(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base)
    }

    /// Length of its network part, in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its last address.
    fn last(self) -> u32 {
        self.base | !mask(self.prefix)
    }

    /// Whether they share an address.
    #[must_use]
    pub fn overlaps(self, other: Subnet) -> bool {
        self.base <= other.last() && other.base <= self.last()
    }

    /// The first part of this length that overlaps none of `used`.
    #[must_use]
    pub fn free(self, prefix: u8, used: &[Subnet]) -> Option<Subnet> {
        let prefix = prefix.max(self.prefix).min(32);
        let mut base = self.base;
        loop {
            let candidate = Subnet { base, prefix };
            let in_the_way = used.iter().filter(|other| other.overlaps(candidate)).map(|other| other.last()).max();
            let Some(last) = in_the_way else { return Some(candidate) };
            // On to the first candidate behind what is in the way.
            let next = last.max(candidate.last()).checked_add(1)?;
            base = next.checked_add(!mask(prefix))? & mask(prefix);
            if base > self.last() {
                return None;
            }
        }
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let wrong = || SubnetError(text.chars().take(40).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(wrong)?;
        Ok(Self::new(address.parse().map_err(|_| wrong())?, prefix))
    }
}

/// The networks that a Linux host has routes to, out of the text of `/proc/net/route`; the default route is left out.
pub(super) fn routes(table: &str) -> Vec<Subnet> {
    let route = |line: &str| {
        let mut fields = line.split_whitespace();
        let destination = u32::from_str_radix(fields.nth(1)?, 16).ok()?;
        let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
        // The kernel prints the addresses as they lie in memory, in network order.
        let address = Ipv4Addr::from(destination.to_ne_bytes());
        let prefix = u8::try_from(mask.count_ones()).ok()?;
        (prefix > 0).then(|| Subnet::new(address, prefix))
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Subnet {
        text.parse().expect("a legal network")
    }

    #[test]
    fn the_first_free_part_is_chosen() {
        let pool = net("10.212.0.0/14");
        assert_eq!(pool.free(24, &[]), Some(net("10.212.0.0/24")));
        assert_eq!(pool.free(24, &[net("10.212.0.0/24")]), Some(net("10.212.1.0/24")));
        assert_eq!(pool.free(24, &[net("10.212.0.128/25"), net("10.212.1.0/24")]), Some(net("10.212.2.0/24")));
        assert_eq!(pool.free(24, &[net("10.0.0.0/8")]), None);
        assert_eq!(net("255.255.255.0/24").free(25, &[net("255.255.255.0/24")]), None);
    }

    #[test]
    fn routes_of_the_host_are_read() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        if cfg!(target_endian = "little") {
            assert_eq!(routes(table), [net("172.17.0.0/16")]);
        }
    }

    #[test]
    fn text_that_is_no_network_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_chosen_part_is_in_the_pool_and_free(used in prop::collection::vec((any::<u32>(), 8_u8..=30), 0..40)) {
            let pool = net("10.212.0.0/14");
            let used: Vec<Subnet> = used
                .into_iter()
                .map(|(bits, prefix)| Subnet::new(Ipv4Addr::from_bits(0x0AD4_0000 | bits & 0x3_FFFF), prefix.max(16)))
                .collect();
            match pool.free(24, &used) {
                Some(part) => {
                    prop_assert!(part.overlaps(pool) && part.prefix() == 24);
                    prop_assert!(used.iter().all(|other| !other.overlaps(part)));
                }
                None => {
                    let all_taken = (0..1024_u32).all(|nth| {
                        let part = Subnet::new(Ipv4Addr::from_bits(0x0AD4_0000 + (nth << 8)), 24);
                        used.iter().any(|other| other.overlaps(part))
                    });
                    prop_assert!(all_taken);
                }
            }
        }
    }
}
