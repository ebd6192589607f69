//! Blobs, whichever repositories hold them: one record each, which goes with the last link. Whoever links or unlinks a blob counts its
//! epoch on, so that of those who decide by who else holds it one comes after the other.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobPlace, BlobSums};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{HeldBlob, RegistryStoreError};

use super::bulk::Bulk;
use super::repository;
use crate::dynamodb::action::{ABSENT, Action};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, parsed, word};
use crate::dynamodb::table::{Query, Range, Step, Table, first_count};

const BLOBS: &str = "blob";

/// Bytes of a sum.
const WIDTH: usize = 4;

/// How often is read anew what changed while it was read.
pub(super) const READS: u32 = 20;

/// At most so many holders are named.
pub(super) const NAMED: usize = 100;

const UNCHANGED: &str = "#epoch = :epoch";

pub(super) fn key(digest: &Digest) -> Key {
    Key::new(BLOBS, digest.to_string())
}

fn partition(digest: &Digest) -> String {
    format!("{BLOBS}#{digest}")
}

pub(super) fn sums_key(digest: &Digest) -> Key {
    Key::new(partition(digest), "sums")
}

pub(super) fn holder_key(digest: &Digest, name: &RepositoryName, id: &str) -> Key {
    Key::new(partition(digest), format!("in#{}#{id}", word(name.as_str())))
}

pub(super) fn place_key(place: &BlobPlace) -> Key {
    Key::new(format!("place#{}", word(place.as_str())), "it")
}

/// What is known of a blob.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    epoch: u64,
    pub(super) size: u64,
    pub(super) place: Option<BlobPlace>,
    damaged: Option<Timestamp>,
}

impl Record {
    pub(super) fn read(item: &Item) -> Result<Self, Fault> {
        Ok(Self {
            epoch: item.number("epoch")?,
            size: item.number("size")?,
            place: item.text_if("place")?.map(BlobPlace::new),
            damaged: item.time_if("damaged")?,
        })
    }

    pub(super) fn of(item: Option<&Item>) -> Result<Option<Self>, Fault> {
        item.map(Self::read).transpose()
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.is_some()
    }

    /// The action that writes it over the one that was read.
    pub(super) fn write(&self, digest: &Digest, before: Option<&Self>) -> Result<Action, Fault> {
        let epoch = before.map_or_else(first_count, |it| Ok(it.epoch + 1))?;
        let item = Item::at(&key(digest))
            .with_number("epoch", epoch)
            .with_number("size", self.size)
            .with_text_if("place", self.place.as_ref().map(BlobPlace::as_str))
            .with_number_if("damaged", self.damaged.map(|at| at.0));
        Ok(match before {
            Some(before) => before.unchanged(Action::put(item)),
            None => Action::put(item).only_if(ABSENT),
        })
    }

    /// The action that counts its epoch on.
    pub(super) fn touched(&self, digest: &Digest) -> Action {
        self.unchanged(Action::update(key(digest), "SET #epoch = #epoch + :one").with_number(":one", 1))
    }

    pub(super) fn unchanged(&self, action: Action) -> Action {
        action.only_if(UNCHANGED).with_number(":epoch", self.epoch)
    }

    pub(super) fn whole(mut self) -> Self {
        self.damaged = None;
        self
    }
}

/// The bytes of sums, as they are kept.
pub(super) fn sums_bytes(sums: &BlobSums) -> Vec<u8> {
    sums.piece.to_le_bytes().into_iter().chain(sums.sums.iter().flat_map(|sum| sum.to_le_bytes())).collect()
}

/// Sums that can't be those of a blob of this size are none: the content is there to be read again.
fn condition(record: &Record, size: u64, sums: Option<Vec<u8>>) -> BlobCondition {
    if record.is_damaged() {
        return BlobCondition::Damaged;
    }
    let Some(bytes) = sums else { return BlobCondition::Unproven };
    let (words, rest) = bytes.as_chunks::<WIDTH>();
    let Some((piece, sums)) = words.split_first() else { return BlobCondition::Unproven };
    let sums = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
    let sums = BlobSums { piece: u32::from_le_bytes(*piece), sums };
    if rest.is_empty() && sums.fit(size) { BlobCondition::Proven(sums) } else { BlobCondition::Unproven }
}

/// The actions that keep sums in the place of others.
pub(super) fn sums_write(digest: &Digest, sums: &Bulk, before: Option<&Bulk>) -> Vec<Action> {
    let put = Action::put(sums.onto(Item::at(&sums_key(digest))));
    [Some(put), sums.settle(), before.and_then(Bulk::retire)].into_iter().flatten().collect()
}

impl Table {
    pub(super) async fn blob_record(&self, digest: &Digest) -> Result<Option<Record>, Fault> {
        Record::of(self.get(&key(digest)).await?.as_ref())
    }

    /// What is known of the content of a blob of this size that is held.
    pub(super) async fn blob_condition(&self, digest: &Digest, size: u64) -> Result<BlobCondition, Fault> {
        for _ in 0..READS {
            let (at, sums) = (key(digest), sums_key(digest));
            let seen = self.get_many(&[at.clone(), sums.clone()]).await?;
            let Some(record) = Record::of(seen.get(&at))? else { return Ok(BlobCondition::Unproven) };
            let Some(sums) = seen.get(&sums) else { return Ok(condition(&record, size, None)) };
            if let Some(bytes) = self.bulk_read(&Bulk::of(sums)?).await? {
                return Ok(condition(&record, size, Some(bytes)));
            }
        }
        Err(Fault::Contended)
    }

