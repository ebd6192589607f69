//! Who somebody is that a provider signed a token for, and what has to change here for that.

use std::collections::BTreeMap;

use crate::model::name::{Name, NameError};
use crate::model::owner::{Member, OwnerName, Role};
use crate::model::person::{Given, PersonId, Subject};
use crate::model::time::Timestamp;
use crate::model::trust::{Claims, Issuer, Unfit};
use crate::plan::trust::shown;
use crate::port::access_store::UserAccess;

/// The claim that has a user's name, when none is named.
pub const NAME_CLAIM: &str = "preferred_username";

/// The claim that is looked at after it.
const EMAIL: &str = "email";

/// Why a token of the provider signs nobody in, though its signature is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// Another one made it.
    #[error("the token is one of `{found}`, and not of {wanted}")]
    Issuer {
        /// What it says.
        found: String,
        /// Who is asked to sign people in.
        wanted: Issuer,
    },
    /// It is for somebody else.
    #[error("the token was made for {found}, and not for this server")]
    Audience {
        /// For whom.
        found: String,
    },
    /// It was given to another client, which may show it here.
    #[error("the token was given to `{found}`, and not to this server")]
    Party {
        /// To whom.
        found: String,
    },
    /// It answers a question that was not asked.
    #[error("the token belongs to another sign-in: it has a nonce, and none was sent")]
    Nonce,
    /// It does not say who.
    #[error("the token does not say who somebody is: `sub` is missing or can't be read")]
    Subject,
    /// It is not good now.
    #[error(transparent)]
    Time(#[from] Unfit),
    /// It does not say since when.
    #[error("the token does not say when it was made")]
    Ageless,
}

/// Who a token is about, when it was made by `issuer`, for this client, and is good now (OpenID Connect Core 1.0, section
/// 3.1.3.7). The signature must have been checked. No nonce is ever sent: the device flow has none (RFC 8628).
///
/// # Errors
/// [`NotShown`].
pub fn identify(claims: &Claims, issuer: &Issuer, client: &str, now: Timestamp) -> Result<PersonId, NotShown> {
    let found = claims.issuer().unwrap_or_default();
    if found != issuer.as_str() {
        return Err(NotShown::Issuer { found: shown(found), wanted: issuer.clone() });
    }
    let audiences = claims.texts("aud");
    if !audiences.iter().any(|it| it == client) {
        return Err(NotShown::Audience { found: shown(&claims.audiences()) });
    }
    match claims.text("azp") {
        Some(party) if party != client => return Err(NotShown::Party { found: shown(&party) }),
        None if audiences.len() > 1 => return Err(NotShown::Audience { found: shown(&claims.audiences()) }),
        Some(_) | None => {}
    }
    if claims.has("nonce") {
        return Err(NotShown::Nonce);
    }
    claims.check_time(now)?;
    if !claims.has("iat") {
        return Err(NotShown::Ageless);
    }
    let subject = claims.text("sub").and_then(|text| Subject::parse(&text).ok()).ok_or(NotShown::Subject)?;
    Ok(PersonId { issuer: issuer.clone(), subject })
}

/// Why somebody gets no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nameless {
    /// The claims are not there.
    #[error("the provider says no name: the claim {claim} is missing or no text")]
    Absent {
        /// Which.
        claim: String,
    },
    /// Anybody may write any address.
    #[error("the provider has not verified the address that the name would come from")]
    Unverified,
    /// It is none of ours.
    #[error("the provider's name is no user's name here: {0}")]
    Illegal(NameError),
}

/// The name that a person gets: of the claim that is named, else of `preferred_username`, else of the address. Of what looks like
/// an address the part before the `@`.
///
/// # Errors
/// [`Nameless`].
pub fn name_of(claims: &Claims, claim: Option<&str>) -> Result<Name, Nameless> {
    let candidates = claim.map_or(vec![NAME_CLAIM, EMAIL], |claim| vec![claim]);
    let found = candidates.iter().find_map(|claim| Some((*claim, claims.text(claim).filter(|it| !it.is_empty())?)));
    let Some((from, text)) = found else {
        let claim = candidates.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ");
        return Err(Nameless::Absent { claim });
    };
    if from == EMAIL && claims.text("email_verified").is_some_and(|it| it != "true") {
        return Err(Nameless::Unverified);
    }
    let local = text.split_once('@').map_or(text.as_str(), |(local, _)| local);
    Name::parse(&shown(local)).map_err(Nameless::Illegal)
}

/// One change of what a person may here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonStep {
    /// A place that a group gave, and gives no more.
    Leave(OwnerName),
    /// A place that a group gives.
    Join(OwnerName, Role),
    /// Whether a group makes the user an admin.
    Admin(bool),
}

/// The changes after which a user has what the groups give, and what was given by hand: that stays, and counts before a place that
/// a group gives in the same owner. What is taken comes first.
#[must_use]
pub fn steps(access: &UserAccess, given: &Given) -> Vec<PersonStep> {
    let has: BTreeMap<&OwnerName, &Member> = access.members.iter().map(|it| (&it.owner, it)).collect();
    let gone = |it: &&Member| it.by_group && !given.places.contains_key(&it.owner);
    let mut steps: Vec<PersonStep> =
        access.members.iter().filter(gone).map(|it| PersonStep::Leave(it.owner.clone())).collect();
    let by_group = access.user.person.as_ref().is_some_and(|it| it.admin_by_group);
    if by_group && !given.admin {
        steps.insert(0, PersonStep::Admin(false));
    }
    for (owner, role) in &given.places {
        let stands = has.get(owner).is_some_and(|it| !it.by_group || it.role == *role);
        if !stands {
            steps.push(PersonStep::Join(owner.clone(), *role));
        }
    }
    if given.admin && !access.user.admin {
        steps.push(PersonStep::Admin(true));
    }
    steps
}

#[cfg(test)]
mod tests;
