//! What the platform under an engine wrote down by itself about who changed what: CloudTrail on AWS. An engine without such a
//! platform has nothing to tell, which is no gap.

use crate::model::entity::EntityRef;
use crate::model::id::EnvironmentId;
use crate::model::time::Timestamp;

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailQuery {
    /// About what.
    pub about: TrailAbout,
    /// From this moment on, itself included.
    pub start: Option<Timestamp>,
    /// Up to this moment, itself included.
    pub end: Option<Timestamp>,
    /// The newest so many.
    pub most: u32,
}

/// About what records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailAbout {
    /// What this instance did by its own right.
    Instance,
    /// What anybody did to what an environment is made of, and to what stands in it.
    Environment {
        /// The environment.
        id: EnvironmentId,
        /// What stands in it, or stood in it once.
        members: Vec<EntityRef>,
    },
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The records, the oldest first.
    pub records: Vec<TrailRecord>,
    /// What may be missing; `None` when the answer is whole, as far as the platform keeps its records.
    pub gap: Option<TrailGap>,
}

/// What of an answer may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailGap {
    /// The records could not be read, or not to the end.
    Unreadable {
        /// Why, and what helps, as one sentence for people.
        why: String,
    },
    /// There is more than is read at once.
    Older {
        /// What is older than this was not looked at.
        than: Timestamp,
    },
}

/// One thing that was done, or tried. Parameters of calls are left out: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailRecord {
    /// The platform's id: the same for the same record, however often it is read.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who wrote it down, in one word: `cloudtrail`.
    pub source: &'static str,
    /// Who did it, as the platform names them.
    pub who: String,
    /// What: `ecs:CreateService`.
    pub action: String,
    /// To what of ours, by the platform's name; empty when it does not say.
    pub target: String,
    /// The platform's code when it was refused.
    pub refused: Option<String>,
}
