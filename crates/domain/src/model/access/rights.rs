//! What a caller may do: worked out from role, token and signed credential, without asking anybody.

use super::{Action, Place, Scope};
use crate::model::image::RepositoryName;
use crate::model::owner::{Member, OwnerName};
use crate::model::registry::Visibility;

/// What a caller may do. Something is allowed when a grant allows it and each bound does too: the grants are what user or
/// robot may at all, the bounds what the token and the signed credential leave of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    grants: Grants,
    bounds: Vec<Vec<Scope>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grants {
    /// An admin's: everything in the instance.
    Everything,
    /// These.
    Scopes(Vec<Scope>),
}

impl Rights {
    /// An admin's.
    #[must_use]
    pub fn everything() -> Self {
        Self { grants: Grants::Everything, bounds: vec![] }
    }

    /// These scopes and no more.
    #[must_use]
    pub fn scopes(scopes: Vec<Scope>) -> Self {
        Self { grants: Grants::Scopes(scopes), bounds: vec![] }
    }

    /// What someone's places in owners come to.
    #[must_use]
    pub fn of_members(members: &[Member]) -> Self {
        let scope = |member: &Member| Scope::of_owner(member.role.actions(), member.owner.clone(), member.tags.clone());
        Self::scopes(members.iter().map(scope).collect())
    }

    /// The same, bounded by these scopes too.
    #[must_use]
    pub fn bounded(mut self, scopes: Vec<Scope>) -> Self {
        self.bounds.push(scopes);
        self
    }

    fn passes(&self, allows: impl Fn(&Scope) -> bool) -> bool {
        let granted = match &self.grants {
            Grants::Everything => true,
            Grants::Scopes(scopes) => scopes.iter().any(&allows),
        };
        granted && self.bounds.iter().all(|bound| bound.iter().any(&allows))
    }

    /// Whether an action is allowed on a place, on one tag at least.
    #[must_use]
    pub fn may(&self, action: Action, place: Place<'_>) -> bool {
        self.passes(|scope| scope.allows(action, place))
    }

    /// Whether an action is allowed on every tag of a place and on what has none.
    #[must_use]
    pub fn may_all_tags(&self, action: Action, place: Place<'_>) -> bool {
        self.passes(|scope| scope.allows_all_tags(action, place))
    }

    /// Whether an action is allowed on one tag of a place.
    #[must_use]
    pub fn may_tag(&self, action: Action, place: Place<'_>, tag: &str) -> bool {
        self.passes(|scope| scope.allows_tag(action, place, tag))
    }

    /// Whether a repository may be pulled from: by right, or because everybody may.
    #[must_use]
    pub fn may_pull(&self, repository: &RepositoryName, visibility: Visibility) -> bool {
        visibility == Visibility::Public || self.may(Action::Pull, repository.into())
    }

    /// Whether everything in the instance is allowed.
    #[must_use]
    pub fn are_everything(&self) -> bool {
        self.grants == Grants::Everything && self.bounds.iter().all(|bound| bound.iter().any(Scope::is_everything))
    }

    /// Whether a scope certainly opens nothing beyond the bounds. Enough for a token of the same user: what the user may
    /// is looked up anew whenever that token is used.
    #[must_use]
    pub fn bounds_cover(&self, scope: &Scope) -> bool {
        self.bounds.iter().all(|bound| bound.iter().any(|wide| wide.covers(scope)))
    }

    /// Whether a scope certainly opens nothing that these rights do not.
    #[must_use]
    pub fn cover(&self, scope: &Scope) -> bool {
        let granted = match &self.grants {
            Grants::Everything => true,
            Grants::Scopes(scopes) => scopes.iter().any(|wide| wide.covers(scope)),
        };
        granted && self.bounds_cover(scope)
    }

    /// Whether a grant is about something of an owner, and so is each bound.
    #[must_use]
    pub fn has_part_in(&self, owner: &OwnerName) -> bool {
        let is_granted = match &self.grants {
            Grants::Everything => true,
            Grants::Scopes(scopes) => scopes.iter().any(|scope| scope.owner() == Some(owner)),
        };
        let is_about = |scope: &Scope| scope.owner().is_none_or(|it| it == owner);
        is_granted && self.bounds.iter().all(|bound| bound.iter().any(is_about))
    }

