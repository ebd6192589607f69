//! Trusts. Their tokens refer to them with ON DELETE CASCADE, and they to their owner.

use layer0_domain::model::id::TrustId;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::trust::Trust;
use layer0_domain::port::access_store::AccessStoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_json, to_json};
use super::fault::AccessWork;
use super::owner;

/// What an error calls a trust.
const WHAT: &str = "trust";

fn missing(name: String) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name }
}

pub(super) fn create_tx(db: &Connection, trust: &Trust) -> AccessWork<()> {
    owner::demand(db, &trust.owner)?;
    if body(db, &trust.owner, &trust.name)?.is_some() {
        return Err(AccessStoreError::Exists { what: WHAT, name: trust.to_string() }.into());
    }
    db.prepare_cached("INSERT INTO trust (id, owner, name, body) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        trust.id.as_str(),
        trust.owner.as_str(),
        trust.name.as_str(),
        to_json("trust", trust)?
    ])?;
    Ok(())
}

pub(super) fn list_tx(db: &Connection) -> AccessWork<Vec<Trust>> {
    let mut select = db.prepare_cached("SELECT body FROM trust ORDER BY owner, name")?;
    let mut rows = select.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(from_json("trust", &row.get::<_, String>(0)?)?);
    }
    Ok(all)
}

pub(super) fn delete_tx(db: &Connection, owner: &OwnerName, name: &Name) -> AccessWork<Trust> {
    let body = body(db, owner, name)?.ok_or_else(|| missing(format!("{owner}/{name}")))?;
    db.prepare_cached("DELETE FROM trust WHERE owner = ?1 AND name = ?2")?
        .execute(params![owner.as_str(), name.as_str()])?;
    Ok(from_json("trust", &body)?)
}

/// Demands that the trust is there that gives a token.
pub(super) fn demand(db: &Connection, id: &TrustId) -> AccessWork<()> {
    let is_there = db.prepare_cached("SELECT 1 FROM trust WHERE id = ?1")?.exists([id.as_str()])?;
    if is_there { Ok(()) } else { Err(missing(id.to_string()).into()) }
}

fn body(db: &Connection, owner: &OwnerName, name: &Name) -> Result<Option<String>, rusqlite::Error> {
    db.prepare_cached("SELECT body FROM trust WHERE owner = ?1 AND name = ?2")?
        .query_row(params![owner.as_str(), name.as_str()], |row| row.get(0))
        .optional()
}
