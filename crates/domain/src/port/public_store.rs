//! The port `PublicStore`: which repositories anybody may pull from, of those that lie in a registry which knows nothing of that.

use async_trait::async_trait;

use super::store::StoreError;
use crate::model::image::RepositoryName;
use crate::model::registry::Visibility;

/// The names of public repositories that do not lie with the instance. What is not named is private.
///
/// Every method is one unit of work, durable when it has returned `Ok`. A read sees everything written before it began, on whatever
/// server: what was made private is so at once.
#[async_trait]
pub trait PublicStore: Send + Sync {
    /// How visible a repository is.
    async fn visibility_get(&self, repository: &RepositoryName) -> Result<Visibility, StoreError>;

    /// Says how visible a repository is from now on, whether it is there or not. Again is no error.
    async fn visibility_put(&self, repository: &RepositoryName, visibility: Visibility) -> Result<(), StoreError>;

    /// All that are public, in byte order.
    async fn public_list(&self) -> Result<Vec<RepositoryName>, StoreError>;
}