    /// Whether nothing bounds what user or robot may.
    #[must_use]
    pub fn are_unbounded(&self) -> bool {
        self.bounds.is_empty()
    }

    /// The owners in which an action is allowed on something, in the order of the grants.
    #[must_use]
    pub fn owners_with(&self, action: Action) -> Vec<OwnerName> {
        let Grants::Scopes(scopes) = &self.grants else { return vec![] };
        let mut owners: Vec<OwnerName> = Vec::new();
        for owner in scopes.iter().filter_map(Scope::owner) {
            if !owners.contains(owner) && self.may(action, Place::owner(owner)) {
                owners.push(owner.clone());
            }
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;
    use crate::model::owner::Role;
    use crate::model::time::Timestamp;

    fn scopes(texts: &[&str]) -> Vec<Scope> {
        texts.iter().map(|text| Scope::parse(text).expect("a scope")).collect()
    }

    fn member(owner: &str, role: Role) -> Member {
        Member {
            owner: OwnerName::parse(owner).expect("a name"),
            user: Name::parse("alice").expect("a name"),
            role,
            tags: None,
            since: Timestamp(0),
            by_group: false,
        }
    }

    fn place(name: &'static str) -> Place<'static> {
        Place { owner: Some("team"), name }
    }

    #[test]
    fn a_token_never_opens_more_than_its_user_may() {
        let rights = Rights::of_members(&[member("team", Role::Reader)]).bounded(scopes(&["pull,push:*"]));
        assert!(rights.may(Action::Pull, place("app")));
        assert!(!rights.may(Action::Push, place("app")), "the role does not allow it");
        let rights = Rights::everything().bounded(scopes(&["pull:team/app"]));
        assert!(rights.may(Action::Pull, place("app")));
        assert!(!rights.may(Action::Pull, place("other")), "the token does not allow it");
        assert!(!rights.may(Action::Pull, Place::instance()));
        assert!(!rights.are_everything());
        assert!(Rights::everything().bounded(scopes(&["pull,push,delete,deploy,admin:*"])).are_everything());
    }

    #[test]
    fn each_bound_must_allow_it() {
        let rights = Rights::everything().bounded(scopes(&["pull,push:team/*"])).bounded(scopes(&["pull:team/app"]));
        assert!(rights.may(Action::Pull, place("app")));
        assert!(!rights.may(Action::Push, place("app")));
        assert!(!rights.may(Action::Pull, place("other")));
    }

    #[test]
    fn what_is_handed_out_fits_into_every_bound() {
        let scope = |text| Scope::parse(text).expect("a scope");
        let rights = Rights::everything().bounded(scopes(&["pull,push:team/*"]));
        assert!(rights.cover(&scope("push:team/other")));
        assert!(!rights.cover(&scope("pull:other/app")));
        assert!(Rights::everything().cover(&scope("admin:*")));
        let writer = Rights::of_members(&[member("team", Role::Writer)]);
        assert!(writer.bounds_cover(&scope("delete:team/app")), "its use is checked against the role");
        assert!(!writer.cover(&scope("delete:team/app")), "a robot would have it by itself");
    }

    #[test]
    fn owners_are_those_in_which_it_is_allowed() {
        let rights = Rights::of_members(&[member("a", Role::Reader), member("b", Role::Maintainer)]);
        assert_eq!(rights.owners_with(Action::Admin).iter().map(OwnerName::as_str).collect::<Vec<_>>(), ["b"]);
        assert_eq!(rights.owners_with(Action::Pull).len(), 2);
    }

    #[test]
    fn nobody_needs_a_right_for_what_is_public() {
        let nobody = Rights::scopes(vec![]);
        let app = RepositoryName::parse("team/app").expect("a name");
        assert!(nobody.may_pull(&app, Visibility::Public));
        assert!(!nobody.may_pull(&app, Visibility::Private));
        assert!(!nobody.may(Action::Pull, (&app).into()));
    }
}
