//! What of a repository goes by its owner's rules.

use std::collections::BTreeMap;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::retention::{ImageManifest, ImageTag, Images, Retiring};
use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::retention::confirm;
use rusqlite::{Connection, params};

use super::{manifest, repository};
use crate::sqlite::convert::parsed;
use crate::sqlite::fault::RegistryWork;
use crate::sqlite::owner;

const TAGS: &str = "SELECT manifest.digest, image_tag.name, image_tag.pushed FROM image_tag \
     JOIN manifest ON manifest.number = image_tag.manifest WHERE image_tag.repository = ?1 ORDER BY image_tag.name";

const MANIFESTS: &str = "SELECT digest, pushed, subject, number FROM manifest WHERE repository = ?1 ORDER BY digest";

const CHILDREN: &str = "SELECT manifest_child.digest, manifest_child.manifest FROM manifest \
     JOIN manifest_child ON manifest_child.manifest = manifest.number WHERE manifest.repository = ?1";

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
        let (subject, number): (Option<String>, i64) = (row.get(2)?, row.get(3)?);
        images.manifests.push(ImageManifest {
            digest: manifest::digest(row, 0)?,
            pushed: Timestamp(row.get(1)?),
            children: children.remove(&number).unwrap_or_default(),
            subject: match subject {
                Some(subject) => Some(parsed("manifest subject", Digest::parse(&subject))?),
                None => None,
            },
        });
    }
    Ok(images)
}

pub(super) fn retire_tx(db: &Connection, name: &RepositoryName, asked: &Retiring) -> RegistryWork<Retiring> {
    let Some(number) = repository::number(db, name)? else { return Ok(Retiring::default()) };
    let going = confirm(name.name(), &owner::rules(db, name.owner())?, &images(db, number)?, asked);
    let mut delete = db.prepare_cached("DELETE FROM image_tag WHERE repository = ?1 AND name = ?2")?;
    for tag in &going.tags {
        delete.execute(params![number, tag.name])?;
    }
    for (digest, _) in &going.manifests {
        manifest::take(db, name, number, digest)?;
    }
    Ok(going)
}
