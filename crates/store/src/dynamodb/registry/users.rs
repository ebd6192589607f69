//! Who needs a blob or a manifest: the way up from content to the tags that stop working without it. It is gone when something was found
//! damaged, or is to go in spite of immutable tags, and reads the manifests of the repositories that hold it.

use std::collections::{BTreeSet, HashMap};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::{ContentUser, RegistryStoreError};

use super::manifest;
use super::repository::Seen;
use super::usage::Owner;
use crate::dynamodb::fault::Fault;
use crate::dynamodb::table::Table;

/// How many manifests of each repository and tags of each are named at most.
const NAMED: usize = 100;

/// What may be needed.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// A blob.
    Blob(&'a Digest),
    /// A manifest.
    Manifest(&'a Digest),
}

impl Table {
    pub(super) async fn users_of_blob(&self, blob: &Digest) -> Result<Vec<ContentUser>, Fault> {
        let mut users = Vec::new();
        for (seen, _) in self.blob_holders_named(blob, NAMED).await? {
            let found = self.needing(&seen, Content::Blob(blob)).await?;
            users.push(self.content_user(&seen, found).await?);
        }
        Ok(users)
    }

    pub(super) async fn users_of_manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ContentUser>, Fault> {
        let Some(seen) = self.repository_seen(name).await? else { return Ok(None) };
        if self.get(&manifest::key(&seen, digest)).await?.is_none() {
            return Ok(None);
        }
        let found = self.needing(&seen, Content::Manifest(digest)).await?;
        self.content_user(&seen, found).await.map(Some)
    }

    /// Refuses to take something away that an immutable tag leads to. Holds as long as the repository and its owner's rules are as they
    /// were read. Nothing is read where no rule is about the repository.
    pub(super) async fn may_lose(
        &self,
        seen: &Seen,
        owner: &Owner,
        content: Content<'_>,
    ) -> Result<(), RegistryStoreError> {
        if !owner.has_rules_about(&seen.name) {
            return Ok(());
        }
        for digest in self.needing(seen, content).await? {
            let tags = self.tags_at(seen, &digest).await?;
            if let Some(kept) = tags.iter().find_map(|tag| owner.keeps(&seen.name, tag)) {
                return Err(kept);
            }
        }
        Ok(())
    }

    /// The manifests of a repository that are this or name it, and those over them.
    async fn needing(&self, seen: &Seen, content: Content<'_>) -> Result<BTreeSet<Digest>, Fault> {
        let mut first = Vec::new();
        let mut wholes: HashMap<Digest, Vec<Digest>> = HashMap::new();
        self.manifests_each(seen, |manifest| {
            if matches!(content, Content::Blob(blob) if manifest.blobs.iter().any(|(digest, _)| digest == blob)) {
                first.push(manifest.digest.clone());
            }
            for child in manifest.children {
                wholes.entry(child.digest).or_default().push(manifest.digest.clone());
            }
        })
        .await?;
        if let Content::Manifest(digest) = content {
            first.push(digest.clone());
        }
        let mut found: BTreeSet<Digest> = first.iter().cloned().collect();
        let mut todo = first;
        while let Some(part) = todo.pop() {
            for whole in wholes.get(&part).into_iter().flatten() {
                if found.insert(whole.clone()) {
                    todo.push(whole.clone());
                }
            }
        }
        Ok(found)
    }

    /// These manifests with the tags of all.
    async fn content_user(&self, seen: &Seen, found: BTreeSet<Digest>) -> Result<ContentUser, Fault> {
        let mut tags = BTreeSet::new();
        for digest in &found {
            tags.extend(self.tags_at(seen, digest).await?);
        }
        Ok(ContentUser {
            repository: seen.name.clone(),
            manifests: found.into_iter().take(NAMED).collect(),
            tags: tags.into_iter().take(NAMED).collect(),
        })
    }
}
