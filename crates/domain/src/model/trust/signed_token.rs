//! A signed token in its compact form (RFC 7515, section 7.1): `header.claims.signature`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;

/// The longest token that is read. Those of GitHub and GitLab have less than 3 KiB.
pub const TOKEN_MAX: usize = 16 * 1024;

/// How tokens may be signed: with a private key whose public one the issuer publishes. There is no `none`, and nothing with a key
/// that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
}

impl Algorithm {
    /// The name in headers and keys (RFC 7518, section 3.1).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        }
    }
}

/// Why a text is no [`SignedToken`] that could be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("that is no signed token of OpenID Connect: three parts of base64 with dots between")]
    Form,
    /// Signed in another way, or not at all.
    #[error("the token is signed by `{found}`, and only RS256 and ES256 are understood")]
    Algorithm {
        /// What its header says, shortened.
        found: String,
    },
    /// It does not say with which key.
    #[error("the token does not say which key it was signed with")]
    Key,
    /// Whoever does not understand something of it must refuse it, and this does not.
    #[error("the token demands what is not understood here (`crit`)")]
    Critical,
}

/// A token, read but not checked: nothing that it says is worth anything yet.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedToken {
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    /// Which key it says.
    pub key_id: String,
    /// What it says.
    pub claims: Claims,
    /// The bytes that are signed.
    pub signed: String,
    /// The signature.
    pub signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    crit: Option<Value>,
}

impl SignedToken {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`]. Nothing of the token but the name of its algorithm is in it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_MAX {
            return Err(TokenError::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form);
        let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| TokenError::Form)?;
        let claims = Claims::parse(&bytes(claims)?).ok_or(TokenError::Form)?;
        let signature = bytes(signature)?;
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::Rs256,
            "ES256" => Algorithm::Es256,
            other => {
                let found = other.chars().filter(char::is_ascii_graphic).take(20).collect();
                return Err(TokenError::Algorithm { found });
            }
        };
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        if header.kid.is_empty() {
            return Err(TokenError::Key);
        }
        Ok(Self { algorithm, key_id: header.kid, claims, signed: signed.to_owned(), signature })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("signature"))
    }

    #[test]
    fn a_token_is_read_in_its_parts() {
        let text = token(&json!({"alg": "RS256", "kid": "k1", "typ": "JWT"}), &json!({"iss": "https://a.b"}));
        let read = SignedToken::parse(&text).expect("a token");
        assert_eq!((read.algorithm, read.key_id.as_str()), (Algorithm::Rs256, "k1"));
        assert_eq!(read.claims.issuer(), Some("https://a.b"));
        assert_eq!((format!("{}.{}", read.signed, URL_SAFE_NO_PAD.encode(&read.signature))), text);
    }

    #[test]
    fn what_could_not_be_checked_is_refused() {
        let alg = |name: Value| SignedToken::parse(&token(&json!({"alg": name, "kid": "k1"}), &json!({})));
        for other in ["none", "None", "", "HS256", "RS512", "PS256", "ES384", "EdDSA", "rs256", "RS256 ", "RS256,HS256"]
        {
            assert!(matches!(alg(json!(other)), Err(TokenError::Algorithm { .. })), "{other}");
        }
        for other in [json!(null), json!(["RS256"]), json!({"RS256": 1})] {
            assert_eq!(alg(other), Err(TokenError::Form));
        }
        let of = |header: Value| SignedToken::parse(&token(&header, &json!({})));
        assert_eq!(of(json!({"kid": "k1"})), Err(TokenError::Form));
        assert_eq!(of(json!({"alg": "RS256"})), Err(TokenError::Key));
        assert_eq!(of(json!({"alg": "RS256", "kid": "k", "crit": ["b64"], "b64": false})), Err(TokenError::Critical));
        let good = token(&json!({"alg": "ES256", "kid": "k1"}), &json!({}));
        let parts: Vec<&str> = good.split('.').collect();
        for bad in [
            String::new(),
            "..".to_owned(),
            parts[0].to_owned(),
            format!("{}.{}", parts[0], parts[1]),
            format!("{good}.more"),
            format!("{good}="),
            format!(" {good}"),
            format!("{}.{}.{}", parts[0], "W10", parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], "+/+/"),
            "x".repeat(TOKEN_MAX + 1),
        ] {
            assert_eq!(SignedToken::parse(&bad), Err(TokenError::Form), "{bad:.60}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[A-Za-z0-9_.=-]{0,80}") {
            let _ = SignedToken::parse(&text);
        }
    }
}
