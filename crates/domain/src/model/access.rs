//! Who may do what: actions, scopes, rights, tokens, and the callers that have them.

mod action;
mod rights;
mod scope;
mod secret;

use std::fmt;

use super::id::{TokenId, TrustId};
use super::name::Name;
use super::owner::OwnerName;
use super::time::Timestamp;

pub use self::action::{Action, Actions};
pub use self::rights::Rights;
pub use self::scope::{Place, Scope, ScopeError};
pub use self::secret::Secret;

/// A stored token: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The id, to revoke it by.
    pub id: TokenId,
    /// What it is called.
    pub name: Name,
    /// Whose it is.
    pub subject: Subject,
    /// What it is good for, within what its subject may; `None` for all of that. A robot's token always has scopes: they
    /// are its rights.
    pub scopes: Option<Vec<Scope>>,
    /// SHA-256 of the secret. The secret has 256 random bits, so one pass of a fast hash is enough: there is nothing to
    /// guess.
    pub hash: [u8; 32],
    /// When it was made, or last rotated.
    pub created: Timestamp,
    /// When it ends; `None` for never.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used: Option<Timestamp>,
    /// The trust that gave it, with which it ends; `None` for one that somebody made.
    pub trust: Option<TrustId>,
}

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person's.
    User(Name),
    /// A robot's, which belongs to an owner: it stays when people go.
    Owner(OwnerName),
}

impl Token {
    /// Whether it still opens anything.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// The name that goes with it to sign in: the user's; a robot's is `owner+token`, which no user can have.
    #[must_use]
    pub fn sign_in_name(&self) -> String {
        match &self.subject {
            Subject::User(user) => user.to_string(),
            Subject::Owner(owner) => format!("{owner}+{}", self.name),
        }
    }
}

/// Who a request comes from, once it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Nobody who said so: what is public is for everybody.
    Anonymous,
    /// A person.
    User(Name),
    /// A robot of an owner, by the name of its token.
    Robot {
        /// The owner.
        owner: OwnerName,
        /// The token's name.
        name: Name,
    },
    /// The engine, with the credential that was made for one pull.
    Engine,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anonymous => f.write_str("anonymous"),
            Who::User(user) => write!(f, "{user}"),
            Who::Robot { owner, name } => write!(f, "{owner}+{name}"),
            Who::Engine => f.write_str("l0-pull"),
        }
    }
}

/// Who a request comes from and what that one may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The token that was used, where it was one.
    pub token: Option<TokenId>,
    /// What is allowed.
    pub rights: Rights,
}

impl Caller {
    /// Somebody without a name and without rights.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { who: Who::Anonymous, token: None, rights: Rights::scopes(vec![]) }
    }

    /// The user behind the caller; `None` for one that stands for no user.
    #[must_use]
    pub fn user(&self) -> Option<&Name> {
        match &self.who {
            Who::User(user) => Some(user),
            Who::Anonymous | Who::Robot { .. } | Who::Engine => None,
        }
    }
}
