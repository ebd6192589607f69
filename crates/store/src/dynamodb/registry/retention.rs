//! What of a repository goes by its owner's rules. All of it is looked at, so it is read once for a run, and anew only when somebody
//! changed the repository meanwhile.

use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::retention::{ImageManifest, ImageTag, Images, Retiring};
use layer0_domain::plan::retention::confirm;
use layer0_domain::port::registry_store::RegistryStoreError;

use super::bulk::Bulk;
use super::repository::Seen;
use super::{manifest, tag};
use crate::dynamodb::action::{Action, PRESENT};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::parsed;
use crate::dynamodb::table::{Query, Range, Step, Table};

/// Tags and manifests of one transaction, of 100 actions: a tag takes two, a manifest four at most.
const AT_ONCE: usize = 20;

/// A repository's images at one of its epochs.
#[derive(Clone)]
pub(super) struct Known {
    id: String,
    epoch: u64,
    images: Arc<Images>,
}

/// What one transaction took away.
#[derive(Default)]
pub(super) struct Went {
    pub(super) went: Retiring,
    pub(super) bulks: Vec<Bulk>,
}

/// What is asked for, in pieces that fit into a transaction each: tags, then manifests in their order.
pub(super) fn pieces(asked: &Retiring) -> Vec<Retiring> {
    let tags = asked.tags.chunks(AT_ONCE).map(|tags| Retiring { tags: tags.to_vec(), manifests: vec![] });
    let manifests = asked.manifests.chunks(AT_ONCE);
    tags.chain(manifests.map(|some| Retiring { tags: vec![], manifests: some.to_vec() })).collect()
}

impl Table {
    pub(super) async fn images(&self, repository: &RepositoryName) -> Result<Option<Images>, Fault> {
        match self.repository_seen(repository).await? {
            Some(seen) => self.images_of(&seen).await.map(Some),
            None => Ok(None),
        }
    }

    async fn images_of(&self, seen: &Seen) -> Result<Images, Fault> {
        let mut images = Images::default();
        self.manifests_each(seen, |manifest| {
            images.manifests.push(ImageManifest {
                digest: manifest.digest,
                pushed: manifest.pushed,
                children: manifest.children.into_iter().map(|child| child.digest).collect(),
                subject: manifest.subject,
            });
        })
        .await?;
        images.manifests.sort_by(|a, b| a.digest.cmp(&b.digest));
        for item in self.query(Query::of(seen.partition()).within(Range::Begin(tag::PREFIX.to_owned()))).await? {
            let digest = parsed("manifest digest", Digest::parse(item.text("manifest")?))?;
            // Of a tag that an earlier version wrote only the manifest's time is known.
            let at = images.manifests.binary_search_by(|it| it.digest.cmp(&digest));
            let pushed = match (item.has("pushed"), at) {
                (true, _) => item.time("pushed")?,
                (false, Ok(at)) => images.manifests[at].pushed,
                // It came after the manifests were read: the epoch tells.
                (false, Err(_)) => continue,
            };
            images.tags.push(ImageTag { name: item.text("s")?[tag::PREFIX.len()..].to_owned(), digest, pushed });
        }
        Ok(images)
    }

    pub(super) async fn retire_step(
        &self,
        repository: &RepositoryName,
        asked: &Retiring,
        known: Option<Known>,
    ) -> Result<Step<(Went, Option<Known>)>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else {
            return Ok(Step::Answer((Went::default(), None)));
        };
        let images = match known {
            Some(known) if known.id == seen.id && known.epoch == seen.epoch => known.images,
            _ => Arc::new(self.images_of(&seen).await?),
        };
        let owner = self.registry_owner(repository).await?;
        let going = confirm(repository.name(), &owner.rules, &images, asked);
        if going.is_empty() {
            let known = Known { id: seen.id, epoch: seen.epoch, images };
            return Ok(Step::Answer((Went::default(), Some(known))));
        }
        let mut actions = vec![seen.changed()];
        let (mut gone, mut bulks) = (0, Vec::new());
        for it in &going.tags {
            let [taken, at] = tag::delete(&seen, &it.name, &it.digest);
            actions.extend([taken.only_if(PRESENT), at]);
        }
        for (digest, _) in &going.manifests {
            let at = manifest::key(&seen, digest);
            let Some(item) = self.get(&at).await? else {
                // Somebody deletes at the same time, and has counted the repository's epoch on: this write is refused, and all of
                // it looked at anew. Where only the item has rotted away it is not, and this piece is left out.
                return Ok(Step::Write(vec![seen.changed()], (Went::default(), None)));
            };
            gone += item.number::<u64>("size")?;
            actions.push(Action::delete(at).only_if(PRESENT));
            actions.push(Action::delete(manifest::document_key(&seen, digest)));
            if let Some(subject) = item.text_if("subject")? {
                actions.push(Action::delete(manifest::referrer_key(&seen, subject, digest)));
            }
            let bulk = Bulk::apart_of(&item)?;
            actions.extend(bulk.as_ref().and_then(Bulk::retire));
            bulks.extend(bulk);
        }
        actions.push(owner.count(0, gone)?);
        let mut left = Images::clone(&images);
        left.tags.retain(|tag| !going.tags.contains(tag));
        left.manifests.retain(|it| !going.manifests.iter().any(|(digest, _)| *digest == it.digest));
        let known = Known { id: seen.id, epoch: seen.epoch + 1, images: Arc::new(left) };
        Ok(Step::Write(actions, (Went { went: going, bulks }, Some(known))))
    }
}
