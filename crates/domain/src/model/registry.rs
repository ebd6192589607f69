//! What the registry keeps about repositories, manifests and blobs. The bytes of blobs are elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::image::RepositoryName;
use super::time::Timestamp;

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// `owner/name`.
    pub name: RepositoryName,
    /// When it was made.
    pub created: Timestamp,
    /// Who may pull from it.
    pub visibility: Visibility,
}

/// Who may pull from a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Whoever has the right to.
    #[default]
    Private,
    /// Everybody, without signing in.
    Public,
}

impl Visibility {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Public => "public",
        }
    }

    /// Reads the wire's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Visibility::Private, Visibility::Public].into_iter().find(|one| one.as_str() == text)
    }
}

/// A manifest as it was pushed, with what was read out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the bytes, by the algorithm that the client chose.
    pub digest: Digest,
    /// The `Content-Type` it was pushed with.
    pub media_type: String,
    /// The very bytes.
    pub bytes: Vec<u8>,
    /// Blobs it needs to be complete (config and layers that are not foreign), each with its size.
    pub blobs: Vec<(Digest, u64)>,
    /// Manifests it needs to be complete (an index's children).
    pub children: Vec<ChildManifest>,
    /// The manifest that it says something about.
    pub subject: Option<Digest>,
    /// What it is (`artifactType`, or the config's media type): image-spec, "Guidelines for Artifact Usage".
    pub artifact_type: Option<String>,
    /// Its annotations, for the referrers list.
    pub annotations: BTreeMap<String, String>,
    /// When it was pushed.
    pub pushed: Timestamp,
}

/// A manifest's bytes and what is said of them when they are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestContent {
    /// Of the bytes, by the algorithm that the client chose.
    pub digest: Digest,
    /// The `Content-Type` it was pushed with.
    pub media_type: String,
    /// The very bytes.
    pub bytes: Vec<u8>,
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildManifest {
    /// The manifest.
    pub digest: Digest,
    /// The platform it is for, where the index says so.
    pub platform: Option<Platform>,
}

/// A platform as OCI writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`: Go's spelling (image-spec, "Image Index Property Descriptions").
    pub architecture: String,
    /// `v8`, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Reads `os/architecture` or `os/architecture/variant`, as it is shown.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = |part: &str| {
            let legal = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            legal.then(|| part.to_owned())
        };
        let mut parts = text.split('/');
        let (os, architecture) = (word(parts.next()?)?, word(parts.next()?)?);
        let variant = match parts.next() {
            Some(part) => Some(word(part)?),
            None => None,
        };
        parts.next().is_none().then_some(Self { os, architecture, variant })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Checksums of a blob's content, piece by piece: they tell whether a part of it is as it was taken in without reading
/// the rest. They guard against rot, not against somebody who changes content and sums together; that is what the digest
/// is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSums {
    /// Bytes of each piece; the last one may be shorter. Never 0.
    pub piece: u32,
    /// CRC-32C (RFC 3720, section 12.1) of each piece, in order.
    pub sums: Vec<u32>,
}

impl BlobSums {
    /// Whether these can be the sums of a blob of so many bytes: as many as it has pieces.
    #[must_use]
    pub fn fit(&self, size: u64) -> bool {
        self.piece > 0 && usize::try_from(size.div_ceil(u64::from(self.piece))) == Ok(self.sums.len())
    }
}

/// Where the bytes of a blob lie, in the words of whoever keeps them (port `BlobBytes`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobPlace(String);

impl BlobPlace {
    /// The place of these words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for BlobPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is remembered of a blob in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its length in bytes.
    pub size: u64,
    /// What is known of its content.
    pub condition: BlobCondition,
}

/// What is known of a blob's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobCondition {
    /// It was verified, and these are its checksums.
    Proven(BlobSums),
    /// There are no checksums: it was taken in by a version that made none.
    Unproven,
    /// It was read and is not what its digest says. The blob counts as missing until it is pushed again.
    Damaged,
}

/// How a manifest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestRef {
    /// By a tag.
    Tag(String),
    /// By its digest.
    Digest(Digest),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_as_it_is_shown() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(Platform::parse(text).map(|it| it.to_string()).as_deref(), Some(text));
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm64/v8/x", "linux/arm64/", "lin ux/amd64"] {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sums_fit_a_blob_of_as_many_pieces() {
        let sums = |piece, count| BlobSums { piece, sums: vec![0; count] };
        for (piece, count, size, fits) in [
            (4, 0, 0, true),
            (4, 1, 1, true),
            (4, 1, 4, true),
            (4, 2, 5, true),
            (4, 1, 5, false),
            (4, 2, 4, false),
            (4, 1, 0, false),
            (0, 0, 0, false),
        ] {
            assert_eq!(sums(piece, count).fit(size), fits, "{count} of {piece} for {size}");
        }
    }
}
