//! Signing in people whom a provider knows.

use super::token::{hash, new_secret};
use super::{Ctx, OpsError};
use crate::model::access::{Secret, Subject, Token};
use crate::model::id::TokenId;
use crate::model::name::Name;
use crate::model::owner::{Member, OwnerName};
use crate::model::person::{Given, Person, PersonId};
use crate::model::time::Timestamp;
use crate::model::user::{User, UserChange};
use crate::plan::person::{Nameless, PersonStep, steps};
use crate::port::access_store::{AccessStoreError, UserAccess};

/// How long a token of a sign-in lives when nothing is said, in hours: a working day. What the provider takes away ends with it
/// at the latest.
pub const DEFAULT_HOURS: u32 = 12;

/// The longest life of such a token, in hours: a week.
pub const HOURS_MAX: u32 = 7 * 24;

/// Names that no user may have: they stand for somebody else in the audit log and at sign-in.
pub const RESERVED: [&str; 3] = ["l0-pull", "anonymous", "retention"];

/// The user whom a start makes an admin. A sign-in makes none of that name: who has it would be made an admin by the next start that
/// is to bring a lost way in back.
pub const ADMIN: &str = "admin";

/// Somebody whom the provider has signed in.
#[derive(Debug, Clone)]
pub struct ShownPerson {
    /// Who.
    pub id: PersonId,
    /// What a user is called that is made for them.
    pub name: Result<Name, Nameless>,
    /// What their groups give.
    pub given: Given,
}

/// What came of a sign-in.
#[derive(Debug)]
pub struct PersonSignedIn {
    /// The token that was made.
    pub token: Token,
    /// Its secret, shown once.
    pub secret: Secret,
    /// Owners in which a group gives a place, and that are not there.
    pub nowhere: Vec<OwnerName>,
}

/// Gives a token to somebody whom the provider has signed in: makes their user with the first sign-in, brings what their groups
/// give up to date, and makes a token called `name` that lives so many hours. Idempotent but for the token: an error leaves less
/// than the groups give, and the next sign-in the rest.
///
/// # Errors
/// `Denied` for a name that belongs to another user or can't be one, and for a user who was deleted: whoever was sent away must
/// not come back by signing in. `Access`, `LastWayIn` among it when the groups no longer make an admin of the last one.
pub async fn person_sign_in(
    ctx: &Ctx<'_>,
    shown: &ShownPerson,
    name: &Name,
    hours: u32,
) -> Result<PersonSignedIn, OpsError> {
    let access = user_of(ctx, shown).await?;
    let mut nowhere = Vec::new();
    for step in steps(&access, &shown.given) {
        nowhere.extend(take(ctx, &access, &step).await?);
    }
    let (secret, now) = (new_secret(ctx), ctx.clock.now());
    let token = Token {
        id: TokenId::parse(&ctx.new_id(name.as_str())).expect("made of letters, digits and `-`"),
        name: name.clone(),
        subject: Subject::User(access.user.name),
        scopes: None,
        hash: hash(&secret),
        created: now,
        expires: Some(now.plus_ms(i64::from(hours) * 60 * 60 * 1000)),
        last_used: None,
        trust: None,
    };
    ctx.access.token_create(&token).await?;
    Ok(PersonSignedIn { token, secret, nowhere })
}

/// The user who is linked with somebody, made when there was none.
async fn user_of(ctx: &Ctx<'_>, shown: &ShownPerson) -> Result<UserAccess, OpsError> {
    let id = &shown.id;
    match ctx.access.person_find(id).await? {
        Some(found) => found.access.ok_or_else(|| {
            OpsError::denied(format!(
                "the user `{}` of {id} was deleted here; an admin lets them in again: `l0 user create {0} --subject '{}'`",
                found.name, id.subject
            ))
        }),
        None => {
            let another = |why: String| OpsError::denied(format!("{why}; {}", by_hand(id)));
            let name = shown.name.clone().map_err(|why| another(why.to_string()))?;
            if RESERVED.contains(&name.as_str()) || name.as_str() == ADMIN {
                return Err(another(format!("the provider's name `{name}` is kept for Layer0 itself")));
            }
            let person = Some(Person::new(id.clone()));
            let user = User { name, admin: false, password: None, created: ctx.clock.now(), person };
            match ctx.access.user_create(&user).await {
                Ok(()) => Ok(UserAccess { user, members: vec![] }),
                Err(AccessStoreError::Exists { .. }) => existing(ctx, &user, id).await,
                Err(why) => Err(why.into()),
            }
        }
    }
}

/// Two first sign-ins at once make one user. Anybody else of that name is somebody else.
async fn existing(ctx: &Ctx<'_>, user: &User, id: &PersonId) -> Result<UserAccess, OpsError> {
    if let Some(access) = ctx.access.person_find(id).await?.and_then(|found| found.access) {
        return Ok(access);
    }
    let name = &user.name;
    Err(OpsError::denied(format!("the name `{name}` belongs to another user here; {}", by_hand(id))))
}

/// The way in for somebody who can't have the name that the provider says.
fn by_hand(id: &PersonId) -> String {
    format!("an admin makes a user for {id}: `l0 user create NAME --subject '{}'`", id.subject)
}

/// Takes a step; answers the owner in which there should be a place, when it is not there.
async fn take(ctx: &Ctx<'_>, access: &UserAccess, step: &PersonStep) -> Result<Option<OwnerName>, OpsError> {
    let (name, now): (&Name, Timestamp) = (&access.user.name, ctx.clock.now());
    let taken = match step {
        PersonStep::Leave(owner) => ctx.access.member_delete(owner, name).await,
        PersonStep::Join(owner, role) => {
            let (owner, user) = (owner.clone(), name.clone());
            let member = Member { owner, user, role: *role, tags: None, since: now, by_group: true };
            ctx.access.member_put(&member).await
        }
        PersonStep::Admin(is_one) => {
            let change = UserChange { admin: Some(*is_one), admin_by_group: Some(*is_one), ..UserChange::default() };
            ctx.access.user_update(name, &change, now).await.map(drop)
        }
    };
    match (taken, step) {
        // A place that is gone already; an owner that a rule names and that is not there (yet). A user who has gone meanwhile gets no
        // token.
        (Err(AccessStoreError::Missing { .. }), PersonStep::Leave(_)) => Ok(None),
        (Err(AccessStoreError::Missing { .. }), PersonStep::Join(owner, _)) => Ok(Some(owner.clone())),
        (taken, _) => Ok(taken.map(|()| None)?),
    }
}
