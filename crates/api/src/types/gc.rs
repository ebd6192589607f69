//! The collection of what nothing needs in the registry on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the registry lets go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GcQuery {
    /// `true` when the server's clock is right, however far it is beyond the last time that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_clock: Option<String>,
}

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
    /// Tags and manifests that went, or would go, by their owners' rules. In a dry run their blobs are not among those above.
    #[serde(default)]
    pub retention: Vec<RetiredImage>,
    /// Tags that no rule keeps and that stay all the same, and repositories of which all stays.
    #[serde(default)]
    pub held: Vec<HeldImage>,
    /// Blobs that no manifest of their repository names either, and that are younger than the grace.
    #[serde(default)]
    pub waiting_blobs: u64,
    /// Their bytes.
    #[serde(default)]
    pub waiting_bytes: u64,
    /// Uploads that were begun, and that nobody has gone on with for `upload_seconds`: they were ended, or would be.
    #[serde(default)]
    pub uploads: u64,
    /// Their bytes, as far as they are known; in a bucket they are not.
    #[serde(default)]
    pub upload_bytes: u64,
    /// Uploads that are under way, or were left not so long ago.
    #[serde(default)]
    pub open_uploads: u64,
    /// Their bytes.
    #[serde(default)]
    pub open_upload_bytes: u64,
    /// For how many seconds an upload is kept that nobody goes on with.
    #[serde(default)]
    pub upload_seconds: u64,
    /// Backups that go on. What they need of the bytes comes back when they have ended.
    #[serde(default)]
    pub backups: u64,
}

/// What goes by a retention rule: a tag, or a manifest that has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RetiredImage {
    /// `owner/name`.
    pub repository: String,
    /// The tag; absent for a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What the tag points to, or the manifest.
    pub digest: String,
    /// When it was pushed last, RFC 3339.
    pub pushed_at: String,
    /// By which rule.
    pub rule: String,
}

/// A tag that no retention rule keeps, and that stays; or a repository of which all stay: it could not be read, or the clock is doubted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldImage {
    /// `owner/name`; `owner/*` or `*` for all repositories.
    pub repository: String,
    /// The tag; `*` for all of a repository.
    pub tag: String,
    /// What it points to; empty for all of a repository.
    pub digest: String,
    /// Why it stays.
    pub because: String,
}
