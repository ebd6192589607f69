//! What is printed for people to paste into a shell.

use std::borrow::Cow;

/// A word as a POSIX shell reads it: as it is where that is the same, quoted where it is not.
#[must_use]
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_for_more() {
        for (text, word) in [
            ("/srv/layer0-data", "/srv/layer0-data"),
            ("", "''"),
            ("my data", "'my data'"),
            ("it's", "'it'\\''s'"),
            ("~x", "'~x'"),
            ("a$(id)", "'a$(id)'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
