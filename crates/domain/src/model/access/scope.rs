//! Scopes: which actions, on what.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Action, Actions};
use crate::model::glob::{Glob, GlobError};
use crate::model::image::RepositoryName;
use crate::model::owner::{OwnerName, OwnerNameError};

/// Something that rights are about, by its owner and its name: `team/app` is the repository of that name, the environment
/// `app` of `team` with all that stands in it, and the deploy `app` of `team`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The owner; `None` for what belongs to the instance, which only its admins may touch.
    pub owner: Option<&'a str>,
    /// The name behind the owner.
    pub name: &'a str,
}

impl<'a> Place<'a> {
    /// What belongs to an owner, or to nobody but the instance.
    #[must_use]
    pub fn of(owner: Option<&'a OwnerName>, name: &'a str) -> Self {
        Self { owner: owner.map(OwnerName::as_str), name }
    }

    /// An owner itself: its members, its robots, what it will have.
    #[must_use]
    pub fn owner(owner: &'a OwnerName) -> Self {
        Self { owner: Some(owner.as_str()), name: "" }
    }

    /// The instance itself.
    #[must_use]
    pub fn instance() -> Self {
        Self { owner: None, name: "" }
    }
}

impl<'a> From<&'a RepositoryName> for Place<'a> {
    fn from(name: &'a RepositoryName) -> Self {
        Self { owner: Some(name.owner()), name: name.name() }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.owner, self.name) {
            (Some(owner), "") => f.write_str(owner),
            (Some(owner), name) => write!(f, "{owner}/{name}"),
            (None, "") => f.write_str("this instance"),
            (None, name) => f.write_str(name),
        }
    }
}

/// Which actions, on what: `pull,push:team/*`, `push:team/app:release-*`, `admin:*`.
///
/// ```text
/// scope   = actions ":" what
/// actions = action *("," action)            pull, push, delete, deploy, admin
/// what    = "*"                             everything in the instance
///         | owner "/" name [":" tags]       name and tags may hold "*"
/// ```
/// Tags narrow `push` and `delete` only: content is pulled by digest, which has no tag, and what is deployed has none
/// either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    actions: Actions,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Everything,
    Of { owner: OwnerName, name: Glob, tags: Option<Glob> },
}

/// Why a text is no [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// There is no `:` or no `/` where one must be.
    #[error("`{0}` is no scope: write ACTIONS:OWNER/NAME[:TAGS], as in `pull,push:team/*`, or ACTIONS:*")]
    Form(String),
    /// An action that isn't there.
    #[error("`{0}` is no action: pull, push, delete, deploy and admin are")]
    Action(String),
    /// The owner can't be one.
    #[error(transparent)]
    Owner(#[from] OwnerNameError),
    /// The name or the tags are no pattern.
    #[error(transparent)]
    Pattern(#[from] GlobError),
}

impl Scope {
    /// Everything in the instance.
    #[must_use]
    pub fn of_instance(actions: Actions) -> Self {
        Self { actions, what: What::Everything }
    }

    /// Everything that an owner has.
    #[must_use]
    pub fn of_owner(actions: Actions, owner: OwnerName, tags: Option<Glob>) -> Self {
        let name = Glob::parse("*").expect("a star is a pattern");
        Self { actions, what: What::Of { owner, name, tags } }
    }

    /// One repository. `None` for a name that no owner can have.
    #[must_use]
    pub fn of_repository(actions: Actions, repository: &RepositoryName) -> Option<Self> {
        let owner = OwnerName::parse(repository.owner()).ok()?;
        let name = Glob::parse(repository.name()).ok()?;
        Some(Self { actions, what: What::Of { owner, name, tags: None } })
    }

    /// Reads a scope.
    ///
    /// # Errors
    /// [`ScopeError`] says what is wrong and what is legal.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let form = || ScopeError::Form(text.chars().take(60).collect());
        let (words, what) = text.split_once(':').ok_or_else(form)?;
        let mut actions = Vec::new();
        for word in words.split(',') {
            let action = Action::parse(word.trim());
            actions.push(action.ok_or_else(|| ScopeError::Action(word.trim().chars().take(40).collect()))?);
        }
        let actions = Actions::of(&actions);
        if what == "*" {
            return Ok(Self { actions, what: What::Everything });
        }
        let (owner, rest) = what.split_once('/').ok_or_else(form)?;
        let (name, tags) = match rest.split_once(':') {
            Some((name, tags)) => (name, Some(Glob::parse(tags)?)),
            None => (rest, None),
        };
        let tags = tags.filter(|tags| !tags.is_everything());
        Ok(Self { actions, what: What::Of { owner: OwnerName::parse(owner)?, name: Glob::parse(name)?, tags } })
    }

    /// The actions.
    #[must_use]
    pub fn actions(&self) -> Actions {
        self.actions
    }

    /// Whether it allows everything in the instance.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.what == What::Everything && self.actions == Actions::ALL
    }

    /// The owner whose things it is about; `None` when it is about everything.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerName> {
        match &self.what {
            What::Everything => None,
            What::Of { owner, .. } => Some(owner),
        }
    }

    /// Whether it allows an action on a place, on one tag at least.
    #[must_use]
    pub fn allows(&self, action: Action, place: Place<'_>) -> bool {
        self.actions.has(action) && self.is_about(place)
    }

    fn is_about(&self, place: Place<'_>) -> bool {
        match &self.what {
            What::Everything => true,
            // An owner itself (without a name) is covered by a scope over all that it has, never by one over a part.
            What::Of { owner, name, .. } => {
                place.owner == Some(owner.as_str())
                    && if place.name.is_empty() { name.is_everything() } else { name.matches(place.name) }
            }
        }
    }

    /// Whether it allows an action on every tag of a place, and on what has none.
    #[must_use]
    pub fn allows_all_tags(&self, action: Action, place: Place<'_>) -> bool {
        let bounded = matches!(&self.what, What::Of { tags: Some(_), .. });
        self.allows(action, place) && !(bounded && narrowed_by_tags(action))
    }

    /// Whether it allows an action on one tag of a place.
    #[must_use]
    pub fn allows_tag(&self, action: Action, place: Place<'_>, tag: &str) -> bool {
        let tag_fits = match &self.what {
            What::Of { tags: Some(tags), .. } => tags.matches(tag),
            _ => true,
        };
        self.allows(action, place) && (tag_fits || !narrowed_by_tags(action))
    }

    /// Whether it certainly allows all that another allows.
    #[must_use]
    pub fn covers(&self, other: &Scope) -> bool {
        if !self.actions.has_all(other.actions) {
            return false;
        }
        match (&self.what, &other.what) {
            (What::Everything, _) => true,
            (What::Of { .. }, What::Everything) => false,
            (What::Of { owner, name, tags }, What::Of { owner: theirs, name: narrow, tags: few }) => {
                let tags_fit = match (tags, few) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(tags), Some(few)) => tags.covers(few),
                };
                owner == theirs && name.covers(narrow) && tags_fit
            }
        }
    }
}

