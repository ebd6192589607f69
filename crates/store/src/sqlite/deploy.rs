//! Deploys and the numbers of their versions.

use layer0_domain::model::deploy::{Deploy, DeployImage};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::DeployId;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::{NewDeploy, StoreError, Summary};
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_integer, from_json, parsed, to_json};
use super::fault::{Fault, StoreWork};
use super::{owner, tag};

pub(super) const SUMMARIES: &str = "SELECT id, name, version, label, owner FROM deploy ORDER BY name, version, id";
pub(super) const BY_ID: &str = "SELECT name, version, created, images, document, owner FROM deploy WHERE id = ?1";
pub(super) const OF_NAME: &str = "SELECT id, owner FROM deploy WHERE name = ?1 ORDER BY version DESC LIMIT 1";

/// A deploy made ready for its row, outside the writer's thread.
pub(super) struct Row {
    new: NewDeploy,
    label: String,
    images: String,
    document: String,
}

impl Row {
    pub(super) fn of(new: NewDeploy) -> Result<Self, Fault> {
        let compatibilities = new.document.compatibilities();
        let words: Vec<&str> = compatibilities.iter().map(|one| one.as_str()).collect();
        Ok(Self {
            label: words.join(","),
            images: to_json("deploy images", &new.images)?,
            document: to_json("deploy document", new.document.canonical())?,
            new,
        })
    }
}

pub(super) fn create_tx(db: &Connection, row: Row) -> StoreWork<Deploy> {
    owner_is_there(db, row.new.owner.as_ref())?;
    if let Some((by, owner)) = of_name(db, &row.new.name)?
        && owner != row.new.owner
    {
        let name = row.new.name.to_string();
        return Err(StoreError::NameTaken { kind: EntityKind::Deploy, name, by: EntityRef::Deploy(by) }.into());
    }
    let sql = "INSERT INTO deploy_version (name, last) VALUES (?1, 1) \
               ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last";
    let version: i64 = db.prepare_cached(sql)?.query_row([row.new.name.as_str()], |found| found.get(0))?;
    let version: u32 = from_integer("deploy version", version)?;
    let id = Deploy::id_of(&row.new.name, version);
    let sql = "INSERT INTO deploy (id, name, version, label, created, images, document, owner) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    db.prepare_cached(sql)?.execute(params![
        id.as_str(),
        row.new.name.as_str(),
        version,
        row.label,
        row.new.created.0,
        row.images,
        row.document,
        row.new.owner.as_ref().map(OwnerName::as_str),
    ])?;
    Ok(Deploy {
        id,
        name: row.new.name,
        owner: row.new.owner,
        version,
        document: row.new.document,
        images: row.new.images,
        created: row.new.created,
    })
}

pub(super) fn get_tx(db: &Connection, id: &DeployId) -> StoreWork<Option<Deploy>> {
    let found = db
        .prepare_cached(BY_ID)?
        .query_row([id.as_str()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, Option<String>>(5)?,
            ))
        })
        .optional()?;
    let Some((name, version, created, images, document, owner)) = found else {
        return Ok(None);
    };
    let images: Vec<DeployImage> = from_json("deploy images", &images)?;
    let document: serde_json::Value = from_json("deploy document", &document)?;
    Ok(Some(Deploy {
        id: id.clone(),
        name: parsed("deploy name", Name::parse(&name))?,
        owner: owner_of(owner)?,
        version: from_integer("deploy version", version)?,
        document: parsed("deploy document", Document::from_canonical(document))?,
        images,
        created: Timestamp(created),
    }))
}

/// The newest version of a name, and whose all of them are.
fn of_name(db: &Connection, name: &Name) -> StoreWork<Option<(DeployId, Option<OwnerName>)>> {
    let found: Option<(String, Option<String>)> =
        db.prepare_cached(OF_NAME)?.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((id, owner)) = found else { return Ok(None) };
    Ok(Some((parsed("deploy id", DeployId::parse(&id))?, owner_of(owner)?)))
}

pub(super) fn owner_tx(db: &Connection, name: &Name) -> StoreWork<Option<Option<OwnerName>>> {
    Ok(of_name(db, name)?.map(|(_, owner)| owner))
}

/// An owner out of its column.
pub(super) fn owner_of(text: Option<String>) -> Result<Option<OwnerName>, Fault> {
    text.map(|text| parsed("owner", OwnerName::parse(&text))).transpose()
}

/// Demands that the owner of something new is there.
pub(super) fn owner_is_there(db: &Connection, owner: Option<&OwnerName>) -> StoreWork<()> {
    match owner {
        Some(name) if !owner::exists(db, name.as_str())? => {
            Err(StoreError::OwnerMissing { owner: name.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Takes a deploy and its user tags away.
pub(super) fn delete_tx(db: &Connection, id: &DeployId) -> StoreWork<()> {
    let entity = EntityRef::Deploy(id.clone());
    let deleted = db.prepare_cached("DELETE FROM deploy WHERE id = ?1")?.execute([id.as_str()])?;
    if deleted == 0 {
        return Err(StoreError::Missing { entity }.into());
    }
    tag::purge_tx(db, &entity)
}

pub(super) fn summaries_tx(db: &Connection) -> StoreWork<Vec<Summary>> {
    let mut select = db.prepare_cached(SUMMARIES)?;
    let mut rows = select.query([])?;
    let mut summaries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?;
        let id = parsed("deploy id", id.as_str())?;
        summaries.push(Summary {
            entity: EntityRef::Deploy(parsed("deploy id", DeployId::parse(id))?),
            name: row.get(1)?,
            environment: None,
            version: from_integer("deploy version", row.get(2)?)?,
            label: row.get(3)?,
            owner: owner_of(row.get(4)?)?,
        });
    }
    Ok(summaries)
}
