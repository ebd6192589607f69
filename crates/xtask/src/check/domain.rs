//! The domain's sources mention nothing that has a clock, randomness, an environment, files or sockets. Clippy holds
//! the same rule by what is called (`crates/domain/clippy.toml`); this one also sees types, imports and macros. An
//! address (`std::net::IpAddr`) is a value like any other, and may be used.

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// What may not be mentioned, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("SystemTime", "a `Timestamp` given as an argument"),
    ("Instant", "a `Timestamp` given as an argument"),
    ("std::env", "a value given as an argument"),
    ("env!(", "a value given as an argument"),
    ("std::fs", "a port"),
    ("TcpStream", "a port"),
    ("TcpListener", "a port"),
    ("UdpSocket", "a port"),
    ("ToSocketAddrs", "a port: it asks a name server"),
    ("std::process", "a port"),
    ("std::thread", "a plan that the caller carries out"),
    ("rand::", "an id given as an argument"),
    ("RandomState", "an ordered map: its order is the same in every run"),
];

/// Looks through `crates/domain/src`.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        if file.starts_with("crates/domain/src/") && file.ends_with(".rs") {
            let text = project.text(file)?.unwrap_or_default();
            for (line, banned, instead) in mentions(&text) {
                findings.broken(format!("{file}:{line}: mentions `{banned}`; use {instead}"));
            }
        }
    }
    Ok(findings)
}

/// Line number, what is mentioned, and what to use instead. Comments may mention anything.
fn mentions(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (banned, instead) in BANNED {
            if contains_word(code, banned) {
                found.push((number + 1, *banned, *instead));
            }
        }
    }
    found
}

/// Whether `word` stands in `code` and is not the tail or the head of a longer name.
fn contains_word(code: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + word.len()..].chars().next();
        let open_end = !word.ends_with(is_name);
        !before.is_some_and(is_name) && (open_end || !after.is_some_and(is_name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banned(text: &str) -> Vec<&'static str> {
        mentions(text).into_iter().map(|(_, banned, _)| banned).collect()
    }

    #[test]
    fn clocks_files_and_sockets_are_seen() {
        assert_eq!(banned("use std::time::{Duration, Instant};"), ["Instant"]);
        assert_eq!(banned("let x = std::fs::read(p);\nstd::env::var(\"X\")"), ["std::fs", "std::env"]);
        assert_eq!(banned("let id = rand::random();"), ["rand::"]);
        assert_eq!(banned("option_env!(\"X\"); env!(\"X\")"), ["env!("]);
    }

    #[test]
    fn comments_and_longer_names_are_let_be() {
        assert_eq!(banned("// unlike std::fs, Instant"), Vec::<&str>::new());
        assert_eq!(banned("struct InstantKind; operand::x(); std::envelope"), Vec::<&str>::new());
    }
}
