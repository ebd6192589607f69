//! Account grants: an item for each, and one in the owner's partition where an owner's repositories are meant.

use layer0_domain::model::grant::{Grant, KeptGrant};
use layer0_domain::model::time::Generation;
use layer0_domain::port::access_store::AccessStoreError;

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, from_json, to_json, word};
use super::owned;
use super::owner;
use super::table::{Query, Step, Table};

/// Where grants are.
const GRANTS: &str = "account_grant";

/// What the owner of a grant's repositories has.
const KIND: &str = "account_grant";

/// That a grant is as it was read.
const UNCHANGED: &str = "#generation = :generation";

fn key(grant: &Grant) -> Key {
    Key::new(GRANTS, word(&grant.key()))
}

fn read_item(item: &Item) -> Result<KeptGrant, Fault> {
    let kept: KeptGrant = from_json("account grant", item.text("body")?)?;
    Ok(KeptGrant { generation: Generation(item.number("generation")?), ..kept })
}

fn generation(item: Option<&Item>) -> Result<Option<Generation>, Fault> {
    item.map(|item| Ok(Generation(item.number("generation")?))).transpose()
}

impl Table {
    pub(super) async fn grants(&self) -> Result<Vec<KeptGrant>, Fault> {
        let items = self.query(Query::of(GRANTS)).await?;
        let mut grants = items.iter().map(read_item).collect::<Result<Vec<_>, Fault>>()?;
        grants.sort_by(|a, b| a.grant.cmp(&b.grant));
        Ok(grants)
    }

    pub(super) async fn grant_put_step(
        &self,
        grant: &KeptGrant,
        read: Option<Generation>,
    ) -> Result<Step<Option<Generation>>, AccessStoreError> {
        let stored = self.get(&key(&grant.grant)).await?;
        if generation(stored.as_ref())? != read {
            return Ok(Step::Answer(None));
        }
        let next = read.unwrap_or_default().next();
        let item = Item::at(&key(&grant.grant))
            .with_number("generation", next.0)
            .with_text("body", to_json("account grant", grant)?);
        let put = match read {
            Some(read) => Action::put(item).only_if(UNCHANGED).with_number(":generation", read.0),
            None => Action::put(item).only_if(ABSENT),
        };
        let mut actions = vec![put];
        if let (None, Some(owner)) = (read, grant.grant.scope.owner()) {
            if !self.owner_is_there(&owner).await? {
                return Err(owner::missing(&owner));
            }
            actions.extend(owned::give(&owner, KIND, &word(&grant.grant.key())));
        }
        Ok(Step::Write(actions, Some(next)))
    }

    pub(super) async fn grant_delete_step(
        &self,
        grant: &Grant,
        read: Generation,
    ) -> Result<Step<bool>, AccessStoreError> {
        let stored = self.get(&key(grant)).await?;
        if generation(stored.as_ref())? != Some(read) {
            return Ok(Step::Answer(false));
        }
        let gone = Action::delete(key(grant)).only_if(UNCHANGED).with_number(":generation", read.0);
        let of_owner = grant.scope.owner().map(|owner| owned::thing_key(&owner, KIND, &word(&grant.key())));
        Ok(Step::Write(std::iter::once(gone).chain(of_owner.map(Action::delete)).collect(), true))
    }
}
