//! For whom evidence is made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest audience: an address fits in.
pub const AUDIENCE_MAX: usize = 200;

/// For whom evidence is made: the address of a server as its users write it, `https://layer0.example.com`. Compared byte by
/// byte, but for a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(String);

/// Why a text is no [`Audience`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an audience is 1 to {AUDIENCE_MAX} visible ASCII characters, such as `https://layer0.example.com`")]
pub struct AudienceError;

impl Audience {
    /// Reads an audience.
    ///
    /// # Errors
    /// [`AudienceError`].
    pub fn parse(text: &str) -> Result<Self, AudienceError> {
        let text = text.trim_end_matches('/');
        let legal = !text.is_empty() && text.len() <= AUDIENCE_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if legal { Ok(Self(text.to_owned())) } else { Err(AudienceError) }
    }

    /// Whether a text means it.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0 == text.trim_end_matches('/')
    }

    /// As text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Audience {
    type Error = AudienceError;
    fn try_from(text: String) -> Result<Self, AudienceError> {
        Self::parse(&text)
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> String {
        audience.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slash_at_the_end_makes_no_difference() {
        let audience = Audience::parse("https://l0.example.com/").expect("an audience");
        assert_eq!(audience.as_str(), "https://l0.example.com");
        for same in ["https://l0.example.com", "https://l0.example.com/", "https://l0.example.com//"] {
            assert!(audience.is(same), "{same}");
        }
        for other in
            ["", "https://l0.example.com.evil", "https://L0.example.com", "http://l0.example.com", "l0.example.com"]
        {
            assert!(!audience.is(other), "{other}");
        }
        for bad in ["", "/", "a b", "ü", "a\nb", &"x".repeat(AUDIENCE_MAX + 1)] {
            assert_eq!(Audience::parse(bad), Err(AudienceError), "{bad:?}");
        }
    }
}
