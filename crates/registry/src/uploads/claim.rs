//! What an upload is said to be, and whether it is.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobSums;

use super::held::Held;
use super::lost;
use crate::error::RegistryError;

/// What the content of an upload is.
pub(crate) enum Claim {
    /// This, somebody says.
    Said(Digest),
    /// This, it was found: with its checksums.
    Proven(Digest, BlobSums),
    /// This, and all of it is kept for good.
    Complete(Digest, BlobSums),
}

impl Claim {
    pub(crate) fn digest(&self) -> &Digest {
        match self {
            Self::Said(digest) | Self::Proven(digest, _) | Self::Complete(digest, _) => digest,
        }
    }

    /// Compares what is said with the content, and completes the upload. Blocks.
    pub(crate) fn complete(self, held: &mut Held) -> Result<Self, RegistryError> {
        let (digest, sums) = match self {
            Self::Said(digest) => {
                let sums = prove(held, &digest)?;
                (digest, sums)
            }
            Self::Proven(digest, sums) => (digest, sums),
            complete @ Self::Complete(..) => return Ok(complete),
        };
        held.complete().map_err(lost)?;
        match held.inferred(digest.algorithm()).map_err(lost)? {
            Some(found) if found != digest => Err(RegistryError::DigestMismatch { wanted: digest, found }),
            _ => Ok(Self::Complete(digest, sums)),
        }
    }

    /// The checksums, once the content is complete.
    pub(crate) fn sums(self) -> Option<BlobSums> {
        match self {
            Self::Complete(_, sums) => Some(sums),
            Self::Said(_) | Self::Proven(..) => None,
        }
    }
}

/// Compares the content of an upload with a digest; answers its checksums.
fn prove(held: &mut Held, wanted: &Digest) -> Result<BlobSums, RegistryError> {
    if !held.is_hashed() {
        // It is read where it is completed, and another server may have got the rest: nothing can come after that.
        held.refresh().map_err(lost)?;
    }
    held.write().map_err(lost)?;
    let (mut found, mut sums) = held.digest(wanted.algorithm()).map_err(lost)?;
    if found != *wanted && held.refresh().map_err(lost)? {
        // Another server has got the rest.
        (found, sums) = held.digest(wanted.algorithm()).map_err(lost)?;
    }
    if found == *wanted { Ok(sums) } else { Err(RegistryError::DigestMismatch { wanted: wanted.clone(), found }) }
}
