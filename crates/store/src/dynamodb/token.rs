//! Access tokens. Each is there three times: by id, by the hash of its secret, and with its user or owner; all three change
//! together.

use layer0_domain::model::access::{Scope, Subject, Token};
use layer0_domain::model::id::{TokenId, TrustId};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStoreError, TokenAccess};

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::item::{Item, Key, from_json, hex, parsed, to_json};
use super::table::{Query, Step, Table};
use super::user::{self, Way};
use super::{owned, owner, setting, shut_out, trust};

/// What an error calls a token.
const WHAT: &str = "token";

/// Where tokens are by id.
pub(super) const ALL: &str = "token";

/// What the sort key of a token begins with where it lies with its user or owner.
pub(super) const OF_SUBJECT: &str = "token#";

/// The setting by which it is known that a token was made.
const MADE: &[u8] = b"yes";

/// That a token has still the secret that it had when it was read.
const UNCHANGED: &str = "#hash = :hash";

fn missing(id: &TokenId) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: id.to_string() }
}

pub(super) fn id_key(id: &TokenId) -> Key {
    Key::new(ALL, id.as_str())
}

fn hash_key(hash: &[u8; 32]) -> Key {
    Key::new(format!("hash#{}", hex(hash)), "token")
}

fn subject_key(token: &Token) -> Key {
    let partition = match &token.subject {
        Subject::User(name) => user::partition(name),
        Subject::Owner(name) => owned::partition(name),
    };
    Key::new(partition, format!("{OF_SUBJECT}{}", token.id))
}

/// The place of whom a token belongs to.
fn whose(subject: &Subject) -> Key {
    match subject {
        Subject::User(name) => user::key(name),
        Subject::Owner(name) => owned::owner_key(name),
    }
}

/// The three places of a token.
pub(super) fn keys(token: &Token) -> [Key; 3] {
    [id_key(&token.id), hash_key(&token.hash), subject_key(token)]
}

/// Whether a thing that a user or an owner has is a token.
pub(super) fn is_of_subject(item: &Item) -> bool {
    item.text("s").is_ok_and(|sort| sort.starts_with(OF_SUBJECT))
}

fn item_of(token: &Token) -> Result<Item, Fault> {
    let (user, owner) = match &token.subject {
        Subject::User(name) => (Some(name.as_str()), None),
        Subject::Owner(name) => (None, Some(name.as_str())),
    };
    let scopes = token.scopes.as_ref().map(|scopes| to_json("token scopes", scopes)).transpose()?;
    Ok(Item::at(&id_key(&token.id))
        .with_text("id", token.id.as_str())
        .with_text("name", token.name.as_str())
        .with_text_if("user", user)
        .with_text_if("owner", owner)
        .with_text_if("scopes", scopes)
        .with_bytes("hash", &token.hash)
        .with_number("created", token.created.0)
        .with_number_if("ends", token.expires.map(|at| at.0))
        .with_number_if("last_used", token.last_used.map(|at| at.0))
        .with_text_if("trust", token.trust.as_ref().map(TrustId::as_str)))
}

pub(super) fn read(item: &Item) -> Result<Token, Fault> {
    let subject = match (item.text_if("user")?, item.text_if("owner")?) {
        (Some(user), None) => Subject::User(parsed("token user", Name::parse(user))?),
        (None, Some(owner)) => Subject::Owner(parsed("token owner", OwnerName::parse(owner))?),
        _ => return Err(Fault::Unreadable { what: "token subject" }),
    };
    Ok(Token {
        id: parsed("token id", TokenId::parse(item.text("id")?))?,
        name: parsed("token name", Name::parse(item.text("name")?))?,
        subject,
        scopes: item.text_if("scopes")?.map(|text| from_json::<Vec<Scope>>("token scopes", text)).transpose()?,
        hash: parsed("token hash", item.bytes("hash")?.try_into())?,
        created: item.time("created")?,
        expires: item.time_if("ends")?,
        last_used: item.time_if("last_used")?,
        trust: item.text_if("trust")?.map(|id| parsed("token trust", TrustId::parse(id))).transpose()?,
    })
}

/// Lets an action be only while the token has the secret that was read.
pub(super) fn unchanged(action: Action, token: &Token) -> Action {
    let hash = aws_sdk_dynamodb::primitives::Blob::new(token.hash);
    action.only_if(UNCHANGED).with(":hash", aws_sdk_dynamodb::types::AttributeValue::B(hash))
}

impl Table {
    pub(super) async fn token_create_step(&self, token: &Token) -> Result<Step<()>, AccessStoreError> {
        let whose = whose(&token.subject);
        let [id, hash, subject] = keys(token);
        let seen = self.get_many(&[whose.clone(), id.clone(), hash.clone()]).await?;
        if !owned::is_there(seen.get(&whose)) {
            return Err(match &token.subject {
                Subject::User(name) => user::missing(name),
                Subject::Owner(name) => owner::missing(name),
            });
        }
        let of_trust = trust::of_token(token);
        if let Some((id, place)) = &of_trust
            && !trust::is(self.get(place).await?.as_ref(), id)
        {
            return Err(trust::missing(id));
        }
        if seen.contains_key(&id) || seen.contains_key(&hash) {
            return Err(Fault::Twice { what: WHAT }.into());
        }
        let item = item_of(token)?;
        let mut actions = vec![
            Action::check(whose, owned::STAYS),
            Action::put(item.clone()).only_if(ABSENT),
            Action::put(item.clone().moved(&hash)).only_if(ABSENT),
            Action::put(item.moved(&subject)),
        ];
        actions.extend(of_trust.map(|(id, place)| trust::check(id, place)));
        Ok(Step::Write(actions, ()))
    }

