//! Who needs a blob or a manifest: the way up from content to the tags that stop working without it. It is gone when something was found
//! damaged, and reads the manifests of the repositories that hold it.

use std::collections::{BTreeSet, HashMap};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::ContentUser;

use super::manifest;
use super::repository::Seen;
use crate::dynamodb::fault::Fault;
use crate::dynamodb::table::Table;

/// How many manifests of each repository and tags of each are named at most.
const NAMED: usize = 100;

impl Table {
    pub(super) async fn users_of_blob(&self, blob: &Digest) -> Result<Vec<ContentUser>, Fault> {
        let mut users = Vec::new();
        for (seen, _) in self.blob_holders_named(blob).await? {
            let mut first = Vec::new();
            let mut wholes: HashMap<Digest, Vec<Digest>> = HashMap::new();
            self.manifests_each(&seen, |manifest| {
                if manifest.blobs.iter().any(|(digest, _)| digest == blob) {
                    first.push(manifest.digest.clone());
                }
                for child in manifest.children {
                    wholes.entry(child.digest).or_default().push(manifest.digest.clone());
                }
            })
            .await?;
            users.push(self.above(&seen, first, &wholes).await?);
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
        let mut wholes: HashMap<Digest, Vec<Digest>> = HashMap::new();
        self.manifests_each(&seen, |manifest| {
            for child in manifest.children {
                wholes.entry(child.digest).or_default().push(manifest.digest.clone());
            }
        })
        .await?;
        self.above(&seen, vec![digest.clone()], &wholes).await.map(Some)
    }

    /// These manifests, those that need them, and the tags of all.
    async fn above(
        &self,
        seen: &Seen,
        first: Vec<Digest>,
        wholes: &HashMap<Digest, Vec<Digest>>,
    ) -> Result<ContentUser, Fault> {
        let mut found: BTreeSet<Digest> = first.iter().cloned().collect();
        let mut todo = first;
        while let Some(part) = todo.pop() {
            for whole in wholes.get(&part).into_iter().flatten() {
                if found.insert(whole.clone()) {
                    todo.push(whole.clone());
                }
            }
        }
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
