//! A token's secret that was made elsewhere: by a secrets manager, for an instance that does not run yet.

use std::collections::BTreeSet;

use super::SECRET_PREFIX;
use crate::model::access::Secret;

/// The longest secret. What is longer is no secret but a mistake: a file, a document.
const LENGTH_MAX: usize = 256;

/// With fewer different characters a text is not random, however long it is. Of 78 random digits, the least that is taken,
/// fewer are different once in 10¹⁷ times.
const DIFFERENT_MIN: usize = 6;

/// Why a text can't be a token's secret. The text itself is in no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// It holds what would have to be escaped somewhere, or a line's end that came along by mistake.
    #[error("may hold letters, digits, `-` and `_` alone")]
    Character,
    /// It can't hold 256 random bits.
    #[error("is too short for 256 random bits: it has {found} characters, and {kind} needs {least}")]
    Short {
        /// How many there are.
        found: usize,
        /// What it seems to be made of.
        kind: &'static str,
        /// How many such a secret needs.
        least: usize,
    },
    /// It is longer than any secret.
    #[error("is no secret: it has more than {LENGTH_MAX} characters")]
    Long,
    /// It repeats itself.
    #[error("is not random: it has {found} different characters only")]
    Repeated {
        /// How many different ones there are.
        found: usize,
    },
}

/// What a secret seems to be made of, and how many characters hold 256 bits then (256 / log₂ of the alphabet, rounded up).
fn kind(text: &str) -> (&'static str, usize) {
    let all = |is: fn(u8) -> bool| text.bytes().all(is);
    if all(|byte| byte.is_ascii_digit()) {
        return ("a number", 78);
    }
    if all(|byte| byte.is_ascii_hexdigit()) {
        return ("one of hexadecimal digits", 64);
    }
    if all(|byte| !byte.is_ascii_uppercase()) || all(|byte| !byte.is_ascii_lowercase()) {
        return ("one of small or of capital letters", 50);
    }
    ("one of small and capital letters and digits", 43)
}

/// The secret of a token that was made elsewhere. Our own begin with `l0_`, by which scanners find what leaked and sign-in tells a
/// token from a password; a generator of random text can't make that. So the secret of the token is `l0_` and the text, and the
/// text alone opens nothing; one that begins so already is taken as it is.
///
/// Whether a text is random nobody can see. What is refused is what can't be 256 random bits: too short for what it is made of,
/// or the same characters again and again.
///
/// # Errors
/// [`WeakSecret`].
pub fn given_secret(text: &str) -> Result<Secret, WeakSecret> {
    let random = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    if !random.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err(WeakSecret::Character);
    }
    if random.len() > LENGTH_MAX {
        return Err(WeakSecret::Long);
    }
    let (kind, least) = kind(random);
    if random.len() < least {
        return Err(WeakSecret::Short { found: random.len(), kind, least });
    }
    let found = random.bytes().collect::<BTreeSet<u8>>().len();
    if found < DIFFERENT_MIN {
        return Err(WeakSecret::Repeated { found });
    }
    Ok(Secret::new(format!("{SECRET_PREFIX}{random}")))
}

#[cfg(test)]
mod tests {
    use super::super::base32;
    use super::*;

    /// What Secrets Manager makes with `PasswordLength` 43 and `ExcludePunctuation`.
    const MADE: &str = "b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6";

    #[test]
    fn what_generators_make_is_taken_and_gets_the_prefix_once() {
        let hex = "5f0a9c3e7b21d8464e90ab13c57df2680b9e4d1c86a375f204de5b8167fc93a2";
        for text in
            [MADE, hex, &hex.to_uppercase(), &base32(&[37; 32].map(|byte| byte ^ 0x5a)), &format!("{}-_", &MADE[..41])]
        {
            let different = text.bytes().collect::<BTreeSet<u8>>().len();
            let made = given_secret(text);
            if different < DIFFERENT_MIN {
                assert_eq!(made, Err(WeakSecret::Repeated { found: different }));
                continue;
            }
            assert_eq!(made, Ok(Secret::new(format!("l0_{text}"))), "{text}");
            assert_eq!(given_secret(&format!("l0_{text}")), made, "{text}");
        }
    }

    #[test]
    fn what_cant_be_256_random_bits_is_refused_and_not_repeated() {
        for (text, words) in [
            ("", "too short"),
            ("l0_", "too short"),
            ("changeme", "too short"),
            (&MADE[..42], "has 42 characters, and one of small and capital letters and digits needs 43"),
            (&MADE.to_lowercase(), "needs 50"),
            ("0123456789012345678901234567890123456789012345678901234567890123", "a number needs 78"),
            ("5f0a9c3e7b21d8464e90ab13c57df2680b9e4d1c86a375f2", "hexadecimal digits needs 64"),
            (&"xY1".repeat(20), "3 different characters only"),
            (&format!("{MADE}\n"), "letters, digits"),
            (&format!("admin:{MADE}"), "letters, digits"),
            (&format!("{} ", &MADE[..42]), "letters, digits"),
            (&MADE.repeat(6), "more than 256"),
        ] {
            let why = given_secret(text).expect_err(text).to_string();
            assert!(why.contains(words), "{text}: {why}");
            assert!(text.len() < 8 || !why.contains(text), "{why}");
        }
    }
}
