//! AWS accounts that may pull, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountList {
    /// The ids of the accounts that may pull from every repository.
    pub accounts: Vec<String>,
    /// All grants that the caller may see, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<AccountGrant>,
    /// In which policies they stand; not there on an instance that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<AccountStrategy>,
}

/// In which policies grants stand, and how far a change of that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountStrategy {
    /// The one that holds, or is to: `repositories`: in the policy of each; `registry`: in the registry's; `organization`: there
    /// too, as conditions.
    pub strategy: String,
    /// `settled`; `spreading`: its policies are being written, beside those that stand; `clearing`: they are true everywhere,
    /// and what stood before is being taken away.
    pub state: String,
    /// Those that may stand besides while it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<String>,
    /// How far it is, in a sentence.
    pub progress: String,
    /// When it was asked for, RFC 3339; empty for what an instance begins with.
    pub since: String,
    /// The repositories whose policies keep a change from going on: the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<AccountWrong>,
}

/// `POST /account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantAccountRequest {
    /// Who: an account's id, `org:o-…` for an organization, `ou:o-…/ou-…` for a unit of one.
    #[serde(default)]
    pub account: String,
    /// Only the repositories of this owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Only this repository, `owner/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
}

/// Which grant is meant, for `DELETE /account/{id}`, `GET /account/events` and `GET /account/plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuery {
    /// Who; in the path of a delete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// The repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// For a plan: `true` for what taking the grant back would do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revoke: String,
    /// For a plan: after the change to this strategy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub strategy: String,
}

/// A grant and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountGrant {
    /// Who.
    pub account: String,
    /// Whose repositories; empty for everybody's.
    pub owner: String,
    /// The one repository; empty for more.
    pub repository: String,
    /// `hold`, or `take_back` while it is being taken back.
    pub wish: String,
    /// `spreading`: under way; `settled`: as wished everywhere; `incomplete`: not on some repositories; `refused`: AWS knows
    /// nobody of that name; `taken_back`: it is gone.
    pub state: String,
    /// How far it is, in a sentence.
    pub progress: String,
    /// When it was asked for, RFC 3339.
    pub asked: String,
    /// When its repositories were last looked at, RFC 3339; empty before they were.
    pub looked: String,
    /// How many repositories were looked at.
    pub repositories: u64,
    /// On how many of them it is as wished.
    pub right: u64,
    /// How many policies were changed for it by the last look.
    pub changed: u64,
    /// The repositories on which it is not as wished: the first twenty.
    #[serde(default)]
    pub wrong: Vec<AccountWrong>,
}

/// A repository on which a grant is not as wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountWrong {
    /// Which.
    pub repository: String,
    /// Why.
    pub why: String,
}

/// `GET /account/plan`: what would become of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountPlan {
    /// How many repositories are meant.
    pub repositories: u64,
    /// The registry's policy, where grants stand there, and those of the first ten of them.
    pub documents: Vec<AccountDocument>,
}

/// What would become of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountDocument {
    /// The repository; empty for the registry's own policy.
    pub repository: String,
    /// The registry, for its own policy: `ACCOUNT/REGION`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub registry: String,
    /// `keep`, `write`, `delete`, or `refused`.
    pub change: String,
    /// The policy that is there; empty for none.
    pub present: String,
    /// With `write`: the policy that would be written.
    pub text: String,
    /// With `refused`: why.
    pub why: String,
}
