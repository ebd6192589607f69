//! Blobs that no manifest of their repository names.
//!
//! What a repository's manifests name is gathered once for a statement, not looked up for each blob: an index for that way would be
//! written by every push, and there is seldom anything to collect.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::CollectedBlob;
use rusqlite::{Connection, OptionalExtension, params};

use super::manifest::digest;
use super::{blob, repository};
use crate::sqlite::convert::{from_integer, parsed, to_json};
use crate::sqlite::fault::RegistryWork;

pub(in crate::sqlite) const LIST: &str = "SELECT digest, size FROM blob_link \
     WHERE repository = ?1 AND digest > ?2 AND linked <= ?3 AND digest NOT IN \
     (SELECT manifest_blob.digest FROM manifest JOIN manifest_blob ON manifest_blob.manifest = manifest.number \
      WHERE manifest.repository = ?1) ORDER BY digest LIMIT ?4";

/// Those of a list of digests (JSON) that [`LIST`] has, in the order of the list.
pub(in crate::sqlite) const AMONG: &str = "SELECT blob_link.digest, blob_link.size FROM json_each(?2) AS asked \
     JOIN blob_link ON blob_link.repository = ?1 AND blob_link.digest = asked.value \
     WHERE blob_link.linked <= ?3 AND blob_link.digest NOT IN \
     (SELECT manifest_blob.digest FROM manifest JOIN manifest_blob ON manifest_blob.manifest = manifest.number \
      WHERE manifest.repository = ?1) ORDER BY asked.key";

pub(super) fn list_tx(
    db: &Connection,
    repository: &RepositoryName,
    until: Timestamp,
    after: Option<&Digest>,
    most: u32,
) -> RegistryWork<Vec<(Digest, u64)>> {
    let Some(number) = repository::number(db, repository)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(LIST)?;
    // Nothing sorts before the empty text.
    let after = after.map(Digest::to_string).unwrap_or_default();
    let mut rows = select.query(params![number, after, until.0, most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((digest(row, 0)?, from_integer("blob size", row.get(1)?)?));
    }
    Ok(found)
}

pub(super) fn collect_tx(
    db: &Connection,
    repository: &RepositoryName,
    digests: &[Digest],
    until: Timestamp,
) -> RegistryWork<Vec<CollectedBlob>> {
    let Some(number) = repository::number(db, repository)? else { return Ok(Vec::new()) };
    let asked: Vec<String> = digests.iter().map(Digest::to_string).collect();
    let unneeded: Vec<String> = {
        let mut select = db.prepare_cached(AMONG)?;
        let found = select.query_map(params![number, to_json("digests", &asked)?, until.0], |row| row.get(0))?;
        found.collect::<Result<_, _>>()?
    };
    let mut collected = Vec::with_capacity(unneeded.len());
    let sql = "DELETE FROM blob_link WHERE repository = ?1 AND digest = ?2 RETURNING size";
    for text in unneeded {
        let size: Option<i64> =
            db.prepare_cached(sql)?.query_row(params![number, text], |row| row.get(0)).optional()?;
        // Asked for twice.
        let Some(size) = size else { continue };
        collected.push(CollectedBlob {
            left: blob::unlinked(db, repository, number, &text, size)?,
            size: from_integer("blob size", size)?,
            digest: parsed("blob digest", Digest::parse(&text))?,
        });
    }
    Ok(collected)
}
