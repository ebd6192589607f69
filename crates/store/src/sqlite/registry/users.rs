//! Who needs a blob or a manifest: the way up from content to the tags that stop working without it.
//!
//! Nothing has an index for this way: it is gone when something was found damaged, and reads the manifests of the
//! repositories that hold it.

use std::collections::{BTreeSet, HashMap};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_store::ContentUser;
use rusqlite::{Connection, OptionalExtension, params};

use super::manifest::digest;
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

/// Each index of a repository with each of its parts.
pub(in crate::sqlite) const PARTS: &str = "SELECT whole.number, part.number FROM manifest AS whole \
     JOIN manifest_child ON manifest_child.manifest = whole.number \
     JOIN manifest AS part ON part.repository = ?1 AND part.digest = manifest_child.digest \
     WHERE whole.repository = ?1";

pub(in crate::sqlite) const TAGS: &str = "SELECT name FROM image_tag WHERE manifest = ?1";

pub(super) fn of_blob_tx(db: &Connection, blob: &Digest) -> RegistryWork<Vec<ContentUser>> {
    let mut holding = db.prepare_cached(HOLDING)?;
    let mut rows = holding.query([blob.to_string()])?;
    let mut naming = db.prepare_cached(NAMING)?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let repository: i64 = row.get(0)?;
        let name = row.get_ref(1)?;
        let name = parsed("repository name", name.as_str())?;
        let first = naming.query_map(params![repository, blob.to_string()], |row| row.get(0))?;
        let first = first.collect::<Result<Vec<i64>, _>>()?;
        users.push(above(db, parsed("repository name", RepositoryName::parse(name))?, repository, first)?);
    }
    Ok(users)
}

pub(super) fn of_manifest_tx(
    db: &Connection,
    name: &RepositoryName,
    manifest: &Digest,
) -> RegistryWork<Option<ContentUser>> {
    let Some(repository) = repository::number(db, name)? else { return Ok(None) };
    let sql = "SELECT number FROM manifest WHERE repository = ?1 AND digest = ?2";
    let first: Option<i64> =
        db.prepare_cached(sql)?.query_row(params![repository, manifest.to_string()], |row| row.get(0)).optional()?;
    first.map(|first| above(db, name.clone(), repository, vec![first])).transpose()
}

/// These manifests, those that need them, and the tags of all.
fn above(db: &Connection, name: RepositoryName, repository: i64, first: Vec<i64>) -> RegistryWork<ContentUser> {
    let mut found: BTreeSet<i64> = first.iter().copied().collect();
    if !found.is_empty() {
        let mut wholes: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut parts = db.prepare_cached(PARTS)?;
        let mut rows = parts.query([repository])?;
        while let Some(row) = rows.next()? {
            wholes.entry(row.get(1)?).or_default().push(row.get(0)?);
        }
        let mut todo = first;
        while let Some(part) = todo.pop() {
            todo.extend(wholes.get(&part).into_iter().flatten().filter(|whole| found.insert(**whole)));
        }
    }
    let (mut manifests, mut tags) = (BTreeSet::new(), BTreeSet::new());
    let mut by_number = db.prepare_cached("SELECT digest FROM manifest WHERE number = ?1")?;
    let mut tagged = db.prepare_cached(TAGS)?;
    for number in found {
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
