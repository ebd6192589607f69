//! Instance-wide values.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::StoreWork;

pub(super) fn get_tx(db: &Connection, key: &str) -> StoreWork<Option<Vec<u8>>> {
    Ok(db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?)
}

pub(super) fn get_or_put_tx(db: &Connection, key: &str, value: &[u8]) -> StoreWork<Vec<u8>> {
    if let Some(stored) = get_tx(db, key)? {
        return Ok(stored);
    }
    db.prepare_cached("INSERT INTO setting (key, value) VALUES (?1, ?2)")?.execute(params![key, value])?;
    Ok(value.to_owned())
}

pub(super) fn replace_tx(db: &Connection, key: &str, read: Option<&[u8]>, write: &[u8]) -> StoreWork<bool> {
    if get_tx(db, key)?.as_deref() != read {
        return Ok(false);
    }
    let sql = "INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute(params![key, write])?;
    Ok(true)
}
