//! Tags: what `GET /tag` finds entities by.

use serde::{Deserialize, Serialize};

/// One key and value on one entity. `name`, `environment_id`, `version` and the like are worked out of the entities
/// themselves; only tags that users add are stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    /// The entity's id.
    pub entity_id: String,
    /// The entity's kind as the wire spells it; users may use words of their own.
    pub entity_type: String,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}
