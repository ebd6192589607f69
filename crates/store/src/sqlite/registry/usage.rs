//! What an owner's repositories hold, and may hold: each blob counts once for the owner, however many of its repositories
//! have it, and every manifest counts.
//!
//! `owner.used` is changed in the unit of work that changes what it sums up, so that it is always true and never has to be
//! counted.

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::registry_store::{RegistryStoreError, Room};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::convert::{from_integer, to_integer};
use crate::sqlite::fault::RegistryWork;

/// Whether another repository of the same owner holds a blob.
const ELSEWHERE: &str = "SELECT 1 FROM blob_link JOIN repository ON repository.number = blob_link.repository \
     WHERE blob_link.digest = ?1 AND repository.owner = ?2 AND repository.number <> ?3 LIMIT 1";

/// Whether a blob counts for the owner already, through another of its repositories.
pub(super) fn counts_already(db: &Connection, owner: &str, repository: i64, digest: &str) -> RegistryWork<bool> {
    Ok(db.prepare_cached(ELSEWHERE)?.exists(params![digest, owner, repository])?)
}

/// What an owner may hold and holds; `None` without a quota.
fn room(db: &Connection, owner: &str) -> RegistryWork<Option<Room>> {
    let found: Option<(Option<i64>, i64)> = db
        .prepare_cached("SELECT quota, used FROM owner WHERE name = ?1")?
        .query_row([owner], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        Some((Some(quota), used)) => {
            Some(Room { quota: from_integer("owner quota", quota)?, used: from_integer("owner usage", used)? })
        }
        _ => None,
    })
}

/// The port's `room`.
pub(super) fn room_tx(db: &Connection, repository: &RepositoryName) -> RegistryWork<Option<Room>> {
    room(db, repository.owner())
}

/// Counts bytes that come in, if the quota allows them.
pub(super) fn add(db: &Connection, owner: &OwnerName, bytes: u64) -> RegistryWork<()> {
    if let Some(Room { quota, used }) = room(db, owner.as_str())?
        && used.saturating_add(bytes) > quota
    {
        return Err(RegistryStoreError::QuotaExceeded { owner: owner.clone(), quota, used, bytes }.into());
    }
    change(db, owner.as_str(), to_integer("owner usage", bytes)?)
}

/// Counts bytes that have gone.
pub(super) fn take(db: &Connection, owner: &str, bytes: i64) -> RegistryWork<()> {
    change(db, owner, -bytes)
}

fn change(db: &Connection, owner: &str, bytes: i64) -> RegistryWork<()> {
    db.prepare_cached("UPDATE owner SET used = used + ?2 WHERE name = ?1")?.execute(params![owner, bytes])?;
    Ok(())
}
