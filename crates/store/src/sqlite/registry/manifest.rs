//! Manifests: their bytes, what they need, and what they are about.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestContent, ManifestRef, Platform};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Referrer, ReferrerPage, Referrers, RegistryStoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{repository, tag, usage};
use crate::sqlite::convert::{from_integer, from_json, parsed, to_integer, to_json};
use crate::sqlite::fault::{Fault, RegistryWork, Stop};

const IS_THERE: &str = "SELECT 1 FROM manifest WHERE repository = ?1 AND digest = ?2";
const BY_DIGEST: &str = "SELECT number, digest, media_type, subject, artifact_type, pushed, annotations, bytes \
     FROM manifest WHERE repository = ?1 AND digest = ?2";
pub(in crate::sqlite) const BY_TAG: &str = "SELECT number, digest, media_type, subject, artifact_type, pushed, annotations, bytes \
     FROM manifest WHERE number = (SELECT manifest FROM image_tag WHERE repository = ?1 AND name = ?2)";
pub(in crate::sqlite) const CONTENT_BY_DIGEST: &str = "SELECT digest, media_type, bytes FROM manifest \
     WHERE digest = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1)";
pub(in crate::sqlite) const CONTENT_BY_TAG: &str = "SELECT digest, media_type, bytes FROM manifest \
     WHERE number = (SELECT manifest FROM image_tag WHERE name = ?2 AND repository = (SELECT number FROM repository WHERE name = ?1))";
pub(in crate::sqlite) const LIST: &str =
    "SELECT digest FROM manifest WHERE repository = ?1 AND digest > ?2 ORDER BY digest LIMIT ?3";
pub(in crate::sqlite) const REFERRERS: &str = "SELECT digest, media_type, length(bytes), artifact_type, annotations FROM manifest \
     WHERE repository = ?1 AND subject = ?2 AND digest > ?3 ORDER BY digest";

pub(super) fn put_tx(
    db: &Connection,
    repository: &RepositoryName,
    manifest: &Manifest,
    tags: &[String],
) -> RegistryWork<()> {
    let (name, repository) = (repository, repository::demand(db, repository)?);
    check_content(db, repository, manifest)?;
    for tag in tags {
        tag::may_move(db, name, repository, tag, &manifest.digest)?;
    }
    let number = match same(db, repository, manifest)? {
        Some(number) => {
            let sql = "UPDATE manifest SET pushed = ?2 WHERE number = ?1";
            db.prepare_cached(sql)?.execute(params![number, manifest.pushed.0])?;
            number
        }
        None => write(db, name, repository, manifest)?,
    };
    for name in tags {
        tag::put(db, repository, name, number, manifest.pushed)?;
    }
    Ok(())
}

/// The number of a manifest that is there as it is, but for the time at which it was pushed. One whose values can't be read is another
/// one: it is written anew. Any other failure ends the unit of work: SQLite may have ended its transaction.
fn same(db: &Connection, repository: i64, manifest: &Manifest) -> RegistryWork<Option<i64>> {
    let kept = match read(db, BY_DIGEST, repository, &manifest.digest.to_string()) {
        Err(Stop::Fault(Fault::Unreadable { .. })) => None,
        read => read?,
    };
    Ok(kept.and_then(|(number, kept)| (Manifest { pushed: manifest.pushed, ..kept } == *manifest).then_some(number)))
}

/// Writes a manifest that is not there, or there with something else under its digest: with less read out of it by an older
/// program, or damaged.
fn write(db: &Connection, name: &RepositoryName, repository: i64, manifest: &Manifest) -> RegistryWork<i64> {
    if !db.prepare_cached(IS_THERE)?.exists(params![repository, manifest.digest.to_string()])? {
        usage::add(db, &name.owner_name(), manifest.bytes.len() as u64)?;
    }
    let sql = "INSERT INTO manifest (repository, digest, media_type, subject, artifact_type, pushed, annotations, bytes) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (repository, digest) DO UPDATE SET \
               media_type = excluded.media_type, subject = excluded.subject, artifact_type = excluded.artifact_type, \
               pushed = excluded.pushed, annotations = excluded.annotations, bytes = excluded.bytes RETURNING number";
    let number: i64 = db.prepare_cached(sql)?.query_row(
        params![
            repository,
            manifest.digest.to_string(),
            manifest.media_type,
            manifest.subject.as_ref().map(Digest::to_string),
            manifest.artifact_type,
            manifest.pushed.0,
            to_json("manifest annotations", &manifest.annotations)?,
            manifest.bytes,
        ],
        |row| row.get(0),
    )?;
    write_content(db, repository, number, manifest)?;
    Ok(number)
}

