//! The port `PublicStore`: an item for each public repository.

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::store::StoreError;

use super::DynamoStore;
use super::action::Action;
use super::item::{Item, Key, parsed, word};
use super::shut_out;
use super::table::{Query, Step};

/// Where the items are.
const PUBLIC: &str = "public_repository";

fn key(repository: &RepositoryName) -> Key {
    Key::new(PUBLIC, word(repository.as_str()))
}

#[async_trait]
impl PublicStore for DynamoStore {
    async fn visibility_get(&self, repository: &RepositoryName) -> Result<Visibility, StoreError> {
        let item = self.table.get(&key(repository)).await?;
        Ok(if item.is_some() { Visibility::Public } else { Visibility::Private })
    }

    async fn visibility_put(&self, repository: &RepositoryName, visibility: Visibility) -> Result<(), StoreError> {
        let step = async || {
            let actions = match visibility {
                Visibility::Public => {
                    vec![Action::put(Item::at(&key(repository)).with_text("name", repository.as_str()))]
                }
                Visibility::Private if self.table.get(&key(repository)).await?.is_some() => {
                    vec![Action::delete(key(repository)), shut_out::note()]
                }
                // Whoever says the opposite in this moment may come after it.
                Visibility::Private => return Ok(Step::Answer(())),
            };
            Ok::<_, StoreError>(Step::Write(actions, ()))
        };
        self.table.unit(step).await
    }

    async fn public_list(&self) -> Result<Vec<RepositoryName>, StoreError> {
        let items = self.table.query(Query::of(PUBLIC)).await?;
        let mut names = Vec::with_capacity(items.len());
        for item in &items {
            names.push(parsed("public repository", RepositoryName::parse(item.text("name")?))?);
        }
        names.sort();
        Ok(names)
    }
}
