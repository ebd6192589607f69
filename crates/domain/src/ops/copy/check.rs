//! A blob on its way, hashed as it goes by. What is not what its digest says ends with an error, so that whoever takes it in
//! never sees its end.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _};
use sha2::{Digest as _, Sha256, Sha512};

use crate::model::digest::{Algorithm, Digest};
use crate::port::BoxError;
use crate::port::image_end::BlobStream;

/// Why the content was no good, when that is why it ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoiled(Arc<Mutex<Option<String>>>);

impl Spoiled {
    /// In words.
    pub(super) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, why: String) -> BoxError {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        why.into()
    }
}

enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hash {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(piece),
            Self::Sha512(hash) => hash.update(piece),
        }
    }

    fn finish(self) -> Digest {
        let digest = match self {
            Self::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            Self::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        };
        digest.expect("a hash has the length of its algorithm")
    }
}

struct Checking {
    content: BlobStream,
    /// The last piece that came: it goes on only when it is known not to be the last, or all is good.
    kept: Option<Vec<u8>>,
    hash: Hash,
    came: u64,
    digest: Digest,
    size: u64,
    spoiled: Spoiled,
}

/// The same content. An error stands for its last piece when it is not what `digest` says, or has not `size` bytes.
pub(super) fn checked(content: BlobStream, digest: &Digest, size: u64, spoiled: &Spoiled) -> BlobStream {
    let (hash, digest, spoiled) = (Hash::new(digest.algorithm()), digest.clone(), spoiled.clone());
    let state = Checking { content, kept: None, hash, came: 0, digest, size, spoiled };
    stream::try_unfold(Some(state), |state| async move {
        match state {
            Some(state) => state.go_on().await,
            None => Ok(None),
        }
    })
    .boxed()
}

impl Checking {
    async fn go_on(mut self) -> Result<Option<(Vec<u8>, Option<Self>)>, BoxError> {
        loop {
            let Some(piece) = self.content.next().await else { break };
            let piece = piece?;
            self.hash.update(&piece);
            self.came = self.came.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if self.came > self.size {
                return Err(self.spoiled.with(format!("has more than {} bytes", self.size)));
            }
            if let Some(before) = self.kept.replace(piece) {
                return Ok(Some((before, Some(self))));
            }
        }
        if self.came != self.size {
            return Err(self.spoiled.with(format!("has {} bytes, not {}", self.came, self.size)));
        }
        let found = self.hash.finish();
        if found != self.digest {
            return Err(self.spoiled.with(format!("is not what its digest says, but {found}")));
        }
        Ok(self.kept.take().map(|last| (last, None)))
    }
}
