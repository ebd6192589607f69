//! What belongs to an owner: an item for each environment and deploy in the owner's partition, written with it.

use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::store::StoreError;

use super::action::Action;
use super::fault::Fault;
use super::item::{Item, Key, parsed};

/// Where owners are: one item for each, which holds what is known of it.
pub(super) const OWNERS: &str = "owner";

/// That an owner is there and not on its way out.
pub(super) const STAYS: &str = "attribute_exists(#p) AND attribute_not_exists(#gone)";

/// The place of an owner.
pub(super) fn owner_key(owner: &OwnerName) -> Key {
    Key::new(OWNERS, owner.as_str())
}

/// The partition of all that an owner has: members, robots' tokens, environments, deploys.
pub(super) fn partition(owner: &OwnerName) -> String {
    format!("owner#{owner}")
}

/// The place of one thing that an owner has: `environment#<id>`, `deploy#<id>`.
pub(super) fn thing_key(owner: &OwnerName, kind: &str, id: &str) -> Key {
    Key::new(partition(owner), format!("has#{kind}#{id}"))
}

/// Whether the owner of something new is there.
pub(super) fn is_there(owner: Option<&Item>) -> bool {
    owner.is_some_and(|item| !item.has("gone"))
}

/// The actions that give an owner one thing more. The owner's epoch counts on, so that a delete of the owner that found
/// nothing does not miss it.
pub(super) fn give(owner: &OwnerName, kind: &str, id: &str) -> [Action; 2] {
    [
        Action::update(owner_key(owner), "SET #epoch = #epoch + :one").only_if(STAYS).with_number(":one", 1),
        Action::put(Item::at(&thing_key(owner, kind, id))),
    ]
}

/// The owner in an attribute.
pub(super) fn owner_of(item: &Item) -> Result<Option<OwnerName>, Fault> {
    item.text_if("owner")?.map(|text| parsed("owner", OwnerName::parse(text))).transpose()
}

/// The error for an owner that isn't there.
pub(super) fn missing(owner: &OwnerName) -> StoreError {
    StoreError::OwnerMissing { owner: owner.clone() }
}
