//! What a stack is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::world::Id;

/// What a stack was made of: template, parameters, tags.
pub(super) type Before = (Value, BTreeMap<String, String>, BTreeMap<String, String>);

/// A stack.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) arn: Id,
    pub(crate) name: String,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) template: Value,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) outputs: Vec<Output>,
    pub(super) capabilities: Vec<String>,
    pub(super) protected: bool,
    pub(super) on_failure: OnFailure,
    pub(super) created_ms: i64,
    pub(super) updated_ms: Option<i64>,
    pub(super) deleted_ms: Option<i64>,
    pub(super) visible_ms: i64,
    /// The oldest first.
    pub(super) events: Vec<Event>,
    /// By logical id.
    pub(super) resources: BTreeMap<String, Resource>,
    pub(super) work: Work,
    /// The tokens of the requests that were accepted, and the one that goes with the events of now.
    pub(super) tokens: BTreeSet<String>,
    pub(super) token: Option<String>,
    /// The resources that failed since the work began.
    pub(super) failed: Vec<String>,
    /// What an update replaced or removed: to be deleted at its end.
    pub(super) leftovers: Vec<Leftover>,
    /// The template, parameters and tags before the update, for its rollback.
    pub(super) before: Option<Before>,
}

/// What happens when a creation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Rollback,
    Delete,
    Nothing,
}

/// What is being done with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    None,
    Create,
    /// All that a failed creation made is deleted.
    Rollback,
    Update,
    /// What a failed update changed is changed back.
    UpdateRollback,
    /// What an update left over is deleted.
    Cleanup,
    Delete,
}

/// An output.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) description: Option<String>,
    pub(super) export: Option<String>,
}

/// An event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) at_ms: i64,
    pub(super) logical: String,
    pub(super) physical: String,
    pub(super) kind: String,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) properties: Option<String>,
    pub(super) token: Option<String>,
}

/// A resource of a stack.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) physical: Option<String>,
    /// What `Fn::GetAtt` gives.
    pub(super) attributes: Value,
    /// As they were resolved when it was made or changed last.
    pub(super) properties: Value,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) updated_ms: i64,
    pub(super) depends: BTreeSet<String>,
    pub(super) retain: bool,
    pub(super) phase: Phase,
    /// What an update made of it: how it was before, `None` when it is new.
    pub(super) before: Option<Option<Box<Resource>>>,
}

/// Where a resource is in the work of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Working,
    Done,
}

/// A thing that no resource stands for any more.
#[derive(Debug, Clone)]
pub(super) struct Leftover {
    pub(super) logical: String,
    pub(super) resource: Resource,
    /// Whether another took its place, and it was not just removed.
    pub(super) replaced: bool,
}

impl Stack {
    /// The value of an output that is exported under this name.
    pub(super) fn exported(&self, name: &str) -> Option<&str> {
        self.outputs.iter().find(|output| output.export.as_deref() == Some(name)).map(|output| output.value.as_str())
    }
}
