//! Owners and their members on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /owner`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateOwnerRequest {
    /// The name: the first part of its repositories' names.
    #[serde(default)]
    pub owner_name: String,
    /// The most bytes its repositories may hold; absent for as many as the disk takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<i64>,
}

/// `PATCH /owner/{owner}`. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateOwnerRequest {
    /// The most bytes its repositories may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<i64>,
    /// Whether the quota is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_quota: Option<bool>,
}

/// An owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Owner {
    /// The name.
    pub owner_name: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The most bytes its repositories may hold; absent for as many as the disk takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<i64>,
    /// Bytes that its repositories hold: each blob once, and every manifest.
    pub used_bytes: i64,
    /// How many repositories it has.
    pub repositories: i64,
    /// Which of its tags may be neither moved nor deleted.
    #[serde(default)]
    pub immutable: Vec<TagRule>,
    /// Which of its images are kept; all where no rule says otherwise.
    #[serde(default)]
    pub retention: Vec<RetentionRule>,
}

/// Which tags are kept, and for how long manifests without a tag are. A tag is kept that it does not fit, that is among the last, or that
/// is young enough. Also what is asked for by `POST /owner/{owner}/retention`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RetentionRule {
    /// In which repositories, a pattern for the name behind the owner; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<String>,
    /// Which tags, a pattern; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// So many of them are kept, those that were pushed last: 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// Those are kept that were pushed less than so many hours ago: 1 to 87600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_hours: Option<u32>,
    /// Manifests without a tag go that were pushed so many hours ago or earlier, 1 to 87600; absent to keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untagged_hours: Option<u32>,
}

/// `POST /owner/{owner}/immutable`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddTagRuleRequest {
    /// In which repositories, a pattern for the name behind the owner; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<String>,
    /// Which tags, a pattern; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Which of them not, patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// Tags that, once pushed, may be neither moved nor deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TagRule {
    /// In which repositories, a pattern for the name behind the owner.
    pub repositories: String,
    /// Which tags, a pattern.
    pub tags: String,
    /// Which of them not, patterns.
    #[serde(default)]
    pub except: Vec<String>,
}

/// `PUT /owner/{owner}/member/{user}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PutMemberRequest {
    /// `reader`, `writer` or `maintainer`.
    #[serde(default)]
    pub role: String,
    /// The only tags that the member may push and delete, a pattern; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

/// A member of an owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The owner.
    pub owner_name: String,
    /// The user.
    pub user_name: String,
    /// `reader`, `writer` or `maintainer`.
    pub role: String,
    /// The only tags that the member may push and delete; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Since when, RFC 3339.
    pub since: String,
    /// Whether a group at the provider gave it, with which it goes.
    #[serde(default)]
    pub by_group: bool,
}
