//! Content digests: `algorithm:hex`, as the OCI image specification defines them (descriptor.md, "Digests").
//!
//! Only the two registered algorithms are accepted, sha256 and sha512, with the lengths that the specification demands and lower-case
//! hex. A value of [`Digest`] is the proof of that; it says nothing about any content having been hashed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A registered digest algorithm (OCI image-spec, descriptor.md, "Registered Algorithms").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256: what every client uses today.
    Sha256,
    /// SHA-512: registered, rarely used.
    Sha512,
}

impl Algorithm {
    /// The name as it stands before the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex characters the encoded part has.
    #[must_use]
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// Hashes `bytes` with this algorithm.
    #[must_use]
    pub fn digest_of(self, bytes: &[u8]) -> Digest {
        let hash = match self {
            Self::Sha256 => to_hex(&Sha256::digest(bytes)),
            Self::Sha512 => to_hex(&Sha512::digest(bytes)),
        };
        Digest { algorithm: self, hex: hash }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A content digest such as `sha256:9f86d0…`: a known algorithm and lower-case hex of the right length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// Reads `algorithm:hex`.
    ///
    /// # Errors
    /// [`DigestError`] says which part is wrong and what is legal there.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(shorten(text)))?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other => return Err(DigestError::UnknownAlgorithm(shorten(other))),
        };
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length { algorithm, expected: algorithm.hex_len(), found: hex.chars().count() });
        }
        if let Some(bad) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::Character(bad));
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }

    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Algorithm::Sha256.digest_of(bytes)
    }

    /// A digest from a finished hash, for callers that hash a stream.
    ///
    /// # Errors
    /// [`DigestError::Length`] when `hash` has not the length that `algorithm` produces.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Result<Self, DigestError> {
        if hash.len() * 2 != algorithm.hex_len() {
            return Err(DigestError::Length { algorithm, expected: algorithm.hex_len(), found: hash.len() * 2 });
        }
        Ok(Self { algorithm, hex: to_hex(hash) })
    }

    /// The algorithm before the colon.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The lower-case hex after the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Why a text is not a [`Digest`]. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon.
    #[error("digest {0:?} has no algorithm; write sha256:<64 hex characters>")]
    NoAlgorithm(String),
    /// The algorithm is not a registered one.
    #[error("digest algorithm {0:?} is not known; sha256 and sha512 are")]
    UnknownAlgorithm(String),
    /// The encoded part is too short or too long.
    #[error("a {algorithm} digest has {expected} hex characters, this one has {found}")]
    Length {
        /// The algorithm named.
        algorithm: Algorithm,
        /// Characters it must have.
        expected: usize,
        /// Characters it has.
        found: usize,
    },
    /// The encoded part holds something else than lower-case hex.
    #[error("digest holds the character {0:?}; only 0-9 and a-f (lower case) are legal")]
    Character(char),
}

/// Text from outside, cut to a length that is fit for a message.
pub(super) fn shorten(text: &str) -> String {
    const LIMIT: usize = 100;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LIMIT).collect();
    cut.push('…');
    cut
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the empty input; published in FIPS 180 example values.
    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_and_prints_what_was_written() {
        let digest = Digest::parse(EMPTY).expect("a legal digest");
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest.algorithm(), Algorithm::Sha256);
        assert_eq!(digest.hex().len(), 64);
        assert_eq!(digest, Digest::sha256_of(b""));
        let json = serde_json::to_string(&digest).expect("serialises");
        assert_eq!(json, format!("{EMPTY:?}"));
        assert_eq!(serde_json::from_str::<Digest>(&json).expect("reads back"), digest);
    }

    #[test]
    fn sha512_has_its_own_length() {
        let digest = Algorithm::Sha512.digest_of(b"x");
        assert_eq!(digest.hex().len(), 128);
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        let cases = [
            ("", "has no algorithm"),
            ("deadbeef", "has no algorithm"),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "not known"),
            ("SHA256:ab", "not known"),
            ("sha256:", "has 64 hex characters, this one has 0"),
            ("sha256:abc", "this one has 3"),
            (&EMPTY.replace("sha256", "sha512"), "has 128"),
            (upper.as_str(), "lower case"),
            (&format!("{EMPTY}0"), "this one has 65"),
        ];
        for (text, expected) in cases {
            let error = Digest::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_hash_of_the_wrong_length_is_refused() {
        assert!(Digest::from_hash(Algorithm::Sha256, &[0; 31]).is_err());
        assert!(Digest::from_hash(Algorithm::Sha256, &[0; 32]).is_ok());
    }

    proptest! {
        #[test]
        fn every_hash_survives_a_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let digest = Digest::sha256_of(&bytes);
            prop_assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        }

        #[test]
        fn never_panics(text in "\\PC{0,100}") {
            let _ = Digest::parse(&text);
        }
    }
}
