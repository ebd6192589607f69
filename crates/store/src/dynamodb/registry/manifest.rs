//! Manifests: a small item that says that one is there, beside it one with its bytes and all that was read out of them, and one for
//! the manifest that it is about.

use std::collections::{BTreeMap, HashMap, HashSet};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestRef};
use layer0_domain::port::registry_store::{Referrer, ReferrerPage, Referrers, RegistryStoreError};
use serde::{Deserialize, Serialize};

use super::bulk::Bulk;
use super::content::{self, READS, Record};
use super::repository::{Seen, behind};
use super::tag::{self, TAGS_AT_ONCE};
use super::users::Content;
use super::{blob, usage};
use crate::dynamodb::action::{Action, PRESENT};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, from_json, parsed, to_json};
use crate::dynamodb::owned::owner_key;
use crate::dynamodb::table::{Query, Range, Step, Table};

pub(super) const PREFIX: &str = "manifest#";
const DOCUMENTS: &str = "document#";

/// The longest text of a referrer that stands in its own item.
const ENTRY_MAX: usize = 64 * 1024;

/// Referrers that are read at once.
const REFERRERS_AT_ONCE: u32 = 100;

pub(super) fn key(seen: &Seen, digest: &Digest) -> Key {
    seen.at(format!("{PREFIX}{digest}"))
}

pub(super) fn document_key(seen: &Seen, digest: &Digest) -> Key {
    seen.at(format!("{DOCUMENTS}{digest}"))
}

pub(super) fn referrer_key(seen: &Seen, subject: &str, digest: &Digest) -> Key {
    seen.at(format!("referrer#{subject}#{digest}"))
}

/// An entry of the list of referrers, as it is kept.
#[derive(Serialize, Deserialize)]
struct Entry {
    media_type: String,
    size: u64,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl Entry {
    fn of(manifest: Manifest) -> Self {
        let size = manifest.bytes.len() as u64;
        let Manifest { media_type, artifact_type, annotations, .. } = manifest;
        Self { media_type, size, artifact_type, annotations }
    }
}

/// A manifest as it is kept: the length of all but its bytes (four bytes), that as JSON, its bytes.
pub(super) fn document(manifest: &Manifest) -> Result<Vec<u8>, Fault> {
    let about = to_json("manifest", &Manifest { bytes: Vec::new(), ..manifest.clone() })?;
    let length = u32::try_from(about.len()).map_err(|_| Fault::Unstorable { what: "manifest" })?;
    let mut document = Vec::with_capacity(4 + about.len() + manifest.bytes.len());
    document.extend_from_slice(&length.to_be_bytes());
    document.extend_from_slice(about.as_bytes());
    document.extend_from_slice(&manifest.bytes);
    Ok(document)
}

fn read_document(document: &[u8]) -> Result<Manifest, Fault> {
    let unreadable = Fault::Unreadable { what: "manifest" };
    let (length, rest) = document.split_first_chunk().ok_or(unreadable.clone())?;
    let (about, bytes) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(unreadable)?;
    let about = parsed("manifest", std::str::from_utf8(about))?;
    Ok(Manifest { bytes: bytes.to_vec(), ..from_json("manifest", about)? })
}

pub(super) fn digest_of(item: &Item) -> Result<Digest, Fault> {
    let sort = item.text("s")?;
    parsed("manifest digest", Digest::parse(sort.rsplit_once('#').map_or(sort, |(_, digest)| digest)))
}

impl Table {
    pub(super) async fn manifest_put_step(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        tags: &[String],
        bulk: &Bulk,
    ) -> Result<Step<Option<Bulk>>, RegistryStoreError> {
        let seen = self.repository_demand(repository).await?;
        let (at, document_at) = (key(&seen, &manifest.digest), document_key(&seen, &manifest.digest));
        let mut keys: HashSet<Key> = HashSet::from([at.clone(), owner_key(&repository.owner_name())]);
        for (digest, _) in &manifest.blobs {
            keys.extend([blob::link_key(&seen, digest), content::key(digest)]);
        }
        keys.extend(manifest.children.iter().map(|child| key(&seen, &child.digest)));
        keys.extend(tags.iter().map(|name| tag::key(&seen, name)));
        let found = self.get_many(&keys.into_iter().collect::<Vec<_>>()).await?;

        // Links, children and tags change with the repository's epoch. A mark of damage does not: one that comes at the same time comes
        // after this, as if it had been found a moment later.
        check_content(&seen, manifest, &found)?;
        let owner = repository.owner_name();
        let owner = usage::Owner::read(owner.clone(), found.get(&owner_key(&owner)))?;
        for name in tags {
            if let Some(now) = found.get(&tag::key(&seen, name))
                && now.text("manifest")? != manifest.digest.to_string()
                && let Some(kept) = owner.keeps(repository, name)
            {
                return Err(kept);
            }
        }
        let before = found.get(&at);
        let gone = before.map_or(Ok(0), |item| item.number("size"))?;
        let mut actions = vec![seen.changed(), owner.count(manifest.bytes.len() as u64, gone)?];
        let subject = manifest.subject.as_ref().map(Digest::to_string);
        let old_subject = before.map(|item| item.text_if("subject")).transpose()?.flatten();
        if let Some(old) = old_subject.filter(|old| subject.as_deref() != Some(*old)) {
            actions.push(Action::delete(referrer_key(&seen, old, &manifest.digest)));
        }
        if let Some(subject) = &subject {
            let entry = to_json("referrer", &Entry::of(manifest.clone()))?;
            let item = Item::at(&referrer_key(&seen, subject, &manifest.digest));
            let item = item.with_text_if("type", manifest.artifact_type.as_deref().filter(|it| it.len() <= 1024));
            actions.push(Action::put(item.with_text_if("entry", (entry.len() <= ENTRY_MAX).then_some(entry))));
        }
        let item = Item::at(&at).with_number("size", manifest.bytes.len()).with_text_if("subject", subject);
        let old = before.map(Bulk::apart_of).transpose()?.flatten();
        actions.push(Action::put(match bulk {
            Bulk::Here(_) => item,
            Bulk::Apart(name) => item.with_text("apart", name),
        }));
        actions.push(Action::put(bulk.onto(Item::at(&document_at))));
        actions.extend(bulk.settle());
        actions.extend(old.as_ref().and_then(Bulk::retire));
        let first = tags.iter().take(TAGS_AT_ONCE);
        for name in first {
            let before = found.get(&tag::key(&seen, name));
            actions.extend(tag::point(&seen, name, &manifest.digest, manifest.pushed, before)?);
        }
        Ok(Step::Write(actions, old))
    }

