//! What may be larger than an item: manifests (4 MiB) and checksums (4 bytes for each 64 KiB of a blob).
//!
//! What is small stands in the item itself. What is not is written beforehand, in parts under a name that nobody else has, and the unit
//! of work that makes it count names it. Until then a note says that it belongs to nobody; the unit takes the note away, and
//! does not happen without it. So a unit stays small, whatever it is about, and what a dead server left is found by its note.

use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::time::Timestamp;

use crate::dynamodb::action::{Action, PRESENT};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, hex, ordered_time};
use crate::dynamodb::table::{Query, Range, Step, Table, random};

/// Bytes that stand in the item itself. An item has 400 KB at most, a transaction 4 MB.
const HERE_MAX: usize = 128 * 1024;

/// Bytes of one part.
const PART: usize = 256 * 1024;

/// Parts in one transaction.
const PARTS_AT_ONCE: usize = 8;

/// How old a note is before what it names is taken away: no unit of work takes so long.
const LEFT_MS: i64 = 24 * 3_600_000;

/// Notes that one pass takes away.
const TIDIED: u32 = 25;

const NOTES: &str = "bulk";

/// Bytes, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bulk {
    /// In the item.
    Here(Vec<u8>),
    /// In parts of their own, under this name.
    Apart(String),
}

fn partition(name: &str) -> String {
    format!("{NOTES}#{name}")
}

fn note_key(name: &str) -> Key {
    Key::new(NOTES, name)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(since).unwrap_or(i64::MAX))
}

impl Bulk {
    /// The item with these bytes, or with their name.
    pub(super) fn onto(&self, item: Item) -> Item {
        match self {
            Bulk::Here(bytes) => item.with_bytes("bytes", bytes),
            Bulk::Apart(name) => item.with_text("apart", name),
        }
    }

    pub(super) fn of(item: &Item) -> Result<Self, Fault> {
        match item.text_if("apart")? {
            Some(name) => Ok(Bulk::Apart(name.to_owned())),
            None => Ok(Bulk::Here(item.bytes("bytes")?.to_vec())),
        }
    }

    /// What stands apart and belongs to an item.
    pub(super) fn apart_of(item: &Item) -> Result<Option<Self>, Fault> {
        Ok(item.text_if("apart")?.map(|name| Bulk::Apart(name.to_owned())))
    }

    /// The action by which it begins to count.
    pub(super) fn settle(&self) -> Option<Action> {
        match self {
            Bulk::Here(_) => None,
            Bulk::Apart(name) => Some(Action::delete(note_key(name)).only_if(PRESENT)),
        }
    }

    /// The action by which it no longer counts.
    pub(super) fn retire(&self) -> Option<Action> {
        match self {
            Bulk::Here(_) => None,
            Bulk::Apart(name) => Some(Action::put(Item::at(&note_key(name)))),
        }
    }
}

impl Table {
    /// Makes bytes ready for a unit of work that lets them count.
    pub(super) async fn bulk_keep(&self, bytes: Vec<u8>) -> Result<Bulk, Fault> {
        if bytes.len() <= HERE_MAX {
            return Ok(Bulk::Here(bytes));
        }
        let name = format!("{}-{}", ordered_time(now()), hex(&random::<16>()?));
        self.unit(|| async { Ok::<_, Fault>(Step::Write(vec![Action::put(Item::at(&note_key(&name)))], ())) }).await?;
        for (group, parts) in bytes.chunks(PART * PARTS_AT_ONCE).enumerate() {
            let puts = || {
                let parts = parts.chunks(PART).enumerate();
                parts.map(|(at, part)| {
                    let key = Key::new(partition(&name), format!("{:05}", group * PARTS_AT_ONCE + at));
                    Action::put(Item::at(&key).with_number("of", bytes.len().div_ceil(PART)).with_bytes("bytes", part))
                })
            };
            self.unit(|| async { Ok::<_, Fault>(Step::Write(puts().collect(), ())) }).await?;
        }
        Ok(Bulk::Apart(name))
    }

    /// The bytes; `None` when they no longer count: then the item names others, or is gone.
    pub(super) async fn bulk_read(&self, bulk: &Bulk) -> Result<Option<Vec<u8>>, Fault> {
        let name = match bulk {
            Bulk::Here(bytes) => return Ok(Some(bytes.clone())),
            Bulk::Apart(name) => name,
        };
        let parts = self.query(Query::of(partition(name))).await?;
        let mut bytes = Vec::new();
        for part in &parts {
            if part.number::<usize>("of")? != parts.len() {
                return Ok(None);
            }
            bytes.extend_from_slice(part.bytes("bytes")?);
        }
        Ok((!parts.is_empty()).then_some(bytes))
    }

    /// Takes away what does not count. When it fails, the note stays for [`bulk_tidy`](Self::bulk_tidy).
    pub(super) async fn bulk_drop(&self, bulk: Option<Bulk>) {
        if let Some(Bulk::Apart(name)) = bulk {
            let _ = self.bulk_take(&name).await;
        }
    }

    async fn bulk_take(&self, name: &str) -> Result<(), Fault> {
        let parts = self.query(Query::of(partition(name))).await?;
        let keys = parts.iter().map(Item::key).collect::<Result<Vec<_>, _>>()?;
        self.delete_many(&keys).await?;
        self.delete_many(&[note_key(name)]).await
    }

    /// Takes away some of what servers left that died before they could let it count.
    pub(super) async fn bulk_tidy(&self) -> Result<(), Fault> {
        let old = Range::Before(ordered_time(now().plus_ms(-LEFT_MS)));
        for note in self.query(Query::of(NOTES).within(old).most(TIDIED)).await? {
            self.bulk_take(note.text("s")?).await?;
        }
        Ok(())
    }
}
