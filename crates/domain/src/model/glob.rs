//! Patterns with `*` for any run of characters: the one kind of wildcard there is, in targets, scopes and tag rules.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest pattern: a repository's name with its tag fits in.
pub const GLOB_MAX: usize = 400;

/// A pattern: every character stands for itself, but `*` for any run of characters, none included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

/// Why a text is no [`Glob`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern: 1 to {GLOB_MAX} visible ASCII characters, with `*` for any run of them")]
pub struct GlobError(String);

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`] for an empty or overlong one, and for characters that no name and no tag can have.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() || text.len() > GLOB_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(GlobError(text.chars().take(60).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it matches a text, from end to end.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }

    /// Whether it matches every text.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it certainly matches all that `other` matches: the same pattern, everything, or a pattern that matches
    /// `other`'s text with its stars read as characters (a star of ours covers whatever stands there).
    #[must_use]
    pub fn covers(&self, other: &Glob) -> bool {
        self == other || self.is_everything() || matches(&self.0, &other.0)
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a pattern with `*` for any run of characters matches a text. Linear: each literal piece is looked for once,
/// from left to right.
#[must_use]
pub fn matches(glob: &str, text: &str) -> bool {
    let mut pieces = glob.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(middle) = last.replace(piece) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;
    fn try_from(text: String) -> Result<Self, GlobError> {
        Self::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_match_any_run() {
        for (glob, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "abc"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
            ("ab*ab", "abab"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("a", "ab"), ("a*", "ba"), ("ab*ab", "ab"), ("a*b", "a"), ("", "a")] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn what_no_name_can_hold_is_no_pattern() {
        for bad in ["", " ", "a b", "ü", "a\n", &"x".repeat(GLOB_MAX + 1)] {
            assert!(Glob::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// The promise that makes it safe to hand out narrower scopes: what the narrower matches, the wider does too.
        #[test]
        fn covering_means_matching_all_of_it(wide in "[ab*]{1,6}", narrow in "[ab*]{1,6}", text in "[ab]{0,8}") {
            let (wide, narrow) = (Glob::parse(&wide).expect("legal"), Glob::parse(&narrow).expect("legal"));
            if wide.covers(&narrow) && narrow.matches(&text) {
                prop_assert!(wide.matches(&text), "{wide} covers {narrow}, but not {text}");
            }
        }
    }
}
