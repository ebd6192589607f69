//! The port `HomeStore`: an item for each repository that was moved, and one that counts their changes.

use async_trait::async_trait;
use layer0_domain::model::home::Home;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::home_store::{HomeStore, HomeStoreError};

use super::DynamoStore;
use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, from_json, to_json, word};
use super::table::{Query, Step, Table};

/// Where the items are.
const HOMES: &str = "repository_home";

/// That a row is as it was read.
const UNCHANGED: &str = "#generation = :generation";

fn key(repository: &RepositoryName) -> Key {
    Key::new(HOMES, word(repository.as_str()))
}

fn count_key() -> Key {
    Key::new("registry", "home_changes")
}

/// The action that counts a change.
fn note() -> Action {
    Action::update(count_key(), "ADD #count :one").with_number(":one", 1)
}

fn read_item(item: &Item) -> Result<Home, Fault> {
    let home: Home = from_json("repository home", item.text("body")?)?;
    Ok(Home { generation: Generation(item.number("generation")?), ..home })
}

#[async_trait]
impl HomeStore for DynamoStore {
    async fn home_list(&self) -> Result<Vec<Home>, HomeStoreError> {
        Ok(self.table.homes().await?)
    }

    async fn home_get(&self, repository: &RepositoryName) -> Result<Option<Home>, HomeStoreError> {
        Ok(self.table.home(repository).await?)
    }

    async fn home_put(&self, home: &Home, read: Option<Generation>) -> Result<Option<Generation>, HomeStoreError> {
        self.table.unit(|| self.table.home_put_step(home, read)).await
    }

    async fn home_delete(&self, repository: &RepositoryName, read: Generation) -> Result<bool, HomeStoreError> {
        self.table.unit(|| self.table.home_delete_step(repository, read)).await
    }

    async fn home_count(&self) -> Result<u64, HomeStoreError> {
        match self.table.get(&count_key()).await? {
            Some(item) => Ok(item.number("count")?),
            None => Ok(0),
        }
    }
}

impl Table {
    async fn homes(&self) -> Result<Vec<Home>, Fault> {
        let items = self.query(Query::of(HOMES)).await?;
        let mut homes = items.iter().map(read_item).collect::<Result<Vec<_>, Fault>>()?;
        homes.sort_by(|a, b| a.repository.cmp(&b.repository));
        Ok(homes)
    }

    async fn home(&self, repository: &RepositoryName) -> Result<Option<Home>, Fault> {
        self.get(&key(repository)).await?.as_ref().map(read_item).transpose()
    }

    async fn home_put_step(
        &self,
        home: &Home,
        read: Option<Generation>,
    ) -> Result<Step<Option<Generation>>, HomeStoreError> {
        if self.home(&home.repository).await?.map(|stored| stored.generation) != read {
            return Ok(Step::Answer(None));
        }
        let next = read.unwrap_or_default().next();
        let item = Item::at(&key(&home.repository))
            .with_number("generation", next.0)
            .with_text("body", to_json("repository home", home)?);
        let put = match read {
            Some(read) => Action::put(item).only_if(UNCHANGED).with_number(":generation", read.0),
            None => Action::put(item).only_if(ABSENT),
        };
        Ok(Step::Write(vec![put, note()], Some(next)))
    }

    async fn home_delete_step(
        &self,
        repository: &RepositoryName,
        read: Generation,
    ) -> Result<Step<bool>, HomeStoreError> {
        if self.home(repository).await?.map(|stored| stored.generation) != Some(read) {
            return Ok(Step::Answer(false));
        }
        let gone = Action::delete(key(repository)).only_if(UNCHANGED).with_number(":generation", read.0);
        Ok(Step::Write(vec![gone, note()], true))
    }
}
