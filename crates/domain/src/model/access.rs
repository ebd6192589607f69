//! Who may do what: tokens and what they allow.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::TokenId;
use super::image::RepositoryName;
use super::name::Name;
use super::time::Timestamp;

/// What a caller wants to do in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryAction {
    /// Read manifests and blobs.
    Pull,
    /// Write manifests and blobs.
    Push,
    /// Delete manifests, tags and blobs.
    Delete,
}

impl RegistryAction {
    /// The word of the token specification's scope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RegistryAction::Pull => "pull",
            RegistryAction::Push => "push",
            RegistryAction::Delete => "delete",
        }
    }

    /// Reads the token specification's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [RegistryAction::Pull, RegistryAction::Push, RegistryAction::Delete]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// A stored token: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The id, to revoke it by.
    pub id: TokenId,
    /// What its owner calls it.
    pub name: Name,
    /// The user that it belongs to.
    pub user: Name,
    /// SHA-256 of the secret. The secret has 256 random bits, so one pass of a fast hash is enough: there is nothing to
    /// guess.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` for never.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used: Option<Timestamp>,
}

impl Token {
    /// Whether it still opens anything.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// Who a request comes from, once it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user with one of its tokens.
    User {
        /// The user's name.
        user: Name,
        /// The token used.
        token: TokenId,
    },
    /// Someone with a short-lived credential for exactly one repository.
    Repository {
        /// The only repository.
        repository: RepositoryName,
        /// What is allowed there.
        actions: Vec<RegistryAction>,
    },
}

impl Caller {
    /// Whether the caller may do `action` in `repository`.
    #[must_use]
    pub fn may(&self, action: RegistryAction, repository: &RepositoryName) -> bool {
        match self {
            Caller::User { .. } => true,
            Caller::Repository { repository: only, actions } => only == repository && actions.contains(&action),
        }
    }

    /// The user behind the caller; `None` for a credential that stands for no user.
    #[must_use]
    pub fn user(&self) -> Option<&Name> {
        match self {
            Caller::User { user, .. } => Some(user),
            Caller::Repository { .. } => None,
        }
    }
}

/// Text that never shows itself: passwords, tokens, keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Each call is a place where it may leak: grep for it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}
