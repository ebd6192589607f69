//! Account grants.

use layer0_domain::model::grant::{Grant, KeptGrant};
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Generation;
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_integer, from_json, to_integer, to_json};
use super::fault::{AccessWork, Fault};
use super::owner;

pub(super) const OF_OWNER: &str = "SELECT count(*) FROM account_grant WHERE owner = ?1";

pub(super) fn list_tx(db: &Connection) -> AccessWork<Vec<KeptGrant>> {
    let mut select = db.prepare_cached("SELECT generation, body FROM account_grant")?;
    let mut rows = select.query([])?;
    let mut grants: Vec<KeptGrant> = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let generation = Generation(from_integer("generation", row.get(0)?)?);
        grants.push(KeptGrant { generation, ..from_json("account grant", &body)? });
    }
    grants.sort_by(|a, b| a.grant.cmp(&b.grant));
    Ok(grants)
}

pub(super) fn put_tx(db: &Connection, grant: &KeptGrant, read: Option<Generation>) -> AccessWork<Option<Generation>> {
    let key = grant.grant.key();
    if generation(db, &key)? != read {
        return Ok(None);
    }
    let owner = grant.grant.scope.owner();
    if let (None, Some(owner)) = (read, &owner) {
        owner::demand(db, owner)?;
    }
    let next = read.unwrap_or_default().next();
    let sql = "INSERT INTO account_grant (key, owner, generation, body) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (key) DO UPDATE SET generation = excluded.generation, body = excluded.body";
    db.prepare_cached(sql)?.execute(params![
        key,
        owner.as_ref().map(OwnerName::as_str),
        to_integer("generation", next.0)?,
        to_json("account grant", grant)?
    ])?;
    Ok(Some(next))
}

pub(super) fn delete_tx(db: &Connection, grant: &Grant, read: Generation) -> AccessWork<bool> {
    let sql = "DELETE FROM account_grant WHERE key = ?1 AND generation = ?2";
    let gone = db.prepare_cached(sql)?.execute(params![grant.key(), to_integer("generation", read.0)?])?;
    Ok(gone == 1)
}

fn generation(db: &Connection, key: &str) -> Result<Option<Generation>, Fault> {
    let sql = "SELECT generation FROM account_grant WHERE key = ?1";
    let found: Option<i64> = db.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
    found.map(|number| Ok(Generation(from_integer("generation", number)?))).transpose()
}
