//! The audit log.

use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use layer0_domain::model::id::{EnvironmentId, TokenId};
use layer0_domain::model::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::convert::{from_integer, parsed, to_integer};
use super::fault::{AccessWork, Fault};

/// A statement that reads the log, the oldest or the newest first: all of it, a span of time, or one environment's. Without a
/// span it reads in order, no further than it must. A span is found by the index of times, which the planner would take without
/// one as well, and sort the whole log.
macro_rules! select {
    ($only:literal, $order:literal) => {
        concat!(
            "SELECT sequence, at, who, token, address, action, target, status, environment FROM audit WHERE ",
            $only,
            " AND sequence > ?1 AND (?4 IS NULL OR who = ?4) ORDER BY sequence ",
            $order,
            " LIMIT ?5"
        )
    };
}
pub(super) const FORWARD: &str = select!("?6 IS NULL", "ASC");
pub(super) const BACKWARD: &str = select!("?6 IS NULL", "DESC");
const FORWARD_IN_TIME: &str = select!("?6 IS NULL AND at BETWEEN ?2 AND ?3", "ASC");
const BACKWARD_IN_TIME: &str = select!("?6 IS NULL AND at BETWEEN ?2 AND ?3", "DESC");
pub(super) const FORWARD_OF: &str = select!("environment = ?6 AND +at BETWEEN ?2 AND ?3", "ASC");
pub(super) const BACKWARD_OF: &str = select!("environment = ?6 AND +at BETWEEN ?2 AND ?3", "DESC");

pub(super) fn append(db: &Connection, record: &AuditRecord) -> Result<(), Fault> {
    let sql = "INSERT INTO audit (at, who, token, address, action, target, status, environment) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    db.prepare_cached(sql)?.execute(params![
        record.at.0,
        record.who,
        record.token.as_ref().map(TokenId::as_str),
        record.from,
        record.action,
        record.target,
        record.status,
        record.environment.as_ref().map(EnvironmentId::as_str)
    ])?;
    Ok(())
}

pub(super) fn list_tx(db: &Connection, filter: &AuditFilter) -> AccessWork<Vec<AuditEntry>> {
    let in_time = filter.start.is_some() || filter.end.is_some();
    let mut select = db.prepare_cached(match (filter.after.is_some(), filter.environment.is_some(), in_time) {
        (true, false, false) => FORWARD,
        (true, false, true) => FORWARD_IN_TIME,
        (false, false, false) => BACKWARD,
        (false, false, true) => BACKWARD_IN_TIME,
        (true, true, _) => FORWARD_OF,
        (false, true, _) => BACKWARD_OF,
    })?;
    let mut rows = select.query(params![
        to_integer("audit sequence", filter.after.unwrap_or(0))?,
        filter.start.map_or(i64::MIN, |at| at.0),
        filter.end.map_or(i64::MAX, |at| at.0),
        filter.who,
        filter.most,
        filter.environment.as_ref().map(EnvironmentId::as_str)
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row)?);
    }
    if filter.after.is_none() {
        entries.reverse();
    }
    Ok(entries)
}

pub(super) fn prune_tx(db: &Connection, before: Timestamp) -> AccessWork<u64> {
    let gone = db.prepare_cached("DELETE FROM audit WHERE at < ?1")?.execute([before.0])?;
    Ok(u64::try_from(gone).expect("a count fits in 64 bits"))
}

fn read(row: &Row<'_>) -> Result<AuditEntry, Fault> {
    let (token, environment): (Option<String>, Option<String>) = (row.get(3)?, row.get(8)?);
    Ok(AuditEntry {
        sequence: from_integer("audit sequence", row.get(0)?)?,
        record: AuditRecord {
            at: Timestamp(row.get(1)?),
            who: row.get(2)?,
            token: token.map(|id| parsed("audit token", TokenId::parse(&id))).transpose()?,
            from: row.get(4)?,
            action: row.get(5)?,
            target: row.get(6)?,
            status: from_integer("audit status", row.get(7)?)?,
            environment: environment.map(|id| parsed("audit environment", EnvironmentId::parse(&id))).transpose()?,
        },
    })
}
