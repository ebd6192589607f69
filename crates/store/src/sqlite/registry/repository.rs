//! Repositories.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{FreedBlob, Page, RegistryStoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::{content, place, tag, usage};
use crate::sqlite::convert::{from_integer, parsed};
use crate::sqlite::fault::{Fault, RegistryWork};
use crate::sqlite::shut_out;

pub(in crate::sqlite) const ALL: &str =
    "SELECT name, created, visibility FROM repository WHERE name > ?1 ORDER BY name LIMIT ?2";
pub(in crate::sqlite) const OF_OWNER: &str =
    "SELECT name, created, visibility FROM repository WHERE name > ?1 AND owner = ?3 ORDER BY name LIMIT ?2";

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
    let sql = "INSERT INTO owner (name, created) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    db.prepare_cached(sql)?.execute(params![name.owner(), repository.created.0])?;
    let sql = "INSERT INTO repository (name, owner, created, visibility) VALUES (?1, ?2, ?3, ?4)";
    db.prepare_cached(sql)?.execute(params![
        name.as_str(),
        name.owner(),
        repository.created.0,
        repository.visibility.as_str()
    ])?;
    Ok(())
}

pub(super) fn get_tx(db: &Connection, name: &RepositoryName) -> RegistryWork<Option<Repository>> {
    let found: Option<(i64, String)> = db
        .prepare_cached("SELECT created, visibility FROM repository WHERE name = ?1")?
        .query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((created, seen)) = found else { return Ok(None) };
    Ok(Some(Repository { name: name.clone(), created: Timestamp(created), visibility: visibility(&seen)? }))
}

fn visibility(text: &str) -> Result<Visibility, Fault> {
    Visibility::parse(text).ok_or(Fault::Unreadable { what: "repository visibility" })
}

pub(super) fn update_tx(db: &Connection, name: &RepositoryName, to: Visibility) -> RegistryWork<Repository> {
    let number = demand(db, name)?;
    let sql = "UPDATE repository SET visibility = ?2 WHERE number = ?1 AND visibility <> ?2";
    let changed = db.prepare_cached(sql)?.execute(params![number, to.as_str()])?;
    if changed > 0 && to == Visibility::Private {
        shut_out::note_tx(db)?;
    }
    get_tx(db, name)?.ok_or_else(|| RegistryStoreError::RepositoryMissing(name.clone()).into())
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
            visibility: visibility(row.get_ref(2)?.as_str().unwrap_or_default())?,
        });
    }
    Ok(repositories)
}

pub(super) fn delete_tx(db: &Connection, name: &RepositoryName, only_empty: bool) -> RegistryWork<Vec<FreedBlob>> {
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
    let sql = "SELECT name FROM image_tag WHERE repository = ?1";
    let tags: Vec<String> = {
        let mut select = db.prepare_cached(sql)?;
        let tags = select.query_map([repository], |row| row.get(0))?;
        tags.collect::<Result<_, _>>()?
    };
    for tag in tags {
        tag::may_go(db, name, &tag)?;
    }
    vacate_tx(db, name)
}

/// Forgets what is known of a blob that no repository holds any more.
fn forgotten(db: &Connection, digest: Digest) -> RegistryWork<FreedBlob> {
    let text = digest.to_string();
    content::forget(db, &text)?;
    Ok(FreedBlob { place: place::take(db, &text)?, digest })
}

/// The same, whatever its tags' rules say.
pub(super) fn vacate_tx(db: &Connection, name: &RepositoryName) -> RegistryWork<Vec<FreedBlob>> {
    let repository = demand(db, name)?;
    let sql = "SELECT coalesce(sum(size), 0) FROM blob_link AS mine WHERE repository = ?1 AND NOT EXISTS \
               (SELECT 1 FROM blob_link AS other JOIN repository ON repository.number = other.repository \
                WHERE other.digest = mine.digest AND repository.owner = ?2 AND other.repository <> ?1)";
    let blobs: i64 = db.prepare_cached(sql)?.query_row(params![repository, name.owner()], |row| row.get(0))?;
    let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM manifest WHERE repository = ?1";
    let manifests: i64 = db.prepare_cached(sql)?.query_row([repository], |row| row.get(0))?;
    usage::take(db, name.owner(), blobs + manifests)?;
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
    freed.into_iter().map(|digest| forgotten(db, digest)).collect()
}
