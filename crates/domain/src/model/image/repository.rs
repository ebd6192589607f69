//! Names of repositories in our own registry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{NAME_MAX, grammar, shorten};
use crate::model::owner::{OWNER_MAX, OwnerName};

/// The name of a repository, `owner/name`; the name may hold further slashes. Every component follows the `<name>` grammar of the
/// distribution specification, and the whole has at most 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName {
    full: String,
    /// Where the first slash stands.
    slash: usize,
}

impl RepositoryName {
    /// Reads `owner/name`.
    ///
    /// # Errors
    /// [`RepositoryNameError`] says what is wrong and what is legal.
    pub fn parse(text: &str) -> Result<Self, RepositoryNameError> {
        let Some(slash) = text.bytes().position(|byte| byte == b'/') else {
            return Err(RepositoryNameError::NoOwner(shorten(text)));
        };
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(RepositoryNameError::UpperCase {
                name: shorten(text),
                suggestion: shorten(&text.to_ascii_lowercase()),
            });
        }
        if text.len() > NAME_MAX {
            return Err(RepositoryNameError::TooLong { found: text.chars().count() });
        }
        if slash > OWNER_MAX {
            return Err(RepositoryNameError::OwnerTooLong { found: text[..slash].chars().count() });
        }
        for component in text.split('/') {
            grammar::check_component(component)
                .map_err(|reason| RepositoryNameError::Illegal { name: shorten(text), reason })?;
        }
        Ok(Self { full: text.to_owned(), slash })
    }

    /// The team that owns it: the first component.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.full[..self.slash]
    }

    /// The team that owns it, as a name of its own.
    #[must_use]
    pub fn owner_name(&self) -> OwnerName {
        OwnerName::parse(self.owner()).expect("a repository's first component is an owner's name")
    }

    /// What follows the owner; may hold slashes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.full[self.slash + 1..]
    }

    /// The whole name, `owner/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.full
    }
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = RepositoryNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.full
    }
}

/// Why a text is not a [`RepositoryName`]. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// There is no slash.
    #[error("repository {0:?} has no owner; write owner/name")]
    NoOwner(String),
    /// It holds upper-case letters.
    #[error("repository {name:?} must be lower case; write {suggestion:?}")]
    UpperCase {
        /// The name as written, shortened.
        name: String,
        /// The same in lower case.
        suggestion: String,
    },
    /// It is too long.
    #[error("repository name has {found} characters; at most 255 are legal")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// Its owner is too long.
    #[error("repository owner has {found} characters; at most 128 are legal")]
    OwnerTooLong {
        /// Characters found.
        found: usize,
    },
    /// A component breaks the grammar.
    #[error("repository {name:?}: {reason}")]
    Illegal {
        /// The name as written, shortened.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}
