//! The audit log.

use layer0_domain::model::audit::{AuditEntry, AuditFilter, AuditRecord};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::convert::{from_integer, parsed, to_integer};
use super::fault::{AccessWork, Fault};

/// Both directions read the index of sequences only as far as they must; `?2` and `?3` bound the time.
pub(super) const FORWARD: &str = "SELECT sequence, at, who, token, address, action, target, status FROM audit \
     WHERE sequence > ?1 AND at >= ?2 AND at <= ?3 AND (?4 IS NULL OR who = ?4) ORDER BY sequence LIMIT ?5";
pub(super) const BACKWARD: &str = "SELECT sequence, at, who, token, address, action, target, status FROM audit \
     WHERE sequence > ?1 AND at >= ?2 AND at <= ?3 AND (?4 IS NULL OR who = ?4) ORDER BY sequence DESC LIMIT ?5";

pub(super) fn append_tx(db: &Connection, record: &AuditRecord) -> AccessWork<()> {
    let sql = "INSERT INTO audit (at, who, token, address, action, target, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        record.at.0,
        record.who,
        record.token.as_ref().map(TokenId::as_str),
        record.from,
        record.action,
        record.target,
        record.status
    ])?;
    Ok(())
}

pub(super) fn list_tx(db: &Connection, filter: &AuditFilter) -> AccessWork<Vec<AuditEntry>> {
    let mut select = db.prepare_cached(if filter.after.is_some() { FORWARD } else { BACKWARD })?;
    let mut rows = select.query(params![
        to_integer("audit sequence", filter.after.unwrap_or(0))?,
        filter.start.map_or(i64::MIN, |at| at.0),
        filter.end.map_or(i64::MAX, |at| at.0),
        filter.who,
        filter.most
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
    let token: Option<String> = row.get(3)?;
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
        },
    })
}
