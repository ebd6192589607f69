//! Members: users' places in owners.

use layer0_domain::model::glob::Glob;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::{Member, OwnerName, Role};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::AccessStoreError;
use rusqlite::{Connection, Row, params};

use super::convert::parsed;
use super::fault::{AccessWork, Fault};
use super::{owner, user};

pub(super) const OF_USER: &str =
    "SELECT owner, user, role, tags, since, by_group FROM member WHERE user = ?1 ORDER BY owner";
const OF_OWNER: &str = "SELECT owner, user, role, tags, since, by_group FROM member WHERE owner = ?1 ORDER BY user";

pub(super) fn put_tx(db: &Connection, member: &Member) -> AccessWork<()> {
    owner::demand(db, &member.owner)?;
    if user::one(db, member.user.as_str())?.is_none() {
        return Err(user::missing(&member.user).into());
    }
    let sql = "INSERT INTO member (owner, user, role, tags, since, by_group) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (owner, user) DO UPDATE SET role = excluded.role, tags = excluded.tags, by_group = excluded.by_group";
    db.prepare_cached(sql)?.execute(params![
        member.owner.as_str(),
        member.user.as_str(),
        member.role.as_str(),
        member.tags.as_ref().map(Glob::as_str),
        member.since.0,
        member.by_group,
    ])?;
    Ok(())
}

pub(super) fn of_user(db: &Connection, user: &str) -> Result<Vec<Member>, Fault> {
    list(db, OF_USER, user)
}

pub(super) fn list_tx(db: &Connection, owner: &OwnerName) -> AccessWork<Vec<Member>> {
    Ok(list(db, OF_OWNER, owner.as_str())?)
}

fn list(db: &Connection, sql: &str, key: &str) -> Result<Vec<Member>, Fault> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([key])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(read(row)?);
    }
    Ok(members)
}

pub(super) fn delete_tx(db: &Connection, owner: &OwnerName, user: &Name) -> AccessWork<()> {
    let sql = "DELETE FROM member WHERE owner = ?1 AND user = ?2";
    let gone = db.prepare_cached(sql)?.execute([owner.as_str(), user.as_str()])?;
    if gone == 0 {
        return Err(AccessStoreError::Missing { what: "member", name: format!("{user} of {owner}") }.into());
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Member, Fault> {
    let role: String = row.get(2)?;
    let tags: Option<String> = row.get(3)?;
    Ok(Member {
        owner: parsed("member owner", OwnerName::parse(&row.get::<_, String>(0)?))?,
        user: parsed("member user", Name::parse(&row.get::<_, String>(1)?))?,
        role: Role::parse(&role).ok_or(Fault::Unreadable { what: "member role" })?,
        tags: tags.map(|tags| parsed("member tags", Glob::parse(&tags))).transpose()?,
        since: Timestamp(row.get(4)?),
        by_group: row.get(5)?,
    })
}
