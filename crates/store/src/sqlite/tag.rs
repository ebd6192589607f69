//! The tags that users add.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::tag::Tag;
use rusqlite::{Connection, params};

use super::fault::StoreWork;

pub(super) fn list_tx(db: &Connection) -> StoreWork<Vec<Tag>> {
    let sql = "SELECT entity_id, entity_type, key, value FROM entity_tag ORDER BY entity_id, entity_type, key";
    let mut select = db.prepare_cached(sql)?;
    let tags = select.query_map([], |row| {
        Ok(Tag { entity_id: row.get(0)?, entity_type: row.get(1)?, key: row.get(2)?, value: row.get(3)? })
    })?;
    Ok(tags.collect::<Result<_, _>>()?)
}

pub(super) fn put_tx(db: &Connection, tag: &Tag) -> StoreWork<()> {
    let sql = "INSERT INTO entity_tag (entity_id, entity_type, key, value) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (entity_id, entity_type, key) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute(params![tag.entity_id, tag.entity_type, tag.key, tag.value])?;
    Ok(())
}

pub(super) fn delete_tx(db: &Connection, tag: &Tag) -> StoreWork<bool> {
    let sql = "DELETE FROM entity_tag WHERE entity_id = ?1 AND entity_type = ?2 AND key = ?3 AND value = ?4";
    let deleted = db.prepare_cached(sql)?.execute(params![tag.entity_id, tag.entity_type, tag.key, tag.value])?;
    Ok(deleted > 0)
}

/// Takes away what users tagged the entity with. Tags under a type of the users' own stay: they are about something else
/// that has the same id.
pub(super) fn purge_tx(db: &Connection, entity: &EntityRef) -> StoreWork<()> {
    db.prepare_cached("DELETE FROM entity_tag WHERE entity_id = ?1 AND entity_type = ?2")?
        .execute([entity.id(), entity.kind().as_str()])?;
    Ok(())
}
