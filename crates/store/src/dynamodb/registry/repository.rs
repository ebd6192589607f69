//! Repositories. All that is in one lies in a partition with an identity of its own, so that a delete is one small write: what a
//! repository held that is no longer named by its item belongs to nobody, and is taken away behind it ([`super::leave`]).

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};

use crate::dynamodb::action::{ABSENT, Action};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::gone::Leaving;
use crate::dynamodb::item::{Item, Key, hex, parsed, word};
use crate::dynamodb::owned::{STAYS, owner_key};
use crate::dynamodb::shut_out;
use crate::dynamodb::table::{Query, Range, Step, Table, first_count, random};

const REPOSITORIES: &str = "repository";

/// That it is still this repository.
const THERE: &str = "#id = :id";

/// That it is still this repository, and nothing in it changed that decisions rest on: manifests, tags, what was taken out.
const UNCHANGED: &str = "#id = :id AND #epoch = :epoch";

pub(super) fn key(name: &RepositoryName) -> Key {
    Key::new(REPOSITORIES, word(name.as_str()))
}

/// A repository as it was read.
pub(super) struct Seen {
    pub(super) name: RepositoryName,
    pub(super) id: String,
    pub(super) epoch: u64,
}

impl Seen {
    /// The place of something in it.
    pub(super) fn at(&self, sort: impl Into<String>) -> Key {
        Key::new(partition(&self.id), sort)
    }

    pub(super) fn partition(&self) -> String {
        partition(&self.id)
    }

    /// Demands that it is still there.
    pub(super) fn there(&self) -> Action {
        Action::check(key(&self.name), THERE).with_text(":id", &self.id)
    }

    /// Counts a change that others must not miss.
    pub(super) fn touched(&self) -> Action {
        let action = Action::update(key(&self.name), "SET #epoch = #epoch + :one").only_if(THERE);
        action.with_text(":id", &self.id).with_number(":one", 1)
    }

    /// The same, and demands that there was no other since it was read.
    pub(super) fn changed(&self) -> Action {
        self.touched().only_if(UNCHANGED).with_number(":epoch", self.epoch)
    }

    /// Takes it away, unless there was another change.
    pub(super) fn deleted(&self) -> Action {
        let action = Action::delete(key(&self.name)).only_if(UNCHANGED);
        action.with_text(":id", &self.id).with_number(":epoch", self.epoch)
    }
}

/// More than the longest name that a sort key ends with.
const AFTER_MAX: usize = 512;

pub(super) fn partition(id: &str) -> String {
    format!("{REPOSITORIES}#{id}")
}

/// Sort keys that begin with `prefix`, only those behind `after` in it. All that stands in them is ASCII below `~`; `after` is whatever
/// a client says.
pub(super) fn behind(prefix: &str, after: Option<&str>) -> Range {
    let end = format!("{prefix}~");
    match after {
        // DynamoDB refuses a range that ends before it begins (API reference, `Query`).
        Some(after) if after >= "~" => Range::Between(end.clone(), end),
        Some(after) => {
            // And a key that is longer than keys may be. No name is as long, so what is cut off decides nothing.
            let after = &after[..after.floor_char_boundary(AFTER_MAX)];
            Range::Between(format!("{prefix}{after}\u{1}"), end)
        }
        None => Range::Begin(prefix.to_owned()),
    }
}

fn read(item: &Item) -> Result<Repository, Fault> {
    Ok(Repository {
        name: parsed("repository name", RepositoryName::parse(item.text("name")?))?,
        created: item.time("created")?,
        visibility: Visibility::parse(item.text("visibility")?).ok_or(Fault::Unreadable { what: "visibility" })?,
    })
}

pub(super) fn missing(name: &RepositoryName) -> RegistryStoreError {
    RegistryStoreError::RepositoryMissing(name.clone())
}

pub(super) fn seen(name: &RepositoryName, item: &Item) -> Result<Seen, Fault> {
    Ok(Seen { name: name.clone(), id: item.text("id")?.to_owned(), epoch: item.number("epoch")? })
}

/// A repository that is on its way out.
pub(super) fn gone(name: RepositoryName, id: &str) -> Seen {
    Seen { name, id: id.to_owned(), epoch: 0 }
}

impl Table {
    pub(super) async fn repository_seen(&self, name: &RepositoryName) -> Result<Option<Seen>, Fault> {
        self.get(&key(name)).await?.map(|item| seen(name, &item)).transpose()
    }

    pub(super) async fn repository_demand(&self, name: &RepositoryName) -> Result<Seen, RegistryStoreError> {
        self.repository_seen(name).await?.ok_or_else(|| missing(name))
    }

