//! Repositories that are moved to another backing, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /migration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrationList {
    /// The last move of each repository that was ever moved, by repository.
    pub migrations: Vec<Migration>,
}

/// `POST /migration`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrateRequest {
    /// `owner/name`.
    #[serde(default)]
    pub repository: String,
    /// The backing: `local`, or what the server's configuration calls a registry in ECR.
    #[serde(default)]
    pub to: String,
    /// Whether the old images go as soon as the new backing answers.
    #[serde(default)]
    pub delete_source: bool,
}

/// `PATCH /migration/{owner}/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateMigrationRequest {
    /// `true`: the images in the old backing are deleted.
    #[serde(default)]
    pub delete_source: bool,
}

/// Which move is meant, for `GET /migration/events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationQuery {
    /// `owner/name`.
    #[serde(default)]
    pub repository: String,
}

/// The move of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Migration {
    /// `owner/name`.
    pub repository: String,
    /// Where it lies: the backing that answers.
    pub backing: String,
    /// From where it is moved.
    pub from: String,
    /// To where.
    pub to: String,
    /// `copying`; `closing`: the last changes are copied, pushes wait; `moved`: the new backing answers, the old images are
    /// kept; `clearing`: they are being deleted; `cleared`: they are gone; `failed`: some images can't be moved;
    /// `refused`: that was seen before anything was copied; `cancelling`, `cancelled`.
    pub state: String,
    /// Whether nothing more happens by itself.
    pub ended: bool,
    /// How far it is, in a sentence.
    pub progress: String,
    /// When it was asked for, RFC 3339.
    pub asked: String,
    /// Manifests that the repository has.
    pub manifests: u64,
    /// Those that are in the new backing, compared byte for byte.
    pub verified: u64,
    /// Manifests that were copied.
    pub manifests_copied: u64,
    /// Blobs that were copied.
    pub blobs_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// What can't be moved, and why: the first twenty.
    #[serde(default)]
    pub problems: Vec<MigrationProblem>,
    /// How many more there are.
    #[serde(default)]
    pub problems_more: u64,
}

/// An image that can't be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrationProblem {
    /// Its digest.
    pub digest: String,
    /// The tags that lead to it: the first few.
    pub tags: Vec<String>,
    /// Why.
    pub why: String,
}
