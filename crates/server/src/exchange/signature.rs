//! Whether a signature is right.

use layer0_domain::model::trust::PublicKey;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

/// The first byte of a point that is written with both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Whether a signature of these bytes is that of the key. RSA keys of less than 2048 bits sign nothing.
pub(super) fn holds(key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Rsa { modulus, exponent } => {
            let key = RsaPublicKeyComponents { n: significant(modulus), e: significant(exponent) };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
        }
        PublicKey::P256 { x, y } => {
            let point = [&[UNCOMPRESSED][..], x, y].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
        }
    }
}

/// A number without leading zeros, which some write and `ring` does not take.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use layer0_domain::model::trust::{KeySet, SignedToken};

    use super::*;

    /// RFC 7515, appendix A.3: a token that is signed by ES256, and its key. The RFC's header has no `kid`, so the parts are checked
    /// as they are.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const ES256_KEY: &str = r#"{"keys": [{"kid": "a", "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    #[test]
    fn the_signature_of_the_rfc_holds_and_no_other() {
        let keys = KeySet::parse(ES256_KEY.as_bytes()).expect("keys");
        let key = keys.find("a", layer0_domain::model::trust::Algorithm::Es256).expect("a key");
        let (signed, signature) = ES256.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        assert!(holds(key, signed.as_bytes(), &signature));
        assert!(!holds(key, format!("{signed}A").as_bytes(), &signature));
        for at in [0, 31, 32, 63] {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(!holds(key, signed.as_bytes(), &other), "{at}");
        }
        // Zeros are a signature that careless implementations take for right.
        assert!(!holds(key, signed.as_bytes(), &[0; 64]));
        assert!(!holds(key, signed.as_bytes(), &[]));
        assert!(SignedToken::parse(ES256).is_err(), "it does not say with which key");
    }

    #[test]
    fn keys_that_are_too_short_sign_nothing() {
        let key = PublicKey::Rsa { modulus: vec![0xff; 128], exponent: vec![1, 0, 1] };
        assert!(!holds(&key, b"x", &[0; 128]));
        let none = PublicKey::Rsa { modulus: vec![0; 256], exponent: vec![] };
        assert!(!holds(&none, b"x", &[0; 256]));
    }
}
