//! Owners: what they may use, and which of their tags stay as they are.
//!
//! What an owner's repositories hold is counted in its item, where their images are kept here; what is in ECR counts for itself.

use layer0_domain::model::glob::Glob;
use layer0_domain::model::owner::{Owner, OwnerName, OwnerRule, TagRule, rule_put, rule_take};
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::port::access_store::{AccessStoreError, OwnerChange, OwnerUse};

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::gone::{self, Leaving};
use super::item::{Item, from_json, parsed, to_json};
use super::owned::{OWNERS, owner_key, partition};
use super::table::{Query, Range, Step, Table, first_count};
use super::{registry, shut_out};

/// What an error calls an owner.
pub(super) const WHAT: &str = "owner";

/// That an owner is there, not on its way out, and as it was read.
const UNCHANGED: &str = "#changes = :changes AND attribute_not_exists(#gone)";

/// That an owner is not on its way out, and got nothing since it was read.
const EMPTY: &str = "#epoch = :epoch AND attribute_not_exists(#gone)";

pub(super) fn missing(name: &OwnerName) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: name.to_string() }
}

/// A kind of rules that an owner keeps, as a list in JSON.
pub(super) trait Kept: OwnerRule {
    /// The attribute.
    const ATTRIBUTE: &'static str;
    /// The expression that writes it, and the value in there.
    const SET: (&'static str, &'static str);
    /// What an error calls the list.
    const LIST: &'static str;
}

impl Kept for TagRule {
    const ATTRIBUTE: &'static str = "rules";
    const SET: (&'static str, &'static str) = ("SET #rules = :rules, #changes = :next", ":rules");
    const LIST: &'static str = "tag rules";
}

impl Kept for RetentionRule {
    const ATTRIBUTE: &'static str = "retention";
    const SET: (&'static str, &'static str) = ("SET #retention = :retention, #changes = :next", ":retention");
    const LIST: &'static str = "retention rules";
}

fn kept<R: Kept>(item: &Item) -> Result<Vec<R>, Fault> {
    item.text_if(R::ATTRIBUTE)?.map_or(Ok(Vec::new()), |text| from_json(R::LIST, text))
}

/// Keeps an owner's rules, if it still is as it was read.
fn keep<R: Kept>(item: &Item, name: &OwnerName, rules: &[R]) -> Result<Action, Fault> {
    let (expression, value) = R::SET;
    unchanged(Action::update(owner_key(name), expression).with_text(value, to_json(R::LIST, &rules)?), item)
}

fn read(item: &Item) -> Result<OwnerUse, Fault> {
    let owner = Owner {
        name: parsed("owner name", OwnerName::parse(item.text("s")?))?,
        created: item.time("created")?,
        quota_bytes: item.number_if("quota")?,
        tag_rules: kept(item)?,
        retention: kept(item)?,
    };
    let repositories = item.number_if::<i64>("repositories")?.and_then(|count| u64::try_from(count).ok());
    Ok(OwnerUse { owner, used_bytes: registry::used(item)?, repositories: repositories.unwrap_or(0) })
}

impl Table {
    pub(super) async fn owner_create(&self, owner: &Owner) -> Result<(), AccessStoreError> {
        // An owner of that name may be on its way out.
        self.gone_finish(&Leaving::Owner(owner.name.clone())).await?;
        self.unit(|| async {
            if self.get(&owner_key(&owner.name)).await?.is_some() {
                return Err(AccessStoreError::Exists { what: WHAT, name: owner.name.to_string() });
            }
            let item = Item::at(&owner_key(&owner.name))
                .with_number("created", owner.created.0)
                .with_number_if("quota", owner.quota_bytes)
                .with_text(TagRule::ATTRIBUTE, to_json(TagRule::LIST, &owner.tag_rules)?)
                .with_text(RetentionRule::ATTRIBUTE, to_json(RetentionRule::LIST, &owner.retention)?)
                .with_number("epoch", first_count()?)
                .with_number("changes", first_count()?);
            Ok(Step::Write(vec![Action::put(item).only_if(ABSENT)], ()))
        })
        .await
    }

    /// The item of an owner that is there.
    async fn owner_item(&self, name: &OwnerName) -> Result<Option<Item>, Fault> {
        Ok(self.get(&owner_key(name)).await?.filter(|item| !item.has("gone")))
    }

    /// Whether an owner is there.
    pub(super) async fn owner_is_there(&self, name: &OwnerName) -> Result<bool, Fault> {
        Ok(self.owner_item(name).await?.is_some())
    }

