//! Owners: what they may use, what they use, and which of their tags stay as they are.

use layer0_domain::model::glob::Glob;
use layer0_domain::model::owner::{Owner, OwnerName, OwnerRule, TagRule, rule_put, rule_take};
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStoreError, OwnerChange, OwnerUse};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::convert::{from_integer, from_json, parsed, to_integer, to_json};
use super::fault::{AccessWork, Fault};
use super::grant;

/// What an error calls an owner.
pub(super) const WHAT: &str = "owner";

const COLUMNS: &str =
    "name, created, quota, used, tag_rules, retention, (SELECT count(*) FROM repository WHERE owner = owner.name)";

fn missing(name: &OwnerName) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: name.to_string() }
}

/// Demands that an owner is there.
pub(super) fn demand(db: &Connection, name: &OwnerName) -> AccessWork<()> {
    if exists(db, name.as_str())? { Ok(()) } else { Err(missing(name).into()) }
}

/// Whether an owner is there.
pub(super) fn exists(db: &Connection, name: &str) -> Result<bool, rusqlite::Error> {
    db.prepare_cached("SELECT 1 FROM owner WHERE name = ?1")?.exists([name])
}

pub(super) fn create_tx(db: &Connection, owner: &Owner) -> AccessWork<()> {
    if exists(db, owner.name.as_str())? {
        return Err(AccessStoreError::Exists { what: WHAT, name: owner.name.to_string() }.into());
    }
    let quota = owner.quota_bytes.map(|bytes| to_integer("quota", bytes)).transpose()?;
    db.prepare_cached("INSERT INTO owner (name, created, quota) VALUES (?1, ?2, ?3)")?.execute(params![
        owner.name.as_str(),
        owner.created.0,
        quota
    ])?;
    keep(db, &owner.name, &owner.tag_rules)?;
    keep(db, &owner.name, &owner.retention)
}

pub(super) fn get_tx(db: &Connection, name: &OwnerName) -> AccessWork<Option<OwnerUse>> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM owner WHERE name = ?1"))?;
    let mut rows = select.query([name.as_str()])?;
    Ok(match rows.next()? {
        Some(row) => Some(read(row)?),
        None => None,
    })
}

pub(super) fn list_tx(db: &Connection) -> AccessWork<Vec<OwnerUse>> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM owner ORDER BY name"))?;
    let mut rows = select.query([])?;
    let mut owners = Vec::new();
    while let Some(row) = rows.next()? {
        owners.push(read(row)?);
    }
    Ok(owners)
}

pub(super) fn update_tx(db: &Connection, name: &OwnerName, change: &OwnerChange) -> AccessWork<OwnerUse> {
    demand(db, name)?;
    if let Some(quota) = change.quota_bytes {
        let quota = quota.map(|bytes| to_integer("quota", bytes)).transpose()?;
        db.prepare_cached("UPDATE owner SET quota = ?2 WHERE name = ?1")?.execute(params![name.as_str(), quota])?;
    }
    get_tx(db, name)?.ok_or_else(|| missing(name).into())
}

/// Members and robots' tokens go with it: both refer to it with ON DELETE CASCADE.
pub(super) fn delete_tx(db: &Connection, name: &OwnerName) -> AccessWork<()> {
    demand(db, name)?;
    let mut things = Vec::new();
    for (sql, one, many) in [
        ("SELECT count(*) FROM repository WHERE owner = ?1", "repository", "repositories"),
        ("SELECT count(*) FROM entity WHERE owner = ?1", "environment", "environments"),
        ("SELECT count(*) FROM deploy WHERE owner = ?1", "deploy", "deploys"),
        (grant::OF_OWNER, "account grant", "account grants"),
    ] {
        let count: i64 = db.prepare_cached(sql)?.query_row([name.as_str()], |row| row.get(0))?;
        match count {
            0 => {}
            1 => things.push(format!("1 {one}")),
            _ => things.push(format!("{count} {many}")),
        }
    }
    if !things.is_empty() {
        return Err(AccessStoreError::OwnerInUse { owner: name.clone(), things: things.join(", ") }.into());
    }
    db.prepare_cached("DELETE FROM owner WHERE name = ?1")?.execute([name.as_str()])?;
    Ok(())
}

/// A kind of rules that an owner keeps, as a list in JSON.
pub(super) trait Kept: OwnerRule {
    /// The column.
    const COLUMN: &'static str;
    /// What an error calls the list.
    const LIST: &'static str;
}

impl Kept for TagRule {
    const COLUMN: &'static str = "tag_rules";
    const LIST: &'static str = "tag rules";
}

impl Kept for RetentionRule {
    const COLUMN: &'static str = "retention";
    const LIST: &'static str = "retention rules";
}

pub(super) fn rule_put_tx<R: Kept>(db: &Connection, owner: &OwnerName, rule: &R) -> AccessWork<()> {
    demand(db, owner)?;
    let mut rules = kept(db, owner.as_str())?;
    rule_put(&mut rules, rule.clone());
    keep(db, owner, &rules)
}

pub(super) fn rule_delete_tx<R: Kept>(
    db: &Connection,
    owner: &OwnerName,
    repositories: &Glob,
    tags: &Glob,
) -> AccessWork<()> {
    demand(db, owner)?;
    let mut rules: Vec<R> = kept(db, owner.as_str())?;
    if rule_take(&mut rules, repositories, tags).is_none() {
        let name = format!("{owner}/{repositories}:{tags}");
        return Err(AccessStoreError::Missing { what: R::WHAT, name }.into());
    }
    keep(db, owner, &rules)
}

/// Which tags of an owner stay as they are; none for one that isn't there.
pub(super) fn rules(db: &Connection, owner: &str) -> Result<Vec<TagRule>, Fault> {
    kept(db, owner)
}

fn kept<R: Kept>(db: &Connection, owner: &str) -> Result<Vec<R>, Fault> {
    let found: Option<Option<String>> = db
        .prepare_cached(&format!("SELECT {} FROM owner WHERE name = ?1", R::COLUMN))?
        .query_row([owner], |row| row.get(0))
        .optional()?;
    listed(found.flatten())
}

fn keep<R: Kept>(db: &Connection, owner: &OwnerName, rules: &[R]) -> AccessWork<()> {
    let text = if rules.is_empty() { None } else { Some(to_json(R::LIST, &rules)?) };
    db.prepare_cached(&format!("UPDATE owner SET {} = ?2 WHERE name = ?1", R::COLUMN))?
        .execute(params![owner.as_str(), text])?;
    Ok(())
}

fn listed<R: Kept>(text: Option<String>) -> Result<Vec<R>, Fault> {
    text.map_or(Ok(vec![]), |text| from_json(R::LIST, &text))
}

fn read(row: &Row<'_>) -> Result<OwnerUse, Fault> {
    let quota: Option<i64> = row.get(2)?;
    Ok(OwnerUse {
        owner: Owner {
            name: parsed("owner name", OwnerName::parse(&row.get::<_, String>(0)?))?,
            created: Timestamp(row.get(1)?),
            quota_bytes: quota.map(|bytes| from_integer("quota", bytes)).transpose()?,
            tag_rules: listed(row.get(4)?)?,
            retention: listed(row.get(5)?)?,
        },
        used_bytes: from_integer("used bytes", row.get(3)?)?,
        repositories: from_integer("count", row.get(6)?)?,
    })
}
