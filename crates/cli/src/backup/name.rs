//! Digests, as names of files and as what is compared.

use std::fmt;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256, Sha512};

/// What a blob's digest is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Algorithm {
    Sha256,
    Sha512,
}

/// A digest. It holds nothing but an algorithm and hex digits, so no path that is made of it leads outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlobName {
    algorithm: Algorithm,
    hex: String,
}

impl BlobName {
    /// Reads `sha256:…` or `sha512:…`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (algorithm, hex) = text.split_once(':')?;
        let (algorithm, length) = match algorithm {
            "sha256" => (Algorithm::Sha256, 64),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return None,
        };
        let is_hex = hex.len() == length && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Self { algorithm, hex: hex.to_owned() })
    }

    fn word(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Its file below `blobs/`, here and in a data directory.
    pub(crate) fn path(&self) -> PathBuf {
        [self.word(), &self.hex[..2], &self.hex].iter().collect()
    }

    /// A name that no other blob on its way has.
    pub(crate) fn flat(&self) -> String {
        format!("{}-{}", self.word(), self.hex)
    }

    /// Compares what comes by with it.
    pub(crate) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Whether this is the digest of what came by.
    pub(crate) fn is_of(&self, hasher: Hasher) -> bool {
        hasher.finish() == *self
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.word(), self.hex)
    }
}

/// The digest of what comes by in parts.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Of SHA-256.
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> BlobName {
        match self {
            Hasher::Sha256(hash) => BlobName { algorithm: Algorithm::Sha256, hex: hex(&hash.finalize()) },
            Hasher::Sha512(hash) => BlobName { algorithm: Algorithm::Sha512, hex: hex(&hash.finalize()) },
        }
    }
}

/// The hex digits of a SHA-256 of these bytes.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let mut hasher = Hasher::sha256();
    hasher.update(bytes);
    hasher.finish().hex
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_digest_is_a_name() {
        let good = format!("sha256:{}", sha256_hex(b"x"));
        let name = BlobName::parse(&good).expect("a digest");
        assert_eq!((name.to_string(), name.path().components().count()), (good.clone(), 3));
        let mut hasher = name.hasher();
        hasher.update(b"x");
        assert!(name.is_of(hasher));
        let up = good.to_uppercase();
        for bad in ["", "sha256", "sha256:", "sha256:..", "md5:00", &up, &good[..good.len() - 1], &format!("{good}0")] {
            assert_eq!(BlobName::parse(bad), None, "{bad}");
        }
        assert!(BlobName::parse(&format!("sha512:{}", "a".repeat(128))).is_some());
        assert!(BlobName::parse(&format!("sha256:../{}", "a".repeat(61))).is_none());
    }
}
