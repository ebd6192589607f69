//! Every dependency's licence is one that this project's users can live with.

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// The allowed licences, by their SPDX names.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Looks at `cargo metadata`, for this platform.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for package in project.packages()?.outside() {
        let name = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            None => findings.broken(format!("{name}: names no licence")),
            Some(expression) if allows(expression) => {}
            Some(expression) => findings.broken(format!("{name}: {expression}")),
        }
    }
    Ok(findings)
}

/// Whether the user of an SPDX expression can choose only allowed licences. What cannot be read is not allowed.
fn allows(expression: &str) -> bool {
    // "MIT/Apache-2.0" is the older way to write "OR".
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest).is_some_and(|verdict| verdict && rest.is_empty())
}

/// `A OR B`; `None` when it cannot be read.
fn either(words: &mut &[&str]) -> Option<bool> {
    let mut verdict = both(words)?;
    while let ["OR", tail @ ..] = *words {
        *words = tail;
        // Not `||`: the right side must be read even where the left decides.
        verdict |= both(words)?;
    }
    Some(verdict)
}

/// `A AND B`, which binds closer than `OR`.
fn both(words: &mut &[&str]) -> Option<bool> {
    let mut verdict = one(words)?;
    while let ["AND", tail @ ..] = *words {
        *words = tail;
        verdict &= one(words)?;
    }
    Some(verdict)
}

/// A licence, with its exception if it has one, or an expression in parentheses.
fn one(words: &mut &[&str]) -> Option<bool> {
    match *words {
        ["(", tail @ ..] => {
            *words = tail;
            let verdict = either(words)?;
            let [")", tail @ ..] = *words else {
                return None;
            };
            *words = tail;
            Some(verdict)
        }
        [name, "WITH", exception, tail @ ..] => {
            *words = tail;
            Some(ALLOWED.contains(&format!("{name} WITH {exception}").as_str()))
        }
        [")" | "OR" | "AND" | "WITH", ..] | [] => None,
        [name, tail @ ..] => {
            *words = tail;
            Some(ALLOWED.contains(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_side_and_a_sum_needs_both() {
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "MIT OR GPL-3.0-only",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
            "GPL-2.0-only AND GPL-3.0-only OR MIT",
        ] {
            assert!(allows(expression), "{expression}");
        }
        for expression in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(GPL-3.0-only OR MIT) AND LGPL-2.1-only",
            "GPL-2.0-only WITH LLVM-exception",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT GPL-3.0-only",
            "",
        ] {
            assert!(!allows(expression), "{expression}");
        }
    }
}
