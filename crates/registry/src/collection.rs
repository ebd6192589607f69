//! Collecting what nothing needs: blobs that no manifest of their repository names, when they are older than the grace.
//!
//! It runs beside everything else, and stops nobody. What is decided about a blob is decided in the store, in the unit of work that
//! takes its link ([`RegistryStore::blob_collect`](layer0_domain::port::registry_store::RegistryStore::blob_collect)); what is listed
//! before is only where to look. A run keeps no place: one that was killed is begun again, and what it left is found. Bytes whose link
//! it took and that it could not remove are strays, which the sweep removes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::retention::{Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use tokio::time::Instant;

use crate::blobs::Batch;
use crate::blocking::to_the_end;
use crate::error::{RegistryError, chain};
use crate::registry::Registry;
use crate::repositories::Role;

/// Repositories of one page.
const PAGE: u32 = 500;

/// Blobs of one unit of work: the store's writer is kept from pushes for a few milliseconds.
const BATCH: u32 = 200;

/// How long a gentle run rests for each moment that it worked: it takes a fifth of what it could.
const REST: u32 = 4;

/// Shorter rests are added up instead.
const REST_LEAST: Duration = Duration::from_millis(5);

/// What a run does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// It tells it, and changes nothing.
    DryRun,
    /// It takes it away.
    Take,
}

/// How a run goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// It rests four times as long as it worked.
    Gentle,
    /// Somebody waits for it.
    Now,
}

/// How a run divides its time between work and rest.
#[derive(Debug)]
pub struct Pace {
    haste: Haste,
    worked: Duration,
}

impl Pace {
    /// At the beginning of a run.
    #[must_use]
    pub fn new(haste: Haste) -> Self {
        Self { haste, worked: Duration::ZERO }
    }

    /// Leaves the machine to others for a while, after so much work. A run in haste does not rest.
    pub async fn rest(&mut self, worked: Duration) {
        self.worked += worked;
        let rest = self.worked * REST;
        if self.haste == Haste::Gentle && rest >= REST_LEAST {
            self.worked = Duration::ZERO;
            tokio::time::sleep(rest).await;
        }
    }
}

/// What went, or would go, out of one repository, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Blobs that no manifest of the repository names.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that come back: those of them that no other repository holds.
    pub freed: u64,
    /// Blobs that no manifest of their repository names either, and that are younger than the grace. Only counted in haste.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

/// What a run tells of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// So much went out of it, or would go.
    Lost(Collected),
    /// It could not be read or changed, and is passed over: nothing more goes out of it in this run. The log says why.
    PassedOver,
}

impl Collected {
    fn add(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.freed = self.freed.saturating_add(other.freed);
        self.waiting += other.waiting;
        self.waiting_bytes = self.waiting_bytes.saturating_add(other.waiting_bytes);
    }
}

impl From<Batch> for Collected {
    fn from(Batch { blobs, bytes, freed }: Batch) -> Self {
        Self { blobs, bytes, freed, ..Self::default() }
    }
}

impl Registry {
    /// The images of a repository that lies here, for a decision about them. `None` for one that isn't there, lies elsewhere, or is on
    /// the move. Old images that are left somewhere else do not count.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn images(&self, name: &RepositoryName) -> Result<Option<Images>, RegistryStoreError> {
        match self.role(name).await? {
            Role::Answers => self.parts().store.images(name).await,
            Role::Moves | Role::LeftBehind => Ok(None),
        }
    }

    /// Lets those of these tags and manifests go that may still go, and answers them
    /// ([`RegistryStore::images_retire`](layer0_domain::port::registry_store::RegistryStore::images_retire), which says what `records`
    /// are). Their blobs go with a collection after the grace, which begins for them now.
    ///
    /// # Errors
    /// `Failed`, `Full`.
    pub async fn images_retire(
        &self,
        name: &RepositoryName,
        asked: &Retiring,
        records: &[AuditRecord],
    ) -> Result<Retiring, RegistryStoreError> {
        let (store, name) = (Arc::clone(&self.parts().store), name.clone());
        let (asked, records, now) = (asked.clone(), records.to_vec(), self.parts().clock.now());
        to_the_end(async move { store.images_retire(&name, &asked, now, &records).await })
            .await
            .map_err(|source| RegistryStoreError::Failed { source: source.into() })?
    }

    /// Goes through all repositories that lie here for blobs that no manifest names and that are older than the grace, and answers what
    /// went (or would go) in all. `tell` hears of each repository that loses something, and of each that failed: one that does holds up
    /// no other. Repositories on the move are passed over:
    /// what is copied is linked long before it is needed. Any number may run at once; they only do the same work twice.
    ///
    /// # Errors
    /// `Failed`: the repositories could not be listed. What was told until then has gone.
    pub async fn collect(
        &self,
        collection: Collection,
        haste: Haste,
        mut tell: impl FnMut(&RepositoryName, Told) + Send,
    ) -> Result<Collected, RegistryStoreError> {
        let parts = self.parts();
        let grace = i64::try_from(parts.config.blob_grace.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp(parts.clock.now().0.saturating_sub(grace));
        let counts = haste == Haste::Now;
        let mut run = Run { registry: self, until, pace: Pace::new(haste), counts, going: HashMap::new() };
        let mut all = Collected::default();
        let mut page = Page { after: None, most: Some(PAGE) };
        loop {
            let repositories = parts.store.repository_list(None, page.clone()).await?;
            let Some(last) = repositories.last() else { break };
            page.after = Some(last.name.to_string());
            for repository in repositories {
                let name = repository.name;
                let mut collected = Collected::default();
                let end = run.repository(&name, collection, &mut collected).await;
                all.add(collected);
                if collected.blobs > 0 {
                    tell(&name, Told::Lost(collected));
                }
                if let Err(error) = end {
                    tracing::error!(
                        repository.name = %name,
                        error = chain(&error),
                        "what nothing needs in repository {name} could not be collected: it stays until this is mended"
                    );
                    tell(&name, Told::PassedOver);
                }
            }
        }
        if collection == Collection::Take && all.blobs > 0 {
            tracing::info!(
                blob.count = all.blobs,
                blob.bytes = all.freed,
                "took {} blobs out of repositories whose manifests do not name them; {} bytes came back",
                all.blobs,
                all.freed
            );
        }
        Ok(all)
    }
}