    pub(super) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Manifest>, Fault> {
        for _ in 0..READS {
            let Some(seen) = self.repository_seen(repository).await? else { return Ok(None) };
            let digest = match reference {
                ManifestRef::Digest(digest) => digest.clone(),
                ManifestRef::Tag(name) => {
                    let Some(item) = self.get(&tag::key(&seen, name)).await? else { return Ok(None) };
                    parsed("manifest digest", Digest::parse(item.text("manifest")?))?
                }
            };
            match (self.get(&document_key(&seen, &digest)).await?, reference) {
                (Some(item), _) => {
                    if let Some(document) = self.bulk_read(&Bulk::of(&item)?).await? {
                        return read_document(&document).map(Some);
                    }
                }
                (None, ManifestRef::Digest(_)) => return Ok(None),
                // The tag moved, or went.
                (None, ManifestRef::Tag(_)) => {}
            }
        }
        Err(Fault::Contended)
    }

    pub(super) async fn manifests(
        &self,
        repository: &RepositoryName,
        after: Option<&Digest>,
        most: u32,
    ) -> Result<Vec<Digest>, Fault> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Vec::new()) };
        let after = after.map(Digest::to_string);
        let query = Query::of(seen.partition()).within(behind(PREFIX, after.as_deref())).most(most);
        self.query(query).await?.iter().map(digest_of).collect()
    }

    /// One step of a delete: a manifest with many tags loses some of them first. `None` when there is more to do.
    pub(super) async fn manifest_delete_step(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Step<Option<(bool, Option<Bulk>)>>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else {
            return Ok(Step::Answer(Some((false, None))));
        };
        let at = key(&seen, digest);
        let Some(item) = self.get(&at).await? else { return Ok(Step::Answer(Some((false, None)))) };
        let tags = self.tags_at(&seen, digest).await?;
        let owner = self.registry_owner(repository).await?;
        if let Some(kept) = tags.iter().find_map(|name| owner.keeps(repository, name)) {
            return Err(kept);
        }
        self.may_lose(&seen, &owner, Content::Manifest(digest)).await?;
        let mut actions = vec![seen.changed()];
        for name in tags.iter().take(TAGS_AT_ONCE) {
            actions.extend(tag::delete(&seen, name, digest));
        }
        if tags.len() > TAGS_AT_ONCE {
            actions.push(owner.count(0, 0)?);
            return Ok(Step::Write(actions, None));
        }
        actions.push(owner.count(0, item.number("size")?)?);
        actions.extend([Action::delete(at).only_if(PRESENT), Action::delete(document_key(&seen, digest))]);
        if let Some(subject) = item.text_if("subject")? {
            actions.push(Action::delete(referrer_key(&seen, subject, digest)));
        }
        let bulk = Bulk::apart_of(&item)?;
        actions.extend(bulk.as_ref().and_then(Bulk::retire));
        Ok(Step::Write(actions, Some((true, bulk))))
    }

    pub(super) async fn referrers_page(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: &ReferrerPage,
    ) -> Result<Referrers, Fault> {
        let mut referrers = Referrers::default();
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(referrers) };
        let prefix = format!("referrer#{subject}#");
        let mut after = page.after.as_ref().map(Digest::to_string);
        let mut weight = 0_usize;
        loop {
            let query = Query::of(seen.partition()).within(behind(&prefix, after.as_deref()));
            let items = self.query(query.most(REFERRERS_AT_ONCE)).await?;
            let Some(last) = items.last() else { return Ok(referrers) };
            after = Some(digest_of(last)?.to_string());
            for item in &items {
                let Some(referrer) = self.referrer(repository, item).await? else { continue };
                if artifact_type.is_some() && artifact_type != referrer.artifact_type.as_deref() {
                    continue;
                }
                weight = weight.saturating_add(referrer.weight());
                if weight > page.most_bytes && !referrers.entries.is_empty() {
                    referrers.more = true;
                    return Ok(referrers);
                }
                referrers.entries.push(referrer);
            }
        }
    }

    /// What an item of the list is about; `None` when it went meanwhile.
    async fn referrer(&self, repository: &RepositoryName, item: &Item) -> Result<Option<Referrer>, Fault> {
        let digest = digest_of(item)?;
        let entry = match item.text_if("entry")? {
            Some(entry) => from_json("referrer", entry)?,
            None => match self.manifest(repository, &ManifestRef::Digest(digest.clone())).await? {
                Some(manifest) => Entry::of(manifest),
                None => return Ok(None),
            },
        };
        let Entry { media_type, size, artifact_type, annotations } = entry;
        Ok(Some(Referrer { digest, media_type, size, artifact_type, annotations }))
    }

    /// Hands each manifest of a repository to `each`. One that is replaced meanwhile may be left out: the repository's epoch tells.
    pub(super) async fn manifests_each(&self, seen: &Seen, mut each: impl FnMut(Manifest)) -> Result<(), Fault> {
        for item in self.query(Query::of(seen.partition()).within(Range::Begin(DOCUMENTS.to_owned()))).await? {
            if let Some(document) = self.bulk_read(&Bulk::of(&item)?).await? {
                each(read_document(&document)?);
            }
        }
        Ok(())
    }

    /// The blobs that manifests of a repository name.
    pub(super) async fn blobs_named(&self, seen: &Seen) -> Result<HashSet<Digest>, Fault> {
        let mut named = HashSet::new();
        self.manifests_each(seen, |manifest| named.extend(manifest.blobs.into_iter().map(|(digest, _)| digest)))
            .await?;
        Ok(named)
    }
}

/// Demands that every blob and child is in the repository, and no blob damaged.
fn check_content(seen: &Seen, manifest: &Manifest, found: &HashMap<Key, Item>) -> Result<(), RegistryStoreError> {
    let mut missing: Vec<Digest> = Vec::new();
    let mut met = HashSet::new();
    for (digest, _) in &manifest.blobs {
        let whole = match Record::of(found.get(&content::key(digest)))? {
            Some(record) => !record.is_damaged(),
            None => false,
        };
        if !(whole && found.contains_key(&blob::link_key(seen, digest))) && met.insert(digest) {
            missing.push(digest.clone());
        }
    }
    for child in &manifest.children {
        if !found.contains_key(&key(seen, &child.digest)) && met.insert(&child.digest) {
            missing.push(child.digest.clone());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(RegistryStoreError::ContentMissing { missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_cut_off_is_unreadable() {
        for document in [&b""[..], b"abc", b"\0\0\0\x09{}"] {
            assert!(read_document(document).is_err(), "{document:?}");
        }
    }
}
