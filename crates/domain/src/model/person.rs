//! People who sign in at a provider of OpenID Connect: who they are there, and what their groups give them here.

use std::collections::BTreeMap;
use std::fmt;

use super::owner::{OwnerName, Role};
use super::trust::Issuer;

/// The longest subject (OpenID Connect Core 1.0, section 2, `sub`).
pub const SUBJECT_MAX: usize = 255;

/// The longest name of a group.
const GROUP_MAX: usize = 300;

/// The word that stands for an admin of the instance where a place is expected. No owner's role is written so.
const ADMIN: &str = "admin";

/// Somebody as a provider knows them. A provider never gives the same subject to another person; names and addresses it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonId {
    /// The provider.
    pub issuer: Issuer,
    /// Who, among those that it knows.
    pub subject: Subject,
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

/// The claim `sub`: 1 to 255 visible ASCII characters and spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject(String);

/// Why a text is no [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject is 1 to {SUBJECT_MAX} visible ASCII characters")]
pub struct SubjectError;

impl Subject {
    /// Reads a subject.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let legal = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let is_one = !text.trim().is_empty() && text.len() <= SUBJECT_MAX && text.bytes().all(legal);
        if is_one { Ok(Self(text.to_owned())) } else { Err(SubjectError) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What ties a user to somebody at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// Whether a group made the user an admin; one that was made an admin by hand stays it whatever the groups are.
    pub admin_by_group: bool,
}

impl Person {
    /// Somebody whom no group gave anything yet.
    #[must_use]
    pub fn new(id: PersonId) -> Self {
        Self { id, admin_by_group: false }
    }
}

/// What the members of a group get: `platform=team:writer`, `operators=admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// The group, as the provider writes it; compared byte by byte.
    pub group: String,
    /// What it gives.
    pub gives: GroupGives,
}

/// What a group gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupGives {
    /// Everything in the instance.
    Admin,
    /// A place in an owner.
    Place(OwnerName, Role),
}

/// Why a text is no [`GroupRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rule for a group: write GROUP=OWNER:ROLE with a role of reader, writer or maintainer, or GROUP=admin"
)]
pub struct GroupRuleError {
    text: String,
}

impl GroupRule {
    /// Reads a rule. The last `=` divides it: names of groups may have others (`cn=platform,ou=groups`).
    ///
    /// # Errors
    /// [`GroupRuleError`].
    pub fn parse(text: &str) -> Result<Self, GroupRuleError> {
        let refused = || GroupRuleError { text: text.chars().take(80).collect() };
        let (group, place) = text.rsplit_once('=').ok_or_else(refused)?;
        let (group, place) = (group.trim(), place.trim());
        if group.is_empty() || group.len() > GROUP_MAX || group.chars().any(char::is_control) {
            return Err(refused());
        }
        let gives = if place == ADMIN {
            GroupGives::Admin
        } else {
            let (owner, role) = place.split_once(':').ok_or_else(refused)?;
            let owner = OwnerName::parse(owner).map_err(|_| refused())?;
            GroupGives::Place(owner, Role::parse(role).ok_or_else(refused)?)
        };
        Ok(Self { group: group.to_owned(), gives })
    }
}

/// What all groups of somebody give together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Whether everything in the instance.
    pub admin: bool,
    /// The places in owners; of several in one owner the highest.
    pub places: BTreeMap<OwnerName, Role>,
}

impl Given {
    /// By these rules, to a member of these groups.
    #[must_use]
    pub fn of(rules: &[GroupRule], groups: &[String]) -> Self {
        let mut given = Self::default();
        for rule in rules.iter().filter(|rule| groups.contains(&rule.group)) {
            match &rule.gives {
                GroupGives::Admin => given.admin = true,
                GroupGives::Place(owner, role) => {
                    let place = given.places.entry(owner.clone()).or_insert(*role);
                    *place = (*place).max(*role);
                }
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str) -> OwnerName {
        OwnerName::parse(text).expect("a name")
    }

    #[test]
    fn a_rule_names_a_group_and_what_it_gives() {
        let place = |group: &str, name: &str, role| GroupRule {
            group: group.to_owned(),
            gives: GroupGives::Place(owner(name), role),
        };
        for (text, rule) in [
            ("platform=team:writer", place("platform", "team", Role::Writer)),
            ("/acme/platform = team:reader", place("/acme/platform", "team", Role::Reader)),
            ("cn=platform,ou=groups=team:maintainer", place("cn=platform,ou=groups", "team", Role::Maintainer)),
            ("operators=admin", GroupRule { group: "operators".to_owned(), gives: GroupGives::Admin }),
        ] {
            assert_eq!(GroupRule::parse(text), Ok(rule), "{text}");
        }
        for bad in [
            "",
            "platform",
            "=team:writer",
            "platform=team",
            "platform=Team:writer",
            "platform=team:admin",
            "platform=team:owner",
            "platform=Admin",
            "a\nb=admin",
            &format!("{}=admin", "x".repeat(GROUP_MAX + 1)),
        ] {
            assert!(GroupRule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_highest_place_counts_and_only_what_is_named_makes_an_admin() {
        let rules = ["a=team:reader", "b=team:maintainer", "c=team:writer", "a=other:writer", "ops=admin"]
            .map(|text| GroupRule::parse(text).expect("a rule"));
        let of = |groups: &[&str]| Given::of(&rules, &groups.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), Given::default());
        assert_eq!(of(&["A", "a ", "admin", "team"]), Given::default(), "names are compared as they are");
        let all = of(&["a", "b", "c"]);
        assert!(!all.admin);
        assert_eq!(all.places, BTreeMap::from([(owner("other"), Role::Writer), (owner("team"), Role::Maintainer)]));
        assert!(of(&["ops"]).admin);
    }

    #[test]
    fn a_subject_is_what_a_provider_may_give() {
        for good in ["1", "auth0|5f7c8ec7c33c6c004bbafe82", "CN=alice smith", &"x".repeat(SUBJECT_MAX)] {
            assert!(Subject::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a\nb", "\u{fc}", &"x".repeat(SUBJECT_MAX + 1)] {
            assert_eq!(Subject::parse(bad), Err(SubjectError), "{bad}");
        }
    }
}
