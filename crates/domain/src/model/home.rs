//! Where a repository lies, when that was decided for it alone: it was moved from one backing to another, or is being moved.
//!
//! ```text
//! migrate ─> copying ⇄ closing ──> moved ──> clearing ──> cleared        the new backing answers from `moved` on
//!              │  │       │          (delete-source)
//!              │  └───────┴─> failed      asked for again: copying
//!              ├─> refused                nothing was copied
//!              └─> cancelling ─> cancelled
//! ```
//! The old backing answers until `moved`, whatever happens; from then on the new one does. Both are one write of one row.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::image::RepositoryName;
use super::placement::BackingName;
use super::time::{Generation, Timestamp};

/// The most problems that a migration names; how many there are besides, it counts.
pub const PROBLEMS_MAX: usize = 20;

/// Where a repository lies, and what became of its last move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Which.
    pub repository: RepositoryName,
    /// The backing that answers for it.
    pub backing: BackingName,
    /// The move that goes on, or the last that came to an end.
    pub migration: Migration,
    /// Counts its changes.
    pub generation: Generation,
}

/// A move from one backing to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// From where.
    pub from: BackingName,
    /// To where.
    pub to: BackingName,
    /// How far it came.
    pub stage: Stage,
    /// What becomes of the images in the old backing.
    pub source: Source,
    /// Whether the repository in the new backing was made for this, so that it goes when the move is cancelled.
    pub target: Target,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What was done so far.
    #[serde(default)]
    pub tally: Tally,
    /// What it waits for, in words.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Why it ended as it did, in words, when that is not the fault of single images.
    #[serde(default)]
    pub why: Option<String>,
    /// What can't be moved, and why: the first [`PROBLEMS_MAX`].
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// How many more there are.
    #[serde(default)]
    pub problems_more: u64,
    /// Backings in which the images of earlier moves still lie.
    #[serde(default)]
    pub kept: Vec<BackingName>,
}

/// How far a move came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage", content = "until")]
pub enum Stage {
    /// Images are copied. Pulls and pushes go to the old backing.
    Copying,
    /// What changed meanwhile is copied. Pushes wait, but no longer than until then: what was not ready is begun anew.
    Closing(Timestamp),
    /// The new backing answers. The images in the old one are still there.
    Moved,
    /// The images in the old backing are being deleted.
    Clearing,
    /// The new backing answers, and nothing is left in the old one.
    Cleared,
    /// Some images can't be moved; the old backing answers. What was copied is kept for the next try.
    Failed,
    /// It was seen before the start that some images can't be moved. Nothing was copied.
    Refused,
    /// It was called off; what was copied is being deleted.
    Cancelling,
    /// It was called off; the old backing answers.
    Cancelled,
}

/// What becomes of the images in the old backing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// They stay until that is asked for.
    Keep,
    /// They are deleted as soon as the new backing answers.
    Delete,
}

/// What a move found in the new backing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// It has not looked.
    Unknown,
    /// There was no repository; the one that is there was made for the move.
    Made,
    /// There was one, with nothing in it that the move could not have brought.
    Found,
}

/// What a move did so far. All of it counts from the last beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Manifests that the repository has.
    pub manifests: u64,
    /// Those of them that are in the new backing, compared byte for byte, with all that they need.
    pub verified: u64,
    /// Manifests that were copied.
    pub manifests_copied: u64,
    /// Blobs that were copied.
    pub blobs_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Tags that were set.
    pub tags_set: u64,
}

/// An image, or a part of one, that can't be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What: the manifest.
    pub digest: Digest,
    /// The tags that lead to it, directly or through an index: the first few.
    pub tags: Vec<String>,
    /// Why, in words.
    pub why: String,
}

impl Stage {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Copying => "copying",
            Stage::Closing(_) => "closing",
            Stage::Moved => "moved",
            Stage::Clearing => "clearing",
            Stage::Cleared => "cleared",
            Stage::Failed => "failed",
            Stage::Refused => "refused",
            Stage::Cancelling => "cancelling",
            Stage::Cancelled => "cancelled",
        }
    }

    /// Whether a server has work to do on it.
    #[must_use]
    pub fn is_running(self) -> bool {
        match self {
            Stage::Copying | Stage::Closing(_) | Stage::Clearing | Stage::Cancelling => true,
            Stage::Moved | Stage::Cleared | Stage::Failed | Stage::Refused | Stage::Cancelled => false,
        }
    }

    /// Whether the backing that answers may be another one soon, so that a write must be looked at again after it was made.
    #[must_use]
    pub fn may_switch(self) -> bool {
        matches!(self, Stage::Copying | Stage::Closing(_))
    }

    /// Whether writes wait at this moment.
    #[must_use]
    pub fn is_closed(self, now: Timestamp) -> bool {
        matches!(self, Stage::Closing(until) if now < until)
    }

    /// Whether the images lie in the old backing too, while the new one answers.
    #[must_use]
    pub fn has_old(self) -> bool {
        matches!(self, Stage::Moved)
    }
}

