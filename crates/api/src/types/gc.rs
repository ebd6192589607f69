//! The collection of what nothing needs in the registry on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What goes out of one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GcRepository {
    /// `owner/name`.
    pub repository: String,
    /// Blobs that no manifest of it names.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that come back: those of them that no other repository holds.
    pub freed_bytes: u64,
}

/// What went, or would go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GcReport {
    /// Each repository that loses something, by name.
    pub repositories: Vec<GcRepository>,
    /// Blobs of all of them.
    pub blobs: u64,
    /// Bytes that come back.
    pub freed_bytes: u64,
    /// For how many seconds a blob is kept that no manifest names.
    pub grace_seconds: u64,
}
