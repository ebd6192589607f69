//! Tokens: create, list, revoke.

use sha2::{Digest as _, Sha256};

use super::{Ctx, OpsError};
use crate::model::access::{Secret, Token};
use crate::model::id::TokenId;
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::port::store::TokenDelete;

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

/// SHA-256 of a token's secret, by which it is found.
#[must_use]
pub fn hash(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret.expose().as_bytes()).into()
}

/// Makes a token and answers its secret, which nobody will see again. The secret has 256 random bits, written in 52
/// letters and digits behind `l0_`, so that scanners can find a leaked one.
///
/// # Errors
/// `Store`.
pub async fn token_create(ctx: &Ctx<'_>, user: Name, name: Name, expiry: Expiry) -> Result<(Token, Secret), OpsError> {
    let secret = Secret::new(format!("l0_{}", base32(&ctx.clock.random())));
    let now = ctx.clock.now();
    let token = Token {
        id: TokenId::parse(&ctx.new_id(name.as_str())).expect("made of letters, digits and `-`"),
        name,
        user,
        hash: hash(&secret),
        created: now,
        expires: match expiry {
            Expiry::Days(days) => Some(now.plus_ms(i64::from(days) * DAY_MS)),
            Expiry::Never => None,
        },
        last_used: None,
    };
    ctx.store.token_create(&token).await?;
    Ok((token, secret))
}

/// Revokes a token. It opens nothing from the moment this returns. The last live token of an instance stays, because
/// nobody could make another one.
///
/// # Errors
/// `Store`.
pub async fn token_revoke(ctx: &Ctx<'_>, id: &TokenId) -> Result<TokenDelete, OpsError> {
    Ok(ctx.store.token_delete(id, ctx.clock.now()).await?)
}

/// Whether a use is worth noting: at most once an hour, so that a busy token does not write on every request.
#[must_use]
pub fn worth_noting(token: &Token, now: Timestamp) -> bool {
    token.last_used.is_none_or(|last| now.ms_since(last) >= 60 * 60 * 1000)
}

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
