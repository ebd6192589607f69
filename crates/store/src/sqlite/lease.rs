//! What one server at a time does.

use layer0_domain::model::time::Timestamp;
use layer0_domain::plan::lease::{self, REMEMBERED_MS};
use layer0_domain::port::store::{Lease, LeaseAnswer};
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_integer, to_integer};
use super::fault::{Fault, StoreWork};

pub(super) const BY_NAME: &str = "SELECT holder, fence, until FROM lease WHERE name = ?1";
pub(super) const FORGET: &str = "DELETE FROM lease WHERE until < ?1";

pub(super) fn take_tx(
    db: &Connection,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> StoreWork<LeaseAnswer> {
    db.prepare_cached(FORGET)?.execute([now.plus_ms(-REMEMBERED_MS).0])?;
    let answer = lease::take(find(db, name)?, name, holder, now, until);
    if let LeaseAnswer::Taken(lease) = &answer {
        write(db, lease)?;
    }
    Ok(answer)
}

pub(super) fn renew_tx(db: &Connection, lease: &Lease, now: Timestamp, until: Timestamp) -> StoreWork<Option<Lease>> {
    let renewed = lease::renew(find(db, &lease.name)?.as_ref(), lease, now, until);
    if let Some(lease) = &renewed {
        write(db, lease)?;
    }
    Ok(renewed)
}

pub(super) fn release_tx(db: &Connection, lease: &Lease, now: Timestamp) -> StoreWork<bool> {
    let released = lease::release(find(db, &lease.name)?.as_ref(), lease, now);
    if let Some(lease) = &released {
        write(db, lease)?;
    }
    Ok(released.is_some())
}

fn find(db: &Connection, name: &str) -> StoreWork<Option<Lease>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let found = db.prepare_cached(BY_NAME)?.query_row([name], read).optional()?;
    let Some((holder, fence, until)) = found else { return Ok(None) };
    let fence = from_integer("lease fence", fence)?;
    Ok(Some(Lease { name: name.to_owned(), holder, fence, until: Timestamp(until) }))
}

fn write(db: &Connection, lease: &Lease) -> Result<(), Fault> {
    let sql = "INSERT INTO lease (name, holder, fence, until) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, \
               until = excluded.until";
    let fence = to_integer("lease fence", lease.fence)?;
    db.prepare_cached(sql)?.execute(params![lease.name, lease.holder, fence, lease.until.0])?;
    Ok(())
}
