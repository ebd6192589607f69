//! Which blob is in which repository.

use std::collections::HashSet;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobRecord};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{BlobLeft, BlobLink, CollectedBlob, LinkedBlob, RegistryStoreError};

use super::bulk::Bulk;
use super::content::{self, Record, holder_key, place_key, sums_key, sums_write};
use super::repository::{Seen, behind};
use super::usage;
use super::users::Content;
use crate::dynamodb::action::{ABSENT, Action};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, parsed};
use crate::dynamodb::table::{Query, Step, Table};

/// Blobs that one transaction takes out: each is seven actions at most, of 100.
pub(super) const UNLINKED_AT_ONCE: usize = 12;

/// Links that one transaction dates, of 100 actions.
pub(super) const DATED_AT_ONCE: usize = 100;

/// That a link is the one that was read.
const SAME: &str = "#size = :size AND #linked = :linked";

const PREFIX: &str = "blob#";

pub(super) fn link_key(seen: &Seen, digest: &Digest) -> Key {
    seen.at(format!("{PREFIX}{digest}"))
}

/// What the manifests of a repository name, and as of which state of it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    id: String,
    epoch: u64,
    blobs: Arc<HashSet<Digest>>,
}

/// What was collected with what no longer counts then, and what is known for the next step.
pub(super) type Collected = (Vec<(CollectedBlob, Option<Bulk>)>, Option<Named>);

/// What a link has taken the place of.
pub(super) struct Linked {
    /// What no longer counts.
    pub(super) retired: Option<Bulk>,
    /// Where the blob lay before.
    pub(super) left: Option<BlobPlace>,
}

/// A blob on its way out of a repository.
pub(super) struct Unlinking {
    pub(super) actions: Vec<Action>,
    pub(super) size: u64,
    linked: Timestamp,
    /// What the owner holds less then.
    pub(super) uncounted: u64,
    pub(super) left: BlobLeft,
    /// What no longer counts then.
    pub(super) bulk: Option<Bulk>,
}

impl Table {
    pub(super) async fn blob_link_step(
        &self,
        repository: &RepositoryName,
        blob: &BlobLink,
        sums: Option<&Bulk>,
        at: Timestamp,
    ) -> Result<Step<Linked>, RegistryStoreError> {
        let seen = self.repository_demand(repository).await?;
        let (link_at, record_at, sums_at) =
            (link_key(&seen, &blob.digest), content::key(&blob.digest), sums_key(&blob.digest));
        let mut keys = vec![link_at.clone(), record_at.clone()];
        keys.extend(sums.map(|_| sums_at.clone()));
        let place_at = blob.place.as_ref().filter(|_| sums.is_some()).map(place_key);
        keys.extend(place_at.clone());
        let found = self.get_many(&keys).await?;
        let before = Record::of(found.get(&record_at))?;
        let known = before.as_ref().and_then(|record| record.place.as_ref());
        if let (Some(place), None) = (&blob.place, sums)
            && known != Some(place)
        {
            return Err(RegistryStoreError::ContentMissing { missing: vec![blob.digest.clone()] });
        }
        let others = place_at.as_ref().and_then(|place| found.get(place));
        if let Some(other) = others
            && other.text("digest")? != blob.digest.to_string()
        {
            return Err(RegistryStoreError::ContentMissing { missing: vec![blob.digest.clone()] });
        }
        let linked: Option<u64> = found.get(&link_at).map(|item| item.number("size")).transpose()?;
        let mut actions = vec![seen.there()];
        if linked != Some(blob.size)
            && !self.blob_held_elsewhere(&blob.digest, Some(repository.owner()), &seen.id).await?
        {
            actions.push(self.registry_owner(repository).await?.count(blob.size, linked.unwrap_or(0))?);
        }
        // Whoever links again brings the length along: it is what a damaged item would be healed by.
        let link = Item::at(&link_at).with_number("size", blob.size).with_number("linked", at.0);
        actions.push(Action::put(link));
        if linked != Some(blob.size) {
            let holder = Item::at(&holder_key(&blob.digest, repository, &seen.id));
            let holder = holder.with_text("name", repository.as_str()).with_text("id", &seen.id);
            actions.push(Action::put(holder.with_number("size", blob.size)));
        }
        let mut record = before.clone().unwrap_or_default();
        record.size = blob.size;
        let mut done = Linked { retired: None, left: None };
        if let Some(sums) = sums {
            record = record.whole();
            let old = found.get(&sums_at).map(Bulk::apart_of).transpose()?.flatten();
            actions.extend(sums_write(&blob.digest, sums, old.as_ref()));
            done.retired = old;
            if known != blob.place.as_ref() {
                let noted = place_at.as_ref().filter(|_| others.is_none());
                let noted = noted.map(|place| Item::at(place).with_text("digest", blob.digest.to_string()));
                actions.extend(noted.map(|item| Action::put(item).only_if(ABSENT)));
                actions.extend(known.map(|known| Action::delete(place_key(known))));
                done.left = known.cloned();
                record.place.clone_from(&blob.place);
            }
        }
        actions.push(record.write(&blob.digest, before.as_ref())?);
        Ok(Step::Write(actions, done))
    }

