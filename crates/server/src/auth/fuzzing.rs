//! What must hold for any credential and any scope that somebody sends, as functions that panic where it does not. Fuzz
//! targets call them with what they invent (`fuzz/`), the tests below with what is kept in `fuzz/corpus`. Only with the
//! feature `fuzzing`.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use layer0_domain::model::access::{Action, Secret};
use layer0_domain::model::time::Timestamp;
use sha2::Sha256;

use super::token_endpoint::{REPOSITORIES_MAX, scopes};
use super::{Keys, Presented, presented};

const KEY: &[u8] = b"the key of a fuzzed instance";

/// An `Authorization` header. What is read from Basic says the same when it is written again; and what is no credential of
/// ours opens nothing.
pub fn authorization(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let secret = match read(value) {
        Presented::Nothing => panic!("there is a header"),
        Presented::Unreadable => return,
        Presented::Basic(user, secret) => {
            assert!(!user.contains(':'));
            let written = format!("bAsIc {}", STANDARD.encode(format!("{user}:{}", secret.expose())));
            let again = read(HeaderValue::try_from(written).expect("base64 fits in a header"));
            assert!(matches!(again, Presented::Basic(name, same) if name == user && same == secret));
            secret
        }
        Presented::Bearer(secret) => secret,
    };
    assert!(Keys::new(KEY).read(&secret, Timestamp(0)).is_none(), "nobody guesses a signature");
}

fn read(value: HeaderValue) -> Presented {
    presented(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// What a signed token says, signed here with the right key, so that its reader gets to see it. What is read says the same
/// when it is signed again; and no signature is good for other words.
pub fn signed_token(bytes: &[u8]) {
    let keys = Keys::new(KEY);
    let body = URL_SAFE_NO_PAD.encode(bytes);
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("HMAC takes a key of any length (RFC 2104)");
    mac.update(body.as_bytes());
    let proof = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    if let Some(claims) = keys.read(&Secret::new(format!("{body}.{proof}")), Timestamp(0)) {
        assert!(claims.expires > Timestamp(0));
        assert_eq!(keys.read(&keys.sign(&claims), Timestamp(0)), Some(claims));
    }
    assert_eq!(keys.read(&Secret::new(format!("{body}A.{proof}")), Timestamp(0)), None);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(keys.read(&Secret::new(text), Timestamp(0)), None, "nobody guesses a signature");
    }
}

/// The query or form that asks for a token. However much is asked for, the answer is bounded, and names nothing twice.
pub fn scope(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let found = scopes(query);
    assert!(found.len() <= REPOSITORIES_MAX);
    let mut names: Vec<&str> = found.iter().map(|access| access.repository.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), found.len());
    for access in &found {
        let mut actions: Vec<Action> = access.actions.clone();
        actions.sort_unstable();
        actions.dedup();
        assert_eq!(actions.len(), access.actions.len());
    }
}

#[cfg(test)]
mod tests {
    use layer0_testkit::corpus::replay;

    #[test]
    fn the_corpus_holds() {
        replay("authorization", super::authorization);
        replay("signed_token", super::signed_token);
        replay("scope", super::scope);
    }
}
