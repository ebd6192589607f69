//! Which blob is in which repository.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobRecord};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{BlobLeft, BlobLink, HeldBlob, LinkedBlob};
use rusqlite::{Connection, OptionalExtension, params};

use super::{content, place, repository, tag, usage, users};
use crate::sqlite::convert::{from_integer, parsed, to_integer};
use crate::sqlite::fault::RegistryWork;

/// At most 100, as the port says: whoever asks wants one of them.
pub(in crate::sqlite) const HOLDERS: &str = "SELECT repository.name, blob_link.size FROM blob_link \
     JOIN repository ON repository.number = blob_link.repository \
     WHERE blob_link.digest = ?1 ORDER BY repository.name LIMIT 100";

pub(in crate::sqlite) const SIZE: &str = "SELECT size, linked FROM blob_link \
     WHERE digest = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1) \
     AND NOT EXISTS (SELECT 1 FROM blob_damage WHERE digest = ?2)";

/// Length, whether it is damaged, and its sums.
pub(in crate::sqlite) const RECORD: &str = "SELECT blob_link.size, blob_damage.digest IS NOT NULL, blob_sums.piece, blob_sums.sums FROM blob_link \
     LEFT JOIN blob_damage ON blob_damage.digest = blob_link.digest \
     LEFT JOIN blob_sums ON blob_sums.digest = blob_link.digest \
     WHERE blob_link.digest = ?2 AND blob_link.repository = (SELECT number FROM repository WHERE name = ?1)";

/// Each blob once. Its links may differ in size only where one of them has rotted.
pub(in crate::sqlite) const HELD: &str = "SELECT digest, max(size), \
     EXISTS (SELECT 1 FROM blob_damage WHERE blob_damage.digest = blob_link.digest) FROM blob_link \
     WHERE digest > ?1 GROUP BY digest ORDER BY digest LIMIT ?2";

pub(super) fn link_tx(
    db: &Connection,
    repository: &RepositoryName,
    blob: &BlobLink,
    at: Timestamp,
) -> RegistryWork<Option<BlobPlace>> {
    let (name, repository) = (repository, repository::demand(db, repository)?);
    let (text, size) = (blob.digest.to_string(), to_integer("blob size", blob.size)?);
    let left = match (&blob.place, &blob.sums) {
        (place, Some(_)) => place::replace(db, &blob.digest, place.as_ref())?,
        (Some(place), None) => {
            place::demand(db, &blob.digest, place)?;
            None
        }
        (None, None) => None,
    };
    let before: Option<i64> = db
        .prepare_cached("SELECT size FROM blob_link WHERE repository = ?1 AND digest = ?2")?
        .query_row(params![repository, text], |row| row.get(0))
        .optional()?;
    if before != Some(size) && !usage::counts_already(db, name.owner(), repository, &text)? {
        if let Some(before) = before {
            usage::take(db, name.owner(), before)?;
        }
        usage::add(db, &name.owner_name(), blob.size)?;
    }
    // Whoever links again brings the length along: it is what a damaged row would be healed by.
    let sql = "INSERT INTO blob_link (repository, digest, size, linked) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (repository, digest) DO UPDATE SET size = excluded.size, linked = excluded.linked";
    db.prepare_cached(sql)?.execute(params![repository, text, size, at.0])?;
    if let Some(sums) = &blob.sums {
        content::prove_tx(db, &blob.digest, sums)?;
    }
    Ok(left)
}