impl Migration {
    /// One that was just asked for.
    #[must_use]
    pub fn new(from: BackingName, to: BackingName, source: Source, asked: Timestamp) -> Self {
        Self {
            from,
            to,
            stage: Stage::Copying,
            source,
            target: Target::Unknown,
            asked,
            tally: Tally::default(),
            trouble: None,
            why: None,
            problems: Vec::new(),
            problems_more: 0,
            kept: Vec::new(),
        }
    }

    /// Takes down what can't be moved.
    #[must_use]
    pub fn with_problems(mut self, all: Vec<Problem>) -> Self {
        self.problems_more = u64::try_from(all.len().saturating_sub(PROBLEMS_MAX)).unwrap_or(u64::MAX);
        self.problems = all;
        self.problems.truncate(PROBLEMS_MAX);
        self
    }

    /// How far it is, in a sentence.
    #[must_use]
    pub fn progress(&self) -> String {
        let Self { from, to, tally, .. } = self;
        if let Some(trouble) = &self.trouble {
            return format!("waiting: {trouble}");
        }
        let Tally { manifests, verified, manifests_copied, blobs_copied, bytes_copied, .. } = tally;
        let copied = format!("{manifests_copied} manifests and {blobs_copied} blobs copied ({bytes_copied} bytes)");
        let problems = u64::try_from(self.problems.len()).unwrap_or(u64::MAX).saturating_add(self.problems_more);
        match (self.stage, &self.why) {
            (Stage::Failed, Some(why)) => return format!("it lies in {from} as before: {why}"),
            (Stage::Refused, Some(why)) => return format!("nothing was copied: {why}"),
            (Stage::Moved, Some(why)) => return format!("it lies in {to} now; the images in {from} stay: {why}"),
            _ => {}
        }
        match self.stage {
            Stage::Copying => format!("{verified} of {manifests} manifests are in {to}, {copied}"),
            Stage::Closing(_) => format!("the last changes are copied to {to}; pushes wait"),
            Stage::Moved => format!("it lies in {to} now, {copied}; {from} still has the images"),
            Stage::Clearing => format!("it lies in {to}; the images in {from} are being deleted"),
            Stage::Cleared => format!("it lies in {to}, {copied}; nothing is left in {from}"),
            Stage::Failed => format!("{problems} images could not be moved to {to}; it lies in {from} as before"),
            Stage::Refused => format!("{problems} images can't lie in {to}; nothing was copied"),
            Stage::Cancelling => format!("called off; what was copied to {to} is being deleted"),
            Stage::Cancelled => format!("called off; it lies in {from} as before"),
        }
    }
}

impl Home {
    /// The backing that a write of the last moment may have gone to, when it was not the one that answers now.
    #[must_use]
    pub fn old(&self) -> Option<&BackingName> {
        // While they are being deleted too: that begins only after a while.
        matches!(self.migration.stage, Stage::Moved | Stage::Clearing).then_some(&self.migration.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BackingName {
        BackingName::parse(text).expect("a legal name")
    }

    #[test]
    fn the_stage_says_who_may_write() {
        let closing = Stage::Closing(Timestamp(10));
        assert!(closing.is_closed(Timestamp(9)));
        assert!(!closing.is_closed(Timestamp(10)), "nobody waits for a server that is gone");
        for stage in [Stage::Copying, Stage::Moved, Stage::Failed, Stage::Cancelled, Stage::Cleared] {
            assert!(!stage.is_closed(Timestamp(0)), "{stage:?}");
        }
    }

    #[test]
    fn problems_are_counted_where_they_are_not_named() {
        let problem = |number: usize| Problem {
            digest: Digest::sha256_of(&[u8::try_from(number).expect("a small number")]),
            tags: vec![format!("v{number}")],
            why: "because".to_owned(),
        };
        let migration = Migration::new(name("local"), name("west"), Source::Keep, Timestamp(1));
        let migration = migration.with_problems((0..25).map(problem).collect());
        assert_eq!((migration.problems.len(), migration.problems_more), (PROBLEMS_MAX, 5));
        let failed = Migration { stage: Stage::Failed, ..migration };
        assert_eq!(failed.progress(), "25 images could not be moved to west; it lies in local as before");
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let migration = Migration::new(name("local"), name("west"), Source::Delete, Timestamp(1));
        for stage in [Stage::Copying, Stage::Closing(Timestamp(7)), Stage::Moved, Stage::Cancelled] {
            let home = Home {
                repository: RepositoryName::parse("team/app").expect("a legal name"),
                backing: name("local"),
                migration: Migration { stage, ..migration.clone() },
                generation: Generation(3),
            };
            let text = serde_json::to_string(&home).expect("it is written");
            assert_eq!(serde_json::from_str::<Home>(&text).expect("it is read"), home);
        }
    }
}