/// Whether tags mean anything to an action.
fn narrowed_by_tags(action: Action) -> bool {
    match action {
        Action::Push | Action::Delete => true,
        Action::Pull | Action::Deploy | Action::Admin => false,
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Everything => write!(f, "{}:*", self.actions),
            What::Of { owner, name, tags: None } => write!(f, "{}:{owner}/{name}", self.actions),
            What::Of { owner, name, tags: Some(tags) } => write!(f, "{}:{owner}/{name}:{tags}", self.actions),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn place(text: &str) -> Place<'_> {
        let (owner, name) = text.split_once('/').expect("owner/name");
        Place { owner: Some(owner), name }
    }

    #[test]
    fn scopes_read_as_they_are_written() {
        for text in ["pull:team/app", "pull,push:team/*", "push:team/app:v*", "pull,push,delete,deploy,admin:*"] {
            assert_eq!(scope(text).to_string(), text);
        }
        assert_eq!(scope("push, pull:team/*:*").to_string(), "pull,push:team/*", "all tags is no bound");
        for bad in [
            "",
            "pull",
            "pull:",
            "pull:team",
            "fly:team/app",
            ":team/app",
            "pull:Team/app",
            "pull:team/",
            "pull:team/app:",
        ] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_opens_what_it_names() {
        let writer = scope("pull,push:team/app-*");
        assert!(writer.allows(Action::Push, place("team/app-1")));
        assert!(!writer.allows(Action::Delete, place("team/app-1")));
        assert!(!writer.allows(Action::Push, place("team/other")));
        assert!(!writer.allows(Action::Push, place("other/app-1")));
        assert!(!writer.allows(Action::Pull, Place { owner: None, name: "app-1" }), "the instance's own");
        let team = OwnerName::parse("team").expect("a name");
        assert!(!writer.allows(Action::Pull, Place::owner(&team)), "a part of an owner is not the owner");
        assert!(scope("admin:team/*").allows(Action::Admin, Place::owner(&team)));
        assert!(scope("admin:*").allows(Action::Admin, Place::instance()));
        assert!(!scope("admin:team/*").allows(Action::Admin, Place::instance()));
    }

    #[test]
    fn tags_bound_what_has_tags() {
        let release = scope("pull,push,deploy:team/app:release-*");
        let app = place("team/app");
        assert!(release.allows_tag(Action::Push, app, "release-1"));
        assert!(!release.allows_tag(Action::Push, app, "latest"));
        assert!(release.allows_tag(Action::Pull, app, "latest"), "content has no tag");
        assert!(release.allows(Action::Push, app), "blobs come before their tag");
        assert!(!release.allows_all_tags(Action::Push, app));
        assert!(release.allows_all_tags(Action::Deploy, app));
    }

    #[test]
    fn a_narrower_scope_is_covered() {
        for (wide, narrow) in [
            ("pull,push:*", "pull:team/*"),
            ("pull,push:team/*", "push:team/app:v*"),
            ("push:team/*:v*", "push:team/app:v1*"),
        ] {
            assert!(scope(wide).covers(&scope(narrow)), "{wide} {narrow}");
            assert!(!scope(narrow).covers(&scope(wide)), "{narrow} {wide}");
        }
        assert!(!scope("push:team/*:v*").covers(&scope("push:team/*")));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_agrees_with_writing(text in "\\PC{0,40}") {
            if let Ok(read) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&read.to_string()), Ok(read));
            }
        }
    }
}