    /// Whether somebody holds a blob but for the repository with this identity: of this owner, or anybody.
    pub(super) async fn blob_held_elsewhere(
        &self,
        digest: &Digest,
        owner: Option<&str>,
        id: &str,
    ) -> Result<bool, Fault> {
        let prefix = owner.map_or_else(|| "in#".to_owned(), |owner| format!("in#{owner}/"));
        let held = self.query(Query::of(partition(digest)).within(Range::Begin(prefix)).most(2)).await?;
        for holder in &held {
            if holder.text("id")? != id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The repositories that hold a blob, as far as they are there, in byte order, at most `most`.
    pub(super) async fn blob_holders_named(
        &self,
        digest: &Digest,
        most: usize,
    ) -> Result<Vec<(repository::Seen, u64)>, Fault> {
        let mut holders = Vec::new();
        let mut after = None;
        loop {
            let page = Query::of(partition(digest)).within(repository::behind("in#", after.as_deref()));
            let page = self.query(page.most(NAMED as u32)).await?;
            let Some(last) = page.last() else { return Ok(holders) };
            after = last.text("s")?.strip_prefix("in#").map(str::to_owned);
            let mut named = Vec::with_capacity(page.len());
            for item in &page {
                let name = parsed("repository name", RepositoryName::parse(item.text("name")?))?;
                named.push((name, item.text("id")?, item.number("size")?));
            }
            let keys: Vec<_> = named.iter().map(|(name, ..)| repository::key(name)).collect();
            let there = self.get_many(&keys).await?;
            for ((name, id, size), key) in named.into_iter().zip(&keys) {
                let Some(item) = there.get(key) else { continue };
                let seen = repository::seen(&name, item)?;
                if seen.id == id {
                    holders.push((seen, size));
                }
            }
            if holders.len() >= most {
                holders.truncate(most);
                return Ok(holders);
            }
        }
    }

    pub(super) async fn blobs_held(&self, after: Option<&Digest>, most: u32) -> Result<Vec<HeldBlob>, Fault> {
        let after = after.map(Digest::to_string);
        let range = after.map_or(Range::All, |after| repository::behind("", Some(&after)));
        let records = self.query(Query::of(BLOBS).within(range).most(most)).await?;
        let mut held = Vec::with_capacity(records.len());
        for item in &records {
            let record = Record::read(item)?;
            let digest = parsed("blob digest", Digest::parse(item.text("s")?))?;
            held.push(HeldBlob { digest, size: record.size, damaged: record.is_damaged() });
        }
        Ok(held)
    }

    pub(super) async fn blobs_unheld(&self, digests: &[Digest]) -> Result<Vec<Digest>, Fault> {
        let keys: std::collections::HashSet<_> = digests.iter().map(key).collect();
        let held = self.get_many(&keys.into_iter().collect::<Vec<_>>()).await?;
        let mut unheld = Vec::new();
        for digest in digests {
            if Record::of(held.get(&key(digest)))?.is_none_or(|record| record.place.is_some()) {
                unheld.push(digest.clone());
            }
        }
        Ok(unheld)
    }

    pub(super) async fn places_unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>, Fault> {
        let keys: std::collections::HashSet<_> = places.iter().map(place_key).collect();
        let held = self.get_many(&keys.into_iter().collect::<Vec<_>>()).await?;
        Ok(places.iter().filter(|place| !held.contains_key(&place_key(place))).cloned().collect())
    }

    /// Keeps sums; answers what was there before and stands apart.
    pub(super) async fn blob_prove_step(
        &self,
        digest: &Digest,
        sums: &Bulk,
    ) -> Result<Step<Proven>, RegistryStoreError> {
        let (at, sums_at) = (key(digest), sums_key(digest));
        let seen = self.get_many(&[at.clone(), sums_at.clone()]).await?;
        let Some(record) = Record::of(seen.get(&at))? else {
            return Ok(Step::Answer(Proven { kept: false, before: None }));
        };
        let before = seen.get(&sums_at).map(Bulk::apart_of).transpose()?.flatten();
        let mut actions = vec![record.clone().whole().write(digest, Some(&record))?];
        actions.extend(sums_write(digest, sums, before.as_ref()));
        Ok(Step::Write(actions, Proven { kept: true, before }))
    }

    pub(super) async fn blob_condemn_step(
        &self,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<Step<bool>, RegistryStoreError> {
        let Some(record) = self.blob_record(digest).await?.filter(|record| !record.is_damaged()) else {
            return Ok(Step::Answer(false));
        };
        let damaged = Record { damaged: Some(at), ..record.clone() };
        Ok(Step::Write(vec![damaged.write(digest, Some(&record))?], true))
    }
}

/// What came of keeping sums.
pub(super) struct Proven {
    /// Whether there is a blob that they are of.
    pub(super) kept: bool,
    /// What no longer counts.
    pub(super) before: Option<Bulk>,
}
