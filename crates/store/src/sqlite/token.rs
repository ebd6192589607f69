//! Access tokens, found by the hash of their secret.

use layer0_domain::model::access::{Scope, Subject, Token};
use layer0_domain::model::id::{TokenId, TrustId};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStoreError, TokenAccess};
use rusqlite::{Connection, Row, params};

use super::convert::{from_json, parsed, timestamp, to_json};
use super::fault::{AccessWork, Fault};
use super::{owner, trust, user};

/// What an error calls a token.
const WHAT: &str = "token";

pub(super) const BY_HASH: &str =
    "SELECT id, hash, name, user, owner, scopes, created, expires, last_used, trust FROM token WHERE hash = ?1";
pub(super) const BY_ID: &str =
    "SELECT id, hash, name, user, owner, scopes, created, expires, last_used, trust FROM token WHERE id = ?1";

fn missing(id: &TokenId) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: id.to_string() }
}

pub(super) fn create_tx(db: &Connection, token: &Token) -> AccessWork<()> {
    let (user, owner) = match &token.subject {
        Subject::User(name) => {
            if user::one(db, name.as_str())?.is_none() {
                return Err(user::missing(name).into());
            }
            (Some(name.as_str()), None)
        }
        Subject::Owner(name) => {
            owner::demand(db, name)?;
            (None, Some(name.as_str()))
        }
    };
    if let Some(id) = &token.trust {
        trust::demand(db, id)?;
    }
    let scopes = token.scopes.as_ref().map(|scopes| to_json("token scopes", scopes)).transpose()?;
    let sql = "INSERT INTO token (id, hash, name, user, owner, scopes, created, expires, last_used, trust) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.prepare_cached(sql)?.execute(params![
        token.id.as_str(),
        token.hash,
        token.name.as_str(),
        user,
        owner,
        scopes,
        token.created.0,
        token.expires.map(|at| at.0),
        token.last_used.map(|at| at.0),
        token.trust.as_ref().map(TrustId::as_str),
    ])?;
    Ok(())
}

pub(super) fn create_once_tx(db: &Connection, token: &Token, noted: &str) -> AccessWork<bool> {
    let sql = "INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
    if db.prepare_cached(sql)?.execute(params![noted, b"yes"])? == 0 {
        return Ok(false);
    }
    create_tx(db, token)?;
    Ok(true)
}

pub(super) fn find_tx(db: &Connection, hash: &[u8; 32]) -> AccessWork<Option<TokenAccess>> {
    let mut select = db.prepare_cached(BY_HASH)?;
    let found = one(select.query([hash])?)?;
    with_access(db, found)
}

pub(super) fn get_tx(db: &Connection, id: &TokenId) -> AccessWork<Option<TokenAccess>> {
    with_access(db, by_id(db, id)?)
}

fn by_id(db: &Connection, id: &TokenId) -> AccessWork<Option<Token>> {
    let mut select = db.prepare_cached(BY_ID)?;
    one(select.query([id.as_str()])?)
}

fn one(mut rows: rusqlite::Rows<'_>) -> AccessWork<Option<Token>> {
    Ok(match rows.next()? {
        Some(row) => Some(read(row)?),
        None => None,
    })
}

fn with_access(db: &Connection, token: Option<Token>) -> AccessWork<Option<TokenAccess>> {
    let Some(token) = token else { return Ok(None) };
    let user = match &token.subject {
        Subject::User(name) => user::get_tx(db, name.as_str())?,
        Subject::Owner(_) => None,
    };
    Ok(Some(TokenAccess { token, user }))
}

pub(super) fn list_tx(db: &Connection) -> AccessWork<Vec<Token>> {
    let sql = "SELECT id, hash, name, user, owner, scopes, created, expires, last_used, trust FROM token \
               ORDER BY created, sequence";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        tokens.push(read(row)?);
    }
    Ok(tokens)
}

pub(super) fn rotate_tx(
    db: &Connection,
    id: &TokenId,
    hash: &[u8; 32],
    created: Timestamp,
    expires: Option<Timestamp>,
) -> AccessWork<Token> {
    let sql = "UPDATE token SET hash = ?2, created = ?3, expires = ?4, last_used = NULL WHERE id = ?1";
    let rotated = db.prepare_cached(sql)?.execute(params![id.as_str(), hash, created.0, expires.map(|at| at.0)])?;
    if rotated == 0 {
        return Err(missing(id).into());
    }
    by_id(db, id)?.ok_or_else(|| missing(id).into())
}

pub(super) fn delete_tx(db: &Connection, id: &TokenId, now: Timestamp) -> AccessWork<Token> {
    let way_in = user::has_way_in(db, now)?;
    let token = by_id(db, id)?.ok_or_else(|| missing(id))?;
    db.prepare_cached("DELETE FROM token WHERE id = ?1")?.execute([id.as_str()])?;
    if way_in {
        user::keep_a_way_in(db, now, WHAT, token.name.as_str())?;
    }
    Ok(token)
}

pub(super) fn prune_tx(db: &Connection, before: Timestamp) -> AccessWork<u64> {
    let sql = "DELETE FROM token WHERE expires < ?1 AND (trust IS NOT NULL \
               OR user IN (SELECT name FROM user WHERE subject IS NOT NULL))";
    let gone = db.prepare_cached(sql)?.execute([before.0])?;
    Ok(gone as u64)
}

/// A token that is gone is passed over; an older use does not replace a newer one.
pub(super) fn touch_tx(db: &Connection, id: &TokenId, at: Timestamp) -> AccessWork<()> {
    let sql = "UPDATE token SET last_used = ?2 WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)";
    db.prepare_cached(sql)?.execute(params![id.as_str(), at.0])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Token, Fault> {
    let (user, owner): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let subject = match (user, owner) {
        (Some(user), None) => Subject::User(parsed("token user", Name::parse(&user))?),
        (None, Some(owner)) => Subject::Owner(parsed("token owner", OwnerName::parse(&owner))?),
        _ => return Err(Fault::Unreadable { what: "token subject" }),
    };
    let (scopes, trust): (Option<String>, Option<String>) = (row.get(5)?, row.get(9)?);
    Ok(Token {
        id: parsed("token id", TokenId::parse(&row.get::<_, String>(0)?))?,
        hash: row.get(1)?,
        name: parsed("token name", Name::parse(&row.get::<_, String>(2)?))?,
        subject,
        scopes: scopes.map(|text| from_json::<Vec<Scope>>("token scopes", &text)).transpose()?,
        created: Timestamp(row.get(6)?),
        expires: timestamp(row.get(7)?),
        last_used: timestamp(row.get(8)?),
        trust: trust.map(|id| parsed("token trust", TrustId::parse(&id))).transpose()?,
    })
}
