//! One identifier type for each kind of thing, so that a service id can't be passed where a task id is due.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that can't be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: letters, digits, `-`, `_` and `.` only, at most 128 of them")]
pub struct IdError {
    /// What was given, shortened for display.
    pub text: String,
}

fn checked(text: &str) -> Result<&str, IdError> {
    // Byte by byte: a list of ten thousand reads some half a million of them, and what is legal is ASCII.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 128 || !text.bytes().all(legal) {
        return Err(IdError { text: text.chars().take(40).collect() });
    }
    Ok(text)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads an identifier.
            ///
            /// # Errors
            /// [`IdError`] for text that no identifier can be.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                checked(text).map(|text| Self(text.to_owned()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )+};
}

ids! {
    /// An environment.
    EnvironmentId,
    /// A deploy: `<name>.<version>`.
    DeployId,
    /// A load balancer.
    LoadBalancerId,
    /// A service.
    ServiceId,
    /// One deployment of a service: the roll-out of one deploy with pinned images.
    DeploymentId,
    /// A task.
    TaskId,
    /// One running copy of a service or a task.
    CopyId,
    /// An operation.
    OperationId,
    /// An access token (never the secret itself).
    TokenId,
    /// A trust.
    TrustId,
}

/// Letters and digits that can't be mistaken for one another when read aloud (no `i`, `l`, `o`, `u`).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Ten characters of `ALPHABET` from 50 random bits.
#[must_use]
pub fn random_suffix(random: u64) -> String {
    (0..10).map(|i| char::from(ALPHABET[(random >> (i * 5)) as usize & 31])).collect()
}

/// The text of a new id: up to eight readable characters of the name, then ten random ones.
///
/// At most 19 characters, so that `l0-<instance>-<id>` fits the 32 characters of a load balancer's name on AWS.
#[must_use]
pub fn id_text(name: &str, random: u64) -> String {
    let stem: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(8).collect();
    let suffix = random_suffix(random);
    if stem.is_empty() { suffix } else { format!("{stem}-{suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_readable_and_short() {
        assert_eq!(id_text("Web_Front.end-2", 0), "webfront-0000000000");
        assert!(ServiceId::parse(&id_text("a name that is far too long", u64::MAX)).is_ok());
        assert!(id_text("a name that is far too long", u64::MAX).len() <= 19);
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for bad in ["", "a b", "a/b", "a:b", "ä", &"x".repeat(129)] {
            assert!(ServiceId::parse(bad).is_err(), "{bad}");
        }
    }
}
