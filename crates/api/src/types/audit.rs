//! The audit log on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which records of the audit log. Numbers are text, so that a bad one is answered in our own words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Only those behind this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; 100 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// From this moment on: `YYYY-MM-DD HH:MM`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Up to this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Only of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// `true` to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<String>,
}

/// One thing that was done, or tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts up.
    pub sequence: u64,
    /// When it was answered, RFC 3339.
    pub at: String,
    /// Who: a user, `owner+robot`, `l0-pull` (the engine); for a refused sign-in the name that was tried.
    pub who: String,
    /// The token that was used, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The address that the request came from.
    pub from: String,
    /// What: the operation's id in the OpenAPI document, or the registry's word (`manifest_push`).
    pub action: String,
    /// To what.
    pub target: String,
    /// The status of the answer.
    pub status: u16,
}