    /// The setting is read after all that the token meets: whoever wrote such a token in this way wrote the setting with it.
    pub(super) async fn token_create_once_step(
        &self,
        token: &Token,
        noted: &str,
    ) -> Result<Step<bool>, AccessStoreError> {
        let step = self.token_create_step(token).await;
        if self.setting(noted).await?.is_some() {
            return Ok(Step::Answer(false));
        }
        Ok(match step? {
            Step::Answer(()) => Step::Answer(true),
            Step::Write(mut actions, ()) => {
                actions.push(setting::first(noted, MADE));
                Step::Write(actions, true)
            }
        })
    }

    pub(super) async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<TokenAccess>, Fault> {
        self.with_access(self.get(&hash_key(hash)).await?).await
    }

    pub(super) async fn token_by_id(&self, id: &TokenId) -> Result<Option<TokenAccess>, Fault> {
        self.with_access(self.get(&id_key(id)).await?).await
    }

    /// A token of somebody who is there, with all that decides what it opens.
    async fn with_access(&self, item: Option<Item>) -> Result<Option<TokenAccess>, Fault> {
        let Some(item) = item else { return Ok(None) };
        let token = read(&item)?;
        if !self.trust_stands(&token).await? {
            return Ok(None);
        }
        match &token.subject {
            Subject::User(name) => Ok(self.user(name).await?.map(|user| TokenAccess { token, user: Some(user) })),
            Subject::Owner(name) => Ok(self.owner_is_there(name).await?.then_some(TokenAccess { token, user: None })),
        }
    }

    pub(super) async fn tokens(&self) -> Result<Vec<Token>, Fault> {
        let (items, gone) = tokio::try_join!(self.query(Query::of(ALL)), self.gone())?;
        let mut tokens = items.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
        tokens.retain(|token| !gone.has(&token.subject));
        self.without_trustless(&mut tokens).await?;
        tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(tokens)
    }

    /// The token with this id of somebody who is there.
    async fn live_token(&self, id: &TokenId) -> Result<Token, AccessStoreError> {
        let item = self.get(&id_key(id)).await?.ok_or_else(|| missing(id))?;
        let token = read(&item)?;
        let whose = self.get(&whose(&token.subject)).await?;
        let lives = owned::is_there(whose.as_ref()) && self.trust_stands(&token).await?;
        if lives { Ok(token) } else { Err(missing(id)) }
    }

    pub(super) async fn token_rotate_step(
        &self,
        id: &TokenId,
        hash: &[u8; 32],
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<Step<Token>, AccessStoreError> {
        let old = self.live_token(id).await?;
        let new = Token { hash: *hash, created, expires, last_used: None, ..old.clone() };
        let item = item_of(&new)?;
        let [_, new_hash, subject] = keys(&new);
        let mut actions = vec![
            // Whoever takes all away that a subject had must not have passed by here already.
            Action::check(whose(&old.subject), owned::STAYS),
            unchanged(Action::put(item.clone()), &old),
            Action::put(item.clone().moved(&subject)),
            shut_out::note(),
        ];
        if old.hash == new.hash {
            actions.push(Action::put(item.moved(&new_hash)));
        } else {
            if self.get(&new_hash).await?.is_some() {
                return Err(Fault::Twice { what: WHAT }.into());
            }
            actions.push(Action::delete(hash_key(&old.hash)));
            actions.push(Action::put(item.moved(&new_hash)).only_if(ABSENT));
        }
        Ok(Step::Write(actions, new))
    }

    pub(super) async fn token_delete_step(
        &self,
        id: &TokenId,
        now: Timestamp,
    ) -> Result<Step<Token>, AccessStoreError> {
        let token = self.live_token(id).await?;
        let [by_id, by_hash, subject] = keys(&token);
        let mut actions = vec![
            unchanged(Action::delete(by_id), &token),
            Action::delete(by_hash),
            Action::delete(subject),
            shut_out::note(),
        ];
        if let Subject::User(user) = &token.subject
            && token.scopes.is_none()
        {
            let way = Way { user: user.to_string(), token: Some(id.to_string()) };
            let ways = self.ways(now).await?;
            if ways.has(&way) {
                actions.push(ways.take(|other| *other == way, WHAT, token.name.as_str())?);
            }
        }
        Ok(Step::Write(actions, token))
    }

    /// A token that is gone is passed over; an older use does not replace a newer one.
    pub(super) async fn token_touch_step(&self, id: &TokenId, at: Timestamp) -> Result<Step<()>, AccessStoreError> {
        let Some(item) = self.get(&id_key(id)).await? else { return Ok(Step::Answer(())) };
        let token = read(&item)?;
        if token.last_used.is_some_and(|last| last >= at) {
            return Ok(Step::Answer(()));
        }
        let touch = |key: Key| {
            let action = Action::update(key, "SET #last_used = :at").with_number(":at", at.0);
            unchanged(action, &token)
        };
        Ok(Step::Write(vec![touch(id_key(id)), touch(hash_key(&token.hash))], ()))
    }
}
