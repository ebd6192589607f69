//! What a caller wants to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller wants to do with something that belongs to an owner: a repository, an environment and what stands in it,
/// a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read manifests and blobs; see environments, services, tasks and logs.
    Pull,
    /// Write manifests and blobs.
    Push,
    /// Delete manifests, tags and blobs; delete services, tasks, load balancers and deploys.
    Delete,
    /// Make deploys; make, update and scale services; run and stop tasks; make and change load balancers.
    Deploy,
    /// Make, change and delete repositories and environments; decide about members, robots and rules.
    Admin,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 5] = [Action::Pull, Action::Push, Action::Delete, Action::Deploy, Action::Admin];

    /// The word in scopes; for the first three it is the token specification's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Delete => "delete",
            Action::Deploy => "deploy",
            Action::Admin => "admin",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    fn bit(self) -> u8 {
        1 << match self {
            Action::Pull => 0,
            Action::Push => 1,
            Action::Delete => 2,
            Action::Deploy => 3,
            Action::Admin => 4,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Actions(u8);

impl Actions {
    /// Every action.
    pub const ALL: Actions = Actions(0b1_1111);

    /// The set of these.
    #[must_use]
    pub fn of(actions: &[Action]) -> Self {
        Self(actions.iter().fold(0, |set, action| set | action.bit()))
    }

    /// Whether an action is in it.
    #[must_use]
    pub fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether all of another set are in it.
    #[must_use]
    pub fn has_all(self, other: Actions) -> bool {
        self.0 & other.0 == other.0
    }

    /// The actions, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.has(*action))
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, action) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(action.as_str())?;
        }
        Ok(())
    }
}
