//! Owners: teams, to which repositories, environments and deploys belong, and the users who are their members.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::access::{Action, Actions};
use super::glob::Glob;
use super::image::grammar;
use super::name::Name;
use super::retention::RetentionRule;
use super::time::Timestamp;

/// The longest name of an owner: leaves room for the rest of a repository's name, which has 255 characters at most.
pub const OWNER_MAX: usize = 128;

/// The name of an owner: the first component of its repositories' names, with the grammar of one (distribution
/// specification, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerName(String);

/// Why a text is no [`OwnerName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` can't be an owner: {reason}")]
pub struct OwnerNameError {
    name: String,
    reason: String,
}

impl OwnerName {
    /// Reads an owner's name.
    ///
    /// # Errors
    /// [`OwnerNameError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, OwnerNameError> {
        let refuse = |reason: String| OwnerNameError { name: text.chars().take(60).collect(), reason };
        if text.len() > OWNER_MAX {
            return Err(refuse(format!("it has more than {OWNER_MAX} characters")));
        }
        grammar::check_component(text).map_err(refuse)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OwnerName {
    type Error = OwnerNameError;
    fn try_from(text: String) -> Result<Self, OwnerNameError> {
        Self::parse(&text)
    }
}

impl From<OwnerName> for String {
    fn from(name: OwnerName) -> String {
        name.0
    }
}

/// An owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: OwnerName,
    /// When it was made.
    pub created: Timestamp,
    /// The most bytes that its repositories may hold, each blob counted once; `None` for as much as the disk takes.
    pub quota_bytes: Option<u64>,
    /// Which tags may not be moved or deleted.
    pub tag_rules: Vec<TagRule>,
    /// Which of its images are kept, where they lie here.
    pub retention: Vec<RetentionRule>,
}

/// A rule of an owner about tags. Of each kind there is one at most for the same repositories and tags.
pub trait OwnerRule: Clone + Serialize + DeserializeOwned {
    /// What an error calls one.
    const WHAT: &'static str;

    /// Which tags it is about: in which repositories of the owner (the name behind the owner), and which of theirs.
    fn about(&self) -> (&Glob, &Glob);
}

/// Puts a rule among those of its kind, in the place of the one about the same tags.
pub fn rule_put<R: OwnerRule>(rules: &mut Vec<R>, rule: R) {
    rules.retain(|other| other.about() != rule.about());
    rules.push(rule);
}

/// Takes the rule about these tags from those of its kind; `None` when there is no such rule.
pub fn rule_take<R: OwnerRule>(rules: &mut Vec<R>, repositories: &Glob, tags: &Glob) -> Option<R> {
    let at = rules.iter().position(|rule| rule.about() == (repositories, tags))?;
    Some(rules.remove(at))
}

/// Tags that, once pushed, stay as they are, with all that they lead to: the parts of an index, the blobs of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRule {
    /// In which repositories of the owner: the name behind the owner.
    pub repositories: Glob,
    /// Which tags.
    pub tags: Glob,
    /// Which of them not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Glob>,
}

impl TagRule {
    /// Whether a tag of a repository (the name behind the owner) is immutable by this rule.
    #[must_use]
    pub fn holds(&self, repository: &str, tag: &str) -> bool {
        self.repositories.matches(repository)
            && self.tags.matches(tag)
            && !self.except.iter().any(|except| except.matches(tag))
    }
}

impl OwnerRule for TagRule {
    const WHAT: &'static str = "immutable rule";

    fn about(&self) -> (&Glob, &Glob) {
        (&self.repositories, &self.tags)
    }
}

impl fmt::Display for TagRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repositories, self.tags)?;
        for except in &self.except {
            write!(f, " but {except}")?;
        }
        Ok(())
    }
}

/// What a member may do with what its owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Pulls images; sees environments, services, tasks and their logs.
    Reader,
    /// What a reader may, and pushes images, deploys, scales, runs tasks.
    Writer,
    /// What a writer may, and deletes, makes repositories and environments, and decides about members and robots.
    Maintainer,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Role; 3] = [Role::Reader, Role::Writer, Role::Maintainer];

    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Writer => "writer",
            Role::Maintainer => "maintainer",
        }
    }

    /// Reads the wire's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What it allows.
    #[must_use]
    pub fn actions(self) -> Actions {
        match self {
            Role::Reader => Actions::of(&[Action::Pull]),
            Role::Writer => Actions::of(&[Action::Pull, Action::Push, Action::Deploy]),
            Role::Maintainer => Actions::ALL,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user's place in an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Of what.
    pub owner: OwnerName,
    /// Who.
    pub user: Name,
    /// As what.
    pub role: Role,
    /// The only tags that the member may push and delete; `None` for all.
    pub tags: Option<Glob>,
    /// Since when.
    pub since: Timestamp,
    /// Whether a group of the user gave it, with which it goes; what was given by hand stays.
    pub by_group: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_component_of_a_name() {
        for good in ["team", "a", "team-1", "my.team", "a__b"] {
            assert!(OwnerName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Team", "a/b", "-a", "a..b", "team:x", "..", &"x".repeat(OWNER_MAX + 1)] {
            assert!(OwnerName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_role_may_what_the_one_before_may() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].actions().has_all(pair[0].actions()));
            assert_ne!(pair[1].actions(), pair[0].actions());
        }
    }

    #[test]
    fn a_rule_holds_but_for_its_exceptions() {
        let glob = |text| Glob::parse(text).expect("a pattern");
        let rule = TagRule { repositories: glob("app"), tags: glob("v*"), except: vec![glob("*-rc*")] };
        assert!(rule.holds("app", "v1"));
        assert!(!rule.holds("app", "v1-rc1"));
        assert!(!rule.holds("app", "latest"));
        assert!(!rule.holds("other", "v1"));
        assert_eq!(rule.to_string(), "app:v* but *-rc*");
    }
}
