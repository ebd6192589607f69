//! Tokens: create, rotate, revoke.

mod given;

use sha2::{Digest as _, Sha256};

use super::{Ctx, OpsError};
use crate::model::access::{Scope, Secret, Subject, Token};
use crate::model::id::TokenId;
use crate::model::name::Name;
use crate::model::time::Timestamp;

pub use given::{WeakSecret, given_secret};

/// How long a token lives when nothing is said: long enough to be no nuisance, short enough to end what was forgotten.
pub const DEFAULT_DAYS: u32 = 90;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// After so many days.
    Days(u32),
    /// Never.
    Never,
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose.
    pub subject: Subject,
    /// What it is called.
    pub name: Name,
    /// What it is good for; `None` for all that its user may.
    pub scopes: Option<Vec<Scope>>,
    /// When it ends.
    pub expiry: Expiry,
}

/// SHA-256 of a token's secret, by which it is found.
#[must_use]
pub fn hash(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}

/// Makes a token and answers its secret, which nobody will see again. The secret has 256 random bits, written in 52
/// letters and digits behind `l0_`, so that scanners can find a leaked one.
///
/// A token never opens more than the one it was made with, and of somebody whom a provider signs in no longer: who asks with a token that has scopes can only hand out scopes
/// that fit into them. A robot's scopes are its rights, so they must fit into those of who makes it.
///
/// # Errors
/// `Invalid` for a robot without scopes, or with scopes outside its owner; `Denied` for scopes that open more than the
/// caller may hand out; `Access`.
pub async fn token_create(ctx: &Ctx<'_>, new: NewToken) -> Result<(Token, Secret), OpsError> {
    check(ctx, &new)?;
    let secret = new_secret(ctx);
    let mut token = token_of(ctx, new, &secret);
    if is_own_of_person(ctx, &token).await? {
        token.expires = [token.expires, end_of_caller(ctx).await?].into_iter().flatten().min();
    }
    ctx.access.token_create(&token).await?;
    Ok((token, secret))
}

/// Makes a token of a secret that was made elsewhere ([`given_secret`]), unless the setting `noted` says that it was made before,
/// whatever became of it; notes it there in the same unit of work. Answers `None`, and does nothing, when it was made before.
///
/// # Errors
/// As [`token_create`].
pub async fn token_create_once(
    ctx: &Ctx<'_>,
    new: NewToken,
    secret: &Secret,
    noted: &str,
) -> Result<Option<Token>, OpsError> {
    check(ctx, &new)?;
    let token = token_of(ctx, new, secret);
    Ok(ctx.access.token_create_once(&token, noted).await?.then_some(token))
}

/// Whether a token is the caller's own, and the caller somebody whom a provider signs in: what such a one makes or changes must not
/// open anything after the sign-in has ended, for then the provider is asked again.
async fn is_own_of_person(ctx: &Ctx<'_>, token: &Token) -> Result<bool, OpsError> {
    let Subject::User(name) = &token.subject else { return Ok(false) };
    if ctx.caller.user() != Some(name) {
        return Ok(false);
    }
    Ok(ctx.access.user_get(name).await?.is_some_and(|found| found.user.person.is_some()))
}

/// When the token ends that the caller has signed in with.
async fn end_of_caller(ctx: &Ctx<'_>) -> Result<Option<Timestamp>, OpsError> {
    let Some(id) = &ctx.caller.token else { return Ok(None) };
    match ctx.access.token_get(id).await? {
        Some(found) => Ok(found.token.expires),
        None => Err(OpsError::denied("the token that this is made with was revoked")),
    }
}

fn token_of(ctx: &Ctx<'_>, new: NewToken, secret: &Secret) -> Token {
    let now = ctx.clock.now();
    Token {
        id: TokenId::parse(&ctx.new_id(new.name.as_str())).expect("made of letters, digits and `-`"),
        name: new.name,
        subject: new.subject,
        scopes: new.scopes,
        hash: hash(secret),
        created: now,
        expires: match new.expiry {
            Expiry::Days(days) => Some(now.plus_ms(i64::from(days) * DAY_MS)),
            Expiry::Never => None,
        },
        last_used: None,
        trust: None,
    }
}

