//! Operations and their events.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::{EnvironmentId, OperationId};
use layer0_domain::model::operation::{Operation, OperationEvent, OperationState};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{OperationLog, OperationLogLine, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_integer, from_json, to_integer, to_json};
use super::entity;
use super::fault::StoreWork;

pub(super) const BY_ID: &str = "SELECT sequence, body FROM operation WHERE id = ?1";
pub(super) const NEWEST: &str = "SELECT body FROM operation ORDER BY created DESC, sequence DESC LIMIT ?1";
/// The state stands in the text: a partial index is used for nothing less.
pub(super) const RUNNING: &str = "SELECT body FROM operation WHERE state = 'running' ORDER BY created, sequence";
pub(super) const RUNNING_ON: &str = "SELECT sequence, body FROM operation \
     WHERE state = 'running' AND entity_kind = ?1 AND entity_id = ?2";

/// Walks the events from the newest on and stops at the last that is wanted.
pub(super) const LOG: &str = "SELECT event.at, operation.body, event.message FROM operation_event AS event \
     CROSS JOIN operation ON operation.sequence = event.operation \
     WHERE event.at BETWEEN ?1 AND ?2 \
     ORDER BY event.at DESC, event.operation DESC, event.sequence DESC LIMIT ?3";
/// Reads the events of this environment only, whatever the others did since.
pub(super) const LOG_OF: &str = "SELECT event.at, operation.body, event.message FROM operation \
     CROSS JOIN operation_event AS event ON event.operation = operation.sequence \
     WHERE operation.environment_id = ?4 AND event.at BETWEEN ?1 AND ?2 \
     ORDER BY event.at DESC, event.operation DESC, event.sequence DESC LIMIT ?3";

/// What becomes of the entity while its operation goes on.
pub(super) enum Change {
    Nothing,
    Rewrite(Box<entity::Row>),
    Purge(EntityRef, Generation),
}

pub(super) fn insert_tx(db: &Connection, operation: &Operation) -> StoreWork<()> {
    let sql = "INSERT INTO operation (id, entity_kind, entity_id, state, created, body, environment_id) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let environment = match &operation.entity {
        EntityRef::Environment(id) => Some(id),
        _ => operation.environment.as_ref(),
    };
    db.prepare_cached(sql)?.execute(params![
        operation.id.as_str(),
        operation.entity.kind().as_str(),
        operation.entity.id(),
        operation.state.as_str(),
        operation.created.0,
        to_json("operation", operation)?,
        environment.map(EnvironmentId::as_str),
    ])?;
    Ok(())
}

/// Ends every operation that still runs on `entity`, because a newer one took over at `at`.
pub(super) fn supersede_tx(db: &Connection, entity: &EntityRef, at: Timestamp) -> StoreWork<()> {
    let running = {
        let mut select = db.prepare_cached(RUNNING_ON)?;
        let rows = select.query_map(params![entity.kind().as_str(), entity.id()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for (sequence, body) in running {
        let mut operation: Operation = from_json("operation", &body)?;
        operation.state = OperationState::Superseded;
        operation.ended = Some(at);
        write(db, sequence, &operation)?;
    }
    Ok(())
}

/// Answers whether the operation still ran; only then is anything written.
pub(super) fn progress_tx(
    db: &Connection,
    operation: &Operation,
    events: &[(Timestamp, String)],
    change: &Change,
) -> StoreWork<bool> {
    let Some((sequence, mut stored)) = find(db, &operation.id)? else {
        return Err(StoreError::Missing { entity: operation.entity.clone() }.into());
    };
    if stored.state.ended() {
        return Ok(false);
    }
    stored.state = operation.state;
    stored.cause.clone_from(&operation.cause);
    stored.ended = operation.ended;
    write(db, sequence, &stored)?;
    append(db, sequence, events)?;
    match change {
        Change::Nothing => {}
        Change::Rewrite(row) => entity::rewrite_tx(db, row)?,
        Change::Purge(entity, generation) => entity::purge_tx(db, entity, *generation)?,
    }
    Ok(true)
}

pub(super) fn get_tx(db: &Connection, id: &OperationId) -> StoreWork<Option<Operation>> {
    Ok(find(db, id)?.map(|(_, operation)| operation))
}

pub(super) fn newest_tx(db: &Connection, most: u32) -> StoreWork<Vec<Operation>> {
    let mut select = db.prepare_cached(NEWEST)?;
    collect(select.query([most])?)
}

pub(super) fn running_tx(db: &Connection) -> StoreWork<Vec<Operation>> {
    let mut select = db.prepare_cached(RUNNING)?;
    collect(select.query([])?)
}

pub(super) fn events_tx(db: &Connection, id: &OperationId, after: u64) -> StoreWork<Vec<OperationEvent>> {
    // No operation has that many events, so none comes after.
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT event.sequence, event.at, event.message FROM operation \
               JOIN operation_event AS event ON event.operation = operation.sequence \
               WHERE operation.id = ?1 AND event.sequence > ?2 ORDER BY event.sequence";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![id.as_str(), after])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(OperationEvent {
            sequence: from_integer("event number", row.get(0)?)?,
            at: Timestamp(row.get(1)?),
            message: row.get(2)?,
        });
    }
    Ok(events)
}

