//! Trusts: an item for each, and one with its owner. The tokens that a trust gave may be more than one transaction takes, so each
//! of them looks for its trust whenever it is read: the delete of that one item ends them all, and what is left of them is
//! taken away with the tokens that have expired.

use layer0_domain::model::access::{Subject, Token};
use layer0_domain::model::id::{TokenId, TrustId};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::trust::Trust;
use layer0_domain::port::access_store::AccessStoreError;

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, from_json, parsed, to_json};
use super::table::{Query, Step, Table};
use super::{owned, owner, shut_out, token};

/// What an error calls a trust.
const WHAT: &str = "trust";

/// Where trusts are.
const ALL: &str = "trust";

/// What the sort key of a trust begins with where it lies with its owner.
const OF_OWNER: &str = "trust#";

/// That the trust is the one that is meant.
const THE_ONE: &str = "#id = :trust";

/// The place of a trust. No owner has a `/` in its name.
fn key(owner: &OwnerName, name: &Name) -> Key {
    Key::new(ALL, format!("{owner}/{name}"))
}

/// Both places of a trust.
fn keys_of(owner: &OwnerName, name: &Name) -> [Key; 2] {
    [key(owner, name), Key::new(owned::partition(owner), format!("{OF_OWNER}{name}"))]
}

/// Whether a thing that an owner has is a trust.
pub(super) fn is_one(item: &Item) -> bool {
    item.text("s").is_ok_and(|sort| sort.starts_with(OF_OWNER))
}

/// Both places of a trust that lies with its owner.
pub(super) fn keys(item: &Item) -> Result<[Key; 2], Fault> {
    let trust = read(item)?;
    Ok(keys_of(&trust.owner, &trust.name))
}

fn read(item: &Item) -> Result<Trust, Fault> {
    from_json("trust", item.text("body")?)
}

/// The trust that gave a token, and its place.
pub(super) fn of_token(token: &Token) -> Option<(&TrustId, Key)> {
    match (&token.trust, &token.subject) {
        (Some(id), Subject::Owner(owner)) => Some((id, key(owner, &token.name))),
        _ => None,
    }
}

/// Demands that the trust is still there that gives a token.
pub(super) fn check(id: &TrustId, place: Key) -> Action {
    Action::check(place, THE_ONE).with_text(":trust", id.as_str())
}

/// Whether an item is the trust with this id.
pub(super) fn is(item: Option<&Item>, id: &TrustId) -> bool {
    item.is_some_and(|item| item.text("id").is_ok_and(|it| it == id.as_str()))
}

/// The error for a trust that isn't there.
pub(super) fn missing(name: impl ToString) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: name.to_string() }
}

impl Table {
    pub(super) async fn trust_create_step(&self, trust: &Trust) -> Result<Step<()>, AccessStoreError> {
        let whose = owned::owner_key(&trust.owner);
        let [place, with_owner] = keys_of(&trust.owner, &trust.name);
        let seen = self.get_many(&[whose.clone(), place.clone()]).await?;
        if !owned::is_there(seen.get(&whose)) {
            return Err(owner::missing(&trust.owner));
        }
        if seen.contains_key(&place) {
            return Err(AccessStoreError::Exists { what: WHAT, name: trust.to_string() });
        }
        let body = to_json("trust", trust)?;
        let item = Item::at(&place).with_text("id", trust.id.as_str()).with_text("body", body);
        let put = Action::put(item.clone()).only_if(ABSENT);
        Ok(Step::Write(vec![Action::check(whose, owned::STAYS), put, Action::put(item.moved(&with_owner))], ()))
    }

    pub(super) async fn trusts(&self) -> Result<Vec<Trust>, Fault> {
        let (items, gone) = tokio::try_join!(self.query(Query::of(ALL)), self.gone())?;
        let mut all = items.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
        all.retain(|it| !gone.has_owner(&it.owner));
        all.sort_by(|a, b| (&a.owner, &a.name).cmp(&(&b.owner, &b.name)));
        Ok(all)
    }

    pub(super) async fn trust_delete_step(
        &self,
        owner: &OwnerName,
        name: &Name,
    ) -> Result<Step<Trust>, AccessStoreError> {
        let [place, with_owner] = keys_of(owner, name);
        let found = self.get(&place).await?.as_ref().map(read).transpose()?;
        let is_there = self.owner_is_there(owner).await?;
        let trust = found.filter(|_| is_there).ok_or_else(|| missing(format!("{owner}/{name}")))?;
        let delete = Action::delete(place).only_if(THE_ONE).with_text(":trust", trust.id.as_str());
        Ok(Step::Write(vec![delete, Action::delete(with_owner), shut_out::note()], trust))
    }

    /// Whether the trust is there that gave a token, for one that a trust gave.
    pub(super) async fn trust_stands(&self, token: &Token) -> Result<bool, Fault> {
        match of_token(token) {
            Some((id, place)) => Ok(is(self.get(&place).await?.as_ref(), id)),
            None => Ok(true),
        }
    }

    /// Leaves out the tokens whose trust is gone.
    pub(super) async fn without_trustless(&self, tokens: &mut Vec<Token>) -> Result<(), Fault> {
        if tokens.iter().all(|it| it.trust.is_none()) {
            return Ok(());
        }
        let items = self.query(Query::of(ALL)).await?;
        let ids = items.iter().map(|item| parsed("trust id", TrustId::parse(item.text("id")?)));
        let ids = ids.collect::<Result<std::collections::HashSet<_>, Fault>>()?;
        tokens.retain(|it| it.trust.as_ref().is_none_or(|id| ids.contains(id)));
        Ok(())
    }

    /// Takes a token away unless it is gone, or was given a new end meanwhile; answers whether it did.
    async fn token_prune_step(
        &self,
        id: &TokenId,
        before: Timestamp,
        stands: &std::collections::HashSet<TokenId>,
    ) -> Result<Step<bool>, Fault> {
        let Some(item) = self.get(&token::id_key(id)).await? else { return Ok(Step::Answer(false)) };
        let token = token::read(&item)?;
        if stands.contains(id) && token.expires.is_none_or(|end| end >= before) {
            return Ok(Step::Answer(false));
        }
        let [by_id, others @ ..] = token::keys(&token).map(Action::delete);
        let mut actions = vec![token::unchanged(by_id, &token)];
        actions.extend(others);
        Ok(Step::Write(actions, true))
    }

    /// Takes away the tokens that trusts gave, and those of people whom a provider signs in, when they ended before a moment; and
    /// those whose trust is gone.
    pub(super) async fn tokens_prune(&self, before: Timestamp) -> Result<u64, Fault> {
        let all = self.query(Query::of(token::ALL)).await?;
        let users = self.users().await?;
        let people: std::collections::HashSet<_> =
            users.iter().filter(|it| it.person.is_some()).map(|it| &it.name).collect();
        let mut given = all.iter().map(token::read).collect::<Result<Vec<_>, Fault>>()?;
        given.retain(|it| match &it.subject {
            Subject::User(name) => people.contains(name),
            Subject::Owner(_) => it.trust.is_some(),
        });
        let mut standing = given.clone();
        self.without_trustless(&mut standing).await?;
        let stands: std::collections::HashSet<_> = standing.iter().map(|it| it.id.clone()).collect();
        let mut gone = 0;
        for token in given {
            if token.expires.is_some_and(|end| end < before) || !stands.contains(&token.id) {
                gone += u64::from(self.unit(|| self.token_prune_step(&token.id, before, &stands)).await?);
            }
        }
        Ok(gone)
    }
}
