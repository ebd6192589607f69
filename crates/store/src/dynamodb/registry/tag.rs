//! Tags: one item for where a tag points, one with what points to a manifest. Both change with the repository's epoch.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};

use super::manifest;
use super::repository::{Seen, behind};
use crate::dynamodb::action::{Action, PRESENT};
use crate::dynamodb::fault::Fault;
use crate::dynamodb::item::{Item, Key, parsed};
use crate::dynamodb::table::{Query, Range, Step, Table};

/// Tags that one transaction points or takes away: each is three actions at most, of 100.
pub(super) const TAGS_AT_ONCE: usize = 25;

pub(super) const PREFIX: &str = "tag#";

pub(super) fn key(seen: &Seen, tag: &str) -> Key {
    seen.at(format!("{PREFIX}{tag}"))
}

fn at_key(seen: &Seen, digest: &str, tag: &str) -> Key {
    seen.at(format!("at#{digest}#{tag}"))
}

/// The actions that point a tag at a manifest, wherever it pointed before.
pub(super) fn point(
    seen: &Seen,
    tag: &str,
    to: &Digest,
    pushed: Timestamp,
    before: Option<&Item>,
) -> Result<Vec<Action>, Fault> {
    let to = to.to_string();
    let before = before.map(|item| item.text("manifest")).transpose()?;
    let item = Item::at(&key(seen, tag)).with_text("manifest", &to).with_number("pushed", pushed.0);
    let mut actions = vec![Action::put(item)];
    actions.push(Action::put(Item::at(&at_key(seen, &to, tag))));
    actions.extend(before.filter(|before| *before != to).map(|before| Action::delete(at_key(seen, before, tag))));
    Ok(actions)
}

/// The actions that take a tag away.
pub(super) fn delete(seen: &Seen, tag: &str, digest: &Digest) -> [Action; 2] {
    [Action::delete(key(seen, tag)), Action::delete(at_key(seen, &digest.to_string(), tag))]
}

impl Table {
    /// The tags that point to a manifest.
    pub(super) async fn tags_at(&self, seen: &Seen, digest: &Digest) -> Result<Vec<String>, Fault> {
        let prefix = format!("at#{digest}#");
        let items = self.query(Query::of(seen.partition()).within(Range::Begin(prefix.clone()))).await?;
        let tags = items.iter().map(|item| Ok(item.text("s")?[prefix.len()..].to_owned()));
        tags.collect()
    }

    /// Points more tags at a manifest that was just put, as far as it is still there.
    pub(super) async fn tags_point_step(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        pushed: Timestamp,
        tags: &[String],
    ) -> Result<Step<()>, RegistryStoreError> {
        let seen = self.repository_demand(repository).await?;
        let mut keys: Vec<_> = tags.iter().map(|tag| key(&seen, tag)).collect();
        keys.push(manifest::key(&seen, digest));
        let found = self.get_many(&keys).await?;
        if !found.contains_key(&manifest::key(&seen, digest)) {
            return Ok(Step::Answer(()));
        }
        let owner = self.registry_owner(repository).await?;
        let mut actions = vec![seen.changed(), owner.count(0, 0)?];
        for tag in tags {
            let now = found.get(&key(&seen, tag));
            if let Some(now) = now
                && now.text("manifest")? != digest.to_string()
                && let Some(kept) = owner.keeps(repository, tag)
            {
                return Err(kept);
            }
            actions.extend(point(&seen, tag, digest, pushed, now)?);
        }
        Ok(Step::Write(actions, ()))
    }

    pub(super) async fn tag_delete_step_of(
        &self,
        repository: &RepositoryName,
        tag: &str,
    ) -> Result<Step<bool>, RegistryStoreError> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(Step::Answer(false)) };
        let Some(item) = self.get(&key(&seen, tag)).await? else { return Ok(Step::Answer(false)) };
        let owner = self.registry_owner(repository).await?;
        if let Some(kept) = owner.keeps(repository, tag) {
            return Err(kept);
        }
        let digest =
            parsed("manifest digest", Digest::parse(item.text("manifest")?)).map_err(RegistryStoreError::from)?;
        let [taken, at] = delete(&seen, tag, &digest);
        Ok(Step::Write(vec![seen.changed(), owner.count(0, 0)?, taken.only_if(PRESENT), at], true))
    }

    pub(super) async fn tags_page(
        &self,
        repository: &RepositoryName,
        page: &Page,
    ) -> Result<Option<Vec<String>>, Fault> {
        let Some(seen) = self.repository_seen(repository).await? else { return Ok(None) };
        let query = Query::of(seen.partition()).within(behind(PREFIX, page.after.as_deref()));
        let query = if let Some(most) = page.most { query.most(most) } else { query };
        let items = self.query(query).await?;
        let tags = items.iter().map(|item| Ok(item.text("s")?[PREFIX.len()..].to_owned()));
        tags.collect::<Result<_, Fault>>().map(Some)
    }
}
