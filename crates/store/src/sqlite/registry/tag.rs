//! Tags of images.

use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::Page;
use rusqlite::{Connection, params};

use super::repository;
use crate::sqlite::fault::RegistryWork;

/// A page of a list: as many rows are read as are shown, however many there are.
pub(in crate::sqlite) const LIST: &str =
    "SELECT name FROM image_tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";

/// Points a tag at a manifest, wherever it pointed before.
pub(super) fn put(db: &Connection, repository: i64, tag: &str, manifest: i64) -> RegistryWork<()> {
    let sql = "INSERT INTO image_tag (repository, name, manifest) VALUES (?1, ?2, ?3) \
               ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest";
    db.prepare_cached(sql)?.execute(params![repository, tag, manifest])?;
    Ok(())
}

pub(super) fn delete_tx(db: &Connection, repository: &RepositoryName, tag: &str) -> RegistryWork<bool> {
    let sql = "DELETE FROM image_tag WHERE name = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1)";
    let deleted = db.prepare_cached(sql)?.execute([repository.as_str(), tag])?;
    Ok(deleted > 0)
}

pub(super) fn list_tx(db: &Connection, repository: &RepositoryName, page: &Page) -> RegistryWork<Option<Vec<String>>> {
    let Some(repository) = repository::number(db, repository)? else {
        return Ok(None);
    };
    let mut select = db.prepare_cached(LIST)?;
    let tags =
        select.query_map(params![repository, repository::after(page), repository::limit(page)], |row| row.get(0))?;
    Ok(Some(tags.collect::<Result<_, _>>()?))
}
