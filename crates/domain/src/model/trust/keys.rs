//! The keys of an issuer (RFC 7517, RFC 7518 section 6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::signed_token::Algorithm;

/// The most keys that are kept of an issuer. GitHub has 5, GitLab 3.
const KEYS_MAX: usize = 50;

/// The length of a coordinate on the curve P-256, in bytes (RFC 7518, section 6.2.1.2).
const COORDINATE: usize = 32;

/// The public keys of an issuer that can check one of the algorithms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<(String, PublicKey)>);

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// For RS256.
    Rsa {
        /// The modulus, big-endian.
        modulus: Vec<u8>,
        /// The exponent, big-endian.
        exponent: Vec<u8>,
    },
    /// For ES256: a point on P-256.
    P256 {
        /// Its coordinates.
        x: [u8; COORDINATE],
        /// Its coordinates.
        y: [u8; COORDINATE],
    },
}

/// A key as it is published.
#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a document of keys. Keys that are of no use here are passed over; `None` for what is no such document.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(json).ok()?;
        let read = |value| serde_json::from_value::<Published>(value).ok().as_ref().and_then(usable);
        Some(Self(document.keys.into_iter().filter_map(read).take(KEYS_MAX).collect()))
    }

    /// The key of this name for this algorithm.
    #[must_use]
    pub fn find(&self, id: &str, algorithm: Algorithm) -> Option<&PublicKey> {
        self.0.iter().find(|(name, key)| name == id && key.algorithm() == algorithm).map(|(_, key)| key)
    }
}

impl PublicKey {
    /// The one algorithm that it checks.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            PublicKey::Rsa { .. } => Algorithm::Rs256,
            PublicKey::P256 { .. } => Algorithm::Es256,
        }
    }
}

fn usable(key: &Published) -> Option<(String, PublicKey)> {
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    if key.kid.is_empty() || key.used_for.as_deref().is_some_and(|it| it != "sig") {
        return None;
    }
    let read = match key.kty.as_str() {
        "RSA" => PublicKey::Rsa { modulus: bytes(&key.n)?, exponent: bytes(&key.e)? },
        "EC" if key.crv.as_deref() == Some("P-256") => {
            PublicKey::P256 { x: bytes(&key.x)?.try_into().ok()?, y: bytes(&key.y)?.try_into().ok()? }
        }
        // A symmetric key among public ones is a trick or a slip: whoever can read it could sign.
        _ => return None,
    };
    let fits = key.alg.as_deref().is_none_or(|alg| alg == read.algorithm().as_str());
    fits.then(|| (key.kid.clone(), read))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(all: &[Value]) -> KeySet {
        KeySet::parse(json!({"keys": all}).to_string().as_bytes()).expect("a document")
    }

    fn rsa(kid: &str) -> Value {
        json!({"kid": kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"})
    }

    fn p256(kid: &str) -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; COORDINATE]);
        json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn a_key_is_found_by_its_name_for_its_own_algorithm() {
        let all = keys(&[rsa("a"), p256("b")]);
        assert!(matches!(all.find("a", Algorithm::Rs256), Some(PublicKey::Rsa { .. })));
        assert!(matches!(all.find("b", Algorithm::Es256), Some(PublicKey::P256 { .. })));
        assert_eq!(all.find("a", Algorithm::Es256), None);
        assert_eq!(all.find("b", Algorithm::Rs256), None);
        assert_eq!(all.find("c", Algorithm::Rs256), None);
        assert_eq!(all.find("", Algorithm::Rs256), None);
    }

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        for other in [
            json!({"kid": "a", "kty": "oct", "k": "c2VjcmV0"}),
            json!({"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "AQAB"}),
            with(rsa("a"), "use", json!("enc")),
            with(rsa("a"), "alg", json!("RS512")),
            with(rsa("a"), "n", json!("not base64!")),
            with(rsa("a"), "n", Value::Null),
            with(rsa("a"), "kid", json!("")),
            with(rsa("a"), "kid", json!(1)),
            with(p256("a"), "crv", json!("P-384")),
            with(p256("a"), "x", json!("AQAB")),
            with(p256("a"), "alg", json!("RS256")),
            json!("a"),
            json!(null),
        ] {
            let all = keys(&[other.clone(), rsa("good")]);
            assert_eq!(all.0.len(), 1, "{other}");
            assert!(all.find("good", Algorithm::Rs256).is_some());
        }
        for bad in ["", "[]", "{}", "{\"keys\": {}}"] {
            assert_eq!(KeySet::parse(bad.as_bytes()), None, "{bad}");
        }
        let many: Vec<Value> = (0..2 * KEYS_MAX).map(|number| rsa(&number.to_string())).collect();
        assert_eq!(keys(&many).0.len(), KEYS_MAX);
    }
}
