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
