//! Names that users give to things.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name. 64 keeps a name readable in a table and inside every limit of ECS (255) and Docker (255).
pub const NAME_MAX: usize = 64;

/// The name of an environment, deploy, service, load balancer, task or token: 1 to 64 ASCII letters, digits, `-` and
/// `_`, of which the first is a letter or a digit.
///
/// `:` divides targets (`ENV:NAME`), `.` divides a deploy's name from its version, `*` is the wildcard: none of them can
/// be in a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why some text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name is required")]
    Empty,
    /// More than [`NAME_MAX`] characters.
    #[error("the name has {length} characters, the most is {NAME_MAX}")]
    TooLong {
        /// Characters given.
        length: usize,
    },
    /// A character that names can't have.
    #[error(
        "`{text}` can't be a name: `{found}` is not allowed (letters, digits, `-` and `_`, starting with a letter or digit)"
    )]
    Character {
        /// What was given, shortened.
        text: String,
        /// The first offending character.
        found: char,
    },
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 {
            return Err(NameError::Empty);
        }
        if length > NAME_MAX {
            return Err(NameError::TooLong { length });
        }
        let legal = |(at, c): &(usize, char)| c.is_ascii_alphanumeric() || (*at > 0 && matches!(c, '-' | '_'));
        match text.char_indices().find(|pair| !legal(pair)) {
            Some((_, found)) => Err(NameError::Character { text: text.to_owned(), found }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_people_use_are_names() {
        for good in ["a", "web", "env_name", "Web-2", "0day", &"x".repeat(64)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_message_names_the_character() {
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse(&"ü".repeat(300)), Err(NameError::TooLong { length: 300 }));
        for (bad, found) in [("my app", ' '), ("a:b", ':'), ("a*", '*'), ("wéb", 'é'), ("-a", '-'), ("a.b", '.')] {
            assert_eq!(Name::parse(bad), Err(NameError::Character { text: bad.to_owned(), found }));
        }
    }
}
