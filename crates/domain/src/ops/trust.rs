//! Trusts: make, delete, and give tokens by them.

use super::token::{hash, new_secret};
use super::{Ctx, OpsError};
use crate::model::access::{Action, Scope, Secret, Subject, Token};
use crate::model::id::{TokenId, TrustId};
use crate::model::name::Name;
use crate::model::owner::OwnerName;
use crate::model::trust::{Audience, Evidence, MINUTES_MAX, Trust, check_patterns};

/// The most trusts of an owner: each exchange reads them all.
pub const TRUSTS_MAX: usize = 50;

/// What a new trust is to be.
#[derive(Debug, Clone)]
pub struct NewTrust {
    /// Whose robot signs in.
    pub owner: OwnerName,
    /// What it is called.
    pub name: Name,
    /// What must be shown.
    pub evidence: Evidence,
    /// For whom.
    pub audience: Audience,
    /// What its tokens are good for.
    pub scopes: Vec<Scope>,
    /// How long they live at most.
    pub minutes: u32,
}

/// Makes a trust. It hands out no more than its maker may. Where only an admin may send the server (an issuer that is no name of
/// the Internet), a maker who is none is refused.
///
/// # Errors
/// `Invalid` for scopes that are none of the owner's, conditions that everybody fits, a life that is too long, one trust too
/// many; `Denied`; `Access`.
pub async fn trust_create(ctx: &Ctx<'_>, new: NewTrust) -> Result<Trust, OpsError> {
    let rights = &ctx.caller.rights;
    if new.scopes.is_empty() {
        let hint = format!("as in `--scope pull,push:{}/*`", new.owner);
        return Err(OpsError::invalid_with("a trust needs scopes: they are all that its tokens may", hint));
    }
    if let Some(outside) = new.scopes.iter().find(|scope| scope.owner() != Some(&new.owner)) {
        return Err(OpsError::invalid(format!("`{outside}` is not about {}, to which the trust belongs", new.owner)));
    }
    if let Some(more) = new.scopes.iter().find(|scope| !rights.cover(scope)) {
        return Err(OpsError::denied(format!("you may not hand out `{more}`: it is more than you may")));
    }
    // Such a token could make others, for people and robots, that outlive it and the trust.
    if let Some(admin) = new.scopes.iter().find(|scope| scope.actions().has(Action::Admin)) {
        return Err(OpsError::invalid_with(
            format!("`{admin}` can't be handed out by a trust: who administers can let others in for good"),
            "leave `admin` out; repositories and environments are made beforehand",
        ));
    }
    if !(1..=MINUTES_MAX).contains(&new.minutes) {
        return Err(OpsError::invalid(format!(
            "a token of a trust lives 1 to {MINUTES_MAX} minutes, not {}",
            new.minutes
        )));
    }
    if let Evidence::Oidc { issuer, claims } = &new.evidence {
        check_patterns(issuer, claims).map_err(|why| OpsError::invalid(why.to_string()))?;
        if !issuer.is_public() && !rights.are_everything() {
            return Err(OpsError::denied(format!(
                "{issuer} has no name of the Internet, so only an admin may let the server fetch keys there"
            )));
        }
    }
    let all = ctx.access.trust_list().await?;
    if all.iter().filter(|it| it.owner == new.owner).count() >= TRUSTS_MAX {
        return Err(OpsError::invalid(format!("an owner may have {TRUSTS_MAX} trusts")));
    }
    let NewTrust { owner, name, evidence, audience, scopes, minutes } = new;
    let id = TrustId::parse(&ctx.new_id(name.as_str())).expect("made of letters, digits and `-`");
    let (created, by) = (ctx.clock.now(), ctx.caller.who.to_string());
    let trust = Trust { id, owner, name, evidence, audience, scopes, minutes, created, by };
    ctx.access.trust_create(&trust).await?;
    Ok(trust)
}

/// Gives a token by a trust that lets its bearer in ([`choose`](crate::plan::trust::choose)): the owner's robot's, for so many
/// minutes, and at most for as many as the trust says. Answers its secret, which nobody will see again.
///
/// # Errors
/// `Invalid` for minutes that are none; `Access`, `Missing` too when the trust was taken away meanwhile.
pub async fn token_exchange(ctx: &Ctx<'_>, trust: &Trust, minutes: Option<u32>) -> Result<(Token, Secret), OpsError> {
    let minutes = minutes.unwrap_or(trust.minutes).min(trust.minutes);
    if minutes == 0 {
        return Err(OpsError::invalid("a token lives one minute at least"));
    }
    let (secret, now) = (new_secret(ctx), ctx.clock.now());
    let token = Token {
        id: TokenId::parse(&ctx.new_id(trust.name.as_str())).expect("made of letters, digits and `-`"),
        name: trust.name.clone(),
        subject: Subject::Owner(trust.owner.clone()),
        scopes: Some(trust.scopes.clone()),
        hash: hash(&secret),
        created: now,
        expires: Some(now.plus_ms(i64::from(minutes) * 60 * 1000)),
        last_used: None,
        trust: Some(trust.id.clone()),
    };
    ctx.access.token_create(&token).await?;
    Ok((token, secret))
}
