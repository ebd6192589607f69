//! ECS's words without secrets.

/// The most characters of ECS's words that are shown; the longest real ones have about a thousand.
const MAX: usize = 1_000;

/// A text without what may be a secret in the addresses that stand in it: queries (a presigned address carries its
/// signature there; containers-roadmap#1133 shows one in a stopped reason), and user names with passwords. Cut to a readable
/// length.
#[must_use]
pub fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(is_border) {
        out.push_str(&word(&rest[..end]));
        let border = rest[end..].chars().next().unwrap_or(' ');
        out.push(border);
        rest = &rest[end + border.len_utf8()..];
    }
    out.push_str(&word(rest));
    match out.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

fn is_border(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | '`')
}

fn word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    // An address may be cut short anywhere, its beginning included.
    let signed = ["x-amz-", "awsaccesskeyid=", "signature="].iter().filter_map(|mark| lower.find(mark)).min();
    let query = lower.contains("://").then(|| lower.find('?')).flatten();
    let cut = match (query, signed) {
        (Some(query), Some(signed)) => Some(query.min(signed)),
        (query, signed) => query.or(signed),
    };
    let kept = match cut {
        Some(at) => format!("{}…", word[..at].trim_end_matches(['?', '&'])),
        None => word.to_owned(),
    };
    match kept.split_once("://") {
        Some((scheme, behind)) => {
            let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://…@{host}{path}"),
                None => kept,
            }
        }
        None => kept,
    }
}
