//! What of a repository goes by its owner's rules.

use std::collections::{BTreeMap, BTreeSet};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::retention::{ImageManifest, ImageTag, Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::retention::{confirm, subject_of};
use rusqlite::{Connection, params};

use super::{manifest, repository};
use crate::sqlite::convert::parsed;
use crate::sqlite::fault::{Fault, RegistryWork};
use crate::sqlite::owner;

#[cfg(test)]
mod tests;

const TAGS: &str = "SELECT manifest.digest, image_tag.name, image_tag.pushed FROM image_tag \
     JOIN manifest ON manifest.number = image_tag.manifest WHERE image_tag.repository = ?1 ORDER BY image_tag.name";

const MANIFESTS: &str = "SELECT digest, pushed, subject, number FROM manifest WHERE repository = ?1 ORDER BY digest";

const CHILDREN: &str = "SELECT manifest_child.digest, manifest_child.manifest FROM manifest \
     JOIN manifest_child ON manifest_child.manifest = manifest.number WHERE manifest.repository = ?1";

pub(in crate::sqlite) const TAG: &str = "SELECT manifest.digest, image_tag.pushed FROM image_tag \
     JOIN manifest ON manifest.number = image_tag.manifest WHERE image_tag.repository = ?1 AND image_tag.name = ?2";

const MANIFEST: &str = "SELECT number, pushed, subject FROM manifest WHERE repository = ?1 AND digest = ?2";

pub(in crate::sqlite) const POINTING: &str = "SELECT name, pushed FROM image_tag WHERE manifest = ?1";

/// The indexes of a repository that name a manifest, which need not be there.
pub(in crate::sqlite) const PARENTS: &str = "SELECT whole.digest, whole.pushed FROM manifest_child \
     JOIN manifest AS whole ON whole.number = manifest_child.manifest \
     WHERE manifest_child.repository = ?1 AND manifest_child.digest = ?2";

/// Dates the links of what a manifest names: a grace begins for them. Those that it shares with one before are dated already.
pub(in crate::sqlite) const DATE: &str = "UPDATE blob_link SET linked = ?3 WHERE repository = ?1 AND linked < ?3 AND digest IN \
     (SELECT manifest_blob.digest FROM manifest JOIN manifest_blob ON manifest_blob.manifest = manifest.number \
      WHERE manifest.repository = ?1 AND manifest.digest = ?2)";

pub(super) fn images_tx(db: &Connection, name: &RepositoryName) -> RegistryWork<Option<Images>> {
    match repository::number(db, name)? {
        Some(number) => Ok(Some(images(db, number)?)),
        None => Ok(None),
    }
}

fn images(db: &Connection, repository: i64) -> RegistryWork<Images> {
    let mut images = Images::default();
    let mut select = db.prepare_cached(TAGS)?;
    let mut rows = select.query([repository])?;
    while let Some(row) = rows.next()? {
        let digest = manifest::digest(row, 0)?;
        images.tags.push(ImageTag { digest, name: row.get(1)?, pushed: Timestamp(row.get(2)?) });
    }
    let mut children: BTreeMap<i64, Vec<Digest>> = BTreeMap::new();
    let mut select = db.prepare_cached(CHILDREN)?;
    let mut rows = select.query([repository])?;
    while let Some(row) = rows.next()? {
        children.entry(row.get(1)?).or_default().push(manifest::digest(row, 0)?);
    }
    let mut select = db.prepare_cached(MANIFESTS)?;
    let mut rows = select.query([repository])?;
    while let Some(row) = rows.next()? {
        let (about, number): (Option<String>, i64) = (row.get(2)?, row.get(3)?);
        images.manifests.push(ImageManifest {
            digest: manifest::digest(row, 0)?,
            pushed: Timestamp(row.get(1)?),
            children: children.remove(&number).unwrap_or_default(),
            subject: subject(about)?,
        });
    }
    Ok(images)
}

pub(super) fn retire_tx(
    db: &Connection,
    name: &RepositoryName,
    asked: &Retiring,
    at: Timestamp,
) -> RegistryWork<Retiring> {
    let Some(number) = repository::number(db, name)? else { return Ok(Retiring::default()) };
    let going = confirm(name.name(), &owner::rules(db, name.owner())?, &around(db, number, asked)?, asked);
    let mut delete = db.prepare_cached("DELETE FROM image_tag WHERE repository = ?1 AND name = ?2")?;
    for tag in &going.tags {
        delete.execute(params![number, tag.name])?;
    }
    let mut date = db.prepare_cached(DATE)?;
    for (digest, _) in &going.manifests {
        date.execute(params![number, digest.to_string(), at.0])?;
        manifest::take(db, name, number, digest)?;
    }
    Ok(going)
}

/// As much of a repository as [`confirm`] decides by: what is asked for, and what leads to it. All of it is found by its keys, so that
/// the writer is kept from pushes for what is asked for, however much else the repository has.
fn around(db: &Connection, repository: i64, asked: &Retiring) -> RegistryWork<Images> {
    let mut look = Look {
        db,
        repository,
        tags_asked: asked.tags.iter().collect(),
        manifests_asked: asked.manifests.iter().map(|(digest, at)| (digest, *at)).collect(),
        parted: BTreeSet::new(),
        tags: BTreeMap::new(),
        manifests: BTreeMap::new(),
    };
    for tag in &asked.tags {
        look.tag(&tag.name)?;
        // One that is about a manifest stays as long as that.
        if let Some(subject) = subject_of(&tag.name)
            && let Some((_, pushed, _)) = look.row(&subject)?
        {
            look.add(&subject, pushed);
        }
    }
    for (digest, _) in &asked.manifests {
        look.manifest(digest)?;
    }
    let Look { tags, manifests, .. } = look;
    Ok(Images { tags: tags.into_values().collect(), manifests: manifests.into_values().collect() })
}

/// What was found of a repository around what is asked for.
struct Look<'a> {
    db: &'a Connection,
    repository: i64,
    tags_asked: BTreeSet<&'a ImageTag>,
    manifests_asked: BTreeSet<(&'a Digest, Timestamp)>,
    /// Of which manifests the indexes that name them were looked for.
    parted: BTreeSet<Digest>,
    tags: BTreeMap<String, ImageTag>,
    /// Of children they have those that were looked for.
    manifests: BTreeMap<Digest, ImageManifest>,
}

impl Look<'_> {
    /// A tag, where it points now.
    fn tag(&mut self, name: &str) -> RegistryWork<()> {
        let db = self.db;
        let mut select = db.prepare_cached(TAG)?;
        let mut rows = select.query(params![self.repository, name])?;
        if let Some(row) = rows.next()? {
            let tag =
                ImageTag { digest: manifest::digest(row, 0)?, name: name.to_owned(), pushed: Timestamp(row.get(1)?) };
            self.tags.insert(tag.name.clone(), tag);
        }
        Ok(())
    }

    /// A manifest that is asked for, and what leads to it: tags, indexes, what it is about. One thing that is not asked for as it is
    /// now stays, and so does the manifest: no more is looked for then.
    fn manifest(&mut self, digest: &Digest) -> RegistryWork<()> {
        let Some((number, pushed, subject)) = self.row(digest)? else { return Ok(()) };
        self.add(digest, pushed).subject.clone_from(&subject);
        if !self.manifests_asked.contains(&(digest, pushed)) {
            return Ok(());
        }
        let db = self.db;
        let mut pointing = db.prepare_cached(POINTING)?;
        let mut rows = pointing.query([number])?;
        while let Some(row) = rows.next()? {
            let tag = ImageTag { digest: digest.clone(), name: row.get(0)?, pushed: Timestamp(row.get(1)?) };
            let goes = self.tags_asked.contains(&tag);
            self.tags.insert(tag.name.clone(), tag);
            if !goes {
                return Ok(());
            }
        }
        self.wholes(digest)?;
        let Some(subject) = subject else { return Ok(()) };
        match self.row(&subject)? {
            Some((_, pushed, _)) => {
                self.add(&subject, pushed);
                Ok(())
            }
            // An index may name it all the same, and then leads through it.
            None => self.wholes(&subject),
        }
    }

    /// The indexes that name a manifest, up to one that is not asked for.
    fn wholes(&mut self, part: &Digest) -> RegistryWork<()> {
        if !self.parted.insert(part.clone()) {
            return Ok(());
        }
        let db = self.db;
        let mut parents = db.prepare_cached(PARENTS)?;
        let mut rows = parents.query(params![self.repository, part.to_string()])?;
        while let Some(row) = rows.next()? {
            let (whole, pushed) = (manifest::digest(row, 0)?, Timestamp(row.get(1)?));
            let goes = self.manifests_asked.contains(&(&whole, pushed));
            self.add(&whole, pushed).children.push(part.clone());
            if !goes {
                break;
            }
        }
        Ok(())
    }

    /// Number, push and subject of a manifest.
    fn row(&self, digest: &Digest) -> RegistryWork<Option<(i64, Timestamp, Option<Digest>)>> {
        let db = self.db;
        let mut select = db.prepare_cached(MANIFEST)?;
        let mut rows = select.query(params![self.repository, digest.to_string()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((row.get(0)?, Timestamp(row.get(1)?), subject(row.get(2)?)?)))
    }

    fn add(&mut self, digest: &Digest, pushed: Timestamp) -> &mut ImageManifest {
        let new = || ImageManifest { digest: digest.clone(), pushed, children: Vec::new(), subject: None };
        self.manifests.entry(digest.clone()).or_insert_with(new)
    }
}

/// What a manifest is about, as it is kept.
fn subject(text: Option<String>) -> Result<Option<Digest>, Fault> {
    text.map(|text| parsed("manifest subject", Digest::parse(&text))).transpose()
}
