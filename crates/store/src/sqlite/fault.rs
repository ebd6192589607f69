//! What can go wrong underneath, and its way into the errors of the two ports.

use std::sync::Arc;

use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::home_store::HomeStoreError;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_domain::port::store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// A failure that is nobody's decision: of SQLite, of the disk, of a stored value.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    /// There is no room for a write.
    #[error("the database or its disk is full")]
    Full,
    /// SQLite failed. Shared, because one failed commit is the answer to a whole batch.
    #[error("SQLite failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// A stored value is none that this version knows.
    #[error("the stored {what} can't be read")]
    Unreadable {
        /// Of which table and column.
        what: &'static str,
    },
    /// A value can't be stored.
    #[error("the {what} can't be stored")]
    Unstorable {
        /// Which value.
        what: &'static str,
    },
    /// The job was dropped without an answer: the store was closed, or the job panicked.
    #[error("the store is closed, or broke down over this call")]
    Closed,
}

impl Fault {
    /// What a failed commit is answered with. SQLite grows the index of the WAL after the frames of the commit were synced: when there is
    /// no room for that, a restart may find the commit and let it stand. So this one does not say for certain that nothing was written.
    pub(super) fn of_commit(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(code, _) if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                Self::Sqlite(Arc::new(error))
            }
            _ => Self::from(error),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(code, _) if is_full(code) => Self::Full,
            // Their texts may hold the value that did not fit. All others name tables and columns at most.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Unreadable { what: "value" },
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// Whether SQLite says so for lack of room.
pub(super) fn is_out_of_room(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _) if is_full(code))
}

/// Whether a failure means that there is no room. `IOERR_SHMSIZE` is the growing of the WAL's index file, which fails for
/// nothing else.
fn is_full(error: &ffi::Error) -> bool {
    error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => StoreError::Full,
            other => StoreError::Failed { source: Box::new(other) },
        }
    }
}

impl From<Fault> for RegistryStoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => RegistryStoreError::Full,
            other => RegistryStoreError::Failed { source: Box::new(other) },
        }
    }
}

impl From<Fault> for AccessStoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => AccessStoreError::Full,
            other => AccessStoreError::Failed { source: Box::new(other) },
        }
    }
}

impl From<Fault> for HomeStoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => HomeStoreError::Full,
            other => HomeStoreError::Failed { source: Box::new(other) },
        }
    }
}

/// Why a unit of work stops: it is refused, with the port's own error, or something underneath failed.
#[derive(Debug)]
pub(super) enum Stop<E> {
    /// A decision: the port's error.
    Refused(E),
    /// A failure underneath.
    Fault(Fault),
}

impl<E: From<Fault>> Stop<E> {
    /// The port's error for it.
    pub(super) fn into_error(self) -> E {
        match self {
            Stop::Refused(error) => error,
            Stop::Fault(fault) => E::from(fault),
        }
    }
}

impl<E> From<rusqlite::Error> for Stop<E> {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Fault(Fault::from(error))
    }
}

impl<E> From<Fault> for Stop<E> {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<StoreError> for Stop<StoreError> {
    fn from(error: StoreError) -> Self {
        Stop::Refused(error)
    }
}

impl From<RegistryStoreError> for Stop<RegistryStoreError> {
    fn from(error: RegistryStoreError) -> Self {
        Stop::Refused(error)
    }
}

impl From<AccessStoreError> for Stop<AccessStoreError> {
    fn from(error: AccessStoreError) -> Self {
        Stop::Refused(error)
    }
}

/// Outcome of a unit of work for the port `Store`.
pub(super) type StoreWork<T> = Result<T, Stop<StoreError>>;

/// Outcome of a unit of work for the port `RegistryStore`.
pub(super) type RegistryWork<T> = Result<T, Stop<RegistryStoreError>>;

/// Outcome of a unit of work for the port `AccessStore`.
pub(super) type AccessWork<T> = Result<T, Stop<AccessStoreError>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended: i32) -> Fault {
        Fault::from(rusqlite::Error::SqliteFailure(ffi::Error::new(extended), Some("text".to_owned())))
    }

    #[test]
    fn no_room_is_told_from_other_failures() {
        assert!(matches!(failure(ffi::SQLITE_FULL), Fault::Full));
        assert!(matches!(failure(ffi::SQLITE_IOERR_SHMSIZE), Fault::Full));
        assert!(matches!(failure(ffi::SQLITE_IOERR_READ), Fault::Sqlite(_)));
        assert!(matches!(failure(ffi::SQLITE_CORRUPT), Fault::Sqlite(_)));
    }

    #[test]
    fn a_commit_that_may_stand_is_not_said_to_have_had_no_room() {
        let of_commit = |extended| Fault::of_commit(rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None));
        assert!(matches!(of_commit(ffi::SQLITE_FULL), Fault::Full));
        assert!(matches!(of_commit(ffi::SQLITE_IOERR_SHMSIZE), Fault::Sqlite(_)));
    }

    #[test]
    fn a_value_that_does_not_fit_is_not_in_the_text() {
        let error = rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, "hunter2".into());
        assert!(!Fault::from(error).to_string().contains("hunter2"));
    }
}
