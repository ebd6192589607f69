//! Users: people who sign in.

use super::access::Secret;
use super::name::Name;
use super::person::Person;
use super::time::Timestamp;

/// A user. What one may do follows from being an admin, from the owners one is a member of, and from the token used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name to sign in with.
    pub name: Name,
    /// Whether the user may do everything in the instance.
    pub admin: bool,
    /// The password's hash as a PHC string (`$argon2id$…`); `None` for a user who signs in with tokens only.
    pub password: Option<PasswordHash>,
    /// When it was made.
    pub created: Timestamp,
    /// Whom a provider knows the user as, who signs in there; `None` for one who signs in here alone.
    pub person: Option<Person>,
}

/// The hash of a password, as a PHC string. Kept like a secret: it is worth guessing at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(Secret);

impl PasswordHash {
    /// Wraps a PHC string.
    #[must_use]
    pub fn new(phc: impl Into<String>) -> Self {
        Self(Secret::new(phc))
    }

    /// The PHC string.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What is to change of a user; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// Whether the user is an admin.
    pub admin: Option<bool>,
    /// Whether a group makes the user an admin; of no meaning for a user whom no provider knows.
    pub admin_by_group: Option<bool>,
    /// Another password; `Some(None)` takes it away.
    pub password: Option<Option<PasswordHash>>,
}
