//! Users, and the way in for an admin that must stay.

use layer0_domain::model::name::Name;
use layer0_domain::model::person::Person;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::{PasswordHash, User, UserChange};
use layer0_domain::port::access_store::{AccessStoreError, UserAccess};

use super::action::{ABSENT, Action};
use super::fault::Fault;
use super::gone::{self, Leaving};
use super::item::{Item, Key, parsed};
use super::table::{Query, Range, Step, Table, first_count};
use super::{member, person, shut_out, token};

/// What an error calls a user.
pub(super) const WHAT: &str = "user";

/// Where users are.
pub(super) const ALL: &str = "user";

/// That a user is there, not on its way out, and as it was read.
const UNCHANGED: &str = "#changes = :changes AND attribute_not_exists(#gone)";

/// The place of a user.
pub(super) fn key(name: &Name) -> Key {
    Key::new(ALL, name.as_str())
}

/// The partition of what a user has: places in owners, tokens.
pub(super) fn partition(name: &Name) -> String {
    format!("{ALL}#{name}")
}

pub(super) fn missing(name: &Name) -> AccessStoreError {
    AccessStoreError::Missing { what: WHAT, name: name.to_string() }
}

fn item_of(user: &User, changes: u64) -> Item {
    Item::at(&key(&user.name))
        .with_flag("admin", user.admin)
        .with_text_if("password", user.password.as_ref().map(PasswordHash::expose))
        .with_number("created", user.created.0)
        .with_number("changes", changes)
        .with_text_if("issuer", user.person.as_ref().map(|it| it.id.issuer.as_str()))
        .with_text_if("subject", user.person.as_ref().map(|it| it.id.subject.as_str()))
        .with_text_if("admin_by", user.person.as_ref().and_then(|it| it.admin_by_group.then_some("group")))
}

fn read(item: &Item) -> Result<User, Fault> {
    let person = match (item.text_if("issuer")?, item.text_if("subject")?) {
        (Some(issuer), Some(subject)) => {
            Some(Person { id: person::id("user person", issuer, subject)?, admin_by_group: item.has("admin_by") })
        }
        _ => None,
    };
    Ok(User {
        name: parsed("user name", Name::parse(item.text("s")?))?,
        admin: item.flag("admin")?,
        password: item.text_if("password")?.map(PasswordHash::new),
        created: item.time("created")?,
        person,
    })
}

/// One way in for an admin: with the password, or with a token that has no scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) user: String,
    /// `None` for the password.
    pub(super) token: Option<String>,
}

/// The ways in, and the number by which every change that takes one is put behind the others.
pub(super) struct Ways {
    ways: Vec<Way>,
    epoch: Option<u64>,
}

impl Ways {
    pub(super) fn has(&self, way: &Way) -> bool {
        self.ways.contains(way)
    }

    /// The action to take those ways with that `taken` picks. Refused when it would take the last of them; where there is
    /// none, nothing is lost.
    pub(super) fn take(
        &self,
        taken: impl Fn(&Way) -> bool,
        what: &'static str,
        name: &str,
    ) -> Result<Action, AccessStoreError> {
        if !self.ways.is_empty() && self.ways.iter().all(taken) {
            return Err(AccessStoreError::LastWayIn { what, name: name.to_owned() });
        }
        let next = self.epoch.map_or(1, |epoch| epoch + 1);
        let action = Action::update(ways_key(), "SET #epoch = :next").with_number(":next", next);
        Ok(match self.epoch {
            Some(epoch) => action.only_if("#epoch = :epoch").with_number(":epoch", epoch),
            None => action.only_if(ABSENT),
        })
    }
}

fn ways_key() -> Key {
    Key::new("access", "ways_in")
}

impl Table {
    /// All ways in for an admin at `now`. Two that take one of them each exclude one another: both write the epoch that was
    /// read here before the ways.
    pub(super) async fn ways(&self, now: Timestamp) -> Result<Ways, Fault> {
        let epoch = self.get(&ways_key()).await?.map(|item| item.number("epoch")).transpose()?;
        let mut ways = Vec::new();
        for item in self.query(Query::of(ALL)).await? {
            // What a group gave the provider may take away, and be away itself.
            if item.has("gone") || item.has("admin_by") || !item.flag("admin")? {
                continue;
            }
            let name = parsed("user name", Name::parse(item.text("s")?))?;
            if item.has("password") {
                ways.push(Way { user: name.to_string(), token: None });
            }
            let tokens = Query::of(partition(&name)).within(Range::Begin(token::OF_SUBJECT.to_owned()));
            for item in self.query(tokens).await? {
                let token = token::read(&item)?;
                if token.scopes.is_none() && token.is_live(now) {
                    ways.push(Way { user: name.to_string(), token: Some(token.id.to_string()) });
                }
            }
        }
        Ok(Ways { ways, epoch })
    }

