//! The port `HomeStore`: which repositories lie elsewhere than the instance's rules say, because they were moved.

use async_trait::async_trait;

use super::BoxError;
use crate::model::home::Home;
use crate::model::image::RepositoryName;
use crate::model::time::Generation;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum HomeStoreError {
    /// No more can be written: free some disk.
    #[error("the disk is full")]
    Full,
    /// The store does not answer, or answered nonsense.
    #[error("the store failed")]
    Failed {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

/// A row for each repository that was ever moved.
///
/// Every method is one unit of work, durable when it has returned `Ok`. A read sees everything written before it began. There
/// are as many rows as repositories were moved; whoever asks for each pull remembers what [`home_list`](HomeStore::home_list)
/// answered, and asks [`home_count`](HomeStore::home_count) whether it is still so.
#[async_trait]
pub trait HomeStore: Send + Sync {
    /// All rows, by repository.
    async fn home_list(&self) -> Result<Vec<Home>, HomeStoreError>;

    /// One repository's row.
    async fn home_get(&self, repository: &RepositoryName) -> Result<Option<Home>, HomeStoreError>;

    /// Writes a row over the one of the generation `read`; `None`: there must be none yet. Answers the generation that it has
    /// now, whatever the given one says. Answers `None`, and writes nothing, when there is another one, or one where there was
    /// to be none, or none where there was to be one.
    async fn home_put(&self, home: &Home, read: Option<Generation>) -> Result<Option<Generation>, HomeStoreError>;

    /// Forgets the row of the generation `read`; answers `false`, and does nothing, when it has another or isn't there.
    async fn home_delete(&self, repository: &RepositoryName, read: Generation) -> Result<bool, HomeStoreError>;

    /// How often a row was written or forgotten, counted in the same unit of work. One small read, however many rows there
    /// are.
    async fn home_count(&self) -> Result<u64, HomeStoreError>;
}
