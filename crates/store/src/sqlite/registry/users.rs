//! Who needs a blob or a manifest: the way up from content to the tags that stop working without it.
//!
//! From a manifest to the indexes that name it there is an index. From a blob there is none, which every push would write: that step
//! reads the manifests of the repositories that hold it, when something was found damaged, or is to go in spite of immutable tags.

use std::collections::BTreeSet;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::ContentUser;
use rusqlite::{Connection, params};

use super::manifest::{digest, numbered};
use super::repository;
use crate::sqlite::convert::parsed;
use crate::sqlite::fault::RegistryWork;

/// How many repositories, manifests of each and tags of each are named at most: more are not read by anybody.
const NAMED: usize = 100;

pub(in crate::sqlite) const HOLDING: &str = "SELECT repository.number, repository.name FROM blob_link \
     JOIN repository ON repository.number = blob_link.repository \
     WHERE blob_link.digest = ?1 ORDER BY repository.name LIMIT 100";

/// The manifests of a repository that name a blob.
const NAMING: &str = "SELECT DISTINCT manifest.number FROM manifest \
     JOIN manifest_blob ON manifest_blob.manifest = manifest.number \
     WHERE manifest.repository = ?1 AND manifest_blob.digest = ?2";

/// The indexes that name a manifest.
pub(in crate::sqlite) const WHOLES: &str = "SELECT whole.manifest FROM manifest AS part \
     JOIN manifest_child AS whole ON whole.repository = part.repository AND whole.digest = part.digest \
     WHERE part.number = ?1";

pub(in crate::sqlite) const TAGS: &str = "SELECT name FROM image_tag WHERE manifest = ?1";

pub(super) fn of_blob_tx(db: &Connection, blob: &Digest) -> RegistryWork<Vec<ContentUser>> {
    let mut holding = db.prepare_cached(HOLDING)?;
    let mut rows = holding.query([blob.to_string()])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let repository: i64 = row.get(0)?;
        let name = row.get_ref(1)?;
        let name = parsed("repository name", name.as_str())?;
        let first = naming(db, repository, blob)?;
        users.push(above(db, parsed("repository name", RepositoryName::parse(name))?, first)?);
    }
    Ok(users)
}

pub(super) fn of_manifest_tx(
    db: &Connection,
    name: &RepositoryName,
    manifest: &Digest,
) -> RegistryWork<Option<ContentUser>> {
    let Some(repository) = repository::number(db, name)? else { return Ok(None) };
    let first = numbered(db, repository, manifest)?;
    first.map(|first| above(db, name.clone(), vec![first])).transpose()
}

/// The manifests of a repository that name a blob.
pub(super) fn naming(db: &Connection, repository: i64, blob: &Digest) -> RegistryWork<Vec<i64>> {
    let mut naming = db.prepare_cached(NAMING)?;
    let found = naming.query_map(params![repository, blob.to_string()], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// These manifests and those that need them.
pub(super) fn upwards(db: &Connection, first: Vec<i64>) -> RegistryWork<BTreeSet<i64>> {
    let mut found: BTreeSet<i64> = first.iter().copied().collect();
    let mut todo = first;
    let mut wholes = db.prepare_cached(WHOLES)?;
    while let Some(part) = todo.pop() {
        for whole in wholes.query_map([part], |row| row.get(0))? {
            let whole: i64 = whole?;
            if found.insert(whole) {
                todo.push(whole);
            }
        }
    }
    Ok(found)
}

/// These manifests, those that need them, and the tags of all.
fn above(db: &Connection, name: RepositoryName, first: Vec<i64>) -> RegistryWork<ContentUser> {
    let (mut manifests, mut tags) = (BTreeSet::new(), BTreeSet::new());
    let mut by_number = db.prepare_cached("SELECT digest FROM manifest WHERE number = ?1")?;
    let mut tagged = db.prepare_cached(TAGS)?;
    for number in upwards(db, first)? {
        let mut rows = by_number.query([number])?;
        if let Some(row) = rows.next()? {
            manifests.insert(digest(row, 0)?);
        }
        for tag in tagged.query_map([number], |row| row.get::<_, String>(0))? {
            tags.insert(tag?);
        }
    }
    Ok(ContentUser {
        repository: name,
        manifests: manifests.into_iter().take(NAMED).collect(),
        tags: tags.into_iter().take(NAMED).collect(),
    })
}