    pub(super) async fn repository_create(&self, repository: &Repository) -> Result<(), RegistryStoreError> {
        let owner = repository.name.owner_name();
        // An owner of that name may be on its way out.
        self.gone_finish(&Leaving::Owner(owner)).await?;
        let id = hex(&random::<16>().map_err(RegistryStoreError::from)?);
        self.unit(|| self.repository_create_step(repository, &id)).await
    }

    async fn repository_create_step(&self, repository: &Repository, id: &str) -> Result<Step<()>, RegistryStoreError> {
        let (at, owner) = (key(&repository.name), owner_key(&repository.name.owner_name()));
        let seen = self.get_many(&[at.clone(), owner.clone()]).await?;
        if let Some(item) = seen.get(&at) {
            // Ours, when an answer was lost that the SDK did not hear of either.
            return match item.text("id")? == id {
                true => Ok(Step::Answer(())),
                false => Err(RegistryStoreError::RepositoryExists(repository.name.clone())),
            };
        }
        let owner = match seen.get(&owner) {
            // The owner's epoch counts on, so that a delete of the owner that found nothing does not miss it.
            Some(_) => Action::update(owner, "SET #epoch = #epoch + :one ADD #repositories :one")
                .only_if(STAYS)
                .with_number(":one", 1),
            None => Action::put(
                Item::at(&owner)
                    .with_number("created", repository.created.0)
                    .with_text("rules", "[]")
                    .with_number("epoch", first_count()?)
                    .with_number("changes", first_count()?)
                    .with_number("repositories", 1),
            )
            .only_if(ABSENT),
        };
        let item = Item::at(&at)
            .with_text("name", repository.name.as_str())
            .with_text("id", id)
            .with_number("epoch", 0)
            .with_number("created", repository.created.0)
            .with_text("visibility", repository.visibility.as_str());
        Ok(Step::Write(vec![Action::put(item).only_if(ABSENT), owner], ()))
    }

    pub(super) async fn repository(&self, name: &RepositoryName) -> Result<Option<Repository>, Fault> {
        self.get(&key(name)).await?.as_ref().map(read).transpose()
    }

    pub(super) async fn repositories(&self, owner: Option<&str>, page: &Page) -> Result<Vec<Repository>, Fault> {
        let prefix = owner.map(|owner| format!("{owner}/")).unwrap_or_default();
        let range = match (&page.after, prefix.as_str()) {
            (None, "") => Range::All,
            (Some(after), "") => behind("", Some(after)),
            (Some(after), prefix) if after.as_str() >= prefix => match after.strip_prefix(prefix) {
                Some(after) => behind(prefix, Some(after)),
                None => return Ok(Vec::new()),
            },
            (_, prefix) => Range::Begin(prefix.to_owned()),
        };
        let query = Query::of(REPOSITORIES).within(range);
        let query = if let Some(most) = page.most { query.most(most) } else { query };
        self.query(query).await?.iter().map(read).collect()
    }

    pub(super) async fn repository_update_step(
        &self,
        name: &RepositoryName,
        visibility: Visibility,
    ) -> Result<Step<Repository>, RegistryStoreError> {
        let item = self.get(&key(name)).await?.ok_or_else(|| missing(name))?;
        let before = read(&item)?;
        let ends = before.visibility == Visibility::Public && visibility == Visibility::Private;
        let repository = Repository { visibility, ..before };
        let action = Action::update(key(name), "SET #visibility = :visibility").only_if(THERE);
        let action = action.with_text(":id", item.text("id")?).with_text(":visibility", visibility.as_str());
        let mut actions = vec![action];
        actions.extend(ends.then(shut_out::note));
        Ok(Step::Write(actions, repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_never_ends_before_it_begins_nor_is_a_key_too_long() {
        let long = "x".repeat(3_000);
        for after in ["", "v1", "~", "~z", "\u{e9}", "\u{10ffff}", &long, &"\u{e9}".repeat(1_000)] {
            let Range::Between(first, last) = behind("tag#", Some(after)) else { panic!("it begins behind something") };
            assert!(first <= last && first.len() <= 1_024, "{after:.20}: {first:.20} to {last}");
            // All that is behind it is in the range.
            let behind =
                ["tag#a", "tag#v1.0", "tag#z"].into_iter().filter(|key| *key > format!("tag#{after}").as_str());
            assert!(behind.into_iter().all(|key| (first.as_str()..=last.as_str()).contains(&key)), "{after:.20}");
        }
    }
}