/// One run.
struct Run<'a> {
    registry: &'a Registry,
    until: Timestamp,
    pace: Pace,
    /// Whether what waits for the grace is counted: for somebody who asks.
    counts: bool,
    /// Out of how many repositories a blob would have gone, in a dry run, of those that several hold.
    going: HashMap<Digest, u64>,
}

impl Run<'_> {
    /// Goes through one repository. What went before a failure is in `collected`.
    async fn repository(
        &mut self,
        name: &RepositoryName,
        collection: Collection,
        collected: &mut Collected,
    ) -> Result<(), RegistryError> {
        let parts = self.registry.parts();
        // Where another backing answers, the manifests that are left here keep what they name.
        if self.registry.role(name).await? == Role::Moves {
            return Ok(());
        }
        let mut after = None;
        loop {
            let began = Instant::now();
            let listed = if self.counts { Timestamp(i64::MAX) } else { self.until };
            let page = parts.store.blob_unneeded(name, listed, after.as_ref(), BATCH).await?;
            let last = page.last().map(|(digest, _)| digest.clone());
            if let Some(last) = &last {
                let mut old = page;
                if self.counts {
                    let all = old;
                    old = parts.store.blob_unneeded(name, self.until, after.as_ref(), BATCH).await?;
                    old.retain(|(digest, _)| digest <= last);
                    collected.add(waiting(&all, &old));
                }
                collected.add(match collection {
                    _ if old.is_empty() => Collected::default(),
                    Collection::DryRun => self.would_go(old).await?,
                    Collection::Take => {
                        let digests = old.into_iter().map(|(digest, _)| digest).collect();
                        parts.blobs.collect(name.clone(), digests, self.until).await?.into()
                    }
                });
            }
            self.pace.rest(began.elapsed()).await;
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    /// What it would be if these went out of one more repository.
    async fn would_go(&mut self, page: Vec<(Digest, u64)>) -> Result<Collected, RegistryError> {
        let mut would = Collected::default();
        for (digest, size) in page {
            let holders = self.registry.parts().store.blob_holders_count(&digest).await?;
            let gone = match holders {
                0 | 1 => 1,
                _ => *self.going.entry(digest).and_modify(|gone| *gone += 1).or_insert(1),
            };
            let freed = if gone == holders.max(1) { size } else { 0 };
            would.add(Collected { blobs: 1, bytes: size, freed, ..Collected::default() });
        }
        Ok(would)
    }
}

/// Those of a page that are not among the old ones of it.
fn waiting(page: &[(Digest, u64)], old: &[(Digest, u64)]) -> Collected {
    let bytes = |blobs: &[(Digest, u64)]| blobs.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
    Collected {
        waiting: page.len().saturating_sub(old.len()) as u64,
        waiting_bytes: bytes(page).saturating_sub(bytes(old)),
        ..Collected::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gentle_run_rests_four_times_as_long_as_it_worked() {
        for (haste, least_ms, most_ms) in [(Haste::Gentle, 4 * 32, 4 * 32 + 3), (Haste::Now, 0, 0)] {
            let (mut pace, began) = (Pace::new(haste), Instant::now());
            for worked in [30, 1] {
                pace.rest(Duration::from_millis(worked)).await;
            }
            // Too short for a rest of its own: it is added up.
            pace.rest(Duration::from_millis(1)).await;
            pace.rest(Duration::ZERO).await;
            // A timer counts whole milliseconds.
            let rested = began.elapsed().as_millis();
            assert!((least_ms..=most_ms).contains(&rested), "{haste:?}: {rested} ms");
        }
    }
}
