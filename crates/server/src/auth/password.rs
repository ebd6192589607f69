//! Passwords: argon2id with the parameters that OWASP's password storage cheat sheet recommends (19 MiB, two passes, one
//! lane), which are the library's defaults.
//!
//! One verification takes tens of milliseconds of a core and 19 MiB. So few run at a time, on blocking threads, and a
//! password that was right is remembered: by an HMAC under a key of this process, together with the stored hash that it
//! was right for. The memory is only asked together with a fresh read of that hash, so a changed or removed password is
//! never right again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use layer0_domain::model::access::Secret;
use layer0_domain::model::name::Name;
use layer0_domain::model::user::PasswordHash;
use layer0_domain::ops::token::SECRET_PREFIX;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::signed::REGISTRY_PREFIX;

/// The shortest password (NIST SP 800-63B, section 5.1.1.2).
const LENGTH_MIN: usize = 8;

/// The longest password: what is longer is no password but a mistake, and costs us time to hash.
const LENGTH_MAX: usize = 1024;

/// So many verifications at a time: 38 MiB, and not more than the smallest machine has cores.
const AT_ONCE: usize = 2;

/// So many right passwords are remembered.
const REMEMBERED_MAX: usize = 1_000;

/// Verifies passwords.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    key: Hmac<Sha256>,
    /// Of a password that nobody has: what is verified for a user that isn't there, so that the time tells nothing. Made with the
    /// first password that is looked at, whosever it is: a start need not wait for it.
    nobodys: Arc<OnceLock<PasswordHash>>,
    salt: [u8; 32],
    right: Mutex<HashMap<[u8; 32], PasswordHash>>,
}

/// The right to keep a core busy with a password.
pub(crate) struct Turn(#[expect(dead_code, reason = "its end is what it is for")] OwnedSemaphorePermit);

/// Why a text can't be a password.
pub(crate) fn refusal(password: &Secret) -> Option<String> {
    let text = password.expose();
    if text.len() < LENGTH_MIN {
        return Some(format!("a password needs at least {LENGTH_MIN} characters"));
    }
    if text.len() > LENGTH_MAX {
        return Some(format!("a password may have {LENGTH_MAX} bytes"));
    }
    let prefix = [SECRET_PREFIX, REGISTRY_PREFIX].into_iter().find(|prefix| text.starts_with(prefix))?;
    Some(format!("a password can't begin with `{prefix}`: that is how tokens are told from passwords"))
}

/// The hash of a password; `salt` is random. Takes tens of milliseconds: for a blocking thread.
fn hash(password: &Secret, salt: &[u8; 32]) -> PasswordHash {
    let made = Argon2::default().hash_password_with_salt(password.expose().as_bytes(), &salt[..16]);
    PasswordHash::new(made.expect("the default parameters and a salt of 16 bytes are legal").to_string())
}

fn verify(password: &Secret, hash: &PasswordHash) -> bool {
    Argon2::default().verify_password(password.expose().as_bytes(), hash.expose()).is_ok()
}

impl Passwords {
    /// With a random key of this process, and a random salt.
    pub(crate) fn new(key: &[u8; 32], salt: &[u8; 32]) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            key: Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)"),
            nobodys: Arc::default(),
            salt: *salt,
            right: Mutex::default(),
        }
    }

    /// Waits until it may be looked at a password.
    pub(crate) async fn turn(&self) -> Turn {
        Turn(Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Secret, salt: [u8; 32]) -> PasswordHash {
        let turn = self.turn().await;
        let hashed = tokio::task::spawn_blocking(move || (hash(&password, &salt), turn)).await;
        hashed.expect("hashing does not panic").0
    }

    /// Whether a password was right for this very hash before.
    pub(crate) fn remembered(&self, user: &Name, password: &Secret, hash: &PasswordHash) -> bool {
        let known = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&self.mark(user, password));
        found.is_some_and(|known| known.expose().as_bytes().ct_eq(hash.expose().as_bytes()).into())
    }

    /// Whether a password is right. `None` for a user that isn't there or has no password takes as long. The turn goes with the work, so that
    /// nobody who hangs up lets others begin beside it; it comes back to whoever still has to count.
    pub(crate) async fn right(
        &self,
        turn: Turn,
        user: &Name,
        password: &Secret,
        hash: Option<&PasswordHash>,
    ) -> (bool, Option<Turn>) {
        let (secret, against) = (password.clone(), hash.cloned());
        let (nobodys, salt) = (Arc::clone(&self.nobodys), self.salt);
        let verifying = tokio::task::spawn_blocking(move || {
            let nobodys = nobodys.get_or_init(|| self::hash(&Secret::new("a password that nobody has"), &salt));
            (verify(&secret, against.as_ref().unwrap_or(nobodys)), turn)
        });
        // A panic is a no.
        let Ok((right, turn)) = verifying.await else { return (false, None) };
        if let Some(hash) = hash.filter(|_| right) {
            let mut known = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED_MAX {
                // Rare: more people with passwords than are remembered. Each verifies once more.
                known.clear();
            }
            known.insert(self.mark(user, password), hash.clone());
        }
        (right && hash.is_some(), Some(turn))
    }

    fn mark(&self, user: &Name, password: &Secret) -> [u8; 32] {
        let mut mac = self.key.clone();
        // No name holds a NUL, so no two pairs are written alike.
        mac.update(user.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(password.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_hash_only() {
        let passwords = Passwords::new(&[1; 32], &[2; 32]);
        let alice = Name::parse("alice").expect("a name");
        let good = Secret::new("correct horse");
        let hash = passwords.hash(good.clone(), [3; 32]).await;
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "the recommended parameters");
        assert!(!passwords.remembered(&alice, &good, &hash), "never verified");
        let right = async |password: &Secret, hash: Option<&PasswordHash>| {
            passwords.right(passwords.turn().await, &alice, password, hash).await.0
        };
        assert!(right(&good, Some(&hash)).await);
        assert!(passwords.remembered(&alice, &good, &hash));
        assert!(!right(&Secret::new("wrong horse"), Some(&hash)).await);
        assert!(!right(&good, None).await);
        let changed = passwords.hash(Secret::new("another one"), [4; 32]).await;
        assert!(!passwords.remembered(&alice, &good, &changed), "the password was changed");
    }

    #[test]
    fn what_is_too_short_or_looks_like_a_token_is_no_password() {
        for bad in ["", "1234567", "l0_abcdefghij", "l0r_abcdefgh", &"x".repeat(LENGTH_MAX + 1)] {
            assert!(refusal(&Secret::new(bad)).is_some(), "{bad}");
        }
        assert_eq!(refusal(&Secret::new("12345678")), None);
    }
}
