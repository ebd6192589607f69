//! Wildcards, as EC2's filters and IAM's policies have them.

/// `*` stands for any text, `?` for one character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text, mut star): (usize, usize, Option<(usize, usize)>) = (0, 0, None);
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match star {
                Some((star_at, star_text)) => {
                    star = Some((star_at, star_text + 1));
                    at = star_at + 1;
                    in_text = star_text + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match() {
        assert!(matches("com.amazonaws.*.ecr.*", "com.amazonaws.us-east-1.ecr.dkr"));
        assert!(matches("*", "") && matches("a?c", "abc") && matches("*bc", "abcbc"));
        assert!(!matches("ab", "abc") && !matches("a?", "a") && !matches("*d", "abc"));
    }
}