pub(super) fn log_tx(db: &Connection, log: &OperationLog) -> StoreWork<Vec<OperationLogLine>> {
    let start = log.start.map_or(i64::MIN, |at| at.0);
    let end = log.end.map_or(i64::MAX, |at| at.0);
    let mut select = db.prepare_cached(if log.environment.is_some() { LOG_OF } else { LOG })?;
    let mut rows = match &log.environment {
        Some(environment) => select.query(params![start, end, log.most, environment.as_str()])?,
        None => select.query(params![start, end, log.most])?,
    };
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let body = super::convert::parsed("operation", row.get_ref(1)?.as_str())?;
        let operation: Operation = from_json("operation", body)?;
        lines.push(OperationLogLine {
            at: Timestamp(row.get(0)?),
            verb: operation.verb,
            entity: operation.entity,
            entity_name: operation.entity_name,
            message: row.get(2)?,
        });
    }
    lines.reverse();
    Ok(lines)
}

fn find(db: &Connection, id: &OperationId) -> StoreWork<Option<(i64, Operation)>> {
    let found = db
        .prepare_cached(BY_ID)?
        .query_row([id.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    match found {
        None => Ok(None),
        Some((sequence, body)) => Ok(Some((sequence, from_json("operation", &body)?))),
    }
}

fn write(db: &Connection, sequence: i64, operation: &Operation) -> StoreWork<()> {
    db.prepare_cached("UPDATE operation SET state = ?2, body = ?3 WHERE sequence = ?1")?.execute(params![
        sequence,
        operation.state.as_str(),
        to_json("operation", operation)?
    ])?;
    Ok(())
}

fn append(db: &Connection, operation: i64, events: &[(Timestamp, String)]) -> StoreWork<()> {
    if events.is_empty() {
        return Ok(());
    }
    let last: i64 = db
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM operation_event WHERE operation = ?1")?
        .query_row([operation], |row| row.get(0))?;
    let mut insert =
        db.prepare_cached("INSERT INTO operation_event (operation, sequence, at, message) VALUES (?1, ?2, ?3, ?4)")?;
    for (number, (at, message)) in (1_u64..).zip(events) {
        let sequence = last + to_integer("event number", number)?;
        insert.execute(params![operation, sequence, at.0, message])?;
    }
    Ok(())
}

fn collect(mut rows: rusqlite::Rows<'_>) -> StoreWork<Vec<Operation>> {
    let mut operations = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?;
        let body = super::convert::parsed("operation", body.as_str())?;
        operations.push(from_json("operation", body)?);
    }
    Ok(operations)
}
