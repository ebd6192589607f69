//! Repositories and their images on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /repository/{owner}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateRepositoryRequest {
    /// The name without its owner; further `/` are allowed.
    #[serde(default)]
    pub name: String,
    /// `private` (when nothing is said) or `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
}

/// `POST /repository`: adopt a repository that is in ECR.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportRepositoryRequest {
    /// What it is called in ECR (`l0/team/app`), or all of its URI.
    #[serde(default)]
    pub backing: String,
    /// The friendly name that it is expected to have, `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The registry of the configuration that it is in, where several could have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Whether to say only what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What an adoption has changed, or would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportedRepository {
    /// The repository.
    pub repository: Repository,
    /// The registry of the configuration that it is in.
    #[serde(default)]
    pub registry: String,
    /// Whether it was only tried.
    #[serde(default)]
    pub dry_run: bool,
    /// What changes in ECR, a sentence each; none for a repository that was this instance's already.
    #[serde(default)]
    pub changes: Vec<String>,
}

/// `PATCH /repository/{owner}/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateRepositoryRequest {
    /// `private` or `public`.
    #[serde(default)]
    pub visibility: String,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Repository {
    /// The team.
    pub owner: String,
    /// The name without its owner.
    pub name: String,
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created_at: String,
    /// Who may pull: `private` for those who have the right to, `public` for everybody.
    #[serde(default)]
    pub visibility: String,
    /// How task definitions name it: `registry.example.com/team/app`.
    #[serde(default)]
    pub uri: String,
    /// Where the bytes are, as the engine pulls them.
    #[serde(default)]
    pub backing_uri: String,
    /// How far its move to another registry is, while it goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub migration: String,
}

/// `GET /repository` (`owner/name`) and `GET /repository/{owner}` (`name`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryList {
    /// The names.
    pub repositories: Vec<String>,
}

/// `GET /repository/{owner}/{name}/image`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// The tags, or the digests of the images that no tag leads to, when those were asked for (`untagged=true`).
    pub images: Vec<String>,
}

/// `GET /repository/{owner}/{name}/image/{tag}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// The tag, or the digest that was asked for.
    #[serde(default)]
    pub tag: String,
    /// The digest behind it.
    pub digest: String,
    /// All that it needs, in whole megabytes: `12MB`.
    pub size: String,
    /// When it was pushed, RFC 3339.
    pub pushed_at: String,
    /// All that it needs, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// Its media type.
    #[serde(default)]
    pub media_type: String,
    /// `linux/amd64`, …
    #[serde(default)]
    pub platforms: Vec<String>,
}
