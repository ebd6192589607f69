//! Users.

use layer0_domain::model::name::Name;
use layer0_domain::model::person::Person;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::{PasswordHash, User, UserChange};
use layer0_domain::port::access_store::{AccessStoreError, UserAccess};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::parsed;
use super::fault::{AccessWork, Fault};
use super::{member, person};

/// What an error calls a user.
pub(super) const WHAT: &str = "user";

const ONE: &str = "SELECT name, admin, password, created, issuer, subject, admin_by_group FROM user WHERE name = ?1";
const ALL: &str = "SELECT name, admin, password, created, issuer, subject, admin_by_group FROM user ORDER BY name";
/// Whether an admin can sign in: with a password, or with a live token that has no scopes. One whom a group made an admin is none of
/// them: the provider may take that away, and be away itself.
pub(super) const WAY_IN: &str = "SELECT EXISTS (SELECT 1 FROM user WHERE admin = 1 AND admin_by_group = 0 AND (password IS NOT NULL OR EXISTS \
     (SELECT 1 FROM token WHERE token.user = user.name AND scopes IS NULL AND (expires IS NULL OR expires > ?1))))";

pub(super) fn missing(name: &Name) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: name.to_string() }
}

/// Refuses a change, already made in this unit of work, after which no admin could sign in. Where none could before,
/// nothing is lost by it.
pub(super) fn keep_a_way_in(db: &Connection, now: Timestamp, what: &'static str, name: &str) -> AccessWork<()> {
    let left: bool = db.prepare_cached(WAY_IN)?.query_row([now.0], |row| row.get(0))?;
    if left { Ok(()) } else { Err(AccessStoreError::LastWayIn { what, name: name.to_owned() }.into()) }
}

/// Whether an admin can sign in before a change.
pub(super) fn has_way_in(db: &Connection, now: Timestamp) -> AccessWork<bool> {
    Ok(db.prepare_cached(WAY_IN)?.query_row([now.0], |row| row.get(0))?)
}

pub(super) fn create_tx(db: &Connection, user: &User) -> AccessWork<()> {
    let sql = "INSERT INTO user (name, admin, password, created, issuer, subject, admin_by_group) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO NOTHING";
    let person = user.person.as_ref();
    let made = db.prepare_cached(sql)?.execute(params![
        user.name.as_str(),
        user.admin,
        user.password.as_ref().map(PasswordHash::expose),
        user.created.0,
        person.map(|it| it.id.issuer.as_str()),
        person.map(|it| it.id.subject.as_str()),
        person.is_some_and(|it| it.admin_by_group),
    ])?;
    if made == 0 {
        return Err(AccessStoreError::Exists { what: WHAT, name: user.name.to_string() }.into());
    }
    match person {
        Some(person) => person::link(db, &person.id, &user.name),
        None => Ok(()),
    }
}

pub(super) fn one(db: &Connection, name: &str) -> AccessWork<Option<User>> {
    let mut select = db.prepare_cached(ONE)?;
    let mut rows = select.query([name])?;
    Ok(match rows.next()? {
        Some(row) => Some(read(row)?),
        None => None,
    })
}

pub(super) fn get_tx(db: &Connection, name: &str) -> AccessWork<Option<UserAccess>> {
    Ok(match one(db, name)? {
        Some(user) => Some(UserAccess { user, members: member::of_user(db, name)? }),
        None => None,
    })
}

pub(super) fn list_tx(db: &Connection) -> AccessWork<Vec<User>> {
    let mut select = db.prepare_cached(ALL)?;
    let mut rows = select.query([])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(read(row)?);
    }
    Ok(users)
}

pub(super) fn update_tx(db: &Connection, name: &Name, change: &UserChange, now: Timestamp) -> AccessWork<User> {
    let way_in = has_way_in(db, now)?;
    let mut user = one(db, name.as_str())?.ok_or_else(|| missing(name))?;
    user.admin = change.admin.unwrap_or(user.admin);
    if let Some(password) = &change.password {
        user.password.clone_from(password);
    }
    if let (Some(person), Some(by_group)) = (&mut user.person, change.admin_by_group) {
        person.admin_by_group = by_group;
    }
    let sql = "UPDATE user SET admin = ?2, password = ?3, admin_by_group = ?4 WHERE name = ?1";
    db.prepare_cached(sql)?.execute(params![
        name.as_str(),
        user.admin,
        user.password.as_ref().map(PasswordHash::expose),
        user.person.as_ref().is_some_and(|it| it.admin_by_group),
    ])?;
    if way_in {
        keep_a_way_in(db, now, WHAT, name.as_str())?;
    }
    Ok(user)
}

/// Tokens and places go with it: both refer to it with ON DELETE CASCADE.
pub(super) fn delete_tx(db: &Connection, name: &Name, now: Timestamp) -> AccessWork<()> {
    let way_in = has_way_in(db, now)?;
    let gone: Option<i64> = db
        .prepare_cached("DELETE FROM user WHERE name = ?1 RETURNING 1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?;
    if gone.is_none() {
        return Err(missing(name).into());
    }
    if way_in {
        keep_a_way_in(db, now, WHAT, name.as_str())?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<User, Fault> {
    let person = match (row.get::<_, Option<String>>(4)?, row.get::<_, Option<String>>(5)?) {
        (Some(issuer), Some(subject)) => {
            Some(Person { id: person::id("user person", &issuer, &subject)?, admin_by_group: row.get(6)? })
        }
        _ => None,
    };
    Ok(User {
        name: parsed("user name", Name::parse(&row.get::<_, String>(0)?))?,
        admin: row.get(1)?,
        password: row.get::<_, Option<String>>(2)?.map(PasswordHash::new),
        created: Timestamp(row.get(3)?),
        person,
    })
}
