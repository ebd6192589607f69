//! Which blob is in which repository.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::BlobLeft;
use rusqlite::{Connection, OptionalExtension, params};

use super::{repository, usage};
use crate::sqlite::convert::{from_integer, parsed, to_integer};
use crate::sqlite::fault::RegistryWork;

/// At most 100, as the port says: whoever asks wants one of them.
pub(in crate::sqlite) const HOLDERS: &str = "SELECT repository.name, blob_link.size FROM blob_link \
     JOIN repository ON repository.number = blob_link.repository \
     WHERE blob_link.digest = ?1 ORDER BY repository.name LIMIT 100";

pub(super) fn link_tx(
    db: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
    size: u64,
    at: Timestamp,
) -> RegistryWork<()> {
    let (name, repository) = (repository, repository::demand(db, repository)?);
    let sql = "INSERT INTO blob_link (repository, digest, size, linked) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (repository, digest) DO NOTHING";
    let text = digest.to_string();
    let new = db.prepare_cached(sql)?.execute(params![repository, text, to_integer("blob size", size)?, at.0])?;
    if new > 0 && !usage::counts_already(db, name.owner(), repository, &text)? {
        usage::add(db, &name.owner_name(), size)?;
    }
    Ok(())
}

pub(super) fn size_tx(db: &Connection, repository: &RepositoryName, digest: &Digest) -> RegistryWork<Option<u64>> {
    let sql =
        "SELECT size FROM blob_link WHERE digest = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1)";
    let size: Option<i64> = db
        .prepare_cached(sql)?
        .query_row(params![repository.as_str(), digest.to_string()], |row| row.get(0))
        .optional()?;
    Ok(match size {
        Some(size) => Some(from_integer("blob size", size)?),
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

pub(super) fn unlink_tx(
    db: &Connection,
    repository: &RepositoryName,
    digest: &Digest,
) -> RegistryWork<Option<BlobLeft>> {
    let digest = digest.to_string();
    let Some(number) = repository::number(db, repository)? else { return Ok(None) };
    let sql = "DELETE FROM blob_link WHERE digest = ?2 AND repository = ?1 RETURNING size";
    let size: Option<i64> = db.prepare_cached(sql)?.query_row(params![number, digest], |row| row.get(0)).optional()?;
    let Some(size) = size else { return Ok(None) };
    if !usage::counts_already(db, repository.owner(), number, &digest)? {
        usage::take(db, repository.owner(), size)?;
    }
    let elsewhere = db.prepare_cached("SELECT 1 FROM blob_link WHERE digest = ?1 LIMIT 1")?.exists([digest])?;
    Ok(Some(if elsewhere { BlobLeft::Elsewhere } else { BlobLeft::Nowhere }))
}
