//! Verification of the registry on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Begins a verification, or joins the one that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyRequest {
    /// How much is read a second, in MiB; 64 when it is not said. Whoever joins gets the rate of who began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mib_per_s: Option<i64>,
}

/// How far a verification is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyProgress {
    /// How much is read a second, in MiB.
    pub mib_per_s: u32,
    /// Blobs that were in repositories when it began.
    pub blobs_total: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes of blobs that were read.
    pub bytes: u64,
    /// Manifests that were read.
    pub manifests: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyFinding {
    /// `blob` or `manifest`.
    pub kind: String,
    /// Its digest.
    pub digest: String,
    /// `damaged`: it is not what its digest says; `missing`: its file is gone; `unreadable`: the server's log says why.
    pub problem: String,
    /// The repositories that hold it, and what needs it there.
    pub users: Vec<VerifyUser>,
}

/// What needs some content in one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyUser {
    /// The repository, `owner/name`.
    pub repository: String,
    /// The digests of the manifests that need it, at most 100.
    pub manifests: Vec<String>,
    /// The tags that point to these manifests, at most 100.
    pub tags: Vec<String>,
}

/// The end of a verification.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes of blobs that were read.
    pub bytes: u64,
    /// Manifests that were read.
    pub manifests: u64,
    /// How many findings there were.
    pub findings: u64,
    /// Files that are in no repository. They take space, do no harm, and are swept when they are a day old.
    pub strays: u64,
    /// Their bytes.
    pub stray_bytes: u64,
    /// The instance's registries that were not read: what lies in ECR is AWS's to compare with its digests. Absent when there is
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<String>,
    /// Why it could not be done to its end; then not everything was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
