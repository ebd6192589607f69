//! A grant as an instance keeps it: what is wished, how far it has come, and what the last look at the repositories found.

use serde::{Deserialize, Serialize};

use super::Grant;
use crate::model::image::RepositoryName;
use crate::model::time::{Generation, Timestamp};

/// The most repositories that a report names; how many there are besides, it counts.
pub const NAMED_MAX: usize = 20;

/// A grant and what has become of it.
///
/// ```text
/// grant ──> spreading ──> settled <──> incomplete        the reconciler looks again and again
///              │   ^──────────────────────┘ asked for once more
///              └──> refused                               AWS does not know whom it is for
/// revoke ─> spreading, to take back ──> (no grant)  or incomplete, and tried again
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptGrant {
    /// Who, and what.
    pub grant: Grant,
    /// Whether it is to hold, or to be taken back.
    pub wish: GrantWish,
    /// How far it came.
    pub state: GrantState,
    /// When it was last asked for.
    pub asked: Timestamp,
    /// Counts its changes.
    pub generation: Generation,
    /// What the last look found, or what the one that goes on has found so far.
    #[serde(default)]
    pub report: GrantReport,
}

/// What is to become of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantWish {
    /// It is to be true everywhere.
    Hold,
    /// It is to be true nowhere; then it goes.
    TakeBack,
}

/// How far a grant came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum GrantState {
    /// It was asked for, and is being carried out.
    Spreading,
    /// It is as wished on every repository that the last look saw.
    Settled,
    /// It is not as wished on some; the report says on which. It is tried again.
    Incomplete,
    /// AWS knows nobody of that name, so no policy names it. Why, in words.
    Refused(String),
}

impl GrantState {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            GrantState::Spreading => "spreading",
            GrantState::Settled => "settled",
            GrantState::Incomplete => "incomplete",
            GrantState::Refused(_) => "refused",
        }
    }

    /// Whether somebody who waits for it has waited long enough.
    #[must_use]
    pub fn ended(&self) -> bool {
        !matches!(self, GrantState::Spreading)
    }
}

/// What a look at the repositories of a grant found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReport {
    /// When the last look ended; `None` before the first has.
    pub looked: Option<Timestamp>,
    /// Repositories in its scope that were looked at.
    pub seen: u64,
    /// On how many of them it is as wished.
    pub right: u64,
    /// How many policies were written for it, or would have been.
    pub changed: u64,
    /// Repositories on which it is not as wished, and why: the first [`NAMED_MAX`].
    pub wrong: Vec<WrongRepository>,
    /// What keeps the look itself from going on, in words.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// A repository on which a grant is not as wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongRepository {
    /// Which.
    pub repository: RepositoryName,
    /// Why, in words.
    pub why: String,
}

impl GrantReport {
    /// On how many of the repositories that were looked at it is not as wished.
    #[must_use]
    pub fn wrong_count(&self) -> u64 {
        self.seen.saturating_sub(self.right)
    }

    /// Takes down that it is as wished on one repository more.
    pub fn note_right(&mut self) {
        self.seen += 1;
        self.right += 1;
    }

    /// Takes down that it is not as wished on one repository more.
    pub fn note_wrong(&mut self, repository: &RepositoryName, why: &str) {
        self.seen += 1;
        if self.wrong.len() < NAMED_MAX {
            self.wrong.push(WrongRepository { repository: repository.clone(), why: why.to_owned() });
        }
    }
}

impl KeptGrant {
    /// A grant that was just asked for.
    #[must_use]
    pub fn new(grant: Grant, asked: Timestamp) -> Self {
        Self {
            grant,
            wish: GrantWish::Hold,
            state: GrantState::Spreading,
            asked,
            generation: Generation(1),
            report: GrantReport::default(),
        }
    }

    /// The same grant, asked for once more, or to be taken back.
    #[must_use]
    pub fn asked_again(&self, wish: GrantWish, asked: Timestamp) -> Self {
        Self { wish, state: GrantState::Spreading, asked, report: GrantReport::default(), ..self.clone() }
    }

    /// Whether the policies are to name it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wish == GrantWish::Hold && !matches!(self.state, GrantState::Refused(_))
    }

    /// How far it is, in a sentence.
    #[must_use]
    pub fn progress(&self) -> String {
        let GrantReport { seen, right, changed, trouble, .. } = &self.report;
        if let Some(trouble) = trouble {
            return format!("waiting: {trouble}");
        }
        let (many, wrong) = (plural(*seen), self.report.wrong_count());
        match &self.state {
            GrantState::Spreading => format!("{seen} {many} done, {changed} policies changed"),
            GrantState::Settled => format!("true on {right} {many}"),
            GrantState::Incomplete if self.wish == GrantWish::TakeBack => {
                format!("taken back on {right} of {seen} {many}, not on {wrong}")
            }
            GrantState::Incomplete => format!("true on {right} of {seen} {many}, not on {wrong}"),
            GrantState::Refused(why) => why.clone(),
        }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "repository" } else { "repositories" }
}
