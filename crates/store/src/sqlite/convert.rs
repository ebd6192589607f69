//! Values on their way into columns and out of them. What can't be read is named by its column; its text stays out of
//! messages, for bodies hold secrets.

use layer0_domain::model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;

/// A value as the JSON that is stored.
pub(super) fn to_json(what: &'static str, value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Unstorable { what })
}

/// A value out of stored JSON. Fields that this version does not know are passed over.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Unreadable { what })
}

/// A value out of stored text.
pub(super) fn parsed<T, E>(what: &'static str, value: Result<T, E>) -> Result<T, Fault> {
    value.map_err(|_| Fault::Unreadable { what })
}

/// A number as SQLite keeps it: signed, 64 bits.
pub(super) fn to_integer(what: &'static str, number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::Unstorable { what })
}

/// An unsigned number out of a column.
pub(super) fn from_integer<N: TryFrom<i64>>(what: &'static str, number: i64) -> Result<N, Fault> {
    N::try_from(number).map_err(|_| Fault::Unreadable { what })
}

/// A timestamp that may be missing.
pub(super) fn timestamp(value: Option<i64>) -> Option<Timestamp> {
    value.map(Timestamp)
}
