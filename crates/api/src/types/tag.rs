//! Tags on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One key and value on one entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    /// The entity.
    #[serde(default)]
    pub entity_id: String,
    /// Its kind.
    #[serde(default)]
    pub entity_type: String,
    /// The key.
    #[serde(default)]
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
}

/// The filters of `GET /tag`. All optional; an entity must pass all that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagQuery {
    /// The kind.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<String>,
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_id: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern for id or name, with `*` anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuzz: Option<String>,
    /// The version, or `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
