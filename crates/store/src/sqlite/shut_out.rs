//! How often something was written that may have shut somebody out: a number in the same unit of work as the write.

use rusqlite::{Connection, OptionalExtension};

use super::fault::{AccessWork, Fault, Stop};

/// The setting that keeps the number, in decimal digits.
const KEY: &str = "access.shut_outs";

/// Counts one, in the unit of work of whatever port.
pub(super) fn note_tx<E>(db: &Connection) -> Result<(), Stop<E>> {
    let sql = "INSERT INTO setting (key, value) VALUES (?1, CAST(1 AS BLOB)) \
               ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS BLOB)";
    db.prepare_cached(sql)?.execute([KEY])?;
    Ok(())
}

/// How many there were.
pub(super) fn count_tx(db: &Connection) -> AccessWork<u64> {
    let sql = "SELECT CAST(value AS INTEGER) FROM setting WHERE key = ?1";
    let count: Option<i64> = db.prepare_cached(sql)?.query_row([KEY], |row| row.get(0)).optional()?;
    Ok(u64::try_from(count.unwrap_or(0)).map_err(|_| Fault::Unreadable { what: "number of shut-outs" })?)
}
