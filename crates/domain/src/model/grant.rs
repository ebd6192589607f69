//! Grants: which AWS accounts may pull which repositories.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::image::RepositoryName;
use super::owner::OwnerName;

mod kept;
mod strategy;

pub use kept::{GrantReport, GrantState, GrantWish, KeptGrant, NAMED_MAX, WrongRepository};
pub use strategy::{Duty, GrantPlace, GrantStrategy, KeptStrategy, StrategyPhase, StrategyReport, Wording};

/// The 12 digits of an AWS account (Account Management API, `AccountId`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// Reads an account's number.
    ///
    /// # Errors
    /// [`GranteeError::Account`] for all but 12 digits.
    pub fn parse(text: &str) -> Result<Self, GranteeError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(GranteeError::Account(shown(text)))
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AccountId {
    type Error = GranteeError;
    fn try_from(text: String) -> Result<Self, GranteeError> {
        Self::parse(&text)
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> String {
        id.0
    }
}

/// Whom a grant lets in: `123456789012`, `org:o-a1b2c3d4e5`, or `ou:o-a1b2c3d4e5/ou-ab12-11111111`.
///
/// An organizational unit is named together with its organization: the id of a unit is unique in its organization only
/// (Organizations API, `OrganizationalUnit`). It stands for all accounts in it and in the units below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grantee {
    /// One account.
    Account(AccountId),
    /// All accounts of an organization, by its id (`o-…`).
    Organization(String),
    /// All accounts of an organizational unit.
    Unit {
        /// The id of its organization (`o-…`).
        organization: String,
        /// Its own id (`ou-…`).
        unit: String,
    },
}

/// Why a text names nobody who can be let in. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GranteeError {
    /// Neither 12 digits nor one of the other forms.
    #[error(
        "`{0}` is no AWS account: an account is 12 digits; write org:o-… for an organization, ou:o-…/ou-… for a unit of one"
    )]
    Account(String),
    /// No id of an organization.
    #[error("`{0}` is no organization: its id is `o-` and 10 to 32 lower-case letters and digits")]
    Organization(String),
    /// No id of an organizational unit.
    #[error("`{0}` is no organizational unit: write ou:ORGANIZATION/UNIT, as in ou:o-a1b2c3d4e5/ou-ab12-11111111")]
    Unit(String),
}

impl Grantee {
    /// Reads whom a grant is for.
    ///
    /// # Errors
    /// [`GranteeError`] says what is wrong and how it is written.
    pub fn parse(text: &str) -> Result<Self, GranteeError> {
        if let Some(id) = text.strip_prefix("org:") {
            return if is_organization(id) {
                Ok(Grantee::Organization(id.to_owned()))
            } else {
                Err(GranteeError::Organization(shown(id)))
            };
        }
        if let Some(path) = text.strip_prefix("ou:") {
            // The whole path of a unit is taken too, as the console of AWS shows it: the units above the last say nothing
            // more, since an id is unique in its organization.
            let mut parts = path.trim_end_matches('/').split('/');
            return match (parts.next(), parts.next_back()) {
                (Some(organization), Some(unit))
                    if is_organization(organization) && is_unit(unit) && parts.all(|it| is_root(it) || is_unit(it)) =>
                {
                    Ok(Grantee::Unit { organization: organization.to_owned(), unit: unit.to_owned() })
                }
                _ => Err(GranteeError::Unit(shown(path))),
            };
        }
        AccountId::parse(text).map(Grantee::Account)
    }
}

/// `o-` and 10 to 32 lower-case letters and digits (Organizations API, `OrganizationId`).
fn is_organization(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| is_lower_alphanumeric(rest, 10, 32))
}

/// `r-` and 4 to 32 (Organizations API, `RootId`).
fn is_root(id: &str) -> bool {
    id.strip_prefix("r-").is_some_and(|rest| is_lower_alphanumeric(rest, 4, 32))
}

/// `ou-`, 4 to 32 of its root, `-`, 8 to 32 of its own (Organizations API, `OrganizationalUnitId`).
fn is_unit(id: &str) -> bool {
    let parts = id.strip_prefix("ou-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(root, own)| is_lower_alphanumeric(root, 4, 32) && is_lower_alphanumeric(own, 8, 32))
}

fn is_lower_alphanumeric(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grantee::Account(id) => id.fmt(f),
            Grantee::Organization(id) => write!(f, "org:{id}"),
            Grantee::Unit { organization, unit } => write!(f, "ou:{organization}/{unit}"),
        }
    }
}

impl TryFrom<String> for Grantee {
    type Error = GranteeError;
    fn try_from(text: String) -> Result<Self, GranteeError> {
        Self::parse(&text)
    }
}

impl From<Grantee> for String {
    fn from(grantee: Grantee) -> String {
        grantee.to_string()
    }
}

/// What a grant is about: everything in the instance, what an owner has, or one repository. What is made later is meant
/// too.
///
/// As text: `*`, `team/*`, `team/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GrantScope {
    /// Every repository.
    Instance,
    /// Every repository of an owner.
    Owner(OwnerName),
    /// One.
    Repository(RepositoryName),
}

impl GrantScope {
    /// Whether a repository is meant.
    #[must_use]
    pub fn covers(&self, repository: &RepositoryName) -> bool {
        match self {
            GrantScope::Instance => true,
            GrantScope::Owner(owner) => owner.as_str() == repository.owner(),
            GrantScope::Repository(name) => name == repository,
        }
    }

