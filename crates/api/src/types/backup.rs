//! A copy of a running instance on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A copy of the state that the server has made, and what else a backup of the instance is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Names it until it ends.
    pub backup_id: String,
    /// The instance's name.
    pub instance: String,
    /// The instance's id, which no other has.
    pub instance_id: String,
    /// The server's version.
    pub version: String,
    /// The moment that the state is of, or a little before.
    pub begun: String,
    /// How long the copy of the state is.
    pub state_bytes: u64,
    /// How many blobs the state names.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// The text of `layer0.toml` in the data directory; `null` when there is none.
    pub settings: Option<String>,
    /// Registries whose images are not in it: they lie in ECR.
    pub not_copied: Vec<String>,
    /// Whether its images lie in a bucket; they are copied like those on a disk.
    #[serde(default)]
    pub in_bucket: bool,
}

/// A blob that the state names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupBlob {
    /// `sha256:…`.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// Whether the server knows it to be damaged.
    pub damaged: bool,
}

/// Which blobs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupBlobQuery {
    /// Those after this digest, in byte order; all when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A page of the blobs that the state names, in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupBlobs {
    /// At most 10,000; none when there are no more.
    pub blobs: Vec<BackupBlob>,
}
