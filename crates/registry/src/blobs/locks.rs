//! One lock per digest, near enough.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// How many locks there are. Digests that share one only wait for each other, for the time of a rename and a commit.
const SHARDS: usize = 256;

/// Locks for digests, in bounded memory. Nobody may hold two at once: two digests can share one lock.
#[derive(Debug)]
pub(crate) struct DigestLocks {
    shards: Vec<Arc<RwLock<()>>>,
    /// Keyed by chance, so that nobody can choose digests that share a lock.
    hash: RandomState,
}

impl DigestLocks {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::default()).collect(), hash: RandomState::new() }
    }

    fn shard(&self, digest: &Digest) -> Arc<RwLock<()>> {
        let count = u64::try_from(self.shards.len()).expect("a small number");
        let shard = usize::try_from(self.hash.hash_one(digest) % count).expect("less than the number of shards");
        Arc::clone(&self.shards[shard])
    }

    /// Waits for the digest's lock.
    pub(crate) async fn lock(&self, digest: &Digest) -> OwnedRwLockWriteGuard<()> {
        self.shard(digest).write_owned().await
    }

    /// Waits for a share of the digest's lock: others may have one too, while nobody has the lock itself.
    pub(crate) async fn share(&self, digest: &Digest) -> OwnedRwLockReadGuard<()> {
        self.shard(digest).read_owned().await
    }
}