    /// Whose repositories are meant; `None` for everybody's.
    #[must_use]
    pub fn owner(&self) -> Option<OwnerName> {
        match self {
            GrantScope::Instance => None,
            GrantScope::Owner(owner) => Some(owner.clone()),
            GrantScope::Repository(name) => Some(name.owner_name()),
        }
    }

    /// As it is kept: `*`, `team/*`, `team/app`.
    #[must_use]
    pub fn pattern(&self) -> String {
        match self {
            GrantScope::Instance => "*".to_owned(),
            GrantScope::Owner(owner) => format!("{owner}/*"),
            GrantScope::Repository(name) => name.to_string(),
        }
    }
}

/// Text that no scope of a grant is kept as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope of a grant")]
pub struct GrantScopeError(String);

impl TryFrom<String> for GrantScope {
    type Error = GrantScopeError;
    fn try_from(text: String) -> Result<Self, GrantScopeError> {
        let scope = match text.strip_suffix("/*") {
            None if text == "*" => Some(GrantScope::Instance),
            None => RepositoryName::parse(&text).ok().map(GrantScope::Repository),
            Some(owner) => OwnerName::parse(owner).ok().map(GrantScope::Owner),
        };
        scope.ok_or_else(|| GrantScopeError(shown(&text)))
    }
}

impl From<GrantScope> for String {
    fn from(scope: GrantScope) -> String {
        scope.pattern()
    }
}

impl fmt::Display for GrantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantScope::Instance => f.write_str("every repository"),
            GrantScope::Owner(owner) => write!(f, "every repository of {owner}"),
            GrantScope::Repository(name) => name.fmt(f),
        }
    }
}

/// That somebody may pull something. The whole of it is its identity: granting twice is granting once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub grantee: Grantee,
    /// What.
    pub scope: GrantScope,
}

impl Grant {
    /// A text that no other grant has: `123456789012@team/*`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.grantee, self.scope.pattern())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.grantee, self.scope)
    }
}

/// All grants of an instance.
pub type Grants = BTreeSet<Grant>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_be_let_in_reads_back() {
        for text in ["123456789012", "000000000001", "org:o-a1b2c3d4e5", "ou:o-a1b2c3d4e5/ou-ab12-11111111"] {
            assert_eq!(Grantee::parse(text).expect(text).to_string(), text);
        }
        let path = "ou:o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/ou-ab12-22222222/";
        assert_eq!(Grantee::parse(path).expect(path).to_string(), "ou:o-a1b2c3d4e5/ou-ab12-22222222");
    }

    #[test]
    fn who_cannot_be_let_in_is_told_how_it_is_written() {
        for (text, said) in [
            ("", "12 digits"),
            ("12345678901", "12 digits"),
            ("1234567890123", "12 digits"),
            ("12345678901x", "12 digits"),
            ("１２３４５６７８９０１２", "12 digits"),
            ("arn:aws:iam::123456789012:root", "12 digits"),
            ("*", "12 digits"),
            ("org:a1b2c3d4e5", "`o-`"),
            ("org:o-short", "`o-`"),
            ("org:o-A1B2C3D4E5", "`o-`"),
            ("org:o-a1b2c3d4e5*", "`o-`"),
            ("ou:ou-ab12-11111111", "ORGANIZATION/UNIT"),
            ("ou:o-a1b2c3d4e5", "ORGANIZATION/UNIT"),
            ("ou:o-a1b2c3d4e5/*", "ORGANIZATION/UNIT"),
            ("ou:o-a1b2c3d4e5/r-ab12", "ORGANIZATION/UNIT"),
            ("ou:o-a1b2c3d4e5/x/ou-ab12-11111111", "ORGANIZATION/UNIT"),
        ] {
            let why = Grantee::parse(text).expect_err(text).to_string();
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn a_grant_is_kept_as_it_reads_back() {
        let team = OwnerName::parse("team").expect("an owner");
        let app = RepositoryName::parse("team/app").expect("a repository");
        let grantee = Grantee::parse("123456789012").expect("an account");
        for (scope, key) in [
            (GrantScope::Instance, "123456789012@*"),
            (GrantScope::Owner(team), "123456789012@team/*"),
            (GrantScope::Repository(app), "123456789012@team/app"),
        ] {
            let grant = Grant { grantee: grantee.clone(), scope };
            assert_eq!(grant.key(), key);
            let text = serde_json::to_string(&grant).expect("plain data");
            assert_eq!(serde_json::from_str::<Grant>(&text).expect(&text), grant);
        }
        for text in ["", "team", "/*", "*/*", "team/*/*", "team/"] {
            GrantScope::try_from(text.to_owned()).expect_err(text);
        }
    }

    #[test]
    fn a_scope_covers_what_is_in_it() {
        let repository = |text| RepositoryName::parse(text).expect(text);
        let owner = GrantScope::Owner(OwnerName::parse("team").expect("an owner"));
        let one = GrantScope::Repository(repository("team/app"));
        for (scope, name, covers) in [
            (&GrantScope::Instance, "other/app", true),
            (&owner, "team/app", true),
            (&owner, "team/app/sub", true),
            (&owner, "teams/app", false),
            (&one, "team/app", true),
            (&one, "team/app/sub", false),
        ] {
            assert_eq!(scope.covers(&repository(name)), covers, "{scope}, {name}");
        }
    }
}