fn check(ctx: &Ctx<'_>, new: &NewToken) -> Result<(), OpsError> {
    let rights = &ctx.caller.rights;
    match (&new.subject, &new.scopes) {
        (Subject::Owner(owner), scopes) => {
            let scopes = scopes.as_deref().unwrap_or_default();
            if scopes.is_empty() {
                let hint = format!("as in `--scope pull:{owner}/*`");
                return Err(OpsError::invalid_with("a robot's token needs scopes: they are all that it may", hint));
            }
            if let Some(outside) = scopes.iter().find(|scope| scope.owner() != Some(owner)) {
                return Err(OpsError::invalid(format!("`{outside}` is not about {owner}, to which the robot belongs")));
            }
            match scopes.iter().find(|scope| !rights.cover(scope)) {
                Some(more) => Err(OpsError::denied(format!("you may not hand out `{more}`: it is more than you may"))),
                None => Ok(()),
            }
        }
        (Subject::User(_), None) if rights.are_unbounded() => Ok(()),
        (Subject::User(_), None) => {
            let message = "this token has scopes, so a token made with it needs some that fit into them";
            Err(OpsError::denied(message))
        }
        (Subject::User(_), Some(scopes)) if scopes.is_empty() => {
            Err(OpsError::invalid("a token with an empty list of scopes would open nothing"))
        }
        (Subject::User(_), Some(scopes)) => match scopes.iter().find(|scope| !rights.bounds_cover(scope)) {
            Some(more) => Err(OpsError::denied(format!("`{more}` does not fit into the scopes of the token you use"))),
            None => Ok(()),
        },
    }
}

/// Gives a token a new secret and as long a life again as it had; the old secret opens nothing from then on.
///
/// # Errors
/// `Denied` for one that a trust gave: its end is the trust's to say; and for a robot's that may more than the caller, who would have its
/// secret then; `Access`.
pub async fn token_rotate(ctx: &Ctx<'_>, token: &Token) -> Result<(Token, Secret), OpsError> {
    if token.trust.is_some() {
        return Err(OpsError::denied(
            "a token that a trust gave gets no other secret: whoever it is for asks for another token",
        ));
    }
    if let Subject::Owner(_) = &token.subject
        && let Some(more) = token.scopes.iter().flatten().find(|scope| !ctx.caller.rights.cover(scope))
    {
        return Err(OpsError::denied(format!("you may not have this token's secret: `{more}` is more than you may")));
    }
    if token.expires.is_some() && is_own_of_person(ctx, token).await? {
        return Err(OpsError::denied("a token of a sign-in gets no other secret: `l0 login --sso` signs in again"));
    }
    let secret = new_secret(ctx);
    let now = ctx.clock.now();
    let life = |end: Timestamp| i64::try_from(end.ms_since(token.created)).unwrap_or(i64::MAX);
    let expires = token.expires.map(|end| now.plus_ms(life(end)));
    let rotated = ctx.access.token_rotate(&token.id, &hash(&secret), now, expires).await?;
    Ok((rotated, secret))
}

/// Revokes a token. It opens nothing from the moment this returns. The last way in for an admin stays, because nobody
/// could make another one.
///
/// # Errors
/// `Access`.
pub async fn token_revoke(ctx: &Ctx<'_>, id: &TokenId) -> Result<Token, OpsError> {
    Ok(ctx.access.token_delete(id, ctx.clock.now()).await?)
}

/// Whether a use is worth noting: at most once an hour, so that a busy token does not write on every request.
#[must_use]
pub fn worth_noting(token: &Token, now: Timestamp) -> bool {
    !token.last_used.is_some_and(|last| now.is_within(60 * 60 * 1000, last))
}

pub(super) fn new_secret(ctx: &Ctx<'_>) -> Secret {
    Secret::new(format!("{SECRET_PREFIX}{}", base32(&ctx.clock.random())))
}

/// What every token's secret begins with.
pub const SECRET_PREFIX: &str = "l0_";

fn base32(bytes: &[u8; 32]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut out = String::with_capacity(52);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(LETTERS[(buffer >> bits) as usize & 31]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(LETTERS[(buffer << (5 - bits)) as usize & 31]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_of_the_secret_is_lost() {
        assert_eq!(base32(&[0; 32]).len(), 52);
        let mut seen = std::collections::BTreeSet::new();
        for bit in 0..256 {
            let mut bytes = [0_u8; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            assert!(seen.insert(base32(&bytes)), "bit {bit}");
        }
    }
}