pub(super) fn get_tx(
    db: &Connection,
    repository: &RepositoryName,
    reference: &ManifestRef,
) -> RegistryWork<Option<Manifest>> {
    let Some(repository) = repository::number(db, repository)? else {
        return Ok(None);
    };
    let (sql, key) = match reference {
        ManifestRef::Tag(tag) => (BY_TAG, tag.clone()),
        ManifestRef::Digest(digest) => (BY_DIGEST, digest.to_string()),
    };
    Ok(read(db, sql, repository, &key)?.map(|(_, manifest)| manifest))
}

/// A manifest and its number, by a statement that finds it by its repository and a key.
fn read(db: &Connection, sql: &str, repository: i64, key: &str) -> RegistryWork<Option<(i64, Manifest)>> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![repository, key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let number: i64 = row.get(0)?;
    let manifest = Manifest {
        digest: digest(row, 1)?,
        media_type: row.get(2)?,
        subject: match row.get::<_, Option<String>>(3)? {
            Some(subject) => Some(parsed("manifest subject", Digest::parse(&subject))?),
            None => None,
        },
        artifact_type: row.get(4)?,
        pushed: Timestamp(row.get(5)?),
        annotations: from_json("manifest annotations", &row.get::<_, String>(6)?)?,
        bytes: row.get(7)?,
        blobs: blobs(db, number)?,
        children: children(db, number)?,
    };
    Ok(Some((number, manifest)))
}

pub(super) fn content_tx(
    db: &Connection,
    repository: &RepositoryName,
    reference: &ManifestRef,
) -> RegistryWork<Option<ManifestContent>> {
    let mut select;
    let mut rows = match reference {
        ManifestRef::Tag(tag) => {
            select = db.prepare_cached(CONTENT_BY_TAG)?;
            select.query(params![repository.as_str(), tag])?
        }
        ManifestRef::Digest(digest) => {
            select = db.prepare_cached(CONTENT_BY_DIGEST)?;
            select.query(params![repository.as_str(), digest.to_string()])?
        }
    };
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(ManifestContent { digest: digest(row, 0)?, media_type: row.get(1)?, bytes: row.get(2)? }))
}