pub(super) fn get_tx(
    db: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
) -> RegistryWork<Option<BlobRecord>> {
    let mut select = db.prepare_cached(RECORD)?;
    let mut rows = select.query(params![repository.as_str(), digest.to_string()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let size = from_integer("blob size", row.get(0)?)?;
    let condition = content::condition(size, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Some(BlobRecord { size, condition }))
}

pub(super) fn size_tx(
    db: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
) -> RegistryWork<Option<LinkedBlob>> {
    let found: Option<(i64, i64)> = db
        .prepare_cached(SIZE)?
        .query_row(params![repository.as_str(), digest.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        Some((size, linked)) => Some(LinkedBlob { size: from_integer("blob size", size)?, linked: Timestamp(linked) }),
        None => None,
    })
}

pub(super) fn holders_tx(db: &Connection, digest: &Digest) -> RegistryWork<Vec<(RepositoryName, u64)>> {
    let mut select = db.prepare_cached(HOLDERS)?;
    let mut rows = select.query([digest.to_string()])?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?;
        let name = parsed("repository name", name.as_str())?;
        holders
            .push((parsed("repository name", RepositoryName::parse(name))?, from_integer("blob size", row.get(1)?)?));
    }
    Ok(holders)
}

pub(super) fn holders_count_tx(db: &Connection, digest: &Digest) -> RegistryWork<u64> {
    let mut select = db.prepare_cached("SELECT count(*) FROM blob_link WHERE digest = ?1")?;
    Ok(from_integer("number of links", select.query_row([digest.to_string()], |row| row.get(0))?)?)
}

pub(super) fn list_tx(db: &Connection, after: Option<&Digest>, most: u32) -> RegistryWork<Vec<HeldBlob>> {
    let mut select = db.prepare_cached(HELD)?;
    // Nothing sorts before the empty text.
    let after = after.map(Digest::to_string).unwrap_or_default();
    let mut rows = select.query(params![after, most])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let digest = row.get_ref(0)?;
        let digest = parsed("blob digest", digest.as_str())?;
        held.push(HeldBlob {
            digest: parsed("blob digest", Digest::parse(digest))?,
            size: from_integer("blob size", row.get(1)?)?,
            damaged: row.get(2)?,
        });
    }
    Ok(held)
}

pub(super) fn unheld_tx(db: &Connection, digests: Vec<Digest>) -> RegistryWork<Vec<Digest>> {
    let mut unheld = Vec::new();
    for digest in digests {
        if !is_held(db, &digest.to_string())? || place::get_tx(db, &digest)?.is_some() {
            unheld.push(digest);
        }
    }
    Ok(unheld)
}

pub(super) fn unlink_tx(
    db: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
) -> RegistryWork<Option<BlobLeft>> {
    let text = digest.to_string();
    let Some(number) = repository::number(db, repository)? else { return Ok(None) };
    let sql = "SELECT 1 FROM blob_link WHERE repository = ?1 AND digest = ?2";
    if !db.prepare_cached(sql)?.exists(params![number, text])? {
        return Ok(None);
    }
    tag::may_lose(db, repository, || users::naming(db, number, digest))?;
    let sql = "DELETE FROM blob_link WHERE digest = ?2 AND repository = ?1 RETURNING size";
    let size: Option<i64> = db.prepare_cached(sql)?.query_row(params![number, text], |row| row.get(0)).optional()?;
    size.map(|size| unlinked(db, repository, number, &text, size)).transpose()
}

/// What goes with the link of a blob that has just been taken out of a repository.
pub(super) fn unlinked(
    db: &Connection,
    repository: &RepositoryName,
    number: i64,
    digest: &str,
    size: i64,
) -> RegistryWork<BlobLeft> {
    if !usage::counts_already(db, repository.owner(), number, digest)? {
        usage::take(db, repository.owner(), size)?;
    }
    if is_held(db, digest)? {
        return Ok(BlobLeft::Elsewhere);
    }
    content::forget(db, digest)?;
    Ok(BlobLeft::Nowhere { place: place::take(db, digest)? })
}

/// Whether any repository holds the blob.
pub(super) fn is_held(db: &Connection, digest: &str) -> RegistryWork<bool> {
    Ok(db.prepare_cached("SELECT 1 FROM blob_link WHERE digest = ?1 LIMIT 1")?.exists([digest])?)
}