    /// Length and time of a link to a blob that is not damaged.
    pub(super) async fn blob_linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>, Fault> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(None) };
        let (link, record) = (link_key(&seen, digest), content::key(digest));
        let found = self.get_many(&[link.clone(), record.clone()]).await?;
        let Some(link) = found.get(&link) else { return Ok(None) };
        if Record::of(found.get(&record))?.is_some_and(|record| record.is_damaged()) {
            return Ok(None);
        }
        Ok(Some(LinkedBlob { size: link.number("size")?, linked: link.time("linked")? }))
    }

    pub(super) async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRecord>, Fault> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(None) };
        let Some(link) = self.get(&link_key(&seen, digest)).await? else { return Ok(None) };
        let size = link.number("size")?;
        Ok(Some(BlobRecord { size, condition: self.blob_condition(digest, size).await? }))
    }

    /// What it takes to take a blob out of the repository; `None` when it is not in it.
    pub(super) async fn blob_unlinking(&self, seen: &Seen, digest: &Digest) -> Result<Option<Unlinking>, Fault> {
        let (link_at, record_at, sums_at) = (link_key(seen, digest), content::key(digest), sums_key(digest));
        let found = self.get_many(&[link_at.clone(), record_at.clone(), sums_at.clone()]).await?;
        let Some(link) = found.get(&link_at) else { return Ok(None) };
        let (size, linked) = (link.number("size")?, link.time("linked")?);
        let record = Record::of(found.get(&record_at))?;
        let elsewhere = self.blob_held_elsewhere(digest, None, &seen.id).await?;
        let counted = elsewhere && self.blob_held_elsewhere(digest, Some(seen.name.owner()), &seen.id).await?;
        let mut actions = vec![
            Action::delete(link_at).only_if(SAME).with_number(":size", size).with_number(":linked", linked.0),
            Action::delete(holder_key(digest, &seen.name, &seen.id)),
        ];
        let mut bulk = None;
        let left = if elsewhere {
            actions.extend(record.map(|record| record.touched(digest)));
            BlobLeft::Elsewhere
        } else {
            let place = record.as_ref().and_then(|record| record.place.clone());
            actions.push(match &record {
                Some(record) => record.unchanged(Action::delete(record_at)),
                None => Action::check(record_at, ABSENT),
            });
            bulk = found.get(&sums_at).map(Bulk::apart_of).transpose()?.flatten();
            actions.push(Action::delete(sums_at));
            actions.extend(bulk.as_ref().and_then(Bulk::retire));
            actions.extend(place.as_ref().map(|place| Action::delete(place_key(place))));
            BlobLeft::Nowhere { place }
        };
        Ok(Some(Unlinking { actions, size, linked, uncounted: if counted { 0 } else { size }, left, bulk }))
    }

    pub(super) async fn blob_unlink_step(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Step<Option<(BlobLeft, Option<Bulk>)>>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Step::Answer(None)) };
        let Some(out) = self.blob_unlinking(&seen, digest).await? else { return Ok(Step::Answer(None)) };
        let owner = self.registry_owner(repository).await?;
        self.may_lose(&seen, &owner, Content::Blob(digest)).await?;
        let mut actions = out.actions;
        // Where rules are about the repository, a manifest or tag that came meanwhile has all of this looked at anew.
        actions.push(if owner.has_rules_about(repository) { seen.changed() } else { seen.touched() });
        actions.push(owner.count(0, out.uncounted)?);
        Ok(Step::Write(actions, Some((out.left, out.bulk))))
    }

    pub(super) async fn blobs_unneeded(
        &self,
        repository: &RepositoryName,
        until: Timestamp,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<(Digest, u64)>, Fault> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Vec::new()) };
        let mut old = Vec::new();
        let after = after.map(Digest::to_string);
        for link in self.query(Query::of(seen.partition()).within(behind(PREFIX, after.as_deref()))).await? {
            if link.time("linked")? <= until {
                old.push((digest_of(&link)?, link.number("size")?));
            }
        }
        if old.is_empty() {
            return Ok(old);
        }
        let named = self.blobs_named(&seen).await?;
        old.retain(|(digest, _)| !named.contains(digest));
        old.truncate(most as usize);
        Ok(old)
    }

    /// Takes out those of a few blobs that no manifest names and that are old enough. What is `known` spares reading all manifests
    /// again, if nobody else changed the repository.
    pub(super) async fn blobs_collect_step(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        until: Timestamp,
        known: Option<Named>,
    ) -> Result<Step<Collected>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Step::Answer((Vec::new(), None))) };
        let blobs = match known {
            Some(known) if known.id == seen.id && known.epoch == seen.epoch => known.blobs,
            _ => Arc::new(self.blobs_named(&seen).await?),
        };
        let named = |epoch| Some(Named { id: seen.id.clone(), epoch, blobs: Arc::clone(&blobs) });
        let (mut actions, mut collected, mut uncounted, mut met) = (Vec::new(), Vec::new(), 0, HashSet::new());
        for digest in digests.iter().filter(|digest| !blobs.contains(*digest)) {
            if !met.insert(digest) {
                continue;
            }
            let Some(out) = self.blob_unlinking(&seen, digest).await? else { continue };
            if out.linked > until {
                continue;
            }
            actions.extend(out.actions);
            uncounted += out.uncounted;
            collected.push((CollectedBlob { digest: digest.clone(), size: out.size, left: out.left }, out.bulk));
        }
        if collected.is_empty() {
            return Ok(Step::Answer((collected, named(seen.epoch))));
        }
        // A manifest that came meanwhile counts the repository's epoch on: then all of this is looked at anew.
        actions.push(seen.changed());
        actions.push(usage::take(&repository.owner_name(), uncounted));
        Ok(Step::Write(actions, (collected, named(seen.epoch + 1))))
    }

    /// Dates the links of a few blobs that were linked before `at`.
    pub(super) async fn blobs_date_step(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        at: Timestamp,
    ) -> Result<Step<()>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Step::Answer(())) };
        let keys: Vec<Key> = digests.iter().map(|digest| link_key(&seen, digest)).collect();
        let mut actions = Vec::new();
        for (key, link) in self.get_many(&keys).await? {
            let (size, linked) = (link.number::<u64>("size")?, link.time("linked")?);
            if linked < at {
                let date = Action::update(key, "SET #linked = :at").with_number(":at", at.0);
                actions.push(date.only_if(SAME).with_number(":size", size).with_number(":linked", linked.0));
            }
        }
        Ok(if actions.is_empty() { Step::Answer(()) } else { Step::Write(actions, ()) })
    }

    /// Some blobs of a repository, which may be gone already.
    pub(super) async fn links_some(&self, seen: &Seen, most: usize) -> Result<Vec<Digest>, Fault> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let links = self.query(Query::of(seen.partition()).within(behind(PREFIX, None)).most(most)).await?;
        links.iter().map(digest_of).collect()
    }
}

fn digest_of(link: &Item) -> Result<Digest, Fault> {
    parsed("blob digest", Digest::parse(link.text("s")?.strip_prefix(PREFIX).unwrap_or_default()))
}