    pub(super) async fn user_create(&self, user: &User) -> Result<(), AccessStoreError> {
        // A user of that name may be on its way out.
        self.gone_finish(&Leaving::User(user.name.clone())).await?;
        self.unit(|| async {
            if self.get(&key(&user.name)).await?.is_some() {
                return Err(AccessStoreError::Exists { what: WHAT, name: user.name.to_string() });
            }
            let mut actions = vec![Action::put(item_of(user, first_count()?)).only_if(ABSENT)];
            if let Some(person) = &user.person {
                actions.push(self.person_link(&person.id, &user.name).await?);
            }
            Ok(Step::Write(actions, ()))
        })
        .await
    }

    /// The item of a user who is there.
    async fn user_item(&self, name: &Name) -> Result<Option<Item>, Fault> {
        Ok(self.get(&key(name)).await?.filter(|item| !item.has("gone")))
    }

    pub(super) async fn user(&self, name: &Name) -> Result<Option<UserAccess>, Fault> {
        // Side by side: every request that signs in waits for this.
        let places = Query::of(partition(name)).within(Range::Begin(member::OF.to_owned()));
        let (item, places, gone) = tokio::try_join!(self.user_item(name), self.query(places), self.gone())?;
        let Some(item) = item else { return Ok(None) };
        let members = places.iter().map(member::read).collect::<Result<Vec<_>, Fault>>()?;
        let members = members.into_iter().filter(|member| !gone.has_owner(&member.owner)).collect();
        Ok(Some(UserAccess { user: read(&item)?, members }))
    }

    pub(super) async fn users(&self) -> Result<Vec<User>, Fault> {
        let items = self.query(Query::of(ALL)).await?;
        items.iter().filter(|item| !item.has("gone")).map(read).collect()
    }

    pub(super) async fn user_update_step(
        &self,
        name: &Name,
        change: &UserChange,
        now: Timestamp,
    ) -> Result<Step<User>, AccessStoreError> {
        let item = self.user_item(name).await?.ok_or_else(|| missing(name))?;
        let (before, changes): (User, u64) = (read(&item)?, item.number("changes")?);
        let mut user = before.clone();
        user.admin = change.admin.unwrap_or(user.admin);
        if let Some(password) = &change.password {
            user.password.clone_from(password);
        }
        if let (Some(person), Some(by_group)) = (&mut user.person, change.admin_by_group) {
            person.admin_by_group = by_group;
        }
        let put = Action::put(item_of(&user, changes + 1)).only_if(UNCHANGED).with_number(":changes", changes);
        let mut actions = vec![put, shut_out::note()];
        let demoted = before.admin && !user.admin;
        let without_password = before.admin && before.password.is_some() && user.password.is_none();
        // What a group gives is no way in.
        let by_group = |user: &User| user.person.as_ref().is_some_and(|person| person.admin_by_group);
        let now_by_group = before.admin && by_group(&user) && !by_group(&before);
        if demoted || without_password || now_by_group {
            let taken = |way: &Way| way.user == name.as_str() && (demoted || now_by_group || way.token.is_none());
            actions.push(self.ways(now).await?.take(taken, WHAT, name.as_str())?);
        }
        Ok(Step::Write(actions, user))
    }

    pub(super) async fn user_delete(&self, name: &Name, now: Timestamp) -> Result<(), AccessStoreError> {
        self.unit(|| self.user_leave_step(name, now)).await?;
        self.gone_finish(&Leaving::User(name.clone())).await?;
        Ok(())
    }

    async fn user_leave_step(&self, name: &Name, now: Timestamp) -> Result<Step<()>, AccessStoreError> {
        let item = self.user_item(name).await?.ok_or_else(|| missing(name))?;
        let changes: u64 = item.number("changes")?;
        let leave = Action::update(key(name), gone::LEAVE).with_flag(":true", true);
        let leave = leave.only_if(UNCHANGED).with_number(":changes", changes);
        let mut actions = vec![leave, gone::note(&Leaving::User(name.clone())), shut_out::note()];
        if item.flag("admin")? {
            let taken = |way: &Way| way.user == name.as_str();
            actions.push(self.ways(now).await?.take(taken, WHAT, name.as_str())?);
        }
        Ok(Step::Write(actions, ()))
    }
}
