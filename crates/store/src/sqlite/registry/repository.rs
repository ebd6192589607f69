//! Repositories.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Repository;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::convert::{from_integer, parsed};
use crate::sqlite::fault::RegistryWork;

pub(in crate::sqlite) const ALL: &str = "SELECT name, created FROM repository WHERE name > ?1 ORDER BY name LIMIT ?2";
pub(in crate::sqlite) const OF_OWNER: &str =
    "SELECT name, created FROM repository WHERE name > ?1 AND owner = ?3 ORDER BY name LIMIT ?2";

/// How many entries a page asks for, as SQLite's `LIMIT`: negative means all.
pub(super) fn limit(page: &Page) -> i64 {
    page.most.map_or(-1, i64::from)
}

/// What a page begins after; nothing sorts before the empty text.
pub(super) fn after(page: &Page) -> &str {
    page.after.as_deref().unwrap_or("")
}

/// The number that stands for a repository in the other tables.
pub(super) fn number(db: &Connection, name: &RepositoryName) -> RegistryWork<Option<i64>> {
    Ok(db
        .prepare_cached("SELECT number FROM repository WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?)
}

/// The number of a repository that must be there.
pub(super) fn demand(db: &Connection, name: &RepositoryName) -> RegistryWork<i64> {
    number(db, name)?.ok_or_else(|| RegistryStoreError::RepositoryMissing(name.clone()).into())
}

pub(super) fn create_tx(db: &Connection, repository: &Repository) -> RegistryWork<()> {
    let name = &repository.name;
    if number(db, name)?.is_some() {
        return Err(RegistryStoreError::RepositoryExists(name.clone()).into());
    }
    db.prepare_cached("INSERT INTO repository (name, owner, created) VALUES (?1, ?2, ?3)")?.execute(params![
        name.as_str(),
        name.owner(),
        repository.created.0
    ])?;
    Ok(())
}

pub(super) fn get_tx(db: &Connection, name: &RepositoryName) -> RegistryWork<Option<Repository>> {
    let created: Option<i64> = db
        .prepare_cached("SELECT created FROM repository WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?;
    Ok(created.map(|created| Repository { name: name.clone(), created: Timestamp(created) }))
}

pub(super) fn list_tx(db: &Connection, owner: Option<&str>, page: &Page) -> RegistryWork<Vec<Repository>> {
    let mut select = db.prepare_cached(if owner.is_some() { OF_OWNER } else { ALL })?;
    let mut rows = match owner {
        Some(owner) => select.query(params![after(page), limit(page), owner])?,
        None => select.query(params![after(page), limit(page)])?,
    };
    let mut repositories = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?;
        let name = parsed("repository name", name.as_str())?;
        repositories.push(Repository {
            name: parsed("repository name", RepositoryName::parse(name))?,
            created: Timestamp(row.get(1)?),
        });
    }
    Ok(repositories)
}

pub(super) fn delete_tx(db: &Connection, name: &RepositoryName, only_empty: bool) -> RegistryWork<Vec<Digest>> {
    let repository = demand(db, name)?;
    if only_empty {
        let manifests: i64 = db
            .prepare_cached("SELECT count(*) FROM manifest WHERE repository = ?1")?
            .query_row([repository], |row| row.get(0))?;
        if manifests > 0 {
            return Err(RegistryStoreError::RepositoryNotEmpty {
                repository: name.clone(),
                manifests: from_integer("count", manifests)?,
            }
            .into());
        }
    }
    let freed = {
        let sql = "SELECT digest FROM blob_link AS mine WHERE repository = ?1 AND NOT EXISTS \
                   (SELECT 1 FROM blob_link AS other WHERE other.digest = mine.digest AND other.repository <> ?1) \
                   ORDER BY digest";
        let mut select = db.prepare_cached(sql)?;
        let mut rows = select.query([repository])?;
        let mut freed = Vec::new();
        while let Some(row) = rows.next()? {
            let digest = row.get_ref(0)?;
            let digest = parsed("blob digest", digest.as_str())?;
            freed.push(parsed("blob digest", Digest::parse(digest))?);
        }
        freed
    };
    // Tags, manifests and blob links go with it: all of them refer to it with ON DELETE CASCADE.
    db.prepare_cached("DELETE FROM repository WHERE number = ?1")?.execute([repository])?;
    Ok(freed)
}
