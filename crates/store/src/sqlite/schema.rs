//! The schema: its number, and the way from each number to the next.

use rusqlite::{Connection, TransactionBehavior};

use super::fault;

/// Marks a SQLite file as ours (`PRAGMA application_id`): "L0db".
const APPLICATION_ID: i32 = 0x4c30_6462;

/// The step at index N leads from schema N to schema N + 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_operation_log.sql"),
    include_str!("migrations/0003_access.sql"),
    include_str!("migrations/0004_blob_sums.sql"),
    include_str!("migrations/0005_lease.sql"),
    include_str!("migrations/0006_audit_environment.sql"),
    include_str!("migrations/0007_account_grant.sql"),
    include_str!("migrations/0008_public_repository.sql"),
    include_str!("migrations/0009_trust.sql"),
    include_str!("migrations/0010_repository_home.sql"),
    include_str!("migrations/0011_blob_place.sql"),
    include_str!("migrations/0012_retention.sql"),
    include_str!("migrations/0013_person.sql"),
    include_str!("migrations/0014_manifest_parents.sql"),
    include_str!("migrations/0015_packs.sql"),
    include_str!("migrations/0016_audit_index.sql"),
];

/// The schema that this program works with.
pub(super) fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("there are far fewer migrations than 2^31")
}

/// Why a database can't be used as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("schema {found} is newer than {}", known())]
    Newer { found: i32 },
    #[error("it is a database of another program")]
    NotOurs,
    #[error("the step to schema {to} failed")]
    Step {
        to: i32,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the schema can't be read")]
    Read(#[from] rusqlite::Error),
}

impl SchemaError {
    /// Whether it is for lack of room.
    pub(super) fn is_full(&self) -> bool {
        self.source_of().is_some_and(fault::is_out_of_room)
    }

    /// Whether a file could not be opened or made. SQLite says no more of it: it may be for lack of room for its name.
    pub(super) fn is_unopened(&self) -> bool {
        let code = self.source_of().and_then(rusqlite::Error::sqlite_error_code);
        code == Some(rusqlite::ErrorCode::CannotOpen)
    }

    fn source_of(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Step { source, .. } | Self::Read(source) => Some(source),
            Self::Newer { .. } | Self::NotOurs => None,
        }
    }
}

/// Refuses what is newer or not ours. Changes nothing.
pub(super) fn check(connection: &Connection) -> Result<i32, SchemaError> {
    let found: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = found == 0 && application == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(SchemaError::NotOurs);
    }
    if found > known() {
        return Err(SchemaError::Newer { found });
    }
    Ok(found)
}

/// Brings the schema to [`known`], each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    let began = check(connection)?;
    while check(connection)? < known() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again under the lock: another process may have taken the step meanwhile.
        let from = check(&transaction)?;
        let Some(step) = usize::try_from(from).ok().and_then(|from| MIGRATIONS.get(from)) else {
            continue;
        };
        let to = from + 1;
        let taken = transaction
            .execute_batch(step)
            .and_then(|()| transaction.pragma_update(None, "user_version", to))
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.commit());
        taken.map_err(|source| SchemaError::Step { to, source })?;
        tracing::debug!(store.schema = to, "took the step to schema {to}");
    }
    let now = known();
    if (1..now).contains(&began) {
        tracing::info!(store.schema = now, "brought the store from schema {began} to {now}");
    }
    Ok(())
}
