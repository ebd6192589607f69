//! How often something was written that may have shut somebody out: a number in the same transaction as the write.

use super::action::Action;
use super::fault::Fault;
use super::item::Key;
use super::table::Table;

fn key() -> Key {
    Key::new("access", "shut_outs")
}

/// The action that counts one. It has no condition: two that meet are put one behind the other by DynamoDB.
pub(super) fn note() -> Action {
    Action::update(key(), "ADD #count :one").with_number(":one", 1)
}

impl Table {
    /// How many there were.
    pub(super) async fn shut_outs(&self) -> Result<u64, Fault> {
        match self.get(&key()).await? {
            Some(item) => item.number("count"),
            None => Ok(0),
        }
    }
}
