//! Where the bytes of blobs lie. A row goes with the blob's last link, so one that is there belongs to a blob that is held.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::registry_store::RegistryStoreError;
use rusqlite::{Connection, OptionalExtension, ffi, params};

use crate::sqlite::fault::{RegistryWork, Stop};

const PLACE: &str = "SELECT place FROM blob_place WHERE digest = ?1";

fn of(db: &Connection, digest: &str) -> RegistryWork<Option<BlobPlace>> {
    let found: Option<String> = db.prepare_cached(PLACE)?.query_row([digest], |row| row.get(0)).optional()?;
    Ok(found.map(BlobPlace::new))
}

pub(super) fn get_tx(db: &Connection, digest: &Digest) -> RegistryWork<Option<BlobPlace>> {
    of(db, &digest.to_string())
}

pub(super) fn unheld_tx(db: &Connection, places: Vec<BlobPlace>) -> RegistryWork<Vec<BlobPlace>> {
    let mut select = db.prepare_cached("SELECT 1 FROM blob_place WHERE place = ?1")?;
    let mut unheld = Vec::new();
    for place in places {
        if !select.exists([place.as_str()])? {
            unheld.push(place);
        }
    }
    Ok(unheld)
}

/// Notes where a blob lies from now on, `None` for where its digest says; answers where it lay before, if that is another place. Refuses
/// a place at which another blob lies.
pub(super) fn replace(db: &Connection, digest: &Digest, place: Option<&BlobPlace>) -> RegistryWork<Option<BlobPlace>> {
    let text = digest.to_string();
    let before = of(db, &text)?;
    if before.as_ref() == place {
        return Ok(None);
    }
    match place {
        Some(place) => {
            let sql = "INSERT INTO blob_place (digest, place) VALUES (?1, ?2) \
                       ON CONFLICT (digest) DO UPDATE SET place = excluded.place";
            match db.prepare_cached(sql)?.execute(params![text, place.as_str()]) {
                Err(error) if is_anothers(&error) => return Err(missing(digest)),
                done => done?,
            };
        }
        None => drop(take(db, &text)?),
    }
    Ok(before)
}

/// Whether a place was not noted because another blob lies there.
fn is_anothers(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _) if code.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
}

fn missing(digest: &Digest) -> Stop<RegistryStoreError> {
    RegistryStoreError::ContentMissing { missing: vec![digest.clone()] }.into()
}

/// Refuses a link to a blob that does not lie there.
pub(super) fn demand(db: &Connection, digest: &Digest, place: &BlobPlace) -> RegistryWork<()> {
    if of(db, &digest.to_string())?.as_ref() == Some(place) { Ok(()) } else { Err(missing(digest)) }
}

/// Takes out where a blob lies that no repository holds any more.
pub(super) fn take(db: &Connection, digest: &str) -> RegistryWork<Option<BlobPlace>> {
    let sql = "DELETE FROM blob_place WHERE digest = ?1 RETURNING place";
    let taken: Option<String> = db.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()?;
    Ok(taken.map(BlobPlace::new))
}
