//! Blocks of IPv4 addresses, as a VPC and its subnets have them.

use std::fmt;
use std::net::Ipv4Addr;

/// The blocks that a VPC may have are between these (VPC user guide, "VPC CIDR blocks").
const LONGEST: u8 = 28;
const SHORTEST: u8 = 16;

/// Addresses for private use (RFC 1918).
const PRIVATE: [(Ipv4Addr, u8); 3] =
    [(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(172, 16, 0, 0), 12), (Ipv4Addr::new(192, 168, 0, 0), 16)];

/// A block: all addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    first: u32,
    /// How many bits are the same.
    bits: u8,
}

/// A text that is no block, or no usable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not of the form `10.100.0.0/16`.
    #[error("`{0}` is no block of IPv4 addresses, such as `10.100.0.0/16`")]
    Form(String),
    /// Some of the bits behind the prefix are set.
    #[error("`{given}` does not begin where its block does; the block is `{block}`")]
    Host {
        /// What was given.
        given: String,
        /// What holds it.
        block: Cidr,
    },
}

impl Cidr {
    /// All addresses.
    pub const EVERYWHERE: Self = Self { first: 0, bits: 0 };

    /// Reads `address/bits`.
    ///
    /// # Errors
    /// [`CidrError`].
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| form())?;
        let bits: u8 = bits.parse().map_err(|_| form())?;
        if bits > 32 {
            return Err(form());
        }
        let block = Self::around(address, bits);
        if block.first == u32::from(address) {
            Ok(block)
        } else {
            Err(CidrError::Host { given: text.to_owned(), block })
        }
    }

    /// The block of that size which holds the address.
    fn around(address: Ipv4Addr, bits: u8) -> Self {
        Self { first: u32::from(address) & mask(bits), bits }
    }

    /// Whether a VPC may have it: 16 to 28 bits.
    #[must_use]
    pub fn fits_vpc(&self) -> bool {
        (SHORTEST..=LONGEST).contains(&self.bits)
    }

    /// Whether all of it is for private use.
    #[must_use]
    pub fn is_private(&self) -> bool {
        PRIVATE.iter().any(|(first, bits)| Self::around(*first, *bits).holds(self))
    }

    /// Whether all of the other is in this one.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.bits <= other.bits && other.first & mask(self.bits) == self.first
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.holds(other) || other.holds(self)
    }

    /// The `at`-th of the blocks with `bits` that this one is made of; `None` when there is none.
    #[must_use]
    pub fn part(&self, bits: u8, at: u32) -> Option<Self> {
        let more = bits.checked_sub(self.bits).filter(|_| bits <= 32)?;
        let count = 1_u64 << more;
        if u64::from(at) >= count {
            return None;
        }
        let first = self.first + (at << (32 - u32::from(bits)));
        Some(Self { first, bits })
    }

    /// How many bits all its addresses have in common.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

/// That many ones, then zeros.
fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Cidr {
        Cidr::parse(text).expect("a block")
    }

    #[test]
    fn a_block_is_read_and_written_the_same() {
        for text in ["10.100.0.0/16", "0.0.0.0/0", "203.0.113.7/32", "172.16.0.0/12"] {
            assert_eq!(block(text).to_string(), text);
        }
        for wrong in ["10.100.0.0", "10.100.0.0/33", "10.100.0/16", "10.100.0.0/x", "::/0", ""] {
            assert_eq!(Cidr::parse(wrong), Err(CidrError::Form(wrong.to_owned())));
        }
        let error = Cidr::parse("10.100.3.0/16").expect_err("refused");
        assert_eq!(
            error.to_string(),
            "`10.100.3.0/16` does not begin where its block does; the block is `10.100.0.0/16`"
        );
    }

    #[test]
    fn blocks_overlap_when_one_holds_the_other() {
        assert!(block("10.0.0.0/8").overlaps(&block("10.100.0.0/16")));
        assert!(block("10.100.0.0/16").overlaps(&block("10.0.0.0/8")));
        assert!(!block("10.100.0.0/16").overlaps(&block("10.101.0.0/16")));
        assert!(block("0.0.0.0/0").holds(&block("203.0.113.7/32")));
        assert!(block("172.31.0.0/16").is_private());
        assert!(!block("172.32.0.0/16").is_private());
        assert!(!block("10.0.0.0/7").is_private());
        assert!(block("10.0.0.0/16").fits_vpc() && !block("10.0.0.0/8").fits_vpc() && !block("10.0.0.0/29").fits_vpc());
    }

    #[test]
    fn a_block_has_so_many_parts_and_no_more() {
        let vpc = block("10.100.0.0/16");
        assert_eq!(vpc.part(24, 1).expect("there").to_string(), "10.100.1.0/24");
        assert_eq!(vpc.part(24, 255).expect("there").to_string(), "10.100.255.0/24");
        assert_eq!(vpc.part(24, 256), None);
        assert_eq!(vpc.part(15, 0), None);
        assert_eq!(vpc.part(16, 0), Some(vpc));
        assert_eq!(block("0.0.0.0/0").part(32, u32::MAX).expect("there").to_string(), "255.255.255.255/32");
    }
}
