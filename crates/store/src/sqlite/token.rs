//! Access tokens, found by the hash of their secret.

use layer0_domain::model::access::Token;
use layer0_domain::model::id::TokenId;
use layer0_domain::model::name::Name;
use layer0_domain::model::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::convert::{parsed, timestamp};
use super::fault::{Fault, StoreWork};

pub(super) const BY_HASH: &str = "SELECT id, hash, name, user, created, expires, last_used FROM token WHERE hash = ?1";

pub(super) fn create_tx(db: &Connection, token: &Token) -> StoreWork<()> {
    let sql = "INSERT INTO token (id, hash, name, user, created, expires, last_used) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        token.id.as_str(),
        token.hash,
        token.name.as_str(),
        token.user.as_str(),
        token.created.0,
        token.expires.map(|at| at.0),
        token.last_used.map(|at| at.0),
    ])?;
    Ok(())
}

pub(super) fn find_tx(db: &Connection, hash: &[u8; 32]) -> StoreWork<Option<Token>> {
    let mut select = db.prepare_cached(BY_HASH)?;
    let mut rows = select.query([hash])?;
    Ok(match rows.next()? {
        Some(row) => Some(read(row)?),
        None => None,
    })
}

pub(super) fn list_tx(db: &Connection) -> StoreWork<Vec<Token>> {
    let sql = "SELECT id, hash, name, user, created, expires, last_used FROM token ORDER BY created, sequence";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(read(row)?);
    }
    Ok(tokens)
}

pub(super) fn delete_tx(db: &Connection, id: &TokenId) -> StoreWork<bool> {
    let deleted = db.prepare_cached("DELETE FROM token WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(deleted > 0)
}

/// A token that is gone is passed over; an older use does not replace a newer one.
pub(super) fn touch_tx(db: &Connection, id: &TokenId, at: Timestamp) -> StoreWork<()> {
    let sql = "UPDATE token SET last_used = ?2 WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)";
    db.prepare_cached(sql)?.execute(params![id.as_str(), at.0])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Token, Fault> {
    Ok(Token {
        id: parsed("token id", TokenId::parse(&row.get::<_, String>(0)?))?,
        hash: row.get(1)?,
        name: parsed("token name", Name::parse(&row.get::<_, String>(2)?))?,
        user: parsed("token user", Name::parse(&row.get::<_, String>(3)?))?,
        created: Timestamp(row.get(4)?),
        expires: timestamp(row.get(5)?),
        last_used: timestamp(row.get(6)?),
    })
}
