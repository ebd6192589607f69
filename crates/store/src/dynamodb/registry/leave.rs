//! Repositories on their way out. The delete itself is one small transaction: the repository's item goes and a note comes. What it held is
//! then taken away in pieces, and the note with the last of them. When a server dies in between, the next delete of a
//! repository or an owner, or the next start of a server, goes on; only who was told which bytes may go is gone then, and a sweep
//! finds those.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::{BlobLeft, FreedBlob, RegistryStoreError};

use super::blob::UNLINKED_AT_ONCE;
use super::bulk::Bulk;
use super::manifest;
use super::repository::{self, Seen};
use super::usage;
use crate::dynamodb::action::{Action, PRESENT};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, parsed};
use crate::dynamodb::owned::owner_key;
use crate::dynamodb::table::{Query, Range, Step, Table};

const NOTES: &str = "leaving_repository";

/// Manifests that one transaction takes away: each is three actions at most, of 100.
const MANIFESTS_AT_ONCE: u32 = 30;

fn note_key(id: &str) -> Key {
    Key::new(NOTES, id)
}

impl Table {
    /// Takes a repository away; answers it, for [`leave_finish`](Self::leave_finish).
    pub(super) async fn leave_step(
        &self,
        name: &RepositoryName,
        only_empty: bool,
        rules: bool,
    ) -> Result<Step<Seen>, RegistryStoreError> {
        let seen = self.repository_demand(name).await?;
        let within = |prefix: &str| Query::of(seen.partition()).within(Range::Begin(prefix.to_owned()));
        if only_empty {
            let manifests = self.query(within(manifest::PREFIX)).await?.len() as u64;
            if manifests > 0 {
                return Err(RegistryStoreError::RepositoryNotEmpty { repository: name.clone(), manifests });
            }
        }
        let owner = self.registry_owner(name).await?;
        if rules && !owner.rules.is_empty() {
            for item in self.query(within("tag#")).await? {
                if let Some(kept) = owner.keeps(name, &item.text("s")?["tag#".len()..]) {
                    return Err(kept);
                }
            }
        }
        let note = Action::put(Item::at(&note_key(&seen.id)).with_text("name", name.as_str()));
        Ok(Step::Write(vec![seen.deleted(), note, owner.count(0, 0)?], seen))
    }

    /// Takes away what a repository held that is gone, and answers the blobs that nobody holds any more.
    pub(super) async fn leave_finish(&self, seen: &Seen) -> Result<Vec<FreedBlob>, Fault> {
        loop {
            let (done, bulks) = self.unit(|| self.leave_manifests_step(seen)).await?;
            for bulk in bulks {
                self.bulk_drop(Some(bulk)).await;
            }
            if done {
                break;
            }
        }
        for prefix in ["tag#", "at#", "referrer#"] {
            let items = self.query(Query::of(seen.partition()).within(Range::Begin(prefix.to_owned()))).await?;
            self.delete_many(&items.iter().map(Item::key).collect::<Result<Vec<_>, _>>()?).await?;
        }
        let mut freed = Vec::new();
        loop {
            let blobs = self.links_some(seen, UNLINKED_AT_ONCE).await?;
            if blobs.is_empty() {
                break;
            }
            for (blob, bulk) in self.unit(|| self.leave_blobs_step(seen, &blobs)).await? {
                self.bulk_drop(bulk).await;
                freed.extend(blob);
            }
        }
        self.unit(|| self.leave_end_step(seen)).await?;
        freed.sort_by_key(|blob: &FreedBlob| blob.digest.to_string());
        Ok(freed)
    }

    async fn leave_manifests_step(&self, seen: &Seen) -> Result<Step<(bool, Vec<Bulk>)>, Fault> {
        let query = Query::of(seen.partition()).within(Range::Begin(manifest::PREFIX.to_owned()));
        let items = self.query(query.most(MANIFESTS_AT_ONCE)).await?;
        if items.is_empty() {
            return Ok(Step::Answer((true, Vec::new())));
        }
        let (mut actions, mut bulks, mut bytes) = (Vec::new(), Vec::new(), 0);
        for item in &items {
            bytes += item.number::<u64>("size")?;
            actions.push(Action::delete(item.key()?).only_if(PRESENT));
            actions.push(Action::delete(manifest::document_key(seen, &manifest::digest_of(item)?)));
            if let Some(bulk) = Bulk::apart_of(item)? {
                actions.extend(bulk.retire());
                bulks.push(bulk);
            }
        }
        actions.push(usage::take(&seen.name.owner_name(), bytes));
        Ok(Step::Write(actions, (false, bulks)))
    }

    async fn leave_blobs_step(
        &self,
        seen: &Seen,
        blobs: &[Digest],
    ) -> Result<Step<Vec<(Option<FreedBlob>, Option<Bulk>)>>, Fault> {
        let (mut actions, mut gone, mut bytes) = (Vec::new(), Vec::new(), 0);
        for digest in blobs {
            let Some(out) = self.blob_unlinking(seen, digest).await? else { continue };
            actions.extend(out.actions);
            bytes += out.uncounted;
            let freed = match out.left {
                BlobLeft::Nowhere { place } => Some(FreedBlob { digest: digest.clone(), place }),
                BlobLeft::Elsewhere => None,
            };
            gone.push((freed, out.bulk));
        }
        if actions.is_empty() {
            return Ok(Step::Answer(Vec::new()));
        }
        actions.push(usage::take(&seen.name.owner_name(), bytes));
        Ok(Step::Write(actions, gone))
    }

    async fn leave_end_step(&self, seen: &Seen) -> Result<Step<()>, Fault> {
        if self.get(&note_key(&seen.id)).await?.is_none() {
            return Ok(Step::Answer(()));
        }
        let owner = Action::update(owner_key(&seen.name.owner_name()), "ADD #repositories :less");
        let owner = owner.only_if("attribute_exists(#p)").with_number(":less", -1);
        Ok(Step::Write(vec![Action::delete(note_key(&seen.id)).only_if(PRESENT), owner], ()))
    }

    /// Goes on with what servers left that died in a delete. What their blobs' bytes were at is for a sweep to find.
    pub(in crate::dynamodb) async fn leave_finish_all(&self) -> Result<(), Fault> {
        for note in self.query(Query::of(NOTES)).await? {
            let name = parsed("repository name", RepositoryName::parse(note.text("name")?))?;
            self.leave_finish(&repository::gone(name, note.text("s")?)).await?;
        }
        Ok(())
    }
}
