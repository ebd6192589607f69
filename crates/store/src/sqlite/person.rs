//! People whom a provider signs in: which user was made for whom, remembered after that user's end.

use layer0_domain::model::name::Name;
use layer0_domain::model::person::{PersonId, Subject};
use layer0_domain::model::trust::Issuer;
use layer0_domain::port::access_store::{AccessStoreError, FoundPerson};
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::parsed;
use super::fault::{AccessWork, Fault};
use super::user;

/// What an error calls a person.
const WHAT: &str = "person";

pub(super) const BY_ID: &str = "SELECT user FROM person WHERE issuer = ?1 AND subject = ?2";

/// Reads a person.
pub(super) fn id(what: &'static str, issuer: &str, subject: &str) -> Result<PersonId, Fault> {
    let (issuer, subject) = (parsed(what, Issuer::parse(issuer))?, parsed(what, Subject::parse(subject))?);
    Ok(PersonId { issuer, subject })
}

pub(super) fn find_tx(db: &Connection, id: &PersonId) -> AccessWork<Option<FoundPerson>> {
    let mut select = db.prepare_cached(BY_ID)?;
    let key = params![id.issuer.as_str(), id.subject.as_str()];
    let Some(text) = select.query_row(key, |row| row.get::<_, String>(0)).optional()? else { return Ok(None) };
    let name = parsed("person user", Name::parse(&text))?;
    let access = user::get_tx(db, &text)?.filter(|it| it.user.person.as_ref().is_some_and(|it| it.id == *id));
    Ok(Some(FoundPerson { name, access }))
}

/// Links a user, who is written already, with a person.
pub(super) fn link(db: &Connection, id: &PersonId, name: &Name) -> AccessWork<()> {
    let other = find_tx(db, id)?.filter(|it| it.name != *name).and_then(|it| it.access);
    if other.is_some() {
        return Err(AccessStoreError::Exists { what: WHAT, name: id.to_string() }.into());
    }
    let sql = "INSERT INTO person (issuer, subject, user) VALUES (?1, ?2, ?3) \
               ON CONFLICT (issuer, subject) DO UPDATE SET user = excluded.user";
    db.prepare_cached(sql)?.execute(params![id.issuer.as_str(), id.subject.as_str(), name.as_str()])?;
    Ok(())
}
