//! The audit log: who did what, from where, and what came of it.

use super::id::{EnvironmentId, TokenId};
use super::time::Timestamp;

/// The longest text kept of each part of a record.
pub const PART_MAX: usize = 512;

/// How long a record is kept: a year and a month, so that a yearly look back finds all of it.
pub const KEPT_MS: i64 = 400 * 24 * 60 * 60 * 1000;

/// One thing that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it was answered.
    pub at: Timestamp,
    /// Who: a user, `owner+robot`, `l0-pull`, `anonymous`; for a refused sign-in the name that was tried.
    pub who: String,
    /// The token that was used, where it was one.
    pub token: Option<TokenId>,
    /// The address that the request came from; empty when it is not known.
    pub from: String,
    /// What: the operation's id in the OpenAPI document, or a word of the registry (`manifest_put`).
    pub action: String,
    /// To what: `team/app:v1`, an entity's id. Never a secret.
    pub target: String,
    /// The environment that it is or that it stands in, where there is one.
    pub environment: Option<EnvironmentId>,
    /// The status of the answer (RFC 9110, section 15).
    pub status: u16,
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts up; gaps mean nothing.
    pub sequence: u64,
    /// What was done.
    pub record: AuditRecord,
}

/// Which records to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those behind this sequence.
    pub after: Option<u64>,
    /// From this moment on, itself included.
    pub start: Option<Timestamp>,
    /// Up to this moment, itself included.
    pub end: Option<Timestamp>,
    /// Only of this one.
    pub who: Option<String>,
    /// Only what was done to this environment, or to what stands in it.
    pub environment: Option<EnvironmentId>,
    /// At most so many: with `after` the oldest of them, else the newest.
    pub most: u32,
}