pub(super) fn list_tx(
    db: &Connection,
    repository: &RepositoryName,
    after: Option<&Digest>,
    most: u32,
) -> RegistryWork<Vec<Digest>> {
    let Some(repository) = repository::number(db, repository)? else {
        return Ok(Vec::new());
    };
    let mut select = db.prepare_cached(LIST)?;
    let after = after.map(Digest::to_string).unwrap_or_default();
    let mut rows = select.query(params![repository, after, most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(digest(row, 0)?);
    }
    Ok(found)
}

/// The tags that point to it go with it: they refer to it with ON DELETE CASCADE.
pub(super) fn delete_tx(db: &Connection, repository: &RepositoryName, digest: &Digest) -> RegistryWork<bool> {
    let Some(number) = repository::number(db, repository)? else { return Ok(false) };
    tag::may_lose(db, repository, || Ok(numbered(db, number, digest)?.into_iter().collect()))?;
    take(db, repository, number, digest)
}

/// The number of a manifest, whatever else its row says.
pub(super) fn numbered(db: &Connection, repository: i64, digest: &Digest) -> RegistryWork<Option<i64>> {
    let sql = "SELECT number FROM manifest WHERE repository = ?1 AND digest = ?2";
    let found =
        db.prepare_cached(sql)?.query_row(params![repository, digest.to_string()], |row| row.get(0)).optional()?;
    Ok(found)
}

/// Takes a manifest away, with the tags that point to it, whatever they are.
pub(super) fn take(db: &Connection, repository: &RepositoryName, number: i64, digest: &Digest) -> RegistryWork<bool> {
    let sql = "DELETE FROM manifest WHERE digest = ?2 AND repository = ?1 RETURNING length(bytes)";
    let bytes: Option<i64> =
        db.prepare_cached(sql)?.query_row(params![number, digest.to_string()], |row| row.get(0)).optional()?;
    let Some(bytes) = bytes else { return Ok(false) };
    usage::take(db, repository.owner(), bytes)?;
    Ok(true)
}

pub(super) fn referrers_tx(
    db: &Connection,
    repository: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    page: &ReferrerPage,
) -> RegistryWork<Referrers> {
    let mut referrers = Referrers::default();
    let Some(repository) = repository::number(db, repository)? else {
        return Ok(referrers);
    };
    // Nothing sorts before the empty text.
    let after = page.after.as_ref().map(Digest::to_string).unwrap_or_default();
    let mut select = db.prepare_cached(REFERRERS)?;
    let mut rows = select.query(params![repository, subject.to_string(), after])?;
    let mut weight = 0_usize;
    while let Some(row) = rows.next()? {
        let kind: Option<String> = row.get(3)?;
        if artifact_type.is_some() && artifact_type != kind.as_deref() {
            continue;
        }
        let referrer = Referrer {
            digest: digest(row, 0)?,
            media_type: row.get(1)?,
            size: from_integer("manifest size", row.get(2)?)?,
            artifact_type: kind,
            annotations: from_json("manifest annotations", &row.get::<_, String>(4)?)?,
        };
        weight = weight.saturating_add(referrer.weight());
        if weight > page.most_bytes && !referrers.entries.is_empty() {
            referrers.more = true;
            break;
        }
        referrers.entries.push(referrer);
    }
    Ok(referrers)
}

/// Demands that every blob and child is in the repository.
fn check_content(db: &Connection, repository: i64, manifest: &Manifest) -> RegistryWork<()> {
    let mut blob = db.prepare_cached(
        "SELECT 1 FROM blob_link WHERE repository = ?1 AND digest = ?2 \
         AND NOT EXISTS (SELECT 1 FROM blob_damage WHERE digest = ?2)",
    )?;
    let mut child = db.prepare_cached(IS_THERE)?;
    let mut missing: Vec<Digest> = Vec::new();
    for (digest, _) in &manifest.blobs {
        if !missing.contains(digest) && !blob.exists(params![repository, digest.to_string()])? {
            missing.push(digest.clone());
        }
    }
    for ChildManifest { digest, .. } in &manifest.children {
        if !missing.contains(digest) && !child.exists(params![repository, digest.to_string()])? {
            missing.push(digest.clone());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(RegistryStoreError::ContentMissing { missing }.into())
}

fn write_content(db: &Connection, repository: i64, number: i64, manifest: &Manifest) -> RegistryWork<()> {
    db.prepare_cached("DELETE FROM manifest_blob WHERE manifest = ?1")?.execute([number])?;
    db.prepare_cached("DELETE FROM manifest_child WHERE manifest = ?1")?.execute([number])?;
    let mut insert =
        db.prepare_cached("INSERT INTO manifest_blob (manifest, position, digest, size) VALUES (?1, ?2, ?3, ?4)")?;
    for (position, (digest, size)) in (0_i64..).zip(&manifest.blobs) {
        let size = to_integer("blob size", *size)?;
        insert.execute(params![number, position, digest.to_string(), size])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO manifest_child (manifest, position, digest, platform, repository) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (position, child) in (0_i64..).zip(&manifest.children) {
        let platform = match &child.platform {
            Some(platform) => Some(to_json("platform", platform)?),
            None => None,
        };
        insert.execute(params![number, position, child.digest.to_string(), platform, repository])?;
    }
    Ok(())
}

fn blobs(db: &Connection, number: i64) -> RegistryWork<Vec<(Digest, u64)>> {
    let mut select =
        db.prepare_cached("SELECT digest, size FROM manifest_blob WHERE manifest = ?1 ORDER BY position")?;
    let mut rows = select.query([number])?;
    let mut blobs = Vec::new();
    while let Some(row) = rows.next()? {
        blobs.push((digest(row, 0)?, from_integer("blob size", row.get(1)?)?));
    }
    Ok(blobs)
}

fn children(db: &Connection, number: i64) -> RegistryWork<Vec<ChildManifest>> {
    let mut select =
        db.prepare_cached("SELECT digest, platform FROM manifest_child WHERE manifest = ?1 ORDER BY position")?;
    let mut rows = select.query([number])?;
    let mut children = Vec::new();
    while let Some(row) = rows.next()? {
        let platform = match row.get::<_, Option<String>>(1)? {
            Some(platform) => Some(from_json::<Platform>("platform", &platform)?),
            None => None,
        };
        children.push(ChildManifest { digest: digest(row, 0)?, platform });
    }
    Ok(children)
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> Result<Digest, Fault> {
    let text = row.get_ref(column)?;
    let text = parsed("digest", text.as_str())?;
    parsed("digest", Digest::parse(text))
}
