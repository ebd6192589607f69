//! Tags of images.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::TagRule;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::{repository, users};
use crate::sqlite::fault::{RegistryWork, Stop};
use crate::sqlite::owner;

/// A page of a list: as many rows are read as are shown, however many there are.
pub(in crate::sqlite) const LIST: &str =
    "SELECT name FROM image_tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";

/// Points a tag at a manifest, wherever it pointed before.
pub(super) fn put(db: &Connection, repository: i64, tag: &str, manifest: i64, pushed: Timestamp) -> RegistryWork<()> {
    let sql = "INSERT INTO image_tag (repository, name, manifest, pushed) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, pushed = excluded.pushed";
    db.prepare_cached(sql)?.execute(params![repository, tag, manifest, pushed.0])?;
    Ok(())
}

/// Refuses to point an immutable tag at another manifest than it points to.
pub(super) fn may_move(
    db: &Connection,
    name: &RepositoryName,
    repository: i64,
    tag: &str,
    to: &Digest,
) -> RegistryWork<()> {
    let Some(rule) = rule_for(db, name, tag)? else { return Ok(()) };
    let sql = "SELECT manifest.digest FROM image_tag JOIN manifest ON manifest.number = image_tag.manifest \
               WHERE image_tag.repository = ?1 AND image_tag.name = ?2";
    let now: Option<String> =
        db.prepare_cached(sql)?.query_row(params![repository, tag], |row| row.get(0)).optional()?;
    match now {
        Some(now) if now != to.to_string() => Err(immutable(name, tag, rule)),
        _ => Ok(()),
    }
}

/// Refuses to take an immutable tag away.
pub(super) fn may_go(db: &Connection, name: &RepositoryName, tag: &str) -> RegistryWork<()> {
    match rule_for(db, name, tag)? {
        Some(rule) if is_there(db, name, tag)? => Err(immutable(name, tag, rule)),
        _ => Ok(()),
    }
}

/// Refuses to take something away that an immutable tag leads to. `users` finds the manifests that are it or name it; they are looked
/// for only where a rule is about the repository.
pub(super) fn may_lose(
    db: &Connection,
    name: &RepositoryName,
    users: impl FnOnce() -> RegistryWork<Vec<i64>>,
) -> RegistryWork<()> {
    let mut rules = owner::rules(db, name.owner())?;
    rules.retain(|rule| rule.repositories.matches(name.name()));
    if rules.is_empty() {
        return Ok(());
    }
    let mut tags = db.prepare_cached(users::TAGS)?;
    for manifest in users::upwards(db, users()?)? {
        let mut rows = tags.query([manifest])?;
        while let Some(row) = rows.next()? {
            let tag: String = row.get(0)?;
            if let Some(rule) = rules.iter().find(|rule| rule.holds(name.name(), &tag)) {
                return Err(immutable(name, &tag, rule.clone()));
            }
        }
    }
    Ok(())
}

fn is_there(db: &Connection, name: &RepositoryName, tag: &str) -> RegistryWork<bool> {
    let sql =
        "SELECT 1 FROM image_tag WHERE name = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1)";
    Ok(db.prepare_cached(sql)?.exists(params![name.as_str(), tag])?)
}

/// The rule that makes a tag immutable, if one does.
fn rule_for(db: &Connection, name: &RepositoryName, tag: &str) -> RegistryWork<Option<TagRule>> {
    let rules = owner::rules(db, name.owner())?;
    Ok(rules.into_iter().find(|rule| rule.holds(name.name(), tag)))
}

fn immutable(name: &RepositoryName, tag: &str, rule: TagRule) -> Stop<RegistryStoreError> {
    RegistryStoreError::TagImmutable { repository: name.clone(), tag: tag.to_owned(), rule: Box::new(rule) }.into()
}

pub(super) fn delete_tx(db: &Connection, repository: &RepositoryName, tag: &str) -> RegistryWork<bool> {
    may_go(db, repository, tag)?;
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
