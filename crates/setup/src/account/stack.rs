//! Stacks of CloudFormation, as its API reference describes them.

use std::collections::BTreeMap;

use layer0_domain::model::time::Timestamp;

#[cfg(any(feature = "aws", feature = "fake"))]
use super::error::{AccountError, Trouble};

/// The most bytes of a template that goes along with a call (CloudFormation API reference, `TemplateBody`).
pub const TEMPLATE_MAX: usize = 51_200;

/// Refuses a template that is too long to go along with a call.
#[cfg(any(feature = "aws", feature = "fake"))]
pub(super) fn fits(action: &str, template: &str) -> Result<(), AccountError> {
    if template.len() <= TEMPLATE_MAX {
        return Ok(());
    }
    let words = format!("the template has {} bytes, and CloudFormation takes {TEMPLATE_MAX} at most", template.len());
    Err(AccountError { action: action.to_owned(), trouble: Trouble::Refused, words })
}

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its ARN, by which it is found after its deletion too.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `CREATE_COMPLETE`, `REVIEW_IN_PROGRESS`, …
    pub status: String,
    /// Why, in CloudFormation's words; mostly empty.
    pub reason: String,
    /// What it answers.
    pub outputs: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A template whose changes are to be worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanWanted {
    /// The plan's name: `[a-zA-Z][-a-zA-Z0-9]{0,127}`.
    pub name: String,
    /// The stack's name.
    pub stack: String,
    /// Whether there is such a stack (beyond a mere review of it).
    pub exists: bool,
    /// The template.
    pub template: String,
    /// Tags for the stack, and by it for all it makes.
    pub tags: BTreeMap<String, String>,
}

/// A change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// How far it is.
    pub state: ChangeSetState,
    /// What it would do, once it is [`ChangeSetState::Ready`].
    pub changes: Vec<Change>,
}

/// How far a change set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSetState {
    /// It is being worked out.
    Pending,
    /// It can be carried out.
    Ready,
    /// There is nothing to change.
    Empty,
    /// The stack has changed since, or it was carried out: it can't be any more.
    Obsolete,
    /// It can't be, in CloudFormation's words.
    Failed(String),
}

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub action: ChangeAction,
    /// Its name in the template.
    pub logical: String,
    /// Its name in the account; empty before there is one.
    pub physical: String,
    /// `AWS::ECS::Service`
    pub kind: String,
    /// Whether a change makes another thing in its place.
    pub replacement: Replacement,
    /// Which properties change, by name; empty for additions and removals.
    pub properties: Vec<String>,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAction {
    /// It is made.
    Add,
    /// It is changed.
    Modify,
    /// It is taken away.
    Remove,
    /// It is there already, and taken into the stack.
    Import,
    /// What happens hangs on other changes.
    Dynamic,
}

/// Whether a change makes another thing in a thing's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// It stays.
    Never,
    /// It may.
    Conditional,
    /// It does.
    Always,
}

/// Something that happened to a stack or a resource of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The resource's name in the template; the stack's own name for itself.
    pub logical: String,
    /// The resource's name in the account; empty before there is one.
    pub physical: String,
    /// `AWS::CloudFormation::Stack`
    pub kind: String,
    /// `CREATE_FAILED`, …
    pub status: String,
    /// Why; mostly empty.
    pub reason: String,
}
