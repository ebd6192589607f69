//! Access tokens, found by the hash of their secret.

use layer0_domain::model::access::Token;
use layer0_domain::model::id::TokenId;
use layer0_domain::model::name::Name;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::TokenDelete;
use rusqlite::{Connection, Row, params};

use super::convert::{parsed, timestamp};
use super::fault::{Fault, StoreWork};

pub(super) const BY_HASH: &str = "SELECT id, hash, name, user, created, expires, last_used FROM token WHERE hash = ?1";
pub(super) const BY_ID: &str = "SELECT id, hash, name, user, created, expires, last_used FROM token WHERE id = ?1";

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
    one(select.query([hash])?)
}

pub(super) fn get_tx(db: &Connection, id: &TokenId) -> StoreWork<Option<Token>> {
    let mut select = db.prepare_cached(BY_ID)?;
    one(select.query([id.as_str()])?)
}

fn one(mut rows: rusqlite::Rows<'_>) -> StoreWork<Option<Token>> {
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

pub(super) fn delete_tx(db: &Connection, id: &TokenId, now: Timestamp) -> StoreWork<TokenDelete> {
    let Some(token) = get_tx(db, id)? else { return Ok(TokenDelete::Missing) };
    if token.is_live(now) {
        let sql = "SELECT EXISTS (SELECT 1 FROM token WHERE id <> ?1 AND (expires IS NULL OR expires > ?2))";
        let another: bool = db.prepare_cached(sql)?.query_row(params![id.as_str(), now.0], |row| row.get(0))?;
        if !another {
            return Ok(TokenDelete::LastLive);
        }
    }
    db.prepare_cached("DELETE FROM token WHERE id = ?1")?.execute([id.as_str()])?;
    Ok(TokenDelete::Gone(token))
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