    pub(super) async fn owner(&self, name: &OwnerName) -> Result<Option<OwnerUse>, Fault> {
        self.owner_item(name).await?.as_ref().map(read).transpose()
    }

    pub(super) async fn owners(&self) -> Result<Vec<OwnerUse>, Fault> {
        let items = self.query(Query::of(OWNERS)).await?;
        items.iter().filter(|item| !item.has("gone")).map(read).collect()
    }

    pub(super) async fn owner_update_step(
        &self,
        name: &OwnerName,
        change: &OwnerChange,
    ) -> Result<Step<OwnerUse>, AccessStoreError> {
        let item = self.owner_item(name).await?.ok_or_else(|| missing(name))?;
        let mut owner = read(&item)?;
        let Some(quota) = change.quota_bytes else { return Ok(Step::Answer(owner)) };
        owner.owner.quota_bytes = quota;
        let action = match quota {
            Some(bytes) => {
                Action::update(owner_key(name), "SET #quota = :quota, #changes = :next").with_number(":quota", bytes)
            }
            None => Action::update(owner_key(name), "SET #changes = :next REMOVE #quota"),
        };
        Ok(Step::Write(vec![unchanged(action, &item)?], owner))
    }

    pub(super) async fn owner_delete(&self, name: &OwnerName) -> Result<(), AccessStoreError> {
        // A repository that a server left on its way out is none that the owner has.
        self.leave_finish_all().await?;
        self.unit(|| self.owner_leave_step(name)).await?;
        self.gone_finish(&Leaving::Owner(name.clone())).await?;
        Ok(())
    }

    async fn owner_leave_step(&self, name: &OwnerName) -> Result<Step<()>, AccessStoreError> {
        let item = self.owner_item(name).await?.ok_or_else(|| missing(name))?;
        let things = self.things(name, read(&item)?.repositories).await?;
        if !things.is_empty() {
            return Err(AccessStoreError::OwnerInUse { owner: name.clone(), things: things.join(", ") });
        }
        let leave = Action::update(owner_key(name), gone::LEAVE).with_flag(":true", true);
        let leave = leave.only_if(EMPTY).with_number(":epoch", item.number::<u64>("epoch")?);
        Ok(Step::Write(vec![leave, gone::note(&Leaving::Owner(name.clone())), shut_out::note()], ()))
    }

    /// What an owner has, in words.
    async fn things(&self, name: &OwnerName, repositories: u64) -> Result<Vec<String>, Fault> {
        let all = self.query(Query::of(partition(name)).within(Range::Begin("has#".to_owned()))).await?;
        let mut things = match repositories {
            0 => Vec::new(),
            1 => vec!["1 repository".to_owned()],
            count => vec![format!("{count} repositories")],
        };
        for (kind, one, many) in [
            ("has#environment#", "environment", "environments"),
            ("has#deploy#", "deploy", "deploys"),
            ("has#account_grant#", "account grant", "account grants"),
        ] {
            let of_kind = all.iter().filter(|item| item.text("s").is_ok_and(|sort| sort.starts_with(kind)));
            match of_kind.count() {
                0 => {}
                1 => things.push(format!("1 {one}")),
                count => things.push(format!("{count} {many}")),
            }
        }
        Ok(things)
    }

    pub(super) async fn rule_put_step<R: Kept>(
        &self,
        name: &OwnerName,
        rule: &R,
    ) -> Result<Step<()>, AccessStoreError> {
        let item = self.owner_item(name).await?.ok_or_else(|| missing(name))?;
        let mut rules = kept(&item)?;
        rule_put(&mut rules, rule.clone());
        Ok(Step::Write(vec![keep(&item, name, &rules)?], ()))
    }

    pub(super) async fn rule_delete_step<R: Kept>(
        &self,
        name: &OwnerName,
        repositories: &Glob,
        tags: &Glob,
    ) -> Result<Step<()>, AccessStoreError> {
        let item = self.owner_item(name).await?.ok_or_else(|| missing(name))?;
        let mut rules: Vec<R> = kept(&item)?;
        if rule_take(&mut rules, repositories, tags).is_none() {
            let name = format!("{name}/{repositories}:{tags}");
            return Err(AccessStoreError::Missing { what: R::WHAT, name });
        }
        Ok(Step::Write(vec![keep(&item, name, &rules)?], ()))
    }
}

/// Lets a change of an owner be only over the one that was read.
fn unchanged(action: Action, item: &Item) -> Result<Action, Fault> {
    let changes: u64 = item.number("changes")?;
    Ok(action.only_if(UNCHANGED).with_number(":changes", changes).with_number(":next", changes + 1))
}
