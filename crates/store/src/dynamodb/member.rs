//! Members: users' places in owners. Each is there twice, with the user and with the owner.

use aws_sdk_dynamodb::types::AttributeValue;
use layer0_domain::model::glob::Glob;
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::{Member, OwnerName, Role};
use layer0_domain::port::access_store::AccessStoreError;

use super::action::{Action, PRESENT};
use super::fault::Fault;
use super::item::{Item, Key, parsed};
use super::table::{Query, Range, Step, Table};
use super::{owned, owner, shut_out, user};

/// What the sort key of a place begins with.
pub(super) const OF: &str = "member#";

/// A place keeps the moment since when it is there.
const SET_WITH_TAGS: &str = "SET #owner = :owner, #user = :user, #role = :role, #since = if_not_exists(#since, :since), #by_group = :by_group, #tags = :tags";
const SET_WITHOUT_TAGS: &str = "SET #owner = :owner, #user = :user, #role = :role, #since = if_not_exists(#since, :since), #by_group = :by_group REMOVE #tags";

/// Both places of a place.
pub(super) fn keys(member: &Member) -> [Key; 2] {
    keys_of(&member.owner, &member.user)
}

fn keys_of(owner: &OwnerName, user: &Name) -> [Key; 2] {
    [Key::new(user::partition(user), format!("{OF}{owner}")), Key::new(owned::partition(owner), format!("{OF}{user}"))]
}

/// Whether a thing that a user or an owner has is a place.
pub(super) fn is_one(item: &Item) -> bool {
    item.text("s").is_ok_and(|sort| sort.starts_with(OF))
}

pub(super) fn read(item: &Item) -> Result<Member, Fault> {
    Ok(Member {
        owner: parsed("member owner", OwnerName::parse(item.text("owner")?))?,
        user: parsed("member user", Name::parse(item.text("user")?))?,
        role: Role::parse(item.text("role")?).ok_or(Fault::Unreadable { what: "member role" })?,
        tags: item.text_if("tags")?.map(|tags| parsed("member tags", Glob::parse(tags))).transpose()?,
        since: item.time("since")?,
        // Of before there were groups.
        by_group: item.has("by_group") && item.flag("by_group")?,
    })
}

impl Table {
    pub(super) async fn member_put_step(&self, member: &Member) -> Result<Step<()>, AccessStoreError> {
        let (owner, user) = (owned::owner_key(&member.owner), user::key(&member.user));
        let seen = self.get_many(&[owner.clone(), user.clone()]).await?;
        if !owned::is_there(seen.get(&owner)) {
            return Err(owner::missing(&member.owner));
        }
        if !owned::is_there(seen.get(&user)) {
            return Err(user::missing(&member.user));
        }
        let mut actions = vec![Action::check(owner, owned::STAYS), Action::check(user, owned::STAYS), shut_out::note()];
        for key in keys(member) {
            let action = Action::update(key, if member.tags.is_some() { SET_WITH_TAGS } else { SET_WITHOUT_TAGS })
                .with_text(":owner", member.owner.as_str())
                .with_text(":user", member.user.as_str())
                .with_text(":role", member.role.as_str())
                .with_number(":since", member.since.0)
                .with_flag(":by_group", member.by_group);
            actions.push(match &member.tags {
                Some(tags) => action.with(":tags", AttributeValue::S(tags.as_str().to_owned())),
                None => action,
            });
        }
        Ok(Step::Write(actions, ()))
    }

    pub(super) async fn members(&self, owner: &OwnerName) -> Result<Vec<Member>, Fault> {
        let places = Query::of(owned::partition(owner)).within(Range::Begin(OF.to_owned()));
        let (places, gone) = tokio::try_join!(self.query(places), self.gone())?;
        if gone.has_owner(owner) {
            return Ok(Vec::new());
        }
        let members = places.iter().map(read).collect::<Result<Vec<_>, Fault>>()?;
        Ok(members.into_iter().filter(|member| !gone.has_user(&member.user)).collect())
    }

    pub(super) async fn member_delete_step(
        &self,
        owner: &OwnerName,
        user: &Name,
    ) -> Result<Step<()>, AccessStoreError> {
        let [of_user, of_owner] = keys_of(owner, user);
        if self.get(&of_user).await?.is_none() {
            return Err(AccessStoreError::Missing { what: "member", name: format!("{user} of {owner}") });
        }
        let actions = vec![Action::delete(of_user).only_if(PRESENT), Action::delete(of_owner), shut_out::note()];
        Ok(Step::Write(actions, ()))
    }
}
