//! The port `RepositoryPolicies`: who may pull from where, as the place says in which the images lie (ECR).

use std::time::Duration;

use async_trait::async_trait;

use super::BoxError;
use crate::model::image::RepositoryName;

/// A page of the list of repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryPage {
    /// Those of its names that can be names of ours, in no order. Others are passed over: nobody can have granted them.
    pub names: Vec<RepositoryName>,
    /// What to ask for the next page with; `None` for the last page.
    pub next: Option<String>,
}

/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It isn't there (any more).
    #[error("repository `{repository}` does not exist")]
    NoRepository {
        /// Which.
        repository: RepositoryName,
    },
    /// The document names an account that AWS does not know. Which one it does not say: that comes out by trying them apart.
    #[error("the policy names an account that AWS does not know")]
    UnknownPrincipal,
    /// The document is none that can be written; what was there is there still.
    #[error("the policy was refused: {why}")]
    Refused {
        /// AWS's words.
        why: String,
    },
    /// Too much at once; nothing was done.
    #[error("the registry asks to slow down")]
    Throttled {
        /// After how long to try again.
        after: Duration,
    },
    /// The server may not do this, by its own rights.
    #[error("{why}")]
    Denied {
        /// Which call, in words.
        why: String,
    },
    /// No answer, or one that says nothing. What was asked for may have been done.
    #[error("the registry does not answer")]
    Unavailable {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

impl PolicyError {
    /// Whether the same call may succeed later without anyone changing what is asked, or what is allowed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            PolicyError::Throttled { .. } | PolicyError::Unavailable { .. } => true,
            PolicyError::NoRepository { .. }
            | PolicyError::UnknownPrincipal
            | PolicyError::Refused { .. }
            | PolicyError::Denied { .. } => false,
        }
    }
}

/// The policies of all repositories of one registry, each a JSON document in the language of IAM.
///
/// Each method is one call, done or not when it returns, but for [`PolicyError::Unavailable`]. There is no compare-and-set:
/// ECR has none. Whoever writes a document that others may write to as well reads it right before, and looks again later.
/// A read may be behind a write by a moment.
#[async_trait]
pub trait RepositoryPolicies: Send + Sync {
    /// A page of all repositories: the first, or the one that follows what `next` of the page before said. A repository that
    /// is made or goes meanwhile may be in it or not; all others are in exactly one page.
    ///
    /// # Errors
    /// `Throttled`, `Denied`, `Unavailable`; `Refused` when `next` is known no more: the list is to be begun anew.
    async fn repository_page(&self, next: Option<&str>) -> Result<RepositoryPage, PolicyError>;

    /// The policy of a repository as it is there, perhaps in another spelling than it was given in; `None` when it has none.
    ///
    /// # Errors
    /// `NoRepository`, `Throttled`, `Denied`, `Unavailable`.
    async fn policy_read(&self, repository: &RepositoryName) -> Result<Option<String>, PolicyError>;

    /// Writes the policy of a repository over the one that it has.
    ///
    /// # Errors
    /// All.
    async fn policy_write(&self, repository: &RepositoryName, text: &str) -> Result<(), PolicyError>;

    /// Deletes the policy of a repository. One that has none is no error.
    ///
    /// # Errors
    /// `NoRepository`, `Throttled`, `Denied`, `Unavailable`.
    async fn policy_delete(&self, repository: &RepositoryName) -> Result<(), PolicyError>;
}
