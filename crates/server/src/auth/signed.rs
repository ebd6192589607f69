//! Credentials that carry their own proof: signed with a key that the instance made at its first start.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use layer0_domain::model::access::{Action, Actions, Scope, Secret};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::name::Name;
use layer0_domain::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How long a registry token from `/auth/token` lives. Docker asks for a new one when it must; five minutes are the
/// usual length.
pub(crate) const REGISTRY_TOKEN_S: i64 = 5 * 60;

/// How long a pull credential lives. A pull signs in at its beginning and again when its registry token has expired, so this
/// bounds the longest single pull: a quarter of an hour.
pub(crate) const PULL_CREDENTIAL_S: i64 = 15 * 60;

/// How long a refresh token lives: as long as a token of a user does when nothing is said. It ends before with what it
/// was made with.
pub(crate) const REFRESH_TOKEN_S: i64 = 90 * 24 * 60 * 60;

/// How long a registry credential lives when nothing is said. docker takes one when it begins and signs in with it again
/// and again until it is done, so this bounds the longest push.
pub(crate) const REGISTRY_CREDENTIAL_MINUTES: i64 = 4 * 60;

/// The longest life of a registry credential: what Amazon ECR gives its authorization tokens, which is known to be enough.
pub(crate) const REGISTRY_CREDENTIAL_MINUTES_MAX: i64 = 12 * 60;

/// What a registry credential begins with, so that it is told from a token and from a password, and scanners find it.
pub(crate) const REGISTRY_PREFIX: &str = "l0r_";

/// What a signed credential says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// What it was made with, which is looked up again on every use; `None` for the engine's.
    pub(crate) session: Option<Session>,
    /// What it allows.
    pub(crate) access: Vec<Access>,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// Whether it opens nothing but the token endpoint, which makes others of it ("OAuth2 Token Authentication").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refresh: bool,
    /// Whether it opens all that its session may do in the registry, which `access` would have to name one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) registry: bool,
}

/// What somebody signed in with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Session {
    /// Nothing: for what everybody may pull.
    Anonymous,
    /// A token, with the start of its secret's hash: a rotated token is another one.
    Token(TokenId, [u8; 8]),
    /// A user's password, with the start of a hash of its stored form: a changed password is another one.
    Password(Name, [u8; 8]),
}

/// What a signed credential allows in one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// Where.
    pub(crate) repository: RepositoryName,
    /// What.
    pub(crate) actions: Vec<Action>,
}

impl Claims {
    /// What it bounds its session to.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        if self.registry {
            return vec![Scope::of_instance(Actions::of(&[Action::Pull, Action::Push, Action::Delete]))];
        }
        self.access.iter().filter_map(Access::scope).collect()
    }
}

impl Access {
    /// The same as a scope; `None` for a name that none can be about.
    pub(crate) fn scope(&self) -> Option<Scope> {
        Scope::of_repository(Actions::of(&self.actions), &self.repository)
    }
}

/// The instance's signing key.
#[derive(Clone)]
pub(crate) struct Keys {
    key: Hmac<Sha256>,
}

impl Keys {
    /// Takes the key that the store keeps.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { key: Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)") }
    }

    /// Signs what a credential says.
    pub(crate) fn sign(&self, claims: &Claims) -> Secret {
        let body = serde_json::to_vec(claims).expect("claims are plain data");
        let body = URL_SAFE_NO_PAD.encode(body);
        let mut mac = self.key.clone();
        mac.update(body.as_bytes());
        let proof = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Secret::new(format!("{body}.{proof}"))
    }

    /// Signs a registry credential: the same with a prefix.
    pub(crate) fn sign_registry(&self, claims: &Claims) -> Secret {
        Secret::new(format!("{REGISTRY_PREFIX}{}", self.sign(claims).expose()))
    }

    /// What a signed credential says, if it is ours and has not ended.
    pub(crate) fn read(&self, signed: &Secret, now: Timestamp) -> Option<Claims> {
        self.read_ended(signed).filter(|claims| now < claims.expires)
    }

    /// What a signed credential of ours says, ended or not.
    pub(crate) fn read_ended(&self, signed: &Secret) -> Option<Claims> {
        let (body, proof) = signed.expose().split_once('.')?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let mut mac = self.key.clone();
        mac.update(body.as_bytes());
        mac.verify_slice(&proof).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            session: None,
            access: vec![Access {
                repository: RepositoryName::parse("team/app").expect("a name"),
                actions: vec![Action::Pull],
            }],
            expires: Timestamp(1000),
            refresh: false,
            registry: false,
        }
    }

    #[test]
    fn it_opens_until_it_ends_and_only_unchanged() {
        let keys = Keys::new(b"key");
        let signed = keys.sign(&claims());
        assert_eq!(keys.read(&signed, Timestamp(999)), Some(claims()));
        assert_eq!(keys.read(&signed, Timestamp(1000)), None, "ended");
        assert_eq!(Keys::new(b"other").read(&signed, Timestamp(0)), None, "another key");
        for at in 0..signed.expose().len() {
            let mut changed = signed.expose().as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Secret::new(String::from_utf8(changed).expect("ASCII"));
            // The last character of unpadded base64 may carry unused bits; the decoder refuses those that are set.
            assert_eq!(keys.read(&changed, Timestamp(0)), None, "changed at {at}");
        }
    }
}
