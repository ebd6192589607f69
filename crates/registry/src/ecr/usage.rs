//! The owners' quotas, for images in ECR.
//!
//! ECR knows nothing of them. So what an owner's images take is counted there now and then (`DescribeImages`), what this server lets in
//! since then is added, and both are held against the quota before an upload begins and before a manifest is taken in. That is a look
//! and not a lock: what other servers let in, and what is pushed to the backing URI, is known at the next count.
//!
//! Counted is what ECR says of each image: a layer that ten images have is counted ten times. Counting each once would take all
//! manifests to be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::BoxError;
use layer0_domain::port::registry_store::RegistryStoreError;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Ecr;
use super::repositories::failed;

/// How long a count is good.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Counting takes at most this part of the time: an owner of thousands of repositories is counted less often.
const COUNTING_PART: u32 = 20;

/// Where the quotas are kept.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// The most bytes that the repositories of a repository's owner may take; `None` for any number.
    ///
    /// # Errors
    /// It can't be read now.
    async fn of_owner(&self, repository: &RepositoryName) -> Result<Option<u64>, BoxError>;
}

/// What owners take.
#[derive(Default)]
pub(crate) struct Usage {
    owners: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Counted>>>>,
}

/// What one takes.
#[derive(Default)]
struct Counted {
    bytes: u64,
    /// Until when that is good; `None` before the first count.
    until: Option<Instant>,
}

/// Room that is taken for a manifest. Given back when dropped, unless the manifest is there.
pub(crate) struct Reserved {
    counted: Arc<tokio::sync::Mutex<Counted>>,
    bytes: u64,
}

impl Reserved {
    /// The manifest is there.
    pub(crate) fn used(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        match self.counted.try_lock() {
            Ok(mut counted) => counted.bytes = counted.bytes.saturating_sub(self.bytes),
            // Somebody looks right now; the next count puts it right.
            Err(_) => tracing::debug!(bytes = self.bytes, "room that was not used is given back at the next count"),
        }
    }
}

impl Usage {
    fn of(&self, owner: &str) -> Arc<tokio::sync::Mutex<Counted>> {
        // The map is whole at every moment that somebody could panic.
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(owners.entry(owner.to_owned()).or_default())
    }

    /// What an owner takes has become less: it is counted anew when it is next asked for.
    pub(super) fn forget(&self, owner: &str) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }
}

impl Ecr {
    async fn quota(&self, name: &RepositoryName) -> Result<Option<u64>, RegistryStoreError> {
        match &self.parts.quotas {
            None => Ok(None),
            Some(quotas) => quotas.of_owner(name).await.map_err(|source| RegistryStoreError::Failed { source }),
        }
    }

    /// What an owner takes, by a count that is young enough. Who waits meanwhile has the same.
    async fn counted(&self, owner: &str) -> Result<OwnedMutexGuard<Counted>, RegistryStoreError> {
        let mut counted = self.parts.usage.of(owner).lock_owned().await;
        let now = Instant::now();
        if counted.until.is_none_or(|until| until <= now) {
            let mut bytes = 0_u64;
            for seen in self.parts.api.repository_list().await.map_err(failed)? {
                if self.place().repository_at(&seen.name).is_some_and(|it| it.owner() == owner) {
                    bytes = bytes.saturating_add(self.parts.api.images_size(&seen.name).await.map_err(failed)?);
                }
            }
            let took = now.elapsed();
            *counted = Counted { bytes, until: Some(now + COUNTED_FOR.max(took * COUNTING_PART)) };
            tracing::debug!(owner.name = owner, owner.bytes = bytes, "counted what the images of {owner} take in ECR");
        }
        Ok(counted)
    }

    /// How much more an owner may push: as the port's `room`.
    pub(crate) async fn room(&self, name: &RepositoryName) -> Result<Option<u64>, RegistryStoreError> {
        let Some(quota) = self.quota(name).await? else { return Ok(None) };
        Ok(Some(quota.saturating_sub(self.counted(name.owner()).await?.bytes)))
    }

    /// Takes room for a manifest and what it needs; none when it is there already, and none for who has no quota.
    ///
    /// # Errors
    /// `QuotaExceeded`, `Failed`.
    pub(crate) async fn reserve(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<Reserved>, RegistryStoreError> {
        let Some(quota) = self.quota(name).await? else { return Ok(None) };
        let theirs = self.place().path_of(name);
        if self.parts.api.image_pushed(&theirs, &digest.to_string()).await.map_err(failed)?.is_some() {
            return Ok(None);
        }
        let mut counted = self.counted(name.owner()).await?;
        let used = counted.bytes;
        if used.saturating_add(bytes) > quota {
            return Err(RegistryStoreError::QuotaExceeded { owner: name.owner_name(), quota, used, bytes });
        }
        counted.bytes = used + bytes;
        Ok(Some(Reserved { counted: self.parts.usage.of(name.owner()), bytes }))
    }
}
